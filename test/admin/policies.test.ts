import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

let upstream: StagedUpstream;
let gateway: AdminGateway;
let key: string;
beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['echo', 'pay'] });
  gateway = await openAdminGateway({
    namespaces: {
      hr: namespaceFor('hr', upstream.url, 'policy:\n  limits: [{ per: consumer, rpm: 1000 }]\n'),
      finance: namespaceFor('finance', upstream.url),
    },
  });
  await gateway.ok('POST /consumers', { id: 'app', title: 'x', kind: 'application' });
  key = (await gateway.ok('POST /keys', { title: 'x', consumer: 'app' })).secret;
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const set = (scope: string, policy: object | null, more = {}) =>
  gateway.api(`PUT /policies/${encodeURIComponent(scope)}`, { policy, ...more });
const get = (scope: string, withKey?: string) => gateway.ok(`GET /policies/${encodeURIComponent(scope)}`, undefined, withKey);
const call = async (name: string, args = {}) => {
  const { body } = await gateway.mcp('', 'tools/call', { name, arguments: args }, key);
  return body.error?.message ?? (body.result.isError === true ? body.result.content[0].text : 'done');
};

describe('a policy', () => {
  test.each([
    ['global', 'hr__echo', 'hr__pay'],
    ['namespace:hr', 'hr__echo', 'finance__echo'],
    ['capability:hr/echo', 'hr__echo', 'hr__pay'],
  ])('of %s holds what it is for from the moment it is set', async (scope, held, other) => {
    expect(await call(held)).toBe('done');
    expect((await set(scope, { allow: ['caller.role == "admin"'] })).status).toBe(200);
    expect(await call(held)).toContain('Unknown tool');
    if (scope !== 'global') expect(await call(other)).toBe('done');
    expect((await set(scope, null)).body).toMatchObject({ policy: null, revision: null });
    expect(await call(held)).toBe('done');
  });

  test('is shown beside what the namespace file declares, and merged with the others', async () => {
    await set('global', { limits: [{ per: 'global', rpm: 9000 }], timeoutMs: 9000 });
    await set('namespace:hr', { network: ['127.0.0.0/8'] });
    await set('capability:hr/pay', { allow: ['args.amount <= 100'], timeoutMs: 100, breaker: { openMs: 10 } });
    expect(await get('capability:hr/pay')).toMatchObject({
      policy: { timeoutMs: 100 },
      declared: null,
      merged: {
        limits: [
          { from: 'global', per: 'global', rpm: 9000 },
          { from: 'namespace hr', per: 'consumer', rpm: 1000 },
        ],
        allow: [{ from: 'capability hr/pay', allow: ['args.amount <= 100'] }],
        network: [{ from: 'namespace hr', network: ['127.0.0.0/8'] }],
        timeoutMs: 100,
        breaker: { openMs: 10 },
      },
    });
    expect(await get('namespace:hr')).toMatchObject({
      policy: { network: ['127.0.0.0/8'] },
      declared: { file: expect.stringContaining('hr.yaml'), policy: { limits: [{ rpm: 1000 }] } },
    });
    expect([await call('hr__pay', { amount: 100 }), await call('hr__pay', { amount: 101 })]).toEqual([
      'done',
      expect.stringContaining('do not allow'),
    ]);
    for (const scope of ['global', 'namespace:hr', 'capability:hr/pay']) await set(scope, null);
  });

  test.each([
    ['caller.rol == "admin"', 'rule line 1, column'],
    ['caller.role ==', 'rule line 1, column'],
    ['true &&\n  args.x + ', 'rule line 2, column'],
    ['"text"', 'must be true or false'],
  ])('with the rule %j is refused, and says where', async (rule, words) => {
    const { status, body } = await set('namespace:hr', { allow: ['true', rule] });
    expect({ status, code: body.error.code }).toEqual({ status: 400, code: 'bad_arguments' });
    expect(body.error.message).toContain('policy.allow[1]');
    expect(body.error.message).toContain(words);
    expect((await get('namespace:hr')).policy).toBeNull();
  });

  test.each([
    ['a scope that is none', 'everything', {}],
    ['a scope without a name', 'namespace:', {}],
    ['a network that is none', 'global', { network: ['10.0.0.1/8'] }],
    ['a limit without a number', 'global', { limits: [{ per: 'key' }] }],
    ['a field that is none', 'global', { allowed: [] }],
    ['a policy that is none', 'global', 'open'],
  ])('AZ-06: %s is refused when it is written', async (_, scope, policy) => {
    expect((await set(scope, policy as object)).status).toBe(400);
  });

  test.each([['allow'], ['network']])('AZ-06: an empty list of %s lets nobody in, and null is no list', async (field) => {
    expect((await set('namespace:hr', { [field]: null })).status).toBe(400);
    expect((await set('namespace:hr', { [field]: [] })).status).toBe(200);
    expect(await call('hr__echo')).toContain('Unknown tool');
    expect(await call('finance__echo')).toBe('done');
    await set('namespace:hr', null);
  });

  test.each([['toolboxes'], ['namespaces'], ['capabilities']])(
    'AZ-06: a key with an empty list of %s calls nothing',
    async (list) => {
      expect((await gateway.api('POST /keys', { title: 'x', consumer: 'app', scope: { [list]: null } })).status).toBe(400);
      const { secret } = await gateway.ok('POST /keys', { title: 'x', consumer: 'app', scope: { [list]: [] } });
      const { body } = await gateway.mcp('', 'tools/call', { name: 'hr__echo', arguments: {} }, secret);
      expect(body.error).toBeDefined();
      const listed = await gateway.mcp('', 'tools/list', {}, secret);
      expect(listed.body.result?.tools ?? []).toEqual([]);
    },
  );

  test('that would shut out whoever sets it is refused', async () => {
    for (const scope of ['global', 'namespace:admin', 'capability:admin/set_policy']) {
      for (const policy of [{ allow: [] }, { allow: ['caller.role == "developer"'] }, { network: ['10.0.0.0/8'] }]) {
        const { status, body } = await set(scope, policy);
        expect({ status, code: body.error.code }).toEqual({ status: 409, code: 'conflict' });
      }
      expect((await set(scope, { allow: ['caller.role == "admin"'] })).status).toBe(200);
      await set(scope, null);
    }
  });

  test('of the gateway, and of its administration, is not for whoever administers a namespace', async () => {
    const admin = await gateway.person('ns', [{ role: 'admin', namespace: 'hr' }]);
    const put = (scope: string) =>
      gateway.api(`PUT /policies/${encodeURIComponent(scope)}`, { policy: { timeoutMs: 1000 } }, admin);
    expect((await put('namespace:hr')).status).toBe(200);
    expect((await put('capability:hr/echo')).status).toBe(200);
    for (const scope of [
      'global',
      'namespace:finance',
      'capability:finance/echo',
      'namespace:admin',
      'capability:admin/set_policy',
    ])
      expect((await put(scope)).body.error.code).toBe('forbidden');
    const grant = await gateway.api('POST /members', { id: 'x', title: 'x', roles: [{ role: 'admin', namespace: 'admin' }] });
    expect(grant.status).toBe(400);
    for (const scope of ['namespace:hr', 'capability:hr/echo']) await set(scope, null);
  });

  test('that somebody else has changed since it was looked at stays', async () => {
    const { body } = await set('namespace:hr', { timeoutMs: 1000 }, { revision: 0 });
    expect((await set('namespace:hr', { timeoutMs: 2000 }, { revision: 0 })).body.error.code).toBe('conflict');
    expect((await set('namespace:hr', { timeoutMs: 2000 }, { revision: body.revision })).status).toBe(200);
    await set('namespace:hr', null);
  });

  test('with content rules leaves keys and secrets of administration whole', async () => {
    await set('global', { content: [{ rules: ['secrets'], do: 'block' }] }).then(({ status, body }) => {
      expect({ status, body: status === 200 ? '' : body }).toEqual({ status: 200, body: '' });
    });
    const made = await gateway.ok('POST /keys', { title: 'x', consumer: 'app' });
    expect(made.secret).toMatch(/^gh_k-/);
    await gateway.ok('PUT /secrets/TOKEN', { value: made.secret });
    await set('global', null);
  });
});
