import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startChangingUpstream } from '../support/changing-upstream.ts';
import { codeOf, type Gated, gateOfApprovers, ran, startGated } from '../support/gated.ts';
import { startOidcProvider, type TestIssuer } from '../support/oidc-provider.ts';

// Three issuers: one that names people by a claim, one by their address, and one that names nobody.

let named: TestIssuer;
let mailed: TestIssuer;
let nameless: TestIssuer;
let gated: Gated;
let turn = 0;

beforeAll(async () => {
  [named, mailed, nameless] = await Promise.all([startOidcProvider(), startOidcProvider(), startOidcProvider()]);
  const roles = '[{ claim: groups, value: devs, role: developer }, { claim: groups, value: admins, role: admin }]';
  const entry = ({ issuer }: TestIssuer, member: string) =>
    `  - { issuer: "${issuer}", audience: gw, claims: { ${member}roles: ${roles} } }\n`;
  const issuers = [entry(named, 'member: preferred_username, '), entry(mailed, 'member: email, '), entry(nameless, '')].join('');
  gated = await startGated({ more: gateOfApprovers, file: `publicUrl: http://127.0.0.1:4000\nissuers:\n${issuers}` });
  await gated.gateway.ok('POST /consumers', { id: 'bot', title: 'Bot', kind: 'application' });
});
afterAll(async () => {
  await gated?.stop();
  await Promise.all([named, mailed, nameless].map((issuer) => issuer?.close()));
});

const tokenOf = (issuer: TestIssuer, claims: object) => issuer.forge({ aud: 'gw', ...claims });
const register = (id: string, identities: readonly string[], ...roles: readonly object[]) =>
  gated.gateway.ok('POST /members', { id, title: id, identities, roles });
const mayList = async (token: string) => (await gated.gateway.api('GET /members', undefined, token)).status === 200;
const makeKey = (token: string) => gated.gateway.api('POST /keys', { title: 'mine' }, token);

describe("AZ-17: an issuer's name for somebody is no other member's", () => {
  test('the id of a member is not', async () => {
    await register('alice', ['alice@example.com'], { role: 'admin' });
    const eve = await tokenOf(named, { sub: 'eve', preferred_username: 'alice', groups: ['devs'] });
    expect(await mayList(eve)).toBe(false);
    expect((await makeKey(eve)).body.error.code).toBe('forbidden');
    // Who signs in by that name is the member.
    const alice = await tokenOf(named, { sub: 'alice', preferred_username: 'alice@example.com' });
    expect(await mayList(alice)).toBe(true);
    expect((await makeKey(alice)).body.key).toMatchObject({ member: 'alice' });
  });

  test('nor is a name that reads like the principal of another issuer', async () => {
    const identity = `oauth:${nameless.issuer}#ada`;
    await register('ada', [identity], { role: 'admin' });
    expect(await mayList(await tokenOf(named, { sub: 'eve', preferred_username: identity }))).toBe(false);
    expect(await mayList(await tokenOf(mailed, { sub: 'eve', email: `${identity}@x`, email_verified: true }))).toBe(false);
    expect(await mayList(await tokenOf(nameless, { sub: 'ada' }))).toBe(true);
  });
});

describe('AZ-17: who is not named is no machine', () => {
  const reaches = async (claims: object) => {
    const { status, body } = await gated.call({ n: ++turn }, { key: await tokenOf(mailed, claims) });
    return status === 200 && body.result !== undefined;
  };
  test.each<[string, object]>([
    ['no address', { sub: 'eve' }],
    ['an address that is not verified', { sub: 'eve', email: 'eve@example.com', email_verified: false }],
    ['an address that is none', { sub: 'eve', email: ['eve@example.com'], email_verified: true }],
    ['an address, as a client', { sub: 'agent', email: 'eve@example.com' }],
  ])('with %s they may what their roles say', async (_name, claims) => {
    expect(await reaches(claims)).toBe(false);
    expect(await reaches({ ...claims, groups: ['devs'] })).toBe(true);
  });

  test('a client in its own name is one', async () => {
    expect(await reaches({ sub: 'agent' })).toBe(true);
    expect(await reaches({ sub: 'agent', client_id: undefined, azp: 'agent' })).toBe(true);
    expect(await reaches({ sub: 'agent', client_id: 'other', azp: 'agent' })).toBe(false);
  });
});

test('what a token says is what rules see of it, and nothing of it is what a key has', async () => {
  const allow = ['caller.role == "admin"', 'has(caller.claims.department) && caller.claims.department == "hr"'];
  await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: { allow, gates: [] } });
  try {
    const listed = async (claims: object) => {
      const key = await tokenOf(nameless, { sub: 'agent', ...claims });
      const { body } = await gated.gateway.mcp('', 'tools/list', {}, key);
      return body.result.tools.some(({ name }: { name: string }) => name === 'support__echo');
    };
    expect(await listed({ department: 'hr' })).toBe(true);
    expect(await listed({ department: 'it' })).toBe(false);
    expect(await listed({ __proto__: { department: 'hr' }, constructor: 'hr' })).toBe(false);
    const { body } = await gated.gateway.mcp('', 'tools/list', {}, gated.keys.ann);
    expect(body.result.tools.map(({ name }: { name: string }) => name)).not.toContain('support__echo');
  } finally {
    await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: null });
  }
});

describe('AP-04: who is registered later is who they were before', () => {
  const asked = async (key: string) => {
    const answer = await gated.call({ n: ++turn }, { key });
    expect(codeOf(answer)).toBe('approval_pending');
    return answer.body.result._meta['dev.gatehouse/error'].approval as string;
  };

  test('nobody decides on calls of a key that they were handed, or on their own, from before', async () => {
    const root = await tokenOf(nameless, { sub: 'root', groups: ['admins'] });
    const { secret } = await gated.gateway.ok('POST /keys', { title: 'handed', consumer: 'bot' }, root);
    const calls = [await asked(secret), await asked(root)];
    for (const id of calls) expect((await gated.decide(id, 'approve', root)).status).toBe(403);
    await register('root', [`oauth:${nameless.issuer}#root`], { role: 'admin' });
    const own = (await gated.gateway.ok('POST /keys', { title: 'own', member: 'root' })).secret;
    for (const by of [own, root])
      for (const id of calls) expect((await gated.decide(id, 'approve', by)).body.error.code).toBe('forbidden');
    expect((await gated.decide(await asked(secret), 'approve', own)).body.error.code).toBe('forbidden');
    for (const id of calls) expect((await gated.decide(id, 'approve')).body.state).toBe('approved');
  });

  test('what somebody agreed to under another name counts no more for a call of theirs', async () => {
    await register('rita', [], { role: 'developer' });
    const rita = (await gated.gateway.ok('POST /keys', { title: 'own', member: 'rita' })).secret;
    const other = await tokenOf(nameless, { sub: 'rita', groups: ['admins'] });
    const call = async () => await gated.call({ same: 'rita' }, { key: rita });
    const [first, stranger] = [await call(), await gated.call({ same: 'ann' })].map(
      ({ body }) => body.result._meta['dev.gatehouse/error'].approval,
    );
    for (const id of [first, stranger]) expect((await gated.decide(id, 'approve', other)).body.state).toBe('approved');
    await gated.gateway.ok('PATCH /members/rita', { identities: [`oauth:${nameless.issuer}#rita`] });
    expect(codeOf(await call())).toBe('approval_pending');
    expect(ran(await gated.call({ same: 'ann' }))).toBe(true);
  });
});

test('AP-04: people who are known by their address submit and approve; who is registered later approves nothing of their own', async () => {
  const upstream = await startChangingUpstream([{ name: 'find', description: 'Finds.', inputSchema: { type: 'object' } }]);
  const { gateway } = gated;
  const [first, second] = await Promise.all(
    ['first', 'second'].map((name) =>
      tokenOf(mailed, { sub: name, email: `${name}@example.com`, email_verified: true, groups: ['admins'] }),
    ),
  );
  const submit = async (name: string) =>
    (
      await gateway.ok(
        'POST /submissions',
        {
          namespace: 'support',
          name,
          entry: { url: upstream.url, rename: { find: `find-${name}` } },
          justification: 'We need it.',
        },
        first,
      )
    ).submission;
  const approve = ({ id, revision }: { id: string; revision: number }, by?: string) =>
    gateway.api(`POST /submissions/${id}/review`, { decision: 'approve', comment: 'Fine.', revision }, by);
  const [one, two] = [await submit('one'), await submit('two')];
  expect((await approve(one, first)).body.error.code).toBe('forbidden');
  expect((await approve(one, second)).body.submission.state).toBe('approved');
  expect((await gateway.ok(`GET /submissions/${one.id}`)).state).toBe('approved');
  await register('first', ['first@example.com'], { role: 'admin' });
  const own = (await gateway.ok('POST /keys', { title: 'own', member: 'first' })).secret;
  expect((await approve(two, own)).body.error.code).toBe('forbidden');
  expect((await approve(two, second)).body.submission.state).toBe('approved');
  await upstream.close();
});
