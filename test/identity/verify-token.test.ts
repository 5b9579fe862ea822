import { afterAll, beforeAll, expect, test } from 'vitest';
import { looksLikeToken } from '../../src/identity/verify-token.ts';
import { startOidcProvider, type TestIssuer } from '../support/oidc-provider.ts';
import { makeVerifier, publicUrl, type TestVerifier, triage } from './verifier.ts';

let login: TestIssuer;
let other: TestIssuer;
let verifier: TestVerifier;
beforeAll(async () => {
  [login, other] = await Promise.all([startOidcProvider('RS256'), startOidcProvider('ES256')]);
  const claims = {
    member: 'email',
    consumer: 'client_id',
    roles: [{ claim: 'groups', value: 'staff', role: 'developer', namespace: 'hr' }],
    scopes: { triage: { toolboxes: ['triage'] }, everything: 'all' },
  };
  verifier = makeVerifier({ issuer: login.issuer, claims }, { issuer: other.issuer, claims: { member: 'sub' } });
});
afterAll(async () => {
  await Promise.all([verifier.close(), login.close(), other.close()]);
});

test('a token that a person got for a toolbox is taken there, with its rights', async () => {
  const { access } = await login.personTokens(triage, 'ann', 'triage');
  expect(looksLikeToken(access)).toBe(true);
  expect(await verifier.accepted(access)).toMatchObject({
    principal: `oauth:${login.issuer}#ann`,
    issuer: login.issuer,
    clientId: 'agent',
    member: 'ann@example.com',
    consumer: 'agent',
    roles: [{ role: 'developer', namespace: 'hr' }],
    scopes: ['triage'],
    reach: { toolboxes: new Set(['triage']), namespaces: new Set() },
  });
});

test('a token that an application got for the gateway is taken at each toolbox; one for a toolbox only there', async () => {
  for (const resource of [publicUrl, `${publicUrl}/`]) {
    const token = await login.clientToken(resource, 'everything');
    for (const address of [triage, `${publicUrl}/mcp`, `${publicUrl}/mcp/hr`])
      expect(await verifier.outcome(token, address)).toBe(`oauth:${login.issuer}#agent`);
    expect((await verifier.accepted(token)).reach).toBe('all');
  }
  const token = await login.clientToken(triage);
  expect(await verifier.outcome(token, `${publicUrl}/mcp/hr`)).toContain(
    'unauthenticated: This token was issued for another address',
  );
  expect(await verifier.outcome(token)).toBe(`oauth:${login.issuer}#agent`);
  // Also when it is known already.
  expect(await verifier.outcome(token, `${publicUrl}/mcp/hr`)).toContain(
    'unauthenticated: This token was issued for another address',
  );
  expect(await verifier.outcome(token, `${publicUrl}/mcp`)).toContain('unauthenticated');
  expect(await verifier.outcome(token, `${triage}@2`)).toContain('unauthenticated');
});

test('an ID token is refused; the access token that came with it is taken', async () => {
  const { access, id } = await login.personTokens(triage, 'ann');
  expect(await verifier.outcome(id)).toContain('unauthenticated: This is an ID token');
  expect(await verifier.outcome(access)).toBe(`oauth:${login.issuer}#ann`);
});

test('AZ-17: the same person of two issuers is two people', async () => {
  const [first, second] = await Promise.all([login.personTokens(triage, 'ann'), other.personTokens(triage, 'ann')]);
  const [one, two] = [await verifier.accepted(first.access), await verifier.accepted(second.access)];
  expect(one.principal).not.toBe(two.principal);
  expect(two).toMatchObject({ member: `oauth:${other.issuer}#ann`, roles: [], scopes: [], reach: 'all' });
});

test('what an issuer calls a person cannot be mistaken for another person or issuer', async () => {
  const subjects = ['a', 'a#b', 'a%23b', '#a', 'https://x.example#a', 'a\nb', 'a b', '__proto__', '🙂', 'A'];
  const principals = await Promise.all(
    subjects.map(async (sub) => (await verifier.accepted(await login.forge({ sub, aud: triage }))).principal),
  );
  expect(new Set(principals).size).toBe(subjects.length);
  for (const [index, principal] of principals.entries()) {
    expect(principal).toMatch(/^oauth:[^#\s]+#[^#\s]+$/);
    expect(decodeURIComponent(principal.slice(principal.indexOf('#') + 1))).toBe(subjects[index]);
  }
});

test('a token that was taken is known at once for a minute, and no longer than it is valid', async () => {
  const token = await login.forge({ aud: triage });
  const first = verifier.verify(token, triage);
  expect(first).toBeInstanceOf(Promise);
  const known = await first;
  expect(verifier.verify(token, triage)).toBe(known);
  verifier.clock.advance(60_000);
  expect(verifier.verify(token, triage)).toBeInstanceOf(Promise);
  const short = await login.forge({ aud: triage, exp: Math.floor(verifier.clock.nowMs() / 1000) + 5 });
  await verifier.accepted(short);
  // The five seconds, and what the clocks may differ by.
  verifier.clock.advance(34_000);
  expect(verifier.verify(short, triage)).not.toBeInstanceOf(Promise);
  verifier.clock.advance(2000);
  expect(await verifier.outcome(short)).toContain('unauthenticated: This token has expired');
});

test('a refusal is not remembered', async () => {
  const nowS = Math.floor(verifier.clock.nowMs() / 1000);
  const token = await login.forge({ aud: triage, iat: nowS, nbf: nowS + 45, exp: nowS + 600 });
  expect(await verifier.outcome(token)).toContain('unauthenticated: This token is not valid yet');
  verifier.clock.advance(20_000);
  expect(await verifier.outcome(token)).toMatch(/^oauth/);
});

test('a clock that is set back makes no token known for longer', async () => {
  // Of somebody else, or it would be the token of the test before.
  const token = await login.forge({ sub: 'late', aud: triage });
  await verifier.accepted(token);
  verifier.clock.advance(-1000);
  expect(verifier.verify(token, triage)).toBeInstanceOf(Promise);
  verifier.clock.advance(1000);
});

test('an audience that the operator names takes the place of the address', async () => {
  const named = makeVerifier({ issuer: login.issuer, audience: ['api://gatehouse', 'second'] });
  for (const aud of ['api://gatehouse', 'second', ['x', 'second']])
    expect(await named.outcome(await login.forge({ aud }))).toContain('oauth:');
  for (const aud of [triage, publicUrl, 'api://gatehouse/', 'API://gatehouse', ['x']])
    expect(await named.outcome(await login.forge({ aud }))).toContain('another address');
  await named.close();
});

test('an issuer that is known by the address of its keys needs no metadata', async () => {
  const asked = other.asked.get('/.well-known/openid-configuration') ?? 0;
  const direct = makeVerifier({ issuer: other.issuer, jwksUrl: `${other.issuer}/jwks`, algorithms: ['ES256'] });
  expect(await direct.outcome(await other.clientToken(triage))).toBe(`oauth:${other.issuer}#agent`);
  expect(other.asked.get('/.well-known/openid-configuration') ?? 0).toBe(asked);
  await direct.close();
});

test('AZ-17: where an issuer is to name everybody, a token that names nobody is refused, and one of a client in its own name is not', async () => {
  const claims = { member: 'email', roles: [{ claim: 'groups', value: 'staff', role: 'developer' }] };
  const strict = makeVerifier({ issuer: login.issuer, audience: 'gw', claims: { ...claims, nameless: 'refuse' } });
  const usual = makeVerifier({ issuer: login.issuer, audience: 'gw', claims });
  const tokenOf = (more: object) => login.forge({ aud: 'gw', sub: 'mia', groups: ['staff'], ...more });
  for (const more of [{}, { email: 'mia@example.com' }, { email: 'mia@example.com', email_verified: 'true' }, { email: 7 }]) {
    const token = await tokenOf(more);
    expect(await strict.outcome(token)).toMatch(/^unauthenticated: This token does not say who its owner is/);
    expect(await usual.outcome(token)).toBe(`oauth:${login.issuer}#mia`);
  }
  for (const more of [{ email: 'mia@example.com', email_verified: true }, { client_id: 'mia' }])
    expect(await strict.outcome(await tokenOf(more))).toBe(`oauth:${login.issuer}#mia`);
  await Promise.all([strict.close(), usual.close()]);
});
