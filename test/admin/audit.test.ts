import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

let upstream: StagedUpstream;
let gateway: AdminGateway;
let key: string;
let developer: string;
let auditor: string;
const trace = '4bf92f3577b34da6a3ce929d0e0e4736';

beforeAll(async () => {
  upstream = await startStagedUpstream();
  gateway = await openAdminGateway({
    namespaces: { hr: namespaceFor('hr', upstream.url), finance: namespaceFor('finance', upstream.url) },
    // Calls have traces where there is somebody to send them to.
    settings: { GATEHOUSE_OTLP_URL: 'http://127.0.0.1:9' },
  });
  await gateway.ok('POST /consumers', { id: 'app', title: 'x', kind: 'application' });
  key = (await gateway.ok('POST /keys', { id: 'ci', title: 'x', consumer: 'app' })).secret;
  developer = await gateway.person('dev', [{ role: 'developer' }]);
  auditor = await gateway.person('hr-auditor', [{ role: 'auditor', namespace: 'hr' }]);
  const traceparent = `00-${trace}-00f067aa0ba902b7-01`;
  await gateway.mcp('', 'tools/call', { name: 'nothing', arguments: {} }, key, { traceparent });
  for (const [name, by] of [
    ['hr__echo', key],
    ['hr__echo', key],
    ['finance__echo', key],
    ['hr__echo', developer],
  ] as const)
    await gateway.mcp('', 'tools/call', { name, arguments: {} }, by);
  await until('the index has taken up all calls', async () => (await calls('caller=key:dev&capability=hr/echo')).length === 1);
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

interface Row {
  readonly atMs: number;
  readonly caller: string;
  readonly capability: string;
  readonly trace: string;
  readonly decision: string;
}

const calls = async (query: string, withKey?: string): Promise<Row[]> =>
  (await gateway.ok(`GET /audit?${query}`, undefined, withKey)).calls;
const changes = async (query: string, withKey?: string): Promise<{ kind: string; id: string; action: string }[]> =>
  (await gateway.ok(`GET /audit?source=changes&${query}`, undefined, withKey)).changes;

describe('a search', () => {
  test('finds by caller, capability, decision, code, trace and time', async () => {
    const found = await calls('caller=key:ci&limit=500');
    expect(found.map(({ capability, decision }) => `${capability} ${decision}`)).toEqual([
      'finance/echo allow',
      'hr/echo allow',
      'hr/echo allow',
      'null deny',
    ]);
    expect(await calls('code=unknown_capability&caller=key:ci')).toHaveLength(1);
    expect(await calls('decision=deny&caller=key:ci')).toHaveLength(1);
    expect(await calls(`trace=${trace}`)).toEqual([found.at(-1)]);
    expect(await calls(`caller=key:ci&toMs=${found.at(-1)?.atMs}`)).toEqual([]);
    expect(await calls(`caller=key:ci&fromMs=${found.at(-1)?.atMs}`)).toHaveLength(4);
  });

  test('goes on page by page', async () => {
    const pages: Row[][] = [];
    for (let cursor = ''; pages.length < 10; ) {
      const { calls: page, next } = await gateway.ok(`GET /audit?caller=key:ci&limit=3${cursor}`);
      pages.push(page);
      if (next === undefined) break;
      cursor = `&cursor=${next}`;
    }
    expect(pages.map((page) => page.length)).toEqual([3, 1]);
  });

  test('shows each change of the gateway itself: in the journal, and with its details', async () => {
    expect(await calls('capability=key/ci')).toMatchObject([
      {
        kind: 'change',
        caller: 'key:admin',
        record: { action: 'create_key', object: 'key/ci', door: 'rest', after: expect.any(String) },
      },
    ]);
    expect(await changes('object=key/ci')).toMatchObject([
      { action: 'create_key', actor: 'key:admin', detail: { consumer: 'app', title: 'x' } },
    ]);
    const first = await gateway.ok('GET /audit?source=changes&limit=2');
    const second = await gateway.ok(`GET /audit?source=changes&limit=2&cursor=${first.next}`);
    const seen = [...first.changes, ...second.changes].map(({ revision }) => revision);
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => b - a));
  });

  test('a change says by which way it was asked for', async () => {
    await gateway.mcp('admin', 'tools/call', { name: 'create_consumer', arguments: { id: 'by-mcp', title: 'x', kind: 'team' } });
    await until('it is found', async () => (await calls('capability=consumer/by-mcp')).length > 0);
    expect(await calls('capability=consumer/by-mcp')).toMatchObject([{ record: { action: 'create_consumer', door: 'mcp' } }]);
  });

  test.each([
    'cursor=x',
    'source=changes&cursor=1:2:abc',
    'limit=501',
    'decision=maybe',
    'trace=zz',
    "caller='%20or%201=1--&limit=0",
  ])('refuses %s', async (query) => {
    expect((await gateway.api(`GET /audit?${query}`)).status).toBe(400);
  });
});

describe('AU-06: who sees what', () => {
  test('an auditor of a namespace its calls and changes', async () => {
    const seen = await calls('limit=500', auditor);
    expect(new Set(seen.map(({ capability }) => capability))).toEqual(new Set(['hr/echo']));
    expect(seen).toHaveLength(3);
    expect(await calls('capability=finance/echo', auditor)).toEqual([]);
    await gateway.ok('PUT /policies/namespace:hr', { policy: { timeoutMs: 9000 } });
    await gateway.ok('PUT /policies/namespace:finance', { policy: { timeoutMs: 9000 } });
    expect((await changes('limit=500', auditor)).map(({ kind, id }) => `${kind}/${id}`)).toEqual(['policy/namespace:hr']);
  });

  test('a developer the own calls and changes', async () => {
    const second = await gateway.ok('POST /keys', { id: 'dev-2', title: 'x' }, developer);
    await gateway.mcp('', 'tools/call', { name: 'finance__echo', arguments: {} }, second.secret);
    await until('the index has it', async () => (await calls('caller=key:dev-2', developer)).length > 0);
    const seen = await calls('limit=500', developer);
    expect(new Set(seen.map(({ caller }) => caller))).toEqual(new Set(['key:dev', 'key:dev-2']));
    expect(await calls('caller=key:ci', developer)).toEqual([]);
    expect((await changes('limit=500', developer)).map(({ id }) => id)).toEqual(['dev-2']);
  });
});

describe('AU-06: nobody takes back what is on record', () => {
  test('no action deletes or stops it, and what administers the gateway cannot be made to', async () => {
    const { body } = await gateway.mcp('admin', 'tools/list', {});
    const names: string[] = body.result.tools.map(({ name }: { name: string }) => name);
    const about = names.filter((name) => /audit|journal|record/.test(name));
    expect(about.sort()).toEqual(['search_audit', 'verify_audit']);
    const before = (await calls('limit=500')).length;
    for (const route of [
      'DELETE /audit',
      'PUT /audit',
      'PATCH /audit',
      'POST /audit',
      'DELETE /audit/1',
      'PUT /journal',
      'POST /audit/disable',
    ])
      expect([404, 405], route).toContain((await gateway.api(route, route.startsWith('DELETE') ? undefined : {})).status);
    for (const policy of [{ journal: false }, { audit: 'off' }, { record: false }])
      expect((await gateway.api('PUT /policies/global', { policy })).status).toBe(400);
    expect((await calls('limit=500')).length).toBeGreaterThanOrEqual(before);
  });
});

describe('the check of the journal', () => {
  test('says that all is as it was written, and gives an end to keep', async () => {
    const report = await gateway.ok('POST /audit/verify', {});
    expect(report).toMatchObject({ isIntact: true, chains: [{ problem: null, head: expect.any(String) }], missingChains: [] });
    const kept = report.chains[0].head;
    expect((await gateway.ok('POST /audit/verify', { heads: [kept] })).isIntact).toBe(true);
    const other = `${'0'.repeat(32)}${kept.slice(32)}`;
    expect(await gateway.ok('POST /audit/verify', { heads: [other] })).toMatchObject({
      isIntact: false,
      missingChains: ['0'.repeat(32)],
    });
  });

  test('names the first bad record', async () => {
    const directory = join(gateway.dataDir, 'journal', '1');
    const file = join(
      directory,
      readdirSync(directory)
        .filter((name) => name.endsWith('.jsonl'))
        .sort()[0] ?? '',
    );
    const before = readFileSync(file, 'utf8');
    const lines = before.split('\n');
    const at = lines.findIndex((line) => line.includes('"action":"create_key"'));
    writeFileSync(file, lines.map((line, index) => (index === at ? line.replace('key:admin', 'key:abuse') : line)).join('\n'));
    const report = await gateway.ok('POST /audit/verify', {});
    writeFileSync(file, before);
    expect(report.isIntact).toBe(false);
    expect(report.chains[0].problem).toMatch(new RegExp(`^edited: .*line ${at + 1}: Record ${at + 1} `));
  });
});

describe('what content rules found', () => {
  test('is found by the name of the rule and by its category, and shown with the call', async () => {
    const policy = { content: [{ rules: ['secrets', 'personal-data'], do: 'flag' }] };
    await gateway.ok('PUT /policies/capability:finance%2Fecho', { policy });
    const text = `Bill jane.doe@example.com: ghp_${'a1B2c3D4e5F6'.repeat(3)}`;
    await gateway.mcp('', 'tools/call', { name: 'finance__echo', arguments: { text } }, key);
    await until('the index has it', async () => (await calls('contentRule=secrets')).length === 1);
    const found = await calls('contentRule=personal-data/email&caller=key:ci');
    expect(found).toMatchObject([
      { capability: 'finance/echo', contentRules: expect.arrayContaining(['personal-data/email', 'secrets/github-token']) },
    ]);
    expect(await calls('contentRule=secrets/github-token')).toEqual(found);
    expect(await calls('contentRule=profanity')).toEqual([]);
    expect(await calls('contentRule=secrets', auditor)).toEqual([]);
  });

  test('a name that nothing can be found by is refused with the one that was meant', async () => {
    const { status, body } = await gateway.api('GET /audit?contentRule=secrets/github-tokens');
    expect(status).toBe(400);
    expect(JSON.stringify(body)).toContain('Did you mean \\"secrets/github-token\\"?');
  });
});
