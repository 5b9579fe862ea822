import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/wire/json.ts';
import { decodeHeaderValue, encodeHeaderValue, paramHeaders, paramHeaderText } from '../../src/wire/param-headers.ts';

const object = (properties: JsonObject, more: JsonObject = {}): JsonObject => ({ type: 'object', properties, ...more });
const region = { type: 'string', 'x-mcp-header': 'Region' };

describe('the headers a tool mirrors', () => {
  test('are found on properties, however deep', () => {
    const schema = object({
      region,
      nested: object({ level: { type: 'integer', 'x-mcp-header': 'Level' } }),
      plain: { type: 'string' },
    });
    expect(paramHeaders(schema)).toEqual({
      headers: [
        { name: 'Mcp-Param-Region', path: ['region'] },
        { name: 'Mcp-Param-Level', path: ['nested', 'level'] },
      ],
    });
    expect(paramHeaders({ type: 'object' })).toEqual({ headers: [] });
  });

  test.each<[string, JsonObject, string]>([
    ['a number', object({ a: { type: 'number', 'x-mcp-header': 'A' } }), 'only string, integer and boolean'],
    ['an object', object({ a: { type: 'object', 'x-mcp-header': 'A' } }), 'only string, integer and boolean'],
    ['no type', object({ a: { 'x-mcp-header': 'A' } }), 'only string, integer and boolean'],
    ['an empty name', object({ a: { type: 'string', 'x-mcp-header': '' } }), 'not a header name'],
    ['a name with a line break', object({ a: { type: 'string', 'x-mcp-header': 'A\r\nB' } }), 'not a header name'],
    ['a name that is no string', object({ a: { type: 'string', 'x-mcp-header': 7 } }), 'not a header name'],
    ['one name twice', object({ a: region, b: { type: 'string', 'x-mcp-header': 'REGION' } }), 'named twice'],
    ['the schema itself', object({}, { 'x-mcp-header': 'A' }), 'on the schema itself'],
    ['items', object({ a: { type: 'array', items: region } }), 'does not lead'],
    ['oneOf', object({}, { oneOf: [object({ a: region })] }), 'does not lead'],
    ['$defs', object({}, { $defs: { x: region } }), 'does not lead'],
    ['deep below items', object({ a: { type: 'array', items: object({ b: region }) } }), 'does not lead'],
  ])('are refused on %s', (_name, schema, words) => {
    expect(paramHeaders(schema)).toEqual({ problem: expect.stringContaining(words) });
  });

  test('are not looked for in values: a default or a property of that name is none', () => {
    const schema = object({ a: { type: 'string', default: { 'x-mcp-header': 'A' } }, 'x-mcp-header': { type: 'string' } });
    expect(paramHeaders(schema)).toEqual({ headers: [] });
  });
});

describe('the value of a header', () => {
  test.each<[JsonObject, string | undefined]>([
    [{ a: { b: 'x' } }, 'x'],
    [{ a: { b: true } }, 'true'],
    [{ a: { b: -5 } }, '-5'],
    [{ a: { b: 2 ** 60 } }, undefined],
    [{ a: { b: null } }, undefined],
    [{ a: { b: {} } }, undefined],
    [{ a: 'x' }, undefined],
    [{}, undefined],
  ])('of %j is %j', (args, text) => {
    expect(paramHeaderText(args, { name: 'Mcp-Param-B', path: ['a', 'b'] })).toBe(text);
  });

  test('never comes from a prototype', () => {
    expect(paramHeaderText({}, { name: 'Mcp-Param-X', path: ['constructor', 'name'] })).toBeUndefined();
  });

  test.each([
    ['eu-1', 'eu-1'],
    ['with space', 'with space'],
    ['grüße', '=?base64?Z3LDvMOfZQ==?='],
    [' edge', '=?base64?IGVkZ2U=?='],
    ['a\r\nX-Evil: 1', '=?base64?YQ0KWC1FdmlsOiAx?='],
    ['=?base64?YQ==?=', '=?base64?PT9iYXNlNjQ/WVE9PT89?='],
    ['', '=?base64??='],
  ])('%j travels as %j', (value, header) => {
    expect(encodeHeaderValue(value)).toBe(header);
    expect(decodeHeaderValue(header)).toBe(value);
  });

  test('comes back as it went, and is always safe to send', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        const header = encodeHeaderValue(value);
        expect(header).toMatch(/^[\x20-\x7e\t]*$/);
        expect(decodeHeaderValue(header)).toBe(value);
      }),
    );
  });

  test.each(['=?base64?YQ?=', '=?base64?Y Q==?=', '=?base64?/w==?=', '=?base64?YR==?='])(
    'is refused where %j claims to be encoded',
    (header) => {
      expect(decodeHeaderValue(header)).toBeUndefined();
    },
  );
});
