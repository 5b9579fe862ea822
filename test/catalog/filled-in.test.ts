import { describe, expect, test } from 'vitest';
import { hashDefinition } from '../../src/catalog/definition.ts';
import { filledInFor, publishTool } from '../../src/catalog/publish.ts';
import type { ToolDefinition } from '../../src/upstreams/upstream.ts';

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

  test('is no part of what is pinned: the definition stays what it was', () => {
    const before = hashDefinition(structuredClone(tool), undefined);
    publishTool(tool, 'shop__list', same, filledIn);
    expect(hashDefinition(tool, undefined)).toEqual(before);
    expect(publishTool(tool, 'shop__list', same).inputSchema).toBe(tool.inputSchema);
  });
});
