import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeCookie,
  encodeHeaderValue,
  encodePairs,
  encodePathValue,
  type Style,
} from '../../../src/upstreams/openapi/encode-parameter.ts';
import { encodeReserved } from '../../../src/upstreams/openapi/percent.ts';
import type { Json } from '../../../src/wire/json.ts';

const plain = { allowReserved: false, allowEmptyValue: false };
const style = (name: Style['style'], explode: boolean): Style => ({ style: name, explode, ...plain });

const array = ['blue', 'black', 'brown'];
const object = { R: 100, G: 200, B: 150 };

describe('the examples of OpenAPI 3.1 section 4.8.12.4', () => {
  test.each([
    ['matrix', false, '', ';color'],
    ['matrix', true, '', ';color'],
    ['matrix', false, 'blue', ';color=blue'],
    ['matrix', false, array, ';color=blue,black,brown'],
    ['matrix', true, array, ';color=blue;color=black;color=brown'],
    ['matrix', false, object, ';color=R,100,G,200,B,150'],
    ['matrix', true, object, ';R=100;G=200;B=150'],
    ['label', false, 'blue', '.blue'],
    ['label', false, array, '.blue,black,brown'],
    ['label', true, array, '.blue.black.brown'],
    ['label', false, object, '.R,100,G,200,B,150'],
    ['label', true, object, '.R=100.G=200.B=150'],
    ['simple', false, 'blue', 'blue'],
    ['simple', false, array, 'blue,black,brown'],
    ['simple', true, array, 'blue,black,brown'],
    ['simple', false, object, 'R,100,G,200,B,150'],
    ['simple', true, object, 'R=100,G=200,B=150'],
  ] as const)('in a path: %s, explode %s, %j', (name, explode, value, expected) => {
    expect(encodePathValue('color', style(name, explode), value as Json)).toBe(expected);
  });

  test.each([
    ['form', false, '', 'color='],
    ['form', false, 'blue', 'color=blue'],
    ['form', false, array, 'color=blue,black,brown'],
    ['form', true, array, 'color=blue&color=black&color=brown'],
    ['form', false, object, 'color=R,100,G,200,B,150'],
    ['form', true, object, 'R=100&G=200&B=150'],
    ['spaceDelimited', false, array, 'color=blue%20black%20brown'],
    ['spaceDelimited', false, object, 'color=R%20100%20G%20200%20B%20150'],
    ['pipeDelimited', false, array, 'color=blue%7Cblack%7Cbrown'],
    ['pipeDelimited', false, object, 'color=R%7C100%7CG%7C200%7CB%7C150'],
    ['deepObject', true, object, 'color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150'],
  ] as const)('in a query: %s, explode %s, %j', (name, explode, value, expected) => {
    expect(encodePairs('color', style(name, explode), value as Json)).toBe(expected);
  });

  test.each([
    [false, 'blue', 'blue'],
    [false, array, 'blue,black,brown'],
    [false, object, 'R,100,G,200,B,150'],
    [true, object, 'R=100,G=200,B=150'],
  ] as const)('in a header: explode %s, %j', (explode, value, expected) => {
    expect(encodeHeaderValue(style('simple', explode), value as Json)).toBe(expected);
  });
});

test('what has no value is left out, and an empty list is sent only where the description allows it', () => {
  expect(encodePairs('a', style('form', true), [])).toBeUndefined();
  expect(encodePairs('a', { ...style('form', true), allowEmptyValue: true }, [])).toBe('a=');
  expect(encodePairs('a', style('deepObject', true), {})).toBeUndefined();
  expect(encodePairs('a', style('form', true), ['x', null, 'y'])).toBe('a=x&a=y');
  expect(encodePairs('f', style('deepObject', true), { a: { b: [1, 2] }, c: null })).toBe('f%5Ba%5D%5Bb%5D=1&f%5Ba%5D%5Bb%5D=2');
});

test('reserved characters stay where the description allows them, and never end the value', () => {
  expect(encodePairs('u', { ...style('form', true), allowReserved: true }, 'https://a/b?c=1&d#e+f[g]%20')).toBe(
    'u=https://a/b?c=1%26d%23e%2Bf%5Bg%5D%20',
  );
  expect(encodePairs('u', style('form', true), 'https://a/b')).toBe('u=https%3A%2F%2Fa%2Fb');
  expect(encodeReserved('100%')).toBe('100%25');
});

const text = fc.string({ unit: 'grapheme', maxLength: 30 });

describe('what was given is what a server reads', () => {
  test('query values, whatever is in them', () => {
    fc.assert(
      fc.property(text, fc.array(text, { minLength: 1, maxLength: 4 }), (value, items) => {
        const query = [encodePairs('a', style('form', true), value), encodePairs('list', style('form', true), items)].join('&');
        const read = new URL(`http://x/?${query}`).searchParams;
        expect(read.get('a')).toBe(value);
        expect(read.getAll('list')).toEqual(items);
        expect([...read.keys()].length).toBe(1 + items.length);
      }),
    );
  });

  test('deep objects', () => {
    fc.assert(
      fc.property(fc.dictionary(text, text, { minKeys: 1, maxKeys: 4 }), (value) => {
        const read = new URL(`http://x/?${encodePairs('f', style('deepObject', true), value)}`).searchParams;
        expect(Object.fromEntries([...read].map(([key, member]) => [key.slice(2, -1), member]))).toEqual({ ...value });
      }),
    );
  });

  test('lists behind one name, each item decoded after it was parted', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('form', 'spaceDelimited', 'pipeDelimited'),
        fc.array(text, { minLength: 1, maxLength: 4 }),
        (name, items) => {
          const written = encodePairs('a', style(name, false), items)?.slice(2) ?? '';
          const separator = { form: ',', spaceDelimited: '%20', pipeDelimited: '%7C' }[name];
          // A space or a bar within an item cannot be told from a separator: the styles have no way to say it.
          fc.pre(
            !items.some(
              (item) => (name === 'spaceDelimited' && item.includes(' ')) || (name === 'pipeDelimited' && item.includes('|')),
            ),
          );
          expect(written.split(separator).map(decodeURIComponent)).toEqual(items);
        },
      ),
    );
  });

  test('cookies', () => {
    fc.assert(
      fc.property(text, (value) => {
        const written = encodeCookie('c', style('form', true), value) ?? '';
        expect(written).toMatch(/^c=[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/);
        expect(decodeURIComponent(written.slice(2))).toBe(value);
      }),
    );
  });
});
