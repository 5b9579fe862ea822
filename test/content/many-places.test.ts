import { describe, expect, test } from 'vitest';
import { makeCategoryCheck } from '../../src/content/content-check.ts';
import { foldText } from '../../src/content/fold.ts';
import type { Json } from '../../src/wire/json.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { screenValue } from '../support/screen-at-once.ts';

const redact = makeCategoryCheck('in', ['secrets', 'personal-data', 'prompt-injection', 'hidden-text'], 'redact');
const block = makeCategoryCheck('in', ['personal-data', 'hidden-text'], 'block');
const flag = makeCategoryCheck('in', ['personal-data', 'hidden-text'], 'flag');

function nested(inner: Json, levels: number): Json {
  let value = inner;
  for (let level = 0; level < levels; level++) value = { ['k'.repeat(60)]: value };
  return value;
}

/** The least of three, so that what else runs does not count. */
function millisecondsOf(work: () => void): number {
  const times = [1, 2, 3].map(() => {
    const startMs = cpuMs();
    work();
    return cpuMs() - startMs;
  });
  return Math.min(...times);
}

describe('a text with many places', () => {
  test('sixteen thousand addresses below long names are all redacted, noted once and counted', () => {
    const value = nested(
      Array.from({ length: 16_000 }, (_, at) => `ab${at}@example.com`),
      58,
    );
    const verdict = screenValue(redact, value);
    expect(verdict).toMatchObject({ kind: 'redacted', hits: [{ ruleId: 'personal-data/email', count: 16_000 }] });
    expect(JSON.stringify(verdict)).not.toContain('@');
    expect(millisecondsOf(() => screenValue(redact, value))).toBeLessThan(600);
  });

  test('every place of what is redacted is blanked out, however many there are', () => {
    const verdict = screenValue(redact, { text: 'a\b'.repeat(100_000) });
    expect(verdict).toMatchObject({ kind: 'redacted', hits: [{ count: 100_000 }] });
    expect(JSON.stringify(verdict)).not.toContain('\\b');
  });

  test('a value with more places than are rewritten is blocked as not read', () => {
    expect(screenValue(redact, { text: 'a\b'.repeat(160_000) })).toMatchObject({
      kind: 'blocked',
      rules: ['content/unread'],
    });
  });

  test('what is flagged or blocked is counted up to a thousand in one text', () => {
    expect(screenValue(flag, { text: 'a\b'.repeat(160_000) })).toMatchObject({ kind: 'flagged', hits: [{ count: 1000 }] });
    expect(screenValue(block, { text: 'a\b'.repeat(160_000) })).toMatchObject({ kind: 'blocked', hits: [{ count: 1000 }] });
    expect(screenValue(flag, { text: 'a\b'.repeat(999) })).toMatchObject({ hits: [{ count: 999 }] });
  });

  test('what folding makes longer than is read is blocked, what it does not is redacted', () => {
    expect(screenValue(redact, { text: `foo@example.com ${'ﷺ'.repeat(300_000)}` })).toMatchObject({ rules: ['content/unread'] });
    expect(screenValue(redact, { text: `foo@example.com ${'ﷺ'.repeat(1000)}` })).toMatchObject({ kind: 'redacted' });
    expect(screenValue(redact, { text: `foo@example.com ${'Ⅷ'.repeat(290_000)}` })).toMatchObject({ kind: 'redacted' });
  });
});

describe('folding', () => {
  test.each([['Ⅷ'], ['é'], ['𝒜'], ['аa ']])('a text of %j is folded as its parts are, without normalizing each', (piece) => {
    const once = foldText(`${piece} `).text;
    const text = `${piece} `.repeat(100_000);
    expect(foldText(text).text).toBe(once.repeat(100_000));
    expect(millisecondsOf(() => foldText(text))).toBeLessThan(150);
  });
});
