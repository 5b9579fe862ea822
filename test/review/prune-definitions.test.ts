import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Registry } from '../../src/registry/registry.ts';
import { toText } from '../../src/review/content.ts';
import { pruneDefinitions } from '../../src/review/prune-definitions.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';

test('what a pin or a submission points to stays, what nothing points to goes after a week', async () => {
  const { registry: rows, definitions } = memoryStore();
  const registry = await Registry.open(rows, pino({ level: 'silent' }));
  const content = toText({ definitions: [{ hash: 'new', approved: 'old' }] });
  const all = [...['pinned', 'new', 'old', 'assessed', 'loose'].map((hash) => ({ hash, body: '{}' })), content];
  await definitions.keep(all, 0);
  const submission = {
    ...({ about: 'change', namespace: 'hr', upstream: 'people', state: 'submitted', justification: 'x', pin: 'p' } as const),
    ...({ submitter: { id: 'gatehouse' }, content: content.hash, assessment: 'assessed', score: 1, severity: 'none' } as const),
    ...{ isExternal: true, approvals: [], history: [], createdAtMs: 0, changedAtMs: 0 },
  };
  const pin = { upstream: 'hr/people', instructions: '', decisions: [], prompts: [], refused: [] };
  await registry.commit(
    [
      { kind: 'pin', id: 'p', body: { ...pin, tools: [['find', 'pinned', 'shape', -1]] } },
      { kind: 'submission', id: 's', body: submission },
    ],
    { actor: 'test', action: 'test' },
  );
  expect(await pruneDefinitions(registry, definitions, 1)).toBe(0);
  expect(await pruneDefinitions(registry, definitions, 8 * 24 * 60 * 60_000)).toBe(1);
  expect(await definitions.find(['loose'])).toEqual([]);
  expect(await definitions.find(all.map(({ hash }) => hash))).toHaveLength(all.length - 1);
  registry.close();
});
