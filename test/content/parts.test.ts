import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeKey } from '../../src/call/authenticate/key-ring.ts';
import { makeAnchorScan } from '../../src/content/anchors.ts';
import { endOfOwnKey, isLuhn, isMod11And10, isMod97 } from '../../src/content/checksums.ts';
import { decodeSteps, resolveEscapes } from '../../src/content/decode.ts';
import { foldText, toOriginal } from '../../src/content/fold.ts';
import { atOnce } from '../../src/turns.ts';

describe('anchors', () => {
  const words = ['ignore', 'password', 'act as', 'environment var', '.ssh/i'];
  const scan = makeAnchorScan(words.map((text, index) => ({ text, gate: 1 << index })));
  const found = (text: string) => {
    const places: string[] = [];
    scan(Buffer.from(text), (anchor, at) => places.push(`${at} ${anchor.text}`) < 0);
    return places.sort();
  };

  test('every word is found wherever it stands, in any case', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 12 }),
        fc.constantFrom(...words),
        fc.string({ maxLength: 12 }),
        (before, word, after) => {
          const at = Buffer.byteLength(before);
          expect(found(before + word.toUpperCase() + after)).toContain(`${at} ${word}`);
        },
      ),
    );
  });

  test('what is not there is not found', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ignorepaswdct .nv'), maxLength: 60 }), (text) => {
        const expected = words.flatMap((word) =>
          Array.from({ length: text.length }, (_, at) => at)
            .filter((at) => text.startsWith(word, at))
            .map((at) => `${at} ${word}`),
        );
        // For a blank any run of them may stand.
        expect(
          found(text).filter((place) => text.startsWith(place.slice(place.indexOf(' ') + 1), Number.parseInt(place, 10))),
        ).toEqual(expected.sort());
      }),
    );
  });

  test.each(['act\nas', 'act  as', 'act\\nas', 'environment \n var', 'environment\\n\\tvar', '.ssh\\/i'])(
    '%j is found too',
    (text) => {
      expect(found(`x ${text} y`)).toHaveLength(1);
    },
  );
});

describe('checksums', () => {
  test('right numbers pass and a changed digit does not', () => {
    expect(isLuhn('4242 4242 4242 4242')).toBe(true);
    expect(isLuhn('4242 4242 4242 4243')).toBe(false);
    expect(isMod97('DE89370400440532013000')).toBe(true);
    expect(isMod97('DE88370400440532013000')).toBe(false);
    expect(isMod11And10('86095742719')).toBe(true);
    expect(isMod11And10('86095742718')).toBe(false);
  });

  test('a key ends where its checksum does, whatever follows', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z][a-z0-9-]{0,15}$/), fc.stringMatching(/^[A-Za-z0-9_-]{0,20}$/), (id, rest) => {
        const key = makeKey(id);
        expect(endOfOwnKey(key + rest)).toBe(key.length);
      }),
      { numRuns: 50 },
    );
  });
});

describe('folding', () => {
  test.each([
    ['ｉｇｎｏｒｅ', 'ignore'],
    ['ig\u200bno\u00adre', 'ignore'],
    ['іgnоrе', 'ignore'],
    ['précédentes', 'precedentes'],
    ['𝐢𝐠𝐧𝐨𝐫𝐞', 'ignore'],
    ['привет', 'привет'],
    ['지시', '지시'],
    ['निर्देश', 'निर्देश'],
  ])('%s is read as %s', (original, folded) => {
    expect(foldText(original).text).toBe(folded);
  });

  test('every place of the folded text leads back to the characters it came from', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 30 }),
        fc.string({ unit: 'grapheme', maxLength: 30 }),
        (before, after) => {
          const marker = 'QQMARKQQ';
          const view = foldText(`${before} ${marker} ${after}`);
          const at = view.text.indexOf(marker);
          const [start, end] = toOriginal(view, at, at + marker.length);
          expect(view.original.slice(start, end)).toBe(marker);
        },
      ),
    );
  });
});

describe('decoding', () => {
  test.each([
    ['base64', Buffer.from('some text that was written so').toString('base64')],
    ['base64url', Buffer.from('some text that was written so').toString('base64url')],
    ['hex', Buffer.from('some text that was written so').toString('hex')],
  ])('%s is read once', (_, text) => {
    expect(atOnce(decodeSteps(`see: ${text} !`)).map((part) => part.text)).toContain('some text that was written so');
  });

  test('percent signs and JSON escapes are resolved once, wrong ones stay', () => {
    expect(resolveEscapes('%69gnore \\u0061ll %zz %2569')?.text).toBe('ignore all %zz %69');
    expect(resolveEscapes('100 % sure')).toBeUndefined();
    expect(Array.from(resolveEscapes('a%62c')?.offsets ?? [])).toEqual([0, 1, 4, 5]);
  });

  test.each([['4bf92f3577b34da6a3ce929d0e0e4736'], ['iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ'], ['nothing']])(
    '%j is no text',
    (text) => {
      expect(atOnce(decodeSteps(text))).toEqual([]);
    },
  );
});
