import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Caller } from '../../src/call/authenticate.ts';
import type { Toolbox } from '../../src/catalog/catalog.ts';
import { ListChanges, type Watcher } from '../../src/inbound/mcp/list-changes.ts';
import { startToolServer, type ToolServer } from '../admin/tool-server.ts';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { closeRawClients, connectRaw, type OpenStream, type RawClient, rawEras } from '../support/raw-clients.ts';
import { openRegistrar, type Registrar } from '../support/registrar.ts';
import { until, within } from '../support/until.ts';

let desk: ToolServer;
let gateway: AdminGateway;
/** What another process on the same store does: this gateway has to take it up by itself. */
let registrar: Registrar;

beforeAll(async () => {
  desk = await startToolServer(['look', 'write']);
  const toolboxes = 'toolboxes:\n  triage: { include: ["help/*"] }\n  refunds: { include: ["help/look"] }\n';
  gateway = await openAdminGateway({ namespaces: { help: namespaceFor('help', desk.url, toolboxes) } });
  registrar = await openRegistrar({ dataDir: gateway.dataDir, masterKey: gateway.masterKey });
  await registrar.consumer('app');
}, 60_000);

afterAll(async () => {
  await registrar?.close();
  await Promise.all([closeRawClients(), gateway?.stop(), desk?.close()]);
});

interface Listening {
  readonly client: RawClient;
  readonly stream: OpenStream;
  /** `notifications/tools/list_changed` so far. */
  heard(): number;
  tools(): Promise<string[]>;
}

let made = 0;

/** A client with a key of its own that listens for changes. */
async function listening(
  era: RawClient['era'],
  rights: Parameters<Registrar['key']>[1],
  toolbox = 'triage',
): Promise<Listening & { id: string }> {
  const id = `k${++made}`;
  const key = await registrar.key(id, { consumer: 'app', ...rights });
  const url = `${gateway.url}/mcp/${toolbox}`;
  await until('the key is known', async () => (await gateway.mcp(toolbox, 'tools/list', {}, key)).status === 200, 5_000);
  const client = await connectRaw(era, { url, key });
  const stream = await client.stream();
  expect(stream.status).toBe(200);
  if (era === 'modern') await until('it is acknowledged', () => stream.messages.length > 0);
  return {
    id,
    client,
    stream,
    heard: () => stream.messages.filter(({ method }) => method === 'notifications/tools/list_changed').length,
    tools: async () => ((await client.send('tools/list')).message?.result?.tools ?? []).map(({ name }: { name: string }) => name),
  };
}

describe.each(rawEras)('in the %s era, a client hears that its lists changed', (era) => {
  test('when a policy hides something from it, and when it shows it again; another namespace is none of its business', async () => {
    const { heard, tools, stream } = await listening(era, {});
    await gateway.ok('POST /namespaces', { namespace: `other-${era}` });
    await gateway.ok(`PUT /policies/${encodeURIComponent(`namespace:other-${era}`)}`, { policy: { allow: [] } });
    await gateway.ok('PUT /policies/capability:help%2Fwrite', { policy: { allow: [] } });
    await until('it hears of it', () => heard() > 0);
    expect(await tools()).toEqual(['help__look']);
    await gateway.ok('PUT /policies/capability:help%2Fwrite', { policy: null });
    await until('it hears of that too', () => heard() > 1);
    expect(await tools()).toEqual(['help__look', 'help__write']);
    expect(heard()).toBe(2);
    stream.close();
  });

  test('when the scope of its key narrows, and others hear nothing', async () => {
    const [narrowed, other] = await Promise.all([listening(era, {}), listening(era, {})]);
    await registrar.changeKey(narrowed.id, { scope: { capabilities: ['help/look'] } });
    await until('it hears of it', () => narrowed.heard() === 1, 5_000);
    expect(await narrowed.tools()).toEqual(['help__look']);
    await registrar.changeKey(narrowed.id, { scope: {} });
    await until('it hears of that too', () => narrowed.heard() === 2, 5_000);
    expect(other.heard()).toBe(0);
    for (const { stream } of [narrowed, other]) stream.close();
  });

  test('when the roles of its member change', async () => {
    const id = `member-${era}`;
    await gateway.ok('POST /members', { id, title: id, roles: [{ role: 'developer', namespace: 'help' }] });
    const { heard, tools, stream } = await listening(era, { consumer: undefined, member: id });
    expect(await tools()).toEqual(['help__look', 'help__write']);
    await gateway.ok(`PATCH /members/${id}`, { roles: [{ role: 'developer', namespace: 'elsewhere' }] });
    await until('it hears of it', () => heard() === 1, 5_000);
    expect(await tools()).toEqual([]);
    stream.close();
  });
});

describe.each(rawEras)('in the %s era, a client that saw what was there for a moment', (era) => {
  test('hears that it is gone', async () => {
    const { heard, tools, stream } = await listening(era, {});
    for (let round = 0; round < 3; round++) {
      await gateway.ok('PUT /policies/capability:help%2Flook', { policy: { allow: [] } });
      await until('it is gone', async () => (await tools()).length === 1);
      // The next look is some time away: what comes and goes until then is seen by those who list.
      await gateway.ok('PUT /policies/capability:help%2Flook', { policy: null });
      expect(await tools()).toEqual(['help__look', 'help__write']);
      const heardBefore = heard();
      await gateway.ok('PUT /policies/capability:help%2Flook', { policy: { allow: [] } });
      await until('it hears of it', () => heard() > heardBefore);
      expect(await tools()).toEqual(['help__write']);
      await gateway.ok('PUT /policies/capability:help%2Flook', { policy: null });
      await until('it is back', async () => (await tools()).length === 2);
    }
    stream.close();
  });
});

test('what came and went between two looks is told to those who listed it, and to nobody else', async () => {
  const [before, moment] = [toolboxOf('look'), toolboxOf('look', 'write')];
  let now = before;
  const [listed, same, other] = ['a', 'a', 'b'].map((id) => watcherOf(id, before));
  const listChanges = new ListChanges({
    watchers: () => [listed!, same!, other!],
    visible: () => now,
    log: pino({ enabled: false }),
  });
  listChanges.listed(listed!, before);
  now = moment;
  listChanges.note();
  listChanges.listed(listed!, moment);
  now = before;
  listChanges.note();
  await until('it was told', () => listed!.told.length > 0);
  const told = ['notifications/tools/list_changed'];
  expect([listed!.told, same!.told, other!.told]).toEqual([told, told, []]);
  now = moment;
  listChanges.note();
  await until('all were told', () => other!.told.length > 0);
  expect([listed!.told, same!.told, other!.told]).toEqual([[...told, ...told], [...told, ...told], told]);
  listChanges.close();
});

function watcherOf(id: string, seen: Toolbox): Watcher & { told: string[] } {
  const told: string[] = [];
  return { caller: { id } as Caller, ip: '', toolbox: 'triage', seen, told, changed: (method) => told.push(method) };
}

function toolboxOf(...names: string[]): Toolbox {
  const none = new Map();
  const tools = new Map(names.map((name) => [name, { published: { name } }]));
  return { tools, prompts: none, resources: none, resourceTemplates: none, search: 'off' } as unknown as Toolbox;
}

describe.each(rawEras)('in the %s era, a stream of a key', (era) => {
  test('that no longer reaches the toolbox ends within 5 s; that of another goes on', async () => {
    const [narrowed, other] = await Promise.all([listening(era, {}), listening(era, {})]);
    await registrar.changeKey(narrowed.id, { scope: { toolboxes: ['refunds'] } });
    await within(5_000, 'its stream ends', narrowed.stream.ended);
    expect((await narrowed.client.send('tools/list')).status).toBe(404);
    let hasEnded = false;
    void other.stream.ended.then(() => (hasEnded = true));
    expect((await other.client.send('tools/list')).status).toBe(200);
    expect(hasEnded).toBe(false);
    await registrar.changeKey(narrowed.id, { scope: {} });
    await until('it may come again', async () => (await narrowed.client.send('tools/list')).status === 200, 5_000);
    other.stream.close();
  });

  test('that is revoked ends within 5 s', async () => {
    const { id, stream, client } = await listening(era, {});
    await registrar.changeKey(id, { state: 'revoked' });
    await within(5_000, 'its stream ends', stream.ended);
    expect((await client.send('tools/list')).status).toBe(401);
  });
});

test('a hundred changes in a row are told together', async () => {
  const { heard, tools, stream } = await listening('modern', {});
  for (let n = 0; n < 100; n++)
    await gateway.ok('PUT /policies/capability:help%2Fwrite', { policy: n % 2 === 0 ? { allow: [] } : null });
  await gateway.ok('PUT /policies/capability:help%2Fwrite', { policy: { allow: [] } });
  await until('it has heard of the last', async () => heard() > 0 && (await tools()).length === 1);
  expect(heard()).toBeLessThan(50);
  await gateway.ok('PUT /policies/capability:help%2Fwrite', { policy: null });
  stream.close();
});
