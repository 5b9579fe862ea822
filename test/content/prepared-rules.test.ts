import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pairsOf } from '../../src/content/beginnings.ts';
import { openPattern } from '../../src/content/open-pattern.ts';
import { prepareRules } from '../../src/content/prepare-rules.ts';
import { categories } from '../../src/content/rule.ts';
import { loadRules } from '../../src/content/rules.ts';
import { benign } from '../fixtures/content/benign.ts';
import { positive } from '../fixtures/content/positive.ts';

const rules = await loadRules(categories);
const lines = [...Object.values(positive).flat(), ...Object.values(benign).flat()];

function matchesOf(pattern: RegExp, text: string): string[] {
  return [...text.matchAll(pattern)].map((match) => `${match.index} ${match[0]}`);
}

/** Parts of labelled lines and words of the patterns themselves, so that most texts get far in some of them. */
const vocabulary = rules.flatMap(({ pattern }) => pattern?.source.match(/[a-z]{3,}/g) ?? []);
const piece = fc.oneof(
  fc.constantFrom(...vocabulary),
  fc.tuple(fc.constantFrom(...lines), fc.nat(40), fc.nat(40)).map(([line, start, length]) => line.slice(start, start + length)),
  fc.constantFrom('how', 'all', 'the', 'to', 'щ', '-', ','),
);
const text = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join(' '));

describe('patterns for streams', () => {
  const patterns = rules.flatMap(({ pattern }) => (pattern === undefined ? [] : [openPattern(pattern)]));
  const plain = patterns.map(({ source, flags }) => new RegExp(source.replaceAll('(?=)', ''), flags));

  test('what makes them quick to compile changes no match, wherever a text ends', () => {
    const same = (whole: string, end: number) => {
      for (const [index, pattern] of patterns.entries())
        expect(matchesOf(pattern, whole.slice(0, end))).toEqual(matchesOf(plain[index]!, whole.slice(0, end)));
    };
    for (const line of lines) same(line, line.length);
    fc.assert(
      fc.property(text, fc.nat(200), (whole, end) => same(whole, end)),
      { numRuns: process.env.TEST_LONG === undefined ? 300 : 10_000 },
    );
  });

  test('a match can begin with no other pair of characters than those that are told', () => {
    fc.assert(
      fc.property(text, (whole) => {
        for (const rule of rules) {
          const view = { text: whole, original: whole, offsets: undefined };
          rule.find(view, (start) => {
            const [first, second] = [whole.charCodeAt(start), whole.charCodeAt(start + 1)].map((code) => Math.min(code, 127));
            if (first !== 127) expect(pairsOf(rule)).toContain(first! * 129 + second!);
            return false;
          });
        }
      }),
      { numRuns: process.env.TEST_LONG === undefined ? 300 : 10_000 },
    );
  });
});

describe('rules that are made ready', () => {
  test('neither opening them nor their first use holds everybody up for 20 ms', async () => {
    const script = fileURLToPath(new URL('../support/measure-content.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [script], { maxBuffer: 16 * 1024 * 1024 });
    const { opening, uses } = JSON.parse(stdout) as Record<'opening' | 'uses', readonly number[]>;
    if (process.env.SHOW !== undefined) console.log(Math.max(...opening), Math.max(...uses), opening.length);
    expect(Math.max(...opening)).toBeLessThan(20);
    expect(Math.max(...uses)).toBeLessThan(20);
    expect(opening.length).toBeGreaterThan(10);
  });

  test('are not made ready again', async () => {
    const before = rules.map(pairsOf);
    await prepareRules(rules);
    expect(rules.map(pairsOf).every((pairs, index) => pairs === before[index])).toBe(true);
  });
});
