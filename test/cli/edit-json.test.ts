import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EditError, parseJson, setJsonMember } from '../../src/cli/edit-json.ts';
import type { JsonObject } from '../../src/wire/json.ts';

const entry = { command: '/usr/bin/node', args: ['stdio'] };

function set(text: string): string {
  return setJsonMember(text, 'servers', 'gatehouse', entry);
}

describe('setting a member of a JSON file', () => {
  test('a file that does not exist yet gets the entry and nothing else', () => {
    expect(set('')).toBe(`${JSON.stringify({ servers: { gatehouse: entry } }, null, 2)}\n`);
  });

  test('comments, trailing commas and indentation of a settings file stay as they are', () => {
    const text = `// mine
{
\t/* block */
\t"servers": {
\t\t"github": { "type": "http", "url": "https://example.com/mcp" }, // work
\t},
\t"inputs": [],
}
`;
    expect(set(text)).toBe(`// mine
{
\t/* block */
\t"servers": {
\t\t"github": { "type": "http", "url": "https://example.com/mcp" }, // work
\t\t"gatehouse": {
\t\t\t"command": "/usr/bin/node",
\t\t\t"args": [
\t\t\t\t"stdio"
\t\t\t]
\t\t}
\t},
\t"inputs": [],
}
`);
  });

  test('a remark behind the last member stays on its line', () => {
    expect(set('{\n  "a": 1 // one\n}\n')).toContain('  "a": 1, // one\n  "servers": {');
  });

  test('Windows line ends stay Windows line ends', () => {
    expect(set('{\r\n  "a": 1\r\n}\r\n').replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
  });

  test('a file on one line stays on one line', () => {
    expect(set('{"a":1}')).toBe(`{"a":1,"servers":{"gatehouse":${JSON.stringify(entry)}}}`);
  });

  test('an entry that says the same already, laid out differently, is left alone', () => {
    const text = '{ "servers": { "gatehouse": { "args": ["stdio"], "command": "/usr/bin/node" } } }';
    expect(set(text)).toBe(text);
  });

  test('an entry that says something else is replaced in its place', () => {
    const text = '{\n  "servers": {\n    "gatehouse": { "command": "old" },\n    "b": {}\n  }\n}\n';
    expect(Object.keys((parseJson(set(text)) as { servers: object }).servers)).toEqual(['gatehouse', 'b']);
  });

  test('what is not JSON is refused with the line', () => {
    expect(() => set('{\n  "a": 1\n  "b": 2\n}')).toThrow(/line 3, a comma/);
    expect(() => set('{ "servers": [] }')).toThrow(/something other than an object/);
    expect(() => set('[]')).toThrow(EditError);
    expect(() => set('{ "a": tru }')).toThrow(EditError);
    expect(() => set('{}{}')).toThrow(EditError);
    expect(() => set(`${'['.repeat(300)}${']'.repeat(300)}`)).toThrow(/deep/);
  });

  test('whatever the file holds and however it is laid out, only the entry changes', () => {
    const json = fc.dictionary(fc.string(), fc.jsonValue());
    const blank = fc.constantFrom('', ' ', '\n', '\n  ', '\t', ' // remark\n', ' /* remark */ ');
    fc.assert(
      fc.property(
        json,
        fc.option(json, { nil: undefined }),
        fc.infiniteStream(blank),
        fc.boolean(),
        (rest, servers, blanks, hasComma) => {
          const before = (servers === undefined ? rest : { ...rest, servers }) as JsonObject;
          const text = layOut(before, () => blanks.next().value ?? '', hasComma);
          const after = set(text);
          expect(parseJson(after)).toEqual({ ...before, servers: { ...servers, gatehouse: entry } });
          expect(after.split('remark').length).toBe(text.split('remark').length);
          expect(set(after)).toBe(after);
        },
      ),
    );
  });
});

function layOut(value: unknown, blank: () => string, hasComma: boolean): string {
  const items = (parts: string[], open: string, close: string) =>
    open + blank() + parts.join(`${blank()},${blank()}`) + blank() + (hasComma && parts.length > 0 ? ',' : '') + blank() + close;
  if (Array.isArray(value))
    return items(
      value.map((item) => layOut(item, blank, hasComma)),
      '[',
      ']',
    );
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([key, inner]) => `${JSON.stringify(key)}${blank()}:${blank()}${layOut(inner, blank, hasComma)}`,
  );
  return items(members, '{', '}');
}
