import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plain, showAnswer, showJson } from '../../src/cli/show-answer.ts';
import type { JsonObject } from '../../src/wire/json.ts';

const wide = Number.POSITIVE_INFINITY;
/** What a terminal acts on, or shows in another order than it is written. */
const acting = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

describe('an answer for people', () => {
  it('is a table where it is a list', () => {
    const keys = [
      { id: 'a', isDisabled: false, createdAtMs: 0 },
      { id: 'longer', title: 'T', isDisabled: true, createdAtMs: 1000 },
    ];
    expect(showAnswer({ keys, next: 'longer' }, wide)).toBe(
      [
        'id      isDisabled  createdAt                 title',
        'a       no          1970-01-01T00:00:00.000Z  -',
        'longer  yes         1970-01-01T00:00:01.000Z  T',
        '',
        'next: longer',
        '',
      ].join('\n'),
    );
    expect(showAnswer({ keys: [] }, wide)).toBe('No keys.\n');
  });

  it('is a block per row where the terminal is too narrow for a table', () => {
    expect(showAnswer({ keys: [{ id: 'a', title: 'x'.repeat(30) }, { id: 'b' }] }, 20)).toBe(
      `id: a\ntitle: ${'x'.repeat(30)}\n\nid: b\n`,
    );
  });

  it('shows chosen columns of a list, cut to the width of the terminal', () => {
    const row = {
      atMs: 0,
      caller: `oauth:https://login.example.com#${'x'.repeat(60)}`,
      capability: 'hr/find_person',
      more: 'y'.repeat(300),
    };
    const table = (columns: number) =>
      showAnswer({ calls: [row, { atMs: 1 }], next: 'n' }, columns, { calls: ['atMs', 'caller', 'capability'] });
    const lines = table(100).split('\n');
    expect(lines.slice(0, 3).map((line) => line.length <= 100)).toEqual([true, true, true]);
    expect(lines[0]).toMatch(/^at +caller +capability$/);
    expect(lines[1]).toMatch(/^1970-01-01T00:00:00.000Z {2}oauth:https:\/\/login.example.com#x+… {2}hr\/find_person$/);
    expect(lines[2]).toMatch(/^1970-01-01T00:00:00.001Z {2}- +-$/);
    expect(table(100)).not.toContain('yyy');
    expect(table(100)).toContain('next: n');
    expect(table(wide)).toContain(row.caller);
    // Where even so nothing fits, a block per row.
    expect(table(15)).toContain('at: 1970-01…');
  });

  it('of very many rows, or of columns without end, is shown in time', () => {
    const rows = Array.from({ length: 200_000 }, (_, at) => ({ id: `row ${at}` }));
    expect(showAnswer({ rows }, 80, { rows: ['id'] }).split('\n')).toHaveLength(200_002);
    const narrow = [...rows.slice(0, 50_000), { id: 'x'.repeat(1_000_000) }];
    expect(showAnswer({ rows: narrow }, wide)).toMatch(/^id: row 0\n\nid: row 1\n/);
    expect(showAnswer({ rows: narrow }, 80, { rows: ['id'] }).length).toBeLessThan(50_002 * 81);
    const distinct = Array.from({ length: 20_000 }, (_, at) => ({ [`key${at}`]: at }));
    expect(showAnswer({ distinct }, wide)).toMatch(/^key0: 0\n\nkey1: 1\n/);
  });

  it('says of letters that nobody sees that they are there', () => {
    const unseen = ['\u061c', '\u{e0041}', '\u00ad', '\u180e', '\ufff9', '\u3164', '\u2066', '\u009b'];
    for (const sign of unseen) {
      expect(plain(`a${sign}b`)).toMatch(/^a(\\u[0-9a-f]{4})+b$/);
      expect(showJson({ [sign]: sign })).toMatch(/^[\x20-\x7e\n]+$/);
      expect(JSON.parse(showJson({ [sign]: sign }))).toEqual({ [sign]: sign });
    }
    expect(plain('grüße 日本語 العربية 👩')).toBe('grüße 日本語 العربية 👩');
  });

  it('is lines where it is one thing', () => {
    const limits = [{ per: 'key', rpm: 60 }];
    expect(showAnswer({ id: 'web', limits, text: 'one\ntwo', scope: {}, none: null }, wide)).toBe(
      'id: web\nlimits:\n  - per: key\n    rpm: 60\ntext:\n  one\n  two\nscope: {}\nnone: -\n',
    );
    expect(showAnswer({}, wide)).toBe('Done.\n');
  });

  it('has no digits that nobody reads', () => {
    const numbers = { p99Ms: 4235.000000000004, averageMs: 289.28288235, share: 0.123456789, usd: 0.0000012, calls: 12_345_678 };
    expect(showAnswer(numbers, wide)).toBe('p99Ms: 4235\naverageMs: 289.283\nshare: 0.123457\nusd: 0.0000012\ncalls: 12345678\n');
  });

  it('leaves nothing out and moves no cursor, whatever it is', () => {
    const values = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 4 }));
    fc.assert(
      fc.property(values, fc.nat(200), (answer, columns) => {
        const shown = showAnswer(answer as JsonObject, columns);
        expect(shown).not.toMatch(acting);
        for (const value of Object.values(answer))
          if (typeof value === 'string' && value !== '')
            for (const line of value.split('\n')) expect(shown).toContain(plain(line));
      }),
    );
  });
});

describe('an answer as JSON', () => {
  it('is the answer, and moves no cursor either', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const shown = showJson(JSON.parse(JSON.stringify({ value })));
        expect(JSON.parse(shown)).toEqual(JSON.parse(JSON.stringify({ value })));
        expect(shown).not.toMatch(acting);
      }),
    );
  });
});
