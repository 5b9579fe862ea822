import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { describe, expect, it } from 'vitest';
import { WordTally } from '../../src/models/word-tally.ts';

const options = { disallowedSpecial: new Set<string>() };
const exact = (text: string) => countTokens(text, options);
const english = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8');

describe('tokens counted word by word', () => {
  it('are those of the whole text, the first time and the second', () => {
    const tally = new WordTally(exact);
    expect(tally.count(english)).toBe(exact(english));
    expect(tally.count(english)).toBe(exact(english));
  });

  it('are those of the whole text, whatever it is made of', () => {
    const tally = new WordTally(exact);
    const piece = fc.oneof(
      fc.constantFrom(
        ' ',
        '  ',
        '\n',
        '\t',
        '\r\n',
        ' \n ',
        ' 7',
        ' 1234',
        ', ',
        "'s",
        ' "a"',
        ' Zoë',
        '\u00a0',
        ' 字',
        '…',
        '\ud83d\ude00',
      ),
      fc.string({ maxLength: 12 }),
      fc.constantFrom(' word', ' Word', 'word', ' CamelCase', ' x_y', ' https://a.b/c?d=e'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join('').toWellFormed();
        expect(tally.count(text)).toBe(exact(text));
        expect(tally.count(text)).toBe(exact(text));
      }),
    );
  });

  it('asks nobody about words that were counted before', () => {
    let asked = 0;
    const tally = new WordTally((text) => {
      asked += 1;
      return exact(text);
    });
    tally.count('one two three');
    const before = asked;
    expect(tally.count('three two one two three')).toBe(exact('three two one two three'));
    // Its first word has no blank before it.
    expect(asked).toBe(before + 2);
  });

  it('are not said of texts with many new words, and are once those are known', () => {
    const tally = new WordTally(exact);
    const text = english.slice(0, 4_000);
    expect(tally.countKnown([text])).toBeUndefined();
    tally.count(text);
    expect(tally.countKnown([text])).toBe(exact(text));
    expect(tally.countKnown(['q'.repeat(200)])).toBeUndefined();
  });
});
