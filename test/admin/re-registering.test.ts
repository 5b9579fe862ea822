import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Secret } from '../../src/secret.ts';
import { openStore } from '../../src/store/open-store.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { until } from '../support/until.ts';
import { startToolServer, type ToolServer } from './tool-server.ts';

const offered: string[] = ['first'];
let desk: ToolServer;
let gateway: AdminGateway;
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-again-'));

beforeAll(async () => {
  desk = await startToolServer(offered);
  gateway = await openAdminGateway({ directory });
  await gateway.ok('POST /namespaces', { namespace: 'help' });
});

afterAll(async () => {
  await gateway?.stop();
  await desk?.close();
  rmSync(directory, { recursive: true, force: true });
});

const register = () => gateway.ok('POST /upstreams', { namespace: 'help', name: 'desk', entry: { url: desk.url } });
const listed = async (): Promise<string[]> =>
  (await gateway.mcp('', 'tools/list', {})).body.result.tools
    .map(({ name }: { name: string }) => name)
    .filter((name: string) => name.startsWith('help__'));

/** What is kept of it for the next start. */
async function remembered(): Promise<string | undefined> {
  const log = pino({ level: 'silent' });
  const masterKey = new Secret(gateway.masterKey);
  const store = await openStore({ dataDir: gateway.dataDir, masterKey, clock: systemClock, log });
  const found = (await store.upstreams.load()).find(({ id }) => id === 'help/desk')?.state;
  await store.close();
  return found;
}

test('what was taken out is forgotten; registered again under its name, it begins with what it offers then', async () => {
  expect((await register()).upstream.tools).toEqual(['help__first']);
  await until('it is remembered', async () => (await remembered())?.includes('first'));
  await gateway.ok('DELETE /upstreams/help/desk');
  await until('it is forgotten', async () => (await remembered()) === undefined);
  offered.splice(0, 1, 'second');
  expect((await register()).upstream.tools).toEqual(['help__second']);
  expect(await listed()).toEqual(['help__second']);
});

test('one that was changed keeps its registration, and what is known of it over a restart while it is down', async () => {
  const known = await gateway.ok('PUT /upstreams/help/desk', { entry: { url: desk.url, timeoutMs: 5000 } });
  expect(known.upstream.tools).toEqual(['help__second']);
  await until('it is remembered', async () => (await remembered())?.includes('second'));
  await Promise.all([gateway.stop(), desk.close()]);
  gateway = await openAdminGateway({ directory });
  expect(await listed()).toEqual(['help__second']);
});

test('taken out and registered again while this process was not there, nothing of the earlier one is shown', async () => {
  const body = gateway.gateway.status();
  expect(body.upstreams.map(({ id }) => id)).toEqual(['help/desk']);
  await gateway.stop();
  const log = pino({ level: 'silent' });
  const store = await openStore({ dataDir: gateway.dataDir, masterKey: new Secret(gateway.masterKey), clock: systemClock, log });
  const { documents } = await store.registry.load();
  const found = documents.find(({ kind }) => kind === 'upstream');
  const changed = JSON.stringify({ ...JSON.parse(found?.body ?? ''), registration: 'another' });
  await store.registry.commit([{ kind: 'upstream', id: 'help/desk', body: changed, expects: found?.revision }], []);
  await store.close();
  gateway = await openAdminGateway({ directory });
  expect(await listed()).toEqual([]);
}, 60_000);
