import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

let upstream: StagedUpstream;
let gateway: AdminGateway;
let key: string;
let developer: string;
let auditor: string;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['echo', 'fail'] });
  upstream.behave = (arrival) => (arrival.name === 'fail' ? { error: { code: -32000, message: 'no' } } : upstream.echo(arrival));
  gateway = await openAdminGateway({
    namespaces: {
      hr: namespaceFor('hr', upstream.url, 'policy:\n  limits: [{ per: capability, match: "hr/e*", rpm: 100 }]\n'),
      finance: namespaceFor('finance', upstream.url),
    },
  });
  const limits = [{ per: 'consumer', rpm: 10, budget: { amount: 50, window: 'day', unit: 'calls' } }];
  await gateway.ok('POST /consumers', { id: 'app', title: 'x', kind: 'application', limits });
  await gateway.ok('PUT /policies/global', {
    policy: {
      limits: [
        { per: 'key', rpm: 30, shadow: true },
        { per: 'global', rpm: 1000 },
      ],
    },
  });
  key = (await gateway.ok('POST /keys', { id: 'ci', title: 'x', consumer: 'app' })).secret;
  developer = await gateway.person('dev', [{ role: 'developer' }]);
  auditor = await gateway.person('hr-auditor', [{ role: 'auditor', namespace: 'hr' }]);
  for (const name of ['hr__echo', 'hr__echo', 'hr__fail', 'finance__echo'])
    await gateway.mcp('', 'tools/call', { name, arguments: {} }, key);
  await gateway.mcp('', 'tools/call', { name: 'finance__echo', arguments: {} }, developer);
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const usage = (query: string, withKey?: string) => gateway.ok(`GET /usage?${query}`, undefined, withKey);
const used = ({ limits }: { limits: { limit: string; used: number }[] }) =>
  Object.fromEntries(limits.map(({ limit, used: count }) => [limit, count]));

describe('what is used up right now', () => {
  test('of the limits of a consumer', async () => {
    expect(used(await usage('consumer=app'))).toEqual({
      '10 calls a minute per consumer (set by consumer app)': 4,
      '50 calls a day per consumer (set by consumer app)': 4,
      '1000 calls a minute for all calls together (set by global)': 5,
    });
  });

  test('of those that a key meets, its consumer included', async () => {
    const { limits } = await usage('key=ci');
    expect(limits).toContainEqual({
      ...{ limit: '30 calls a minute per key (set by global)', from: 'global', subject: 'ci', unit: 'calls' },
      ...{ amount: 30, used: 4, remaining: 26, resetsInMs: 0, isShadow: true },
    });
    expect(used({ limits })).toMatchObject({ '50 calls a day per consumer (set by consumer app)': 4 });
  });

  test('of a capability, as far as a row is for it', async () => {
    expect(used(await usage('capability=hr/echo'))).toMatchObject({
      '100 calls a minute per capability (set by namespace hr)': 2,
    });
    expect(Object.keys(used(await usage('capability=hr/fail'))).join()).not.toContain('per capability');
  });
});

describe('what was called', () => {
  const groups = (body: { groups: { group: string; calls: number; errors: number }[] }) =>
    Object.fromEntries(body.groups.map(({ group, calls, errors }) => [group, [calls, errors]]));

  test('by capability, consumer, key and upstream, with percentiles and errors by code', async () => {
    const all = await usage('consumer=app');
    expect(groups(all)).toEqual({ 'hr/echo': [2, 0], 'hr/fail': [1, 1], 'finance/echo': [1, 0] });
    expect(all.total).toMatchObject({ calls: 4, errors: 1, p50Ms: expect.any(Number), p99Ms: expect.any(Number) });
    expect(all.errors).toHaveLength(1);
    expect(groups(await usage('by=key&namespace=finance'))).toEqual({ ci: [1, 0], dev: [1, 0] });
    expect(groups(await usage('by=upstream&key=ci'))).toEqual({ 'hr/desk': [3, 1], 'finance/desk': [1, 0] });
    const steps = await usage('by=consumer&consumer=app&stepMs=60000');
    expect(steps.groups.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0)).toBe(4);
  });

  test.each([
    'fromMs=5&toMs=5',
    'stepMs=60001',
    'fromMs=0&toMs=9000000000000&stepMs=60000',
    'limit=0',
    'capability=hr',
    'by=time',
  ])('not with %s', async (query) => {
    expect((await gateway.api(`GET /usage?${query}`)).status).toBe(400);
  });
});

describe('who sees what', () => {
  test('a developer the own calls', async () => {
    const own = await usage('', developer);
    expect(own.groups.map(({ group }: { group: string }) => group)).toContain('finance/echo');
    expect(own.groups.map(({ group }: { group: string }) => group)).not.toContain('hr/echo');
    for (const query of ['consumer=app', 'key=ci', 'member=hr-auditor'])
      expect((await gateway.api(`GET /usage?${query}`, undefined, developer)).body.error.code).toBe('forbidden');
  });

  test('an auditor of a namespace that namespace, without what consumers do elsewhere', async () => {
    const seen = await usage('namespace=hr&consumer=app', auditor);
    expect(seen.total.calls).toBe(3);
    expect(Object.keys(used(seen)).join()).not.toContain('set by consumer');
    expect((await usage('capability=hr/echo', auditor)).total.calls).toBe(2);
    expect((await gateway.api('GET /usage?namespace=finance&consumer=app', undefined, auditor)).status).toBe(403);
    expect((await gateway.api('GET /usage?namespace=hr&capability=finance/echo', undefined, auditor)).status).toBe(400);
    expect((await usage('namespace=finance', auditor)).total).toBeNull();
  });
});
