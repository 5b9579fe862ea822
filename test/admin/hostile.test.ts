import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { actions } from '../../src/admin/actions.ts';
import { makeKey } from '../../src/call/authenticate/key-ring.ts';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

let upstream: StagedUpstream;
let gateway: AdminGateway;
let directory: string;
let key: string;
const namespaces = () => ({ hr: namespaceFor('hr', upstream.url) });

beforeAll(async () => {
  upstream = await startStagedUpstream();
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-hostile-'));
  gateway = await openAdminGateway({ namespaces: namespaces(), directory });
  await gateway.ok('POST /consumers', { id: 'app', title: 'x', kind: 'application' });
  key = (await gateway.ok('POST /keys', { id: 'ci', title: 'x', consumer: 'app' })).secret;
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A request as it is written: nothing is normalized on its way. */
function raw(method: string, path: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(gateway.url, { method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    sent.on('error', reject).end();
  });
}

const status = async (withKey: string, headers = {}) =>
  (await gateway.mcp('', 'tools/call', { name: 'hr__echo', arguments: {} }, withKey, headers)).status;

test('RE-07: a query of a thousand members costs no more than it takes to refuse it, and one that is read is', async () => {
  const query = Array.from({ length: 1000 }, (_, n) => `k${n}=1`).join('&');
  const carriers = { authorization: `Bearer ${key}` };
  await raw('PUT', '/api/policies/global?revision=1', carriers);
  const startedMs = cpuMs();
  for (const [method, path] of [
    ['PUT', '/api/policies/global'],
    ['GET', '/api/audit'],
  ] as const)
    expect((await raw(method, `${path}?${query}`, carriers)).status).toBe(404);
  expect(cpuMs() - startedMs).toBeLessThan(1000);
  await until('what was refused can be searched', async () => {
    const read = await raw('GET', '/api/audit?limit=1', { authorization: `Bearer ${gateway.key}` });
    expect(read.status).toBe(200);
    return JSON.parse(read.body).calls.length === 1;
  });
});

test('AZ-05: no route of administration answers without a key, however its path is written', async () => {
  const paths = [...actions.map(({ route }) => route.split(' ')[1] ?? ''), '/status', '/openapi.json'].map(
    (path) => `/api${path.replaceAll(/\{\w+\}/g, 'x')}`,
  );
  const variants = (path: string) => [
    path,
    `${path}/`,
    path.toUpperCase(),
    path.replace('/api', '//api'),
    path.replace('/api/', '/api//'),
    path.replace('/api/', '/api/./'),
    path.replace('/api/', '/api/%2e/'),
    path.replace('/api/', '/healthz/../api/'),
    path.replace('/api/', '/%61pi/'),
    `${path};x`,
    `${path}?key=${key}`,
    `${path}%00`,
  ];
  const seen = new Set<number>();
  for (const path of [...new Set(paths), '/metrics', '/mcp', '/mcp/admin'])
    for (const variant of variants(path))
      for (const method of ['GET', 'POST', 'DELETE']) {
        const answer = await raw(method, variant);
        seen.add(answer.status);
        expect([method, variant, [400, 401, 403, 404, 405].includes(answer.status)]).toEqual([method, variant, true]);
      }
  expect(seen).toContain(401);
  // Its twin: with a key the same routes are there.
  expect((await raw('GET', '/api/consumers', { authorization: `Bearer ${gateway.key}` })).status).toBe(200);
}, 60_000);

test('AZ-07: a key decides the same by every way it may be carried, and is read from no other', async () => {
  const carriers = { authorization: `Bearer ${key}`, 'x-api-key': key };
  for (const [name, value] of Object.entries(carriers)) {
    expect([name, await status('', { [name]: value })]).toEqual([name, 200]);
    const hidden = await gateway.mcp('', 'tools/call', { name: 'admin__list_keys', arguments: {} }, '', { [name]: value });
    expect(hidden.body.error.message).toContain('Unknown tool');
  }
  const others = { 'api-key': key, cookie: `key=${key}`, authorization: `Basic ${Buffer.from(`x:${key}`).toString('base64')}` };
  for (const [name, value] of Object.entries(others)) expect([name, await status('', { [name]: value })]).toEqual([name, 401]);
  expect((await raw('GET', `/api/consumers?key=${gateway.key}&access_token=${gateway.key}`)).status).toBe(401);
});

test('AZ-09: no action takes a field that it does not know, and none takes what is not its own', async () => {
  const { registry: before } = await snapshot();
  for (const { name, input } of actions) {
    for (const extra of [
      'role',
      'tenant_id',
      'is_admin',
      'owner',
      'spend',
      'createdAtMs',
      'issuedBy',
      'state',
      'secrets',
      'hash',
      '__proto__',
      'constructor',
    ]) {
      const given = JSON.parse(`{${JSON.stringify(extra)}: "x"}`);
      expect([name, extra, input.safeParse({ ...valid(name), ...given }).success || extra === '__proto__']).toEqual([
        name,
        extra,
        extra === '__proto__',
      ]);
      const { body } = await gateway.mcp('admin', 'tools/call', { name, arguments: { ...valid(name), [extra]: 'x' } });
      if (extra !== '__proto__')
        expect([name, extra, body.error !== undefined || body.result.isError]).toEqual([name, extra, true]);
    }
  }
  expect((await snapshot()).registry).toEqual(before);

  function valid(name: string): object {
    const samples: Record<string, object> = {
      create_consumer: { id: 'x1', title: 'x', kind: 'team' },
      update_consumer: { id: 'app', title: 'x' },
      create_member: { id: 'x1', title: 'x' },
      create_key: { title: 'x', consumer: 'app' },
      rotate_key: { id: 'ci', graceS: 0 },
      disable_key: { id: 'ci' },
      revoke_key: { id: 'ci' },
      set_policy: { scope: 'global', policy: {} },
      set_secret: { name: 'X', value: 'x' },
    };
    return samples[name] ?? {};
  }
});

async function snapshot() {
  const [consumers, members, keys] = await Promise.all([
    gateway.ok('GET /consumers'),
    gateway.ok('GET /members'),
    gateway.ok('GET /keys'),
  ]);
  return {
    registry: { consumers, members, keys: keys.keys.map(({ lastUsedAtMs: _, ...rest }: { lastUsedAtMs?: number }) => rest) },
  };
}

test('AZ-11: headers and paths that name somebody change neither who calls nor what holds them', async () => {
  const limits = [{ per: 'key', rpm: 3 }];
  const { secret } = await gateway.ok('POST /keys', { id: 'held', title: 'x', consumer: 'app', network: ['127.0.0.1'], limits });
  const claims = {
    ...{ 'x-user': 'admin', 'x-forwarded-user': 'admin', 'x-gatehouse-caller': 'key:admin', 'x-tenant': 'other' },
    ...{ 'x-forwarded-for': '10.9.9.9', forwarded: 'for=10.9.9.9', 'x-real-ip': '10.9.9.9', 'x-original-url': '/api/keys' },
  };
  const statuses: number[] = [];
  for (const [name, value] of Object.entries(claims).slice(0, 5)) statuses.push(await status(secret, { [name]: value }));
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  const { body } = await gateway.api('GET /keys', undefined, secret);
  expect(body.error.code).toBe('unknown_capability');
  await until('all of it is on record', async () => (await gateway.ok('GET /audit?caller=key:held')).calls.length >= 5);
});

describe('AZ-13', () => {
  test('guesses are refused, and those with a wrong checksum before anything is looked up', async () => {
    const { keys } = gateway.gateway;
    let hashes = 0;
    const hash = keys.hash.bind(keys);
    keys.hash = (text) => {
      hashes += 1;
      return hash(text);
    };
    const rounds = process.env.TEST_LONG === undefined ? 2_000 : 100_000;
    for (let n = 0; n < rounds; n++) {
      const guess = `gh_ci_${randomBytes(32).toString('hex')}`;
      const right = crc32(guess).toString(36).padStart(7, '0').slice(-6);
      expect(keys.find(guess + (right.startsWith('0') ? '1' : '0') + right.slice(1))).toBeUndefined();
    }
    expect(hashes).toBe(0);
    for (let n = 0; n < rounds / 100; n++) expect(keys.find(makeKey('ci'))).toBeUndefined();
    expect(hashes).toBe(rounds / 100);
    keys.hash = hash;
    expect(keys.find(key)?.id).toBe('key:ci');
  });

  test('a guess at a key that is there and one at none are answered alike', async () => {
    const there = await gateway.mcp('', 'tools/list', {}, makeKey('ci'));
    const none = await gateway.mcp('', 'tools/list', {}, makeKey('nobody'));
    expect([there.status, there.body.error]).toEqual([401, none.body.error]);
  });
});

describe('AZ-14: a payload', () => {
  const payloads = [
    "' or 1=1 --",
    '"; drop table documents; --',
    '{"$ne":null}',
    'x\u0000y',
    '%s%n%x',
    `\${secret:BACKEND}`,
    '../../etc/passwd',
    'return redis.call("flushall")',
    '<script>alert(1)</script>',
    '𐀀'.repeat(300),
    'GH_ci_',
    'a'.repeat(9_000),
  ];

  test.each(payloads.map((text) => [text.slice(0, 30), text] as const))(
    '%j finds nothing and breaks nothing',
    async (_, text) => {
      const before = await snapshot();
      const plain = Buffer.from(text)
        .toString('latin1')
        .replaceAll(/[^\x20-\x7e]/g, '?');
      expect((await raw('GET', '/api/keys', { authorization: `Bearer ${plain}` })).status).toBe(401);
      const path = encodeURIComponent(text).slice(0, 4_000);
      for (const answer of [
        await gateway.api(`POST /keys/${path}/revoke`, {}),
        await gateway.api(`PATCH /consumers/${path}`, { title: 'x' }),
        await gateway.api(`GET /policies/${path}`),
        await gateway.api(`PUT /secrets/${path}`, { value: 'x' }),
        await gateway.api('POST /explain', { caller: text, capability: 'hr/echo' }),
        await gateway.api('POST /members', { id: text, title: 'x' }),
        await gateway.api(`GET /audit?caller=${path}&capability=${path}&code=${path}`),
        await gateway.api(`GET /usage?member=${path}`),
        await gateway.mcp('admin', 'tools/call', { name: 'list_keys', arguments: { after: text } }),
      ])
        expect(answer.status).toBeLessThan(500);
      expect(await snapshot()).toEqual(before);
    },
  );
});

describe('AZ-16: a key that is revoked', () => {
  test('ends its streams and sessions, is refused at once on every connection, and stays so over a restart', async () => {
    const { secret } = await gateway.ok('POST /keys', { id: 'doomed', title: 'x', consumer: 'app' });
    expect(await status(secret)).toBe(200);
    const session = await openSession(secret);
    const stream = openStream(secret, session);
    await stream.opened;
    await gateway.ok('POST /keys/doomed/revoke', {});
    await stream.ended;
    expect(await status(secret)).toBe(401);

    await gateway.stop();
    gateway = await openAdminGateway({ namespaces: namespaces(), directory });
    expect(await status(secret)).toBe(401);
    expect(await status(key)).toBe(200);
    const lines = readFileSync(join(gateway.dataDir, 'journal', '1', '00000001.jsonl'), 'utf8');
    expect(lines).toContain('"action":"revoke_key","object":"key/doomed"');
    expect(lines).not.toContain(secret.slice(-64));
  });

  async function openSession(withKey: string): Promise<string> {
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    const response = await fetch(`${gateway.url}/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${withKey}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
    });
    await response.text();
    return response.headers.get('mcp-session-id') ?? '';
  }

  function openStream(withKey: string, session: string) {
    const { promise: opened, resolve: open, reject } = Promise.withResolvers<void>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const headers = {
      authorization: `Bearer ${withKey}`,
      accept: 'text/event-stream',
      'mcp-session-id': session,
      'mcp-protocol-version': '2025-11-25',
    };
    const sent = request(`${gateway.url}/mcp`, { headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`the stream was answered ${response.statusCode}`));
      open();
      response.resume().once('close', end);
    });
    sent.on('error', () => end()).end();
    return { opened, ended };
  }
});
