import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeCategoryCheck } from '../../src/content/content-check.ts';
import { findIn } from '../../src/content/find.ts';
import { type Blank, blanksOf } from '../../src/content/redact.ts';
import { categories } from '../../src/content/rule.ts';
import { loadRules } from '../../src/content/rules.ts';
import { longestHold, StreamScreen } from '../../src/content/stream-screen.ts';
import { benign } from '../fixtures/content/benign.ts';
import { positive } from '../fixtures/content/positive.ts';
import { cpuMs } from '../support/cpu-time.ts';

const redact = makeCategoryCheck('out', categories, 'redact', await loadRules(categories));
const lines = [...Object.values(positive).flat(), ...Object.values(benign).flat()];

const token = `ghp_${'R8kLm2nQ5tVx7zAc4eGh9jBd3fWy6uSpZ1oT'}`;

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
  const last = screen.end('t');
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
  test.each([[[1]], [[2, 5]], [[30]], [[100_000]]])(
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

  test('a text without anything that a rule looks for is never held back', () => {
    const check = makeCategoryCheck('out', ['secrets', 'personal-data'], 'flag');
    const text = 'write to anna.keller@nordwind.io. '.repeat(20);
    expect(stream(text, [3], check)).toMatchObject({ longest: 0, rules: ['personal-data/email 20'] });
    const secrets = makeCategoryCheck('out', ['secrets'], 'redact');
    const prose = 'Down by the old mill the water runs on, and no one can do it but you. '.repeat(20);
    expect(stream(prose, [1], secrets).longest).toBeLessThan(5);
  });

  test('a secret is held from its first character on, and what stands before it is not', () => {
    const screen = new StreamScreen(makeCategoryCheck('out', ['secrets'], 'redact'));
    const released = ['the key is ', `${'gh'}p_R8kLm2nQ5tVx7zAc4eGh`, '9jBd3fWy6uSpZ1oT', ' and why'].map(
      (piece) => screen.push('t', piece).released,
    );
    expect(released).toEqual([11, 11, 11, 11 + 40 + 8]);
  });

  test('what is to be blocked is not released, and the rules that say so are named', () => {
    const check = makeCategoryCheck('out', ['secrets'], 'block');
    const { blocked, released } = stream(`the key is ${token}, use it`, [5], check);
    expect({ blocked, isHeld: released <= 11 }).toEqual({ blocked: ['secrets/github-token'], isHeld: true });
    expect(stream('the key is under the mat', [5], check).blocked).toEqual([]);
  });

  test('channels are read apart, and each is named in the hits', () => {
    const screen = new StreamScreen(redact);
    for (const [at, character] of Array.from(token).entries()) {
      screen.push('choices/0', character);
      screen.push('choices/1', at % 2 === 0 ? 'a ' : 'b ');
    }
    for (const name of screen.channels) screen.end(name);
    expect(screen.hits).toMatchObject([{ ruleId: 'secrets/github-token', pointer: '/choices/0', count: 1 }]);
  });

  test('what is let go is still found when it becomes whole, and no longer held back', () => {
    const screen = new StreamScreen(redact);
    expect(screen.push('t', token.slice(0, 20)).released).toBe(0);
    expect(screen.letGo('t').released).toBe(20);
    screen.push('t', token.slice(20));
    screen.push('t', ' and');
    expect(screen.hits).toMatchObject([{ ruleId: 'secrets/github-token', count: 1 }]);
  });

  test('a hold ends at the longest thing that a rule finds', () => {
    const key = `-----BEGIN ${'PRIVATE'} KEY-----\n`;
    const { longest, text, rules } = stream(`${key}${'MIIEvQIBADAN\n'.repeat(4000)}`, [100]);
    expect(longest).toBeLessThan(longestHold * 1.2);
    expect(rules).toEqual(['secrets/private-key 1']);
    expect(text.length).toBeLessThan(4000 * 13 - 16_000);
  });

  test.each([
    ...[
      'gh_',
      'ignore ',
      'send key ',
      'a@',
      '4111 ',
      'eyJaaaaaaaaaa.',
      '\u001b',
      'ä',
      'aа',
      '%41',
      '%',
      '\\u00',
      '忽略',
      '<!--',
      'aGVs',
    ],
    ...[' ', '-----BEGIN ', 'token', 'password: aA1', '1-', '![](http://a?data=', 'DE89 3704 ', 'bearer ', '://a:b'],
  ])('a long text of %j in small pieces takes time linear to its length', (piece) => {
    const size = process.env.TEST_LONG === undefined ? 8192 : 65_536;
    const text = piece.repeat(Math.ceil(size / piece.length));
    const startMs = cpuMs();
    stream(text, [4]);
    const tookMs = cpuMs() - startMs;
    if (process.env.SHOW !== undefined)
      console.log(JSON.stringify(piece), ((tookMs * 1000) / size).toFixed(2), 'us per character');
    expect(tookMs).toBeLessThan((size / 1024) * 250);
  });
});
