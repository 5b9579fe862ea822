import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { conversionLimits } from '../../../src/upstreams/openapi/conversion-limits.ts';
import { readDescription } from '../../../src/upstreams/openapi/read-description.ts';
import { bytesOf } from '../../support/openapi.ts';

function read(text: string | Uint8Array, limits = {}) {
  return readDescription(typeof text === 'string' ? bytesOf(text) : text, { ...conversionLimits, ...limits });
}

function refusal(text: string | Uint8Array, limits = {}): string {
  try {
    read(text, limits);
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'bad_description') return error.message;
    throw error;
  }
  return 'read';
}

describe('reading a description', () => {
  test('takes JSON and YAML by what they are, with a byte order mark or without', () => {
    const document = { openapi: '3.1.0', paths: { '/a': { get: { summary: 'say "hi"\\' } } } };
    const json = JSON.stringify(document, undefined, 1);
    expect(read(json)).toEqual(document);
    expect(read(`\uFEFF \n${json}`)).toEqual(document);
    expect(read('openapi: 3.1.0\npaths:\n  /a:\n    get:\n      summary: say "hi"\\\n')).toEqual(document);
  });

  test('YAML keeps numbers as keys, merges, and shares anchors', () => {
    const text = 'a: &a { x: 1 }\nb: { <<: *a, y: 2 }\nc: *a\nresponses: { 200: ok }\ndate: 2020-01-01\nyes: no\n';
    expect(read(text)).toEqual({
      a: { x: 1 },
      b: { x: 1, y: 2 },
      c: { x: 1 },
      responses: { '200': 'ok' },
      date: '2020-01-01',
      yes: 'no',
    });
  });

  test.each([
    ['{"a": 1,\n "b": {"c": 1,\n "c": 2}}', 'the key "c" twice in one object (line 3)'],
    ['{"a": 1, "\\u0061": 2}', 'the key "a" twice'],
    ['a: 1\nb:\n  c: 1\n  c: 2\n', 'duplicated mapping key (line 4)'],
    ['{"a": {"__proto__": {}}}', 'a key named "__proto__" (line 1)'],
    ['a:\n  __proto__: {}\n', 'a key named "__proto__"'],
    ['{"a": 1,\n\n oops}', 'line 3 is not valid'],
    ['{"a": [1, 2', 'cannot be read as JSON'],
    ['a: [1, 2', 'cannot be read as YAML'],
    ['a: !!js/function x', 'cannot be read as YAML'],
    ['a: 1\n---\nb: 2\n', 'cannot be read as YAML'],
    ['<!DOCTYPE html><html></html>', 'is HTML or XML'],
    ['  \n ', 'is empty'],
    ['[1]', 'is a list'],
    ['just words', 'is a string'],
    ['42', 'is a number'],
  ])('%j is refused: %s', (text, sentence) => {
    expect(refusal(text)).toContain(sentence);
  });

  test.each([
    [Uint8Array.of(0x1f, 0x8b, 8, 0), 'compressed with gzip'],
    [Uint8Array.of(0xff, 0xfe, 0x7b, 0), 'UTF-16'],
    [Uint8Array.of(0x7b, 0x22, 0xff, 0xfe, 0x22), 'not text in UTF-8'],
    [bytesOf('%PDF-1.7'), 'PDF'],
  ])('bytes that are no text are refused by name', (bytes, sentence) => {
    expect(refusal(bytes)).toContain(sentence);
  });

  test('the same key in two objects, and inside of texts, is no duplicate', () => {
    const text = '{"a": {"k": 1}, "b": {"k": "{\\"k\\": 1, \\"k\\": 2}"}, "c": [{"k": 1}, {"k": 2}], "d": "\\\\"}';
    expect(read(text)).toEqual(JSON.parse(text));
  });

  test('names that objects inherit are names like any other', () => {
    const text = '{"constructor": {"toString": 1, "hasOwnProperty": 2}}';
    expect(read(text)).toEqual(JSON.parse(text));
    expect(read('constructor:\n  toString: 1\n')).toEqual({ constructor: { toString: 1 } });
  });

  test('nesting has a limit in both, and up to it everything is read', () => {
    const nest = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
    expect(refusal(nest(10_000))).toContain('nested deeper than 200 levels');
    expect(refusal(`a: ${'['.repeat(10_000)}`)).toContain('cannot be read as YAML: nesting');
    expect(refusal(nest(200))).toBe('read');
  });

  test('OP-01: aliases that grow are refused, nine levels of nine at once', () => {
    const lines = ['l0: &l0 [x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 9; level++) {
      lines.push(`l${level}: &l${level} [${Array.from({ length: 9 }, () => `*l${level - 1}`).join(', ')}]`);
    }
    expect(refusal(lines.join('\n'))).toContain('grows by more than 200000 values');
    expect(refusal(lines.slice(0, 4).join('\n'))).toBe('read');
  });

  test('an alias of what it stands in is refused', () => {
    expect(refusal('a: &a\n  b: *a\n')).toMatch(/nested deeper|cannot be read/);
  });

  test('sizes have limits, lower ones for YAML', () => {
    const large = JSON.stringify({ text: 'x'.repeat(2_000) });
    expect(refusal(large, { documentBytes: 1_000 })).toContain('MB; at most');
    expect(refusal(`text: ${'x'.repeat(2_000)}`, { yamlBytes: 1_000 })).toContain('Give it as JSON');
    expect(refusal(large, { yamlBytes: 1_000 })).toBe('read');
  });

  test('messages show no control characters of the document', () => {
    expect(refusal('{"\\u001b[31m\\u202e": 1, "\\u001b[31m\\u202e": 2}')).not.toMatch(/[\u001b\u202e]/);
  });
});
