import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

// What a platform engineer wants of quotas, keys and access, told from their side.

const backendKey = 'sk-backend-credential-0123456789';
let upstream: StagedUpstream;
let gateway: AdminGateway;
let platform: string;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['large', 'small', 'tiny'] });
  gateway = await openAdminGateway({
    namespaces: {
      models: `namespace: models\nupstreams:\n  provider: { kind: mcp, url: "${upstream.url}", headers: { x-provider-key: "\${secret:PROVIDER_KEY}" } }\ntoolboxes:\n  chat: { include: ["models/*"] }\n`,
      tools: namespaceFor('tools', upstream.url),
    },
    settings: { PROVIDER_KEY: backendKey },
  });
  platform = await gateway.person('platform', [{ role: 'admin' }]);
  await gateway.ok('POST /consumers', { id: 'team-a', title: 'Team A', kind: 'team' }, platform);
  await gateway.ok('POST /consumers', { id: 'team-b', title: 'Team B', kind: 'team' }, platform);
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const newKey = async (id: string, more: object) => (await gateway.ok('POST /keys', { id, title: id, ...more }, platform)).secret;
const call = (name: string, key: string) => gateway.mcp('', 'tools/call', { name, arguments: {} }, key);
const setPolicy = (scope: string, policy: object | null) =>
  gateway.ok(`PUT /policies/${encodeURIComponent(scope)}`, { policy }, platform);

describe('US-M-A1: Configure Model Quotas', () => {
  test('RPM and TPM at the level of one model hold all teams together, and no other model', async () => {
    const [a, b] = [await newKey('quota-a', { consumer: 'team-a' }), await newKey('quota-b', { consumer: 'team-b' })];
    await setPolicy('capability:models/large', { limits: [{ per: 'capability', rpm: 2, tpm: 100_000 }] });
    expect([(await call('models__large', a)).body.result.isError, (await call('models__large', b)).body.result.isError]).toEqual([
      undefined,
      undefined,
    ]);
    const refused = await call('models__large', b);
    expect(refused.body.result).toMatchObject({
      isError: true,
      content: [{ text: expect.stringMatching(/2 calls a minute .* try again in \d+ s/) }],
    });
    expect((await call('models__small', b)).body.result.isError).toBeUndefined();
    const { limits } = await gateway.ok('GET /usage?capability=models/large', undefined, platform);
    expect(limits).toMatchObject([
      { unit: 'calls', amount: 2, used: 2, remaining: 0 },
      { unit: 'tokens', amount: 100_000, used: 0 },
    ]);
    await setPolicy('capability:models/large', null);
  });

  test('a limit per consumer holds that team alone, with 429 and retry-after, and its usage shows at once', async () => {
    await gateway.ok('PATCH /consumers/team-a', { limits: [{ per: 'consumer', rpm: 3 }] }, platform);
    const keys = [await newKey('sub-a1', { consumer: 'team-a' }), await newKey('sub-a2', { consumer: 'team-a' })];
    for (const at of [0, 1, 0]) expect((await call('models__small', keys[at] ?? '')).status).toBe(200);
    const usage = await gateway.ok('GET /usage?consumer=team-a', undefined, platform);
    expect(usage.limits).toMatchObject([{ subject: 'team-a', amount: 3, used: 3, remaining: 0 }]);
    const refused = await call('models__small', keys[1] ?? '');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await call('models__small', await newKey('sub-b', { consumer: 'team-b' }))).status).toBe(200);

    // A change is in effect with the next call, and nothing was stopped for it.
    await gateway.ok('PATCH /consumers/team-a', { limits: [{ per: 'consumer', rpm: 100 }] }, platform);
    expect((await call('models__small', keys[1] ?? '')).status).toBe(200);
  });

  test('changes of quotas lose no call that runs meanwhile', async () => {
    const key = await newKey('steady', { consumer: 'team-b' });
    const running = Array.from({ length: 20 }, () => call('models__tiny', key));
    for (const rpm of [500, 400, 300]) await setPolicy('namespace:models', { limits: [{ per: 'consumer', rpm }] });
    for (const answer of await Promise.all(running)) expect(answer.body.result.isError).toBeUndefined();
    await setPolicy('namespace:models', null);
  });
});

describe('US-M-A2: Manage Virtual Keys', () => {
  test('an admin makes, rotates and revokes keys of a consumer', async () => {
    const first = await newKey('virtual', { consumer: 'team-b' });
    const { secret } = await gateway.ok('POST /keys/virtual/rotate', { graceS: 0 }, platform);
    expect([(await call('models__small', first)).status, (await call('models__small', secret)).status]).toEqual([401, 200]);
    await gateway.ok('POST /keys/virtual/revoke', {}, platform);
    expect((await call('models__small', secret)).status).toBe(401);
  });

  test('a key is for certain models, or for a group of them', async () => {
    const one = await newKey('one-model', { consumer: 'team-b', scope: { capabilities: ['models/small'] } });
    const group = await newKey('a-group', { consumer: 'team-b', scope: { capabilities: ['models/t*', 'models/s*'] } });
    const box = await newKey('a-toolbox', { consumer: 'team-b', scope: { toolboxes: ['chat'] } });
    const may = async (key: string, toolbox = '') => {
      const { body } = await gateway.mcp(toolbox, 'tools/list', {}, key);
      return (body.result?.tools ?? []).map(({ name }: { name: string }) => name);
    };
    expect(await may(one)).toEqual(['models__small']);
    expect(await may(group)).toEqual(['models__small', 'models__tiny']);
    expect([await may(box), (await may(box, 'chat')).length]).toEqual([[], 3]);
    expect((await call('models__large', one)).body.error).toBeDefined();
    expect((await call('models__small', one)).body.result).toBeDefined();
  });

  test('rotation with grace disturbs no session that is in use', async () => {
    const first = await newKey('in-use', { consumer: 'team-b' });
    const post = (key: string, message: object, headers = {}) =>
      fetch(`${gateway.url}/mcp`, {
        method: 'POST',
        headers: {
          ...{ authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
          accept: 'application/json, text/event-stream',
        },
        body: JSON.stringify({ jsonrpc: '2.0', ...message }),
      });
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    const opened = await post(first, { id: 1, method: 'initialize', params });
    await opened.text();
    const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '', 'mcp-protocol-version': '2025-11-25' };
    const { secret: second } = await gateway.ok('POST /keys/in-use/rotate', { graceS: 300 }, platform);
    for (const key of [first, second]) {
      const answer = await post(key, { id: 2, method: 'tools/call', params: { name: 'models__small', arguments: {} } }, session);
      expect(answer.status).toBe(200);
      expect(await answer.text()).toContain('"result"');
    }
  });

  test('every event in the life of a key is on record twice: in the journal, and with its change', async () => {
    await newKey('lived', { consumer: 'team-b' });
    for (const [route, body] of [
      ['POST /keys/lived/rotate', { graceS: 5 }],
      ['POST /keys/lived/disable', {}],
      ['POST /keys/lived/disable', { isDisabled: false }],
      ['POST /keys/lived/revoke', {}],
    ] as const)
      await gateway.ok(route, body, platform);
    const events = ['create_key', 'rotate_key', 'disable_key', 'disable_key', 'revoke_key'];
    const { changes } = await gateway.ok('GET /audit?source=changes&object=key/lived', undefined, platform);
    expect(changes.map(({ action }: { action: string }) => action).reverse()).toEqual(events);
    const journal = await until('the index has it', async () => {
      const { calls } = await gateway.ok('GET /audit?capability=key/lived', undefined, platform);
      return calls.length === events.length ? calls : undefined;
    });
    const recorded = journal.map(({ caller, record }: { caller: string; record: { action: string } }) => [caller, record.action]);
    expect(recorded.reverse()).toEqual(events.map((event) => ['key:platform', event]));
  });

  test("the backend's credential goes to the backend and to nobody else", async () => {
    const key = await newKey('blind', { consumer: 'team-b' });
    const answer = await call('models__small', key);
    expect(upstream.arrivals.at(-1)?.headers['x-provider-key']).toBe(backendKey);
    expect(JSON.stringify(upstream.arrivals.at(-1)?.headers)).not.toContain(key);
    const answers = [answer.body];
    for (const route of [
      'GET /secrets',
      'GET /keys',
      'GET /health',
      'GET /audit',
      'GET /audit?source=changes',
      'GET /policies/namespace:models',
    ])
      answers.push(await gateway.ok(route, undefined, platform));
    const journal = readdirSync(join(gateway.dataDir, 'journal', '1')).map((file) =>
      readFileSync(join(gateway.dataDir, 'journal', '1', file), 'utf8'),
    );
    for (const text of [JSON.stringify(answers), ...gateway.log, ...journal]) expect(text).not.toContain(backendKey);
  });
});

describe('US-T-A6: Secure Tool Access', () => {
  test('who may call is configured per tool and per namespace', async () => {
    const [a, b] = [await newKey('tool-a', { consumer: 'team-a' }), await newKey('tool-b', { consumer: 'team-b' })];
    await setPolicy('capability:tools/large', { allow: ['caller.consumer == "team-b"'] });
    const results = async () =>
      Promise.all([a, b].map(async (key) => ((await call('tools__large', key)).body.result === undefined ? 'refused' : 'done')));
    expect(await results()).toEqual(['refused', 'done']);
    expect((await call('tools__small', a)).body.result).toBeDefined();
    await setPolicy('namespace:tools', { allow: ['caller.consumer == "team-a"'] });
    // Both must allow.
    expect(await results()).toEqual(['refused', 'refused']);
    await setPolicy('capability:tools/large', null);
    expect(await results()).toEqual(['done', 'refused']);
    await setPolicy('namespace:tools', null);
  });

  test.each(['capability:tools/large', 'namespace:tools'])('addresses are restricted for %s', async (scope) => {
    const key = await newKey(`ip-${scope.slice(0, 4)}`, { consumer: 'team-b' });
    await setPolicy(scope, { network: ['10.0.0.0/8'] });
    expect((await call('tools__large', key)).body.error.message).toContain('Unknown tool');
    const told = await gateway.ok(
      'POST /explain',
      { caller: key.split('_')[1], capability: 'tools/large', ip: '10.1.1.1' },
      platform,
    );
    expect(told.decision).toBe('allow');
    await setPolicy(scope, { network: ['127.0.0.0/8'] });
    expect((await call('tools__large', key)).body.result).toBeDefined();
    await setPolicy(scope, null);
  });

  test('a key is held to addresses of its own', async () => {
    const near = await newKey('near', { consumer: 'team-b', network: ['127.0.0.1'] });
    const far = await newKey('far', { consumer: 'team-b', network: ['192.0.2.0/24'] });
    expect((await call('tools__large', near)).body.result).toBeDefined();
    expect((await call('tools__large', far)).body.error).toBeDefined();
    expect(
      (await gateway.mcp('', 'tools/call', { name: 'tools__large', arguments: {} }, far, { 'x-forwarded-for': '192.0.2.7' })).body
        .error,
    ).toBeDefined();
  });
});
