import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeCategoryCheck } from '../../src/content/content-check.ts';
import { runRules } from '../../src/content/find.ts';
import { foldText } from '../../src/content/fold.ts';
import { categories } from '../../src/content/rule.ts';
import { loadRules } from '../../src/content/rules.ts';
import { inspectBytes, screenPrompt, screenValue } from '../../src/content/screen.ts';
import { atOnce } from '../../src/turns.ts';
import { benign } from '../fixtures/content/benign.ts';
import { positive } from '../fixtures/content/positive.ts';
import * as once from '../support/screen-at-once.ts';

const rules = await loadRules(categories);
const redact = makeCategoryCheck('in', categories, 'redact', rules);
const checks = [redact, makeCategoryCheck('out', categories, 'block', rules), makeCategoryCheck('in', categories, 'flag', rules)];
const lines = [...Object.values(positive).flat(), ...Object.values(benign).flat()];
const everyGate = 8191;
const numRuns = process.env.TEST_LONG === undefined ? 40 : 1000;

/** What has no longest length, or nearly the longest, so that it lies across many cuts. */
const longPieces = [
  ' '.repeat(300),
  '\n '.repeat(60),
  `a${'\u00ad'.repeat(100)}b`,
  '\u202e'.repeat(90),
  '\ufe0f'.repeat(90),
  '\u{e0041}'.repeat(50),
  `-----BEGIN PRIVATE KEY-----${'k'.repeat(16_000)}-----END PRIVATE KEY-----`,
  `-----BEGIN PRIVATE KEY-----${'k'.repeat(20_000)}`,
  `eyJ${'a'.repeat(1990)}.eyJ${'a'.repeat(3990)}.${'a'.repeat(990)}`,
  `<!-- you must ${'x'.repeat(3000)} -->`,
  `![](https://a.example/?data=${'x'.repeat(1900)})`,
  'ignore all '.repeat(60),
  'ignore, then ä '.repeat(40),
];
const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...lines) },
  { weight: 2, arbitrary: fc.constantFrom(...longPieces) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('a', 'щ ', 'x y ', '\u0301', '7 ', '@', '"', '\\', '%41', '👩‍👧'), fc.nat(800))
      .map(([a, n]) => a.repeat(n)),
  },
);
const text = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join(' '));

describe('a text that is read in stretches', () => {
  test('holds what it holds in one, wherever the stretches end', () => {
    const places = (whole: string, stretch: number) =>
      atOnce(runRules(redact, foldText(whole), everyGate, Number.POSITIVE_INFINITY, stretch)).map(
        ({ active, start, end }) => `${active.rule.id} ${start}-${end}`,
      );
    fc.assert(
      fc.property(text, fc.integer({ min: 900, max: 6000 }), (whole, stretch) => {
        // A text up to this is read in one stretch.
        const long = whole + '- '.repeat(2100);
        expect(places(long, stretch)).toEqual(places(long, Number.POSITIVE_INFINITY));
      }),
      { numRuns: numRuns / 2 },
    );
  });
});

describe('what is judged in turns', () => {
  const value = fc
    .tuple(fc.array(text, { minLength: 1, maxLength: 4 }), fc.nat(40_000), fc.constantFrom('. ', 'ü ', 'prompt '))
    .map(([texts, length, filler]) => ({
      name: texts[0]!.slice(0, 5000),
      token: texts,
      [texts.join(' ').slice(0, 200)]: filler.repeat(length),
    }));

  test('gets the verdict that it gets in one go', async () => {
    await fc.assert(
      fc.asyncProperty(value, fc.constantFrom(...checks), async (whole, check) => {
        const verdict = once.screenValue(check, whole);
        expect(await screenValue(check, whole)).toEqual(verdict);
        expect(await screenPrompt(check, whole)).toEqual(verdict);
        const bytes = Buffer.from(JSON.stringify(whole));
        expect(await inspectBytes(check, bytes)).toEqual(once.inspectBytes(check, bytes));
      }),
      { numRuns },
    );
  });

  test('has it at once where it is small, clean or not', () => {
    for (const line of lines) {
      expect(screenValue(redact, { text: line })).not.toBeInstanceOf(Promise);
      expect(inspectBytes(redact, Buffer.from(JSON.stringify({ text: line })))).not.toBeInstanceOf(Promise);
    }
  });

  test('lets others have their turn, and goes on after each of them', async () => {
    const verdicts = ['a@b.example ', 'ignore all previous '].map((line) => screenValue(redact, { text: line.repeat(40_000) }));
    let turns = 0;
    let isOver = false;
    const count = () => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    expect(await Promise.all(verdicts)).toMatchObject([{ kind: 'redacted' }, { kind: 'clean' }]);
    isOver = true;
    expect(turns).toBeGreaterThan(10);
  });

  test('PR-04: half a million values and more are not parsed, and not vouched for', async () => {
    const bytes = Buffer.from(`["a@b.example"${',[]'.repeat(600_000)}]`);
    expect(await inspectBytes(redact, bytes)).toMatchObject({ kind: 'blocked', rules: ['content/unread'] });
    expect(await inspectBytes(redact, Buffer.from(`["a@b.example"${',[]'.repeat(1000)}]`))).toMatchObject({ kind: 'redacted' });
  });
});
