import { expect, test } from 'vitest';
import type { GatewayError } from '../../src/errors.ts';
import { readDataUrl, writeDataUrl } from '../../src/models/data-url.ts';
import { embeddingsUsageOf, readEmbeddingsRequest } from '../../src/models/embeddings.ts';
import type { Json } from '../../src/wire/json.ts';

test.each<readonly [Json, object]>([
  ['The food was delicious', { count: 1, texts: ['The food was delicious'], tokens: 0 }],
  [['a', 'b'], { count: 2, texts: ['a', 'b'], tokens: 0 }],
  [[1, 2, 3], { count: 1, texts: [], tokens: 3 }],
  [[[1], [2, 3]], { count: 2, texts: [], tokens: 3 }],
])('input %j', (input, read) => {
  expect(readEmbeddingsRequest({ model: 'models/embed', input, encoding_format: 'base64', dimensions: 256 })).toEqual({
    model: 'models/embed',
    ...read,
  });
});

test.each<readonly [Record<string, Json>, string]>([
  [{ input: '' }, 'input[0]'],
  [{ input: [] }, 'input'],
  [{ input: null }, 'input'],
  [{ input: ['a', 1] }, 'input[1]'],
  [{ input: [[1], 'a'] }, 'input[1]'],
  [{ input: [[1], []] }, 'input[1]'],
  [{ input: [-1] }, 'input[0]'],
  [{ input: Array.from({ length: 2_049 }, () => 'x') }, 'input'],
  [{ model: 7 }, 'model'],
  [{ dimensions: 0 }, 'dimensions'],
  [{ encoding_format: 'int8' }, 'encoding_format'],
])('%j is refused by name', (members, param) => {
  expect(() => readEmbeddingsRequest({ model: 'm', input: 'x', ...members })).toThrow(
    expect.objectContaining({ code: 'invalid_request', data: { param } }) as GatewayError,
  );
});

test('usage of a reply', () => {
  expect(embeddingsUsageOf({ object: 'list', data: [], usage: { prompt_tokens: 8, total_tokens: 8 } })).toMatchObject({
    input: 8,
    output: 0,
  });
  expect(embeddingsUsageOf({ data: [] })).toBeUndefined();
});

test('data: URLs with base64 are read, all others are not', () => {
  expect(readDataUrl('data:image/PNG;charset=x;base64,aGk=')).toEqual({ mediaType: 'image/png', data: 'aGk=' });
  expect(readDataUrl('DATA:;base64,aGk=')).toEqual({ mediaType: 'text/plain', data: 'aGk=' });
  for (const text of ['data:image/png,raw', 'https://x/data:', 'data:', `data:${'x'.repeat(500)};base64,aGk=`]) {
    expect(readDataUrl(text)).toBeUndefined();
  }
  expect(writeDataUrl({ mediaType: 'image/png', data: 'aGk=' })).toBe('data:image/png;base64,aGk=');
});
