import { describe, expect, test } from 'vitest';
import { hashDefinition } from '../../src/catalog/definition.ts';
import { filledInFor } from '../../src/catalog/filled-in.ts';
import { publishTool } from '../../src/catalog/publish.ts';
import type { ToolDefinition } from '../../src/upstreams/upstream.ts';
import type { JsonObject } from '../../src/wire/json.ts';

const tool: ToolDefinition = {
  name: 'list',
  inputSchema: {
    type: 'object',
    properties: {
      limit: { type: 'integer', default: 5 },
      anything: true,
      apiKey: { type: 'string' },
      pin: { type: 'string', format: 'password' },
      long: { type: 'string' },
      other: { type: 'string' },
    },
  },
};
const filledIn = { limit: 20, anything: ['a'], apiKey: 'k-1', pin: '1234', long: 'x'.repeat(1_001), gone: 1, toString: 2 };
const same = (uri: string) => uri;

describe('what is filled in for arguments', () => {
  const published = publishTool(tool, 'shop__list', same, filledIn);

  test('is their default in what clients are shown, in place of what the description says', () => {
    expect(published.inputSchema.properties).toEqual({
      ...(tool.inputSchema.properties as object),
      limit: { type: 'integer', default: 20 },
      anything: { default: ['a'] },
    });
    expect(Object.keys(published)).toEqual(Object.keys(tool));
  });

  test('is named and not shown where it looks like a credential or is long', () => {
    expect(filledInFor(tool, filledIn)).toEqual([
      { argument: 'limit', value: 20 },
      { argument: 'anything', value: ['a'] },
      { argument: 'apiKey', value: undefined },
      { argument: 'pin', value: undefined },
      { argument: 'long', value: undefined },
    ]);
    expect(JSON.stringify(published)).not.toMatch(/k-1|1234|xxx/);
  });

  test.each([
    ['a name with such a word in it', { apiKeyId: 'v', 'X-Auth-Key2': 'v', access_token_old: 'v', accesstoken: 'v' }],
    ['a member that is called so', { body: { user: 'a', login: [{ clientSecret: 'v' }] } }],
    ['a member that its schema marks', { account: { name: 'a', code: 'v' } }],
    ['a place for a secret', { region: `${'$'}{secret:REGION}` }],
    ['the form of a maker’s key', { note: `as ghp_${'a1B2'.repeat(9)}`, list: [`glpat-${'x9Y8'.repeat(5)}`] }],
    ['a long run without a blank', { note: 'abcdefghijklmnopqrst', pem: '-----BEGIN RSA' }],
  ])('is not shown for %s', (_, hidden) => {
    const account = { type: 'object', properties: { code: { type: 'string', writeOnly: true } } };
    const properties = Object.fromEntries(Object.keys(hidden).map((name) => [name, name === 'account' ? account : {}]));
    const shown = filledInFor({ name: 'list', inputSchema: { type: 'object', properties } }, hidden as JsonObject);
    expect(shown).toEqual(Object.keys(hidden).map((argument) => ({ argument, value: undefined })));
  });

  test('is shown where a name only begins like that of a secret, and not where it ends so', () => {
    const plain = { keyword: 'shoes', author: 'ann', passenger: 2, body: { monkey: true, path: '/a/b' } };
    const properties = Object.fromEntries(Object.keys(plain).map((name) => [name, {}]));
    const shown = filledInFor({ name: 'list', inputSchema: { type: 'object', properties } }, plain);
    expect(Object.fromEntries(shown.map(({ argument, value }) => [argument, value]))).toEqual({ ...plain, body: undefined });
  });

  test('is no part of what is pinned: the definition stays what it was', () => {
    const before = hashDefinition(structuredClone(tool), undefined);
    publishTool(tool, 'shop__list', same, filledIn);
    expect(hashDefinition(tool, undefined)).toEqual(before);
    expect(publishTool(tool, 'shop__list', same).inputSchema).toBe(tool.inputSchema);
  });
});
