import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeCategoryCheck } from '../../src/content/content-check.ts';
import { findIn } from '../../src/content/find.ts';
import { type Blank, blanksOf } from '../../src/content/redact.ts';
import { categories } from '../../src/content/rule.ts';
import { StreamScreen } from '../../src/content/stream-screen.ts';
import { benign } from '../fixtures/content/benign.ts';
import { positive } from '../fixtures/content/positive.ts';

const redact = makeCategoryCheck('out', categories, 'redact');
const lines = [...Object.values(positive).flat(), ...Object.values(benign).flat()];

function blanked(text: string, blanks: readonly Blank[]): string {
  let out = '';
  let done = 0;
  for (const { start, end, mark } of blanks) {
    out += text.slice(done, start) + mark;
    done = end;
  }
  return out + text.slice(done);
}

/** The text in pieces of these lengths, over and over, and what came of each. */
function stream(text: string, lengths: readonly number[], check = redact) {
  const screen = new StreamScreen(check);
  const blanks: Blank[] = [];
  let released = 0;
  let longest = 0;
  let blocked: readonly string[] = [];
  for (let at = 0, turn = 0; at < text.length && blocked.length === 0; turn++) {
    const length = lengths[turn % lengths.length] ?? 1;
    const progress = screen.push('t', text.slice(at, at + length));
    at = Math.min(text.length, at + length);
    expect(progress.released).toBeGreaterThanOrEqual(released);
    expect(progress.released).toBeLessThanOrEqual(at);
    for (const { start, end } of progress.blanks) {
      expect(start).toBeGreaterThanOrEqual(released);
      expect(end).toBeLessThanOrEqual(progress.released);
    }
    ({ released, blocked } = progress);
    blanks.push(...progress.blanks);
    longest = Math.max(longest, at - released);
  }
  const last = screen.end().get('t');
  if (blocked.length === 0) blanks.push(...(last?.blanks ?? []));
  const rules = screen.hits.map(({ ruleId, count }) => `${ruleId} ${count}`).sort();
  return { text: blanked(text, blanks), rules, released, longest, blocked: blocked.length > 0 ? blocked : (last?.blocked ?? []) };
}

function whole(text: string) {
  const found = findIn(redact, text) ?? [];
  const counts = new Map<string, number>();
  for (const { active } of found) counts.set(active.rule.id, (counts.get(active.rule.id) ?? 0) + 1);
  return { text: blanked(text, blanksOf(found)), rules: [...counts].map(([id, count]) => `${id} ${count}`).sort() };
}

function expectSame(text: string, lengths: readonly number[]): void {
  const { text: out, rules } = stream(text, lengths);
  expect({ out, rules, lengths }, JSON.stringify(text)).toEqual({ out: whole(text).text, rules: whole(text).rules, lengths });
}

const cuts = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 });

describe('a text in pieces', () => {
  test.each([[[1]], [[2, 3]], [[7]], [[40]], [[100_000]]])(
    'every labelled line is judged as it is as a whole, in pieces of %j',
    (lengths) => {
      for (const line of lines) if (line.length >= 5) expectSame(line, lengths);
    },
  );

  test('labelled lines one after the other, cut anywhere, are judged as the whole', () => {
    const joint = fc.constantFrom('\n', ' ', '. ', '\n\n', ', ');
    const text = fc
      .array(fc.tuple(fc.constantFrom(...lines), joint), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.map((part) => part.join('')).join(''));
    fc.assert(
      fc.property(text, cuts, (given, lengths) => {
        expectSame(given, lengths);
      }),
      { numRuns: process.env.TEST_LONG === undefined ? 150 : 5000 },
    );
  });
});
