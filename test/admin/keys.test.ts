import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { openRegistrar } from '../support/registrar.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

let upstream: StagedUpstream;
let gateway: AdminGateway;
let nowMs = 1_800_000_000_000;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['echo', 'pay'] });
  gateway = await openAdminGateway({
    namespaces: { hr: namespaceFor('hr', upstream.url), finance: namespaceFor('finance', upstream.url) },
    clock: { nowMs: () => nowMs },
  });
  await gateway.ok('POST /consumers', { id: 'app', title: 'An application', kind: 'application' });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const call = async (key: string, name = 'hr__echo') => {
  const { status, body } = await gateway.mcp('', 'tools/call', { name, arguments: {} }, key);
  return body.result !== undefined && body.result.isError !== true ? 'done' : status === 401 ? 'unknown key' : 'refused';
};

describe('a new key', () => {
  test('SK-02: is shown once, calls what it is for, and is kept nowhere', async () => {
    const made = await gateway.ok('POST /keys', { title: 'CI', consumer: 'app', scope: { namespaces: ['hr'] } });
    expect(made.secret).toMatch(new RegExp(`^gh_${made.key.id}_[0-9a-f]{64}[0-9a-z]{6}$`));
    expect(made.key).toMatchObject({
      state: 'active',
      consumer: 'app',
      issuedBy: 'key:admin',
      secrets: [{ hint: made.secret.slice(-4) }],
    });
    expect(await call(made.secret)).toBe('done');
    expect(await call(made.secret, 'finance__echo')).toBe('refused');
    const listed = JSON.stringify(await gateway.ok('GET /keys'));
    expect(listed).toContain(made.key.id);
    const changes = JSON.stringify(await gateway.ok('GET /audit?source=changes'));
    expect(changes).toContain('create_key');
    for (const text of [listed, changes, ...gateway.log]) expect(text).not.toContain(made.secret.slice(-64));
    expect(`${listed}${changes}`).not.toMatch(/"hash"/);
  });

  test('has an owner that is there, and an id that is free', async () => {
    expect(await gateway.api('POST /keys', { title: 'x' })).toMatchObject({
      status: 400,
      body: { error: { code: 'bad_arguments' } },
    });
    expect((await gateway.api('POST /keys', { title: 'x', consumer: 'nobody' })).body.error.message).toContain('create_consumer');
    expect((await gateway.api('POST /keys', { title: 'x', member: 'nobody' })).body.error.message).toContain('create_member');
    expect((await gateway.api('POST /keys', { id: 'admin', title: 'x', consumer: 'app' })).status).toBe(409);
    await gateway.ok('POST /keys', { id: 'twice', title: 'x', consumer: 'app' });
    expect((await gateway.api('POST /keys', { id: 'twice', title: 'x', consumer: 'app' })).body.error.code).toBe('conflict');
  });

  test('ends when it was told to', async () => {
    const { secret } = await gateway.ok('POST /keys', { title: 'x', consumer: 'app', expiresInS: 60 });
    expect(await call(secret)).toBe('done');
    nowMs += 60_000;
    expect(await call(secret)).toBe('unknown key');
  });
});

describe('rotation', () => {
  test('AZ-15: both secrets are good in the grace that was chosen, then the new one alone', async () => {
    const first = await gateway.ok('POST /keys', { id: 'turning', title: 'x', consumer: 'app' });
    const second = await gateway.ok('POST /keys/turning/rotate', { graceS: 30 });
    expect([await call(first.secret), await call(second.secret)]).toEqual(['done', 'done']);
    nowMs += 29_999;
    expect([await call(first.secret), await call(second.secret)]).toEqual(['done', 'done']);
    nowMs += 1;
    expect([await call(first.secret), await call(second.secret)]).toEqual(['unknown key', 'done']);
    const { changes } = await gateway.ok('GET /audit?source=changes&object=key/turning');
    expect(changes[0]).toMatchObject({
      action: 'rotate_key',
      actor: 'key:admin',
      detail: { graceS: 30, from: first.secret.slice(-4), to: second.secret.slice(-4) },
    });
  });

  test('a second one within the grace of the first ends the oldest secret', async () => {
    const first = await gateway.ok('POST /keys', { id: 'thrice', title: 'x', consumer: 'app' });
    const second = await gateway.ok('POST /keys/thrice/rotate', { graceS: 86_400 });
    const third = await gateway.ok('POST /keys/thrice/rotate', { graceS: 86_400 });
    expect([await call(first.secret), await call(second.secret), await call(third.secret)]).toEqual([
      'unknown key',
      'done',
      'done',
    ]);
    expect(third.key.secrets).toHaveLength(2);
  });

  test('without grace ends all older secrets at once', async () => {
    const first = await gateway.ok('POST /keys', { id: 'leaked', title: 'x', consumer: 'app' });
    const second = await gateway.ok('POST /keys/leaked/rotate', { graceS: 3600 });
    const third = await gateway.ok('POST /keys/leaked/rotate', { graceS: 0 });
    expect([await call(first.secret), await call(second.secret), await call(third.secret)]).toEqual([
      'unknown key',
      'unknown key',
      'done',
    ]);
  });

  test.each([-1, 86_401, 0.5, null, '30'])('refuses a grace of %s', async (graceS) => {
    expect((await gateway.api('POST /keys/turning/rotate', { graceS })).status).toBe(400);
  });
});

describe('disabling and revoking', () => {
  test('a disabled key is refused until it is enabled again', async () => {
    const { secret } = await gateway.ok('POST /keys', { id: 'paused', title: 'x', consumer: 'app' });
    await gateway.ok('POST /keys/paused/disable', {});
    expect(await call(secret)).toBe('unknown key');
    await gateway.ok('POST /keys/paused/disable', { isDisabled: false });
    expect(await call(secret)).toBe('done');
  });

  test('a revoked key stays so: nothing that was there before can be made valid again', async () => {
    const { secret } = await gateway.ok('POST /keys', { id: 'gone', title: 'x', consumer: 'app' });
    expect((await gateway.ok('POST /keys/gone/revoke', {})).key).toMatchObject({ state: 'revoked', secrets: [] });
    expect(await call(secret)).toBe('unknown key');
    expect((await gateway.api('POST /keys/gone/disable', { isDisabled: false })).body.error.code).toBe('conflict');
    expect((await gateway.api('POST /keys/gone/rotate', { graceS: 0 })).body.error.code).toBe('conflict');
    expect((await gateway.ok('POST /keys/gone/revoke', {})).key.state).toBe('revoked');
  });

  test('a disabled consumer, owner or issuer takes the keys along, and brings them back', async () => {
    const admin = await gateway.person('chief', [{ role: 'admin' }]);
    await gateway.ok('POST /consumers', { id: 'shut', title: 'x', kind: 'team' });
    const { secret } = await gateway.ok('POST /keys', { id: 'depends', title: 'x', consumer: 'shut' }, admin);
    expect(await call(secret)).toBe('done');
    for (const [route, isDisabled] of [
      ['PATCH /consumers/shut', { isDisabled: true }],
      ['PATCH /members/chief', { isDisabled: true }],
    ] as const) {
      await gateway.ok(route, isDisabled);
      expect(await call(secret)).toBe('unknown key');
      const { keys } = await gateway.ok('GET /keys?limit=1000');
      expect(keys.find(({ id }: { id: string }) => id === 'depends')).toMatchObject({ state: 'suspended' });
      await gateway.ok(route, { isDisabled: false });
      expect(await call(secret)).toBe('done');
    }
  });
});

describe('what a developer may do with keys', () => {
  let developer: string;
  beforeAll(async () => {
    developer = await gateway.person('dev', [{ role: 'developer', namespace: 'hr' }]);
  });

  test('keys of their own, within what they may call themselves', async () => {
    const { key, secret } = await gateway.ok('POST /keys', { id: 'dev-laptop', title: 'laptop' }, developer);
    expect(key).toMatchObject({ member: 'dev', issuer: 'dev' });
    expect([await call(secret), await call(secret, 'finance__echo')]).toEqual(['done', 'refused']);
    const { keys } = await gateway.ok('GET /keys', undefined, developer);
    expect(keys.map(({ id }: { id: string }) => id)).toEqual(['dev', 'dev-laptop']);
    await gateway.ok('POST /keys/dev-laptop/rotate', { graceS: 0 }, developer);
    await gateway.ok('POST /keys/dev-laptop/disable', {}, developer);
    expect((await gateway.api('POST /keys/dev-laptop/disable', { isDisabled: false }, developer)).body.error.code).toBe(
      'forbidden',
    );
    await gateway.ok('POST /keys/dev-laptop/revoke', {}, developer);
  });

  test.each([
    ['another namespace', { scope: { namespaces: ['hr', 'finance'] } }, 'namespaces "finance"'],
    ['a capability of another namespace', { scope: { capabilities: ['finance/echo'] } }, 'finance'],
    ['everything', { scope: { capabilities: ['*/*'] } }, '*'],
    ['somebody else', { member: 'chief' }, 'owner'],
    ['a consumer', { consumer: 'app' }, 'owner'],
  ])('AZ-08: no key for %s', async (_, wanted, word) => {
    const { status, body } = await gateway.api('POST /keys', { title: 'more', ...wanted }, developer);
    expect({ status, code: body.error.code }).toEqual({ status: 403, code: 'forbidden' });
    expect(body.error.message).toContain(word);
  });

  test('AZ-08: a key makes no key that does more than itself: scope, time, networks, limits', async () => {
    const limits = [{ per: 'key', rpm: 100 }];
    const scope = { toolboxes: ['admin', 'tools'], capabilities: ['hr/e*', 'admin/*'] };
    const narrow = await gateway.ok('POST /keys', {
      ...{ id: 'narrow', title: 'x', member: 'dev', scope, limits, expiresInS: 3600, network: ['127.0.0.0/8'] },
    });
    const ask = (wanted: object) => gateway.api('POST /keys', { title: 'x', ...wanted }, narrow.secret);
    for (const [wanted, word] of [
      [{ scope: { capabilities: ['hr/*'] } }, 'capabilities'],
      [{ scope: { capabilities: ['hr/pay'] } }, 'capabilities'],
      [{ scope: { toolboxes: ['other'] } }, 'toolboxes'],
      [{ expiresInS: 7200 }, 'expiry'],
      [{ network: ['0.0.0.0/0'] }, 'network'],
      [{ limits: [{ per: 'key', rpm: 101 }] }, 'limits'],
      [{ limits: [{ per: 'key', tpm: 5 }] }, 'limits'],
      [{ limits: [{ per: 'key', rpm: 50, shadow: true }] }, 'limits'],
    ] as const) {
      const { status, body } = await ask(wanted);
      expect({ wanted, status, code: body.error?.code }).toEqual({ wanted, status: 403, code: 'forbidden' });
      expect(body.error.message).toContain(word);
    }
    const same = await ask({ scope: { capabilities: ['hr/echo'] }, limits: [{ per: 'key', rpm: 99 }], network: ['127.0.0.1'] });
    expect(same.body.key).toMatchObject({
      scope: { toolboxes: ['admin', 'tools'], capabilities: ['hr/echo'] },
      network: ['127.0.0.1'],
    });
    // What is left out is taken from the key that asks.
    const plain = await ask({});
    expect(plain.body.key).toMatchObject({ scope, limits, network: ['127.0.0.0/8'], expiresAtMs: narrow.key.expiresAtMs });
    // Nor does it take over one of the same person that does more: whoever rotates it would hold it.
    expect((await gateway.api('POST /keys/dev/rotate', { graceS: 0 }, narrow.secret)).body.error.code).toBe('forbidden');
    await gateway.ok('POST /keys/narrow/rotate', { graceS: 0 }, narrow.secret);
  });

  test('a scope that takes too long to check is refused at once', async () => {
    const many = (make: (n: number) => string) => Array.from({ length: 1000 }, (_, n) => make(n));
    const scope = { namespaces: many((n) => `n${n}`), toolboxes: many((n) => `t${n}`), capabilities: many((n) => `*/c${n}`) };
    const { status, body } = await gateway.api('POST /keys', { title: 'x', scope }, developer);
    expect([status, body.error.message]).toEqual([403, expect.stringContaining('too much to be checked')]);
  });

  test("AZ-08: others' keys look like none", async () => {
    for (const [route, body] of [
      ['POST /keys/twice/rotate', { graceS: 0 }],
      ['POST /keys/twice/disable', {}],
      ['POST /keys/twice/revoke', {}],
    ] as const) {
      const { status, body: answer } = await gateway.api(route, body, developer);
      const nothing = await gateway.api(route.replace('twice', 'nothing-there'), body, developer);
      expect(status).toBe(404);
      expect(answer.error.message).toBe(nothing.body.error.message.replace('nothing-there', 'twice'));
    }
  });
});

describe('what a namespace admin may do with keys', () => {
  let admin: string;
  beforeAll(async () => {
    admin = await gateway.person('hr-admin', [
      { role: 'admin', namespace: 'hr' },
      { role: 'developer', namespace: 'finance' },
    ]);
  });

  test('keys for consumers, held to the own namespaces whatever is left out', async () => {
    const { key, secret } = await gateway.ok('POST /keys', { id: 'hr-app', title: 'x', consumer: 'app' }, admin);
    expect(key.scope).toEqual({ namespaces: ['hr'] });
    expect([await call(secret), await call(secret, 'finance__echo')]).toEqual(['done', 'refused']);
    const wider = await gateway.api('POST /keys', { title: 'x', consumer: 'app', scope: { namespaces: ['finance'] } }, admin);
    expect(wider.body.error.message).toContain('"finance"');
    await gateway.ok('POST /keys/hr-app/rotate', { graceS: 0 }, admin);
    await gateway.ok('POST /keys/hr-app/disable', {}, admin);
    await gateway.ok('POST /keys/hr-app/disable', { isDisabled: false }, admin);
    await gateway.ok('POST /keys/hr-app/revoke', {}, admin);
    expect((await gateway.api('POST /keys/twice/revoke', {}, admin)).status).toBe(404);
  });

  test('AZ-08: no key of a member who is more than they may make anybody', async () => {
    const { status, body } = await gateway.api('POST /keys', { title: 'x', member: 'chief' }, admin);
    expect(status).toBe(403);
    expect(body.error.message).toContain('roles: chief is admin of the whole gateway');
    const own = await gateway.ok('POST /keys', { title: 'x', member: 'dev' }, admin);
    expect(own.key.scope).toEqual({ namespaces: ['hr'] });
  });

  test('AZ-08: a key that was forced into the store does no more than its issuer, roles included', async () => {
    const registrar = await openRegistrar(gateway);
    const forced = await registrar.key('forced', { member: 'chief', issuer: 'hr-admin' });
    await registrar.close();
    await until('the gateway knows the key', async () => (await call(forced)) === 'done');
    expect([await call(forced), await call(forced, 'finance__echo')]).toEqual(['done', 'done']);
    expect((await gateway.api('POST /consumers', { id: 'by-forced', title: 'x', kind: 'team' }, forced)).status).toBe(403);
    await gateway.ok('PATCH /members/hr-admin', { roles: [{ role: 'admin', namespace: 'hr' }] });
    expect([await call(forced), await call(forced, 'finance__echo')]).toEqual(['done', 'refused']);
  });
});
