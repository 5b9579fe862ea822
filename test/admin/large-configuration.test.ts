import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readText } from '../../src/admin/configuration-format.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { longestTurnMs } from '../support/longest-turn.ts';

let gateway: AdminGateway;
beforeAll(async () => {
  gateway = await openAdminGateway();
});
afterAll(() => gateway?.stop());

/** A description of about as many megabytes, most of it one text, with quotes in it. */
function description(megabytes: number): string {
  const text = 'A "pet" is\nan animal. '.repeat((megabytes * 1024 * 1024) / 25);
  return JSON.stringify({
    openapi: '3.1.0',
    info: { title: 'Pets', version: '1', description: text },
    servers: [{ url: 'https://pets.example.com' }],
    paths: { '/pets': { get: { operationId: 'listPets', responses: { 200: { description: 'The pets.' } } } } },
  });
}

function configuration(megabytes: number): string {
  const upstreams = { pets: { kind: 'openapi', baseUrl: 'https://pets.example.com', document: description(megabytes) } };
  return JSON.stringify({ namespaces: [{ namespace: 'shop', upstreams }] });
}

const megabytes = process.env.TEST_LONG === undefined ? 6 : 31;

test('an export with a large description is imported as it was, and nothing is left to do', async () => {
  const text = configuration(megabytes);
  expect((await gateway.ok('POST /configuration/import', { text })).changes).toBeGreaterThan(0);
  const exported = await gateway.ok('GET /configuration?format=json');
  expect(JSON.parse(exported.text).namespaces[0].upstreams.pets.document).toBe(description(megabytes));
  expect((await gateway.ok('POST /configuration/plan', { text: exported.text })).changes).toBe(0);
}, 60_000);

test('what is large is read in turns: nobody waits for it longer than for a small part of it', async () => {
  const text = configuration(megabytes);
  await readText(configuration(2));
  const before = cpuMs();
  JSON.parse(text, (_key, value: unknown) => value);
  const atOnceMs = cpuMs() - before;
  const turnMs = await longestTurnMs(async () => expect((await readText(text)).problems).toEqual([]));
  expect(turnMs).toBeLessThan(Math.max(30, atOnceMs / 2));
});

test('a body of another kind, or that is none, is refused as small ones are', async () => {
  const { url, key } = gateway;
  const send = async (body: string | Buffer, headers: Record<string, string>) => {
    const authorization = `Bearer ${key}`;
    const answer = await fetch(`${url}/api/configuration/plan`, { method: 'POST', body, headers: { authorization, ...headers } });
    return [answer.status, ((await answer.json()) as { error?: { code: string } }).error?.code];
  };
  const json = { 'content-type': 'application/json' };
  const good = JSON.stringify({ text: 'consumers: {}' });
  expect(await send(good, json)).toEqual([200, undefined]);
  expect(await send(gzipSync(good), { ...json, 'content-encoding': 'gzip' })).toEqual([200, undefined]);
  expect(await send('no gzip', { ...json, 'content-encoding': 'gzip' })).toEqual([400, 'parse_error']);
  expect(await send(good, { ...json, 'content-encoding': 'zstd' })).toEqual([415, 'unsupported_media_type']);
  expect(await send(good, { 'content-type': 'application/json; charset=utf-16' })).toEqual([415, 'unsupported_media_type']);
  expect(await send('{"text":', json)).toEqual([400, 'parse_error']);
  expect(await send(`${'['.repeat(1_000)}`, json)).toEqual([400, 'invalid_request']);
  expect((await send('[]', json))[0]).toBe(400);
  expect((await send('', json))[0]).toBe(400);
});

test('nobody but an admin of the whole gateway may send as much, and a tool takes none of it', async () => {
  const hana = await gateway.person('hana', [{ role: 'admin', namespace: 'hr' }]);
  const text = configuration(2);
  expect((await gateway.api('POST /configuration/import', { text: text.repeat(3) }, hana)).status).toBe(413);
  expect((await gateway.mcp('admin', 'tools/call', { name: 'import_configuration', arguments: { text } })).status).toBe(413);
  expect((await gateway.api('POST /consumers', { id: 'x', title: text, kind: 'team' })).status).toBe(413);
});

test('what is large and no plain JSON is refused in a sentence', async () => {
  const large = 'x'.repeat(1024 * 1024);
  expect((await readText(`a: ${large}`)).problems).toMatchObject([{ message: expect.stringContaining('has to be JSON') }]);
  expect((await readText(`{"a": "${large}",}`)).problems).toMatchObject([{ message: expect.stringContaining('not valid JSON') }]);
  expect((await readText(`{"__proto__": {}, "a": "${large}"}`)).problems).toMatchObject([
    { message: expect.stringContaining('__proto__') },
  ]);
  expect((await readText(`{"a": "${large}"}`)).value).toEqual({ a: large });
});
