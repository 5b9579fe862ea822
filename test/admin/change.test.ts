import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { commitChange } from '../../src/admin/change.ts';
import { authenticateLocalUser } from '../../src/call/authenticate.ts';
import { systemClock } from '../../src/clock.ts';
import { GatewayError } from '../../src/errors.ts';
import { journalPath, openJournal } from '../../src/journal/journal.ts';
import type { Documents } from '../../src/registry/documents.ts';
import { Registry } from '../../src/registry/registry.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { readableJournal } from '../support/call-ports.ts';
import { readJournal } from '../support/read-journal.ts';

const log = pino({ level: 'silent' });
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-change-'));
afterEach(() => rmSync(directory, { recursive: true, force: true }));
const caller = authenticateLocalUser('all');
const refreshed = async () => {};

const consumer = (title: string): Documents['consumer'] => ({ title, kind: 'team', isDisabled: false });
const edit = (title: string) => ({ action: 'test', edits: [{ kind: 'consumer' as const, id: 'team', body: consumer(title) }] });

test('a change is on record before it is made, and a change that lost a race is on record as not done', async () => {
  const store = memoryStore();
  const registry = await Registry.open(store.registry, log);
  const journal = await openJournal({ dir: journalPath(directory), sync: 'os', key: randomBytes(32), clock: systemClock, log });
  const ports = { registry, journal, refreshed, door: 'cli' as const };
  await commitChange(ports, caller, edit('first'));
  const race = await Promise.allSettled([
    commitChange(ports, caller, edit('second')),
    commitChange(ports, caller, edit('third')),
  ]);
  expect(race.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  await journal.close();
  registry.close();
  const changes = readJournal(directory).filter(({ kind }) => kind === 'change');
  expect(changes.map(({ action }) => action)).toEqual(['test', 'test', 'test', 'test:not-done']);
  expect(changes[0]).toMatchObject({ object: 'consumer/team', principal: caller.id, door: 'cli' });
  expect(changes[0]).not.toHaveProperty('before');
  expect(changes[1]?.before).toBe(changes[0]?.after);
});

test('what cannot be put on record is not changed', async () => {
  const store = memoryStore();
  const registry = await Registry.open(store.registry, log);
  const journal = {
    ...readableJournal([]),
    change: async () => {
      throw new GatewayError('audit_unavailable', 'The journal cannot be written.');
    },
  };
  await expect(commitChange({ registry, journal, refreshed, door: 'rest' }, caller, edit('first'))).rejects.toMatchObject({
    code: 'audit_unavailable',
  });
  expect(registry.get('consumer', 'team')).toBeUndefined();
  expect(await store.registry.changeRecords({ limit: 10 })).toEqual([]);
  registry.close();
});

test('a change whose end is not known is on record as such', async () => {
  const store = memoryStore();
  const broken = {
    ...store.registry,
    commit: async () => {
      throw new GatewayError('store_unavailable', 'The database is away.');
    },
  };
  const registry = await Registry.open(broken, log);
  const actions: string[] = [];
  const journal = { ...readableJournal([]), change: async ({ action }: { action: string }) => void actions.push(action) };
  await expect(commitChange({ registry, journal, refreshed, door: 'rest' }, caller, edit('first'))).rejects.toMatchObject({
    code: 'store_unavailable',
  });
  expect(actions).toEqual(['test', 'test:unknown']);
  registry.close();
});
