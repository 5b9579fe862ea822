import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Grant, openGrant, sealGrant } from '../../src/credentials/grant.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { CredentialStore, StoredGrant } from '../../src/store/ports/credentials.ts';
import type { Store } from '../../src/store/ports.ts';
import { SignInRequired } from '../../src/upstreams/authorization.ts';
import type { Upstream } from '../../src/upstreams/upstream.ts';
import { Cancel } from '../../src/wire/cancel.ts';
import { open, temporaryDataDir } from '../store/store-setup.ts';
import { startAuthorizationServer, type TestAuthorizationServer } from '../support/authorization-server.ts';
import { linkOn, openBrowser } from '../support/browser.ts';
import { type ReplicaOptions, type Replicas, startReplicas } from '../support/replicas.ts';
import { until } from '../support/until.ts';
import { type CallOverrides, textOf, toolCall } from '../support/upstreams/harness.ts';
import { type ProtectedOptions, type ProtectedServer, startProtectedServer } from '../support/upstreams/protected-server.ts';

let server: TestAuthorizationServer;
beforeAll(async () => {
  server = await startAuthorizationServer();
});
afterAll(() => server.close());
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Scene {
  readonly server: TestAuthorizationServer;
  readonly peer: ProtectedServer;
  readonly replicas: Replicas;
  /** The first replica's. */
  readonly upstream: Upstream;
}

async function setUp(
  era: 'modern' | 'legacy',
  options: Partial<ReplicaOptions> = {},
  peerOptions: Partial<ProtectedOptions> = {},
): Promise<Scene> {
  server.asked.length = 0;
  server.tokenRequests.length = 0;
  const { verify, issuer } = server;
  const peer = await startProtectedServer({ era, verify, metadata: { authorization_servers: [issuer] }, ...peerOptions });
  closing.push(() => peer.close());
  const replicas = await startReplicas({ upstreamUrl: peer.url, ...options });
  closing.push(() => replicas.close());
  return { server, peer, replicas, upstream: replicas.upstreams[0] as Upstream };
}

function call(upstream: Upstream, principal: string, tool = 'whoami', overrides: CallOverrides = {}): Promise<string> {
  return upstream.call(toolCall(tool, {}, { principal, ...overrides })).then(textOf);
}

/** The sign-in that a call asks for; fails when it asks for none. */
async function asked(upstream: Upstream, principal: string, tool = 'whoami'): Promise<SignInRequired> {
  const outcome = await call(upstream, principal, tool).catch((error: unknown) => error);
  if (outcome instanceof SignInRequired) return outcome;
  throw outcome instanceof Error ? outcome : new Error(`no sign-in was asked for: ${String(outcome)}`);
}

/** Signs in as an account of the authorization server, in a browser of its own. */
async function signIn({ server, upstream }: Scene, principal: string, account: string, tool = 'whoami'): Promise<void> {
  const { url } = await asked(upstream, principal, tool);
  server.signInAs(account);
  const end = await openBrowser().signIn(url);
  expect([end.status, end.text]).toEqual([200, expect.stringContaining('Signed in to support/crm')]);
}

describe.each(['modern', 'legacy'] as const)('a %s upstream', (era) => {
  test('is called with what its caller signed in for, and lists its tools from then on', async () => {
    const scene = await setUp(era);
    const { upstream, peer, server } = scene;
    expect(upstream.offer().tools.map(({ name }) => name)).toEqual(['sign_in_crm']);
    const { message, url } = await asked(upstream, 'key:ann');
    expect(message).toMatch(/^The upstream support\/crm wants you to sign in to it first\..*repeat the call\.$/);
    expect(message).not.toContain(url);
    await signIn(scene, 'key:ann', 'ann@as');
    await until('the tools are listed', () => upstream.offer().tools.length === 4);
    expect(await call(upstream, 'key:ann')).toBe('ann@as');
    expect(server.asked.filter((path) => path === '/token')).toHaveLength(1);
    expect(peer.calls.map(({ account }) => account)).toEqual(['ann@as']);
  });

  test('OA-03: is never called with the credentials of another caller: 4 people, 200 calls at once', async () => {
    const scene = await setUp(era);
    const people = ['ann', 'bob', 'cem', 'dee'];
    for (const name of people) await signIn(scene, `key:${name}`, `${name}@as`);
    const calls = Array.from({ length: 200 }, (_, n) => {
      const name = people[n % people.length] ?? '';
      return call(scene.upstream, `key:${name}`, 'whoami', n % 3 === 0 ? { session: `s-${name}` } : {}).then((text) => [
        name,
        text,
      ]);
    });
    for (const [name, text] of await Promise.all(calls)) expect(text).toBe(`${name}@as`);
    expect(scene.peer.mixed).toEqual([]);
    await expect(call(scene.upstream, 'key:eve')).rejects.toThrow(/sign in to it first/);
  });

  test('is asked again with another token when the one there was has run out; nobody notices', async () => {
    const scene = await setUp(era);
    await signIn(scene, 'key:ann', 'ann@as');
    expect(await call(scene.upstream, 'key:ann')).toBe('ann@as');
    scene.server.expireTokens();
    const texts = await Promise.all(Array.from({ length: 50 }, () => call(scene.upstream, 'key:ann')));
    expect(new Set(texts)).toEqual(new Set(['ann@as']));
    expect(grants(scene)).toEqual(['authorization_code', 'refresh_token']);
  });

  test('makes its caller sign in again when the grant is worth nothing any more', async () => {
    const scene = await setUp(era);
    await signIn(scene, 'key:ann', 'ann@as');
    expect(await call(scene.upstream, 'key:ann')).toBe('ann@as');
    const stored = await scene.replicas.store.findGrant('support/crm', 'key:ann');
    await scene.replicas.store.removeGrant(stored as NonNullable<typeof stored>);
    scene.server.expireTokens();
    await signIn(scene, 'key:ann', 'ann2@as');
    expect(await call(scene.upstream, 'key:ann')).toBe('ann2@as');
  });

  test('that needs a wider scope gets it by one more sign-in, for all that was asked for so far', async () => {
    const scene = await setUp(era);
    await signIn(scene, 'key:ann', 'ann@as');
    expect(await call(scene.upstream, 'key:ann')).toBe('ann@as');
    const { message } = await asked(scene.upstream, 'key:ann', 'write');
    expect(message).toMatch(/wants you to allow it more than before/);
    await signIn(scene, 'key:ann', 'ann@as', 'write');
    expect(await call(scene.upstream, 'key:ann', 'write')).toBe('ann@as');
    expect(await call(scene.upstream, 'key:ann')).toBe('ann@as');
  });

  test('never gives the token back that it was called with', async () => {
    const scene = await setUp(era);
    await signIn(scene, 'key:ann', 'ann@as');
    const text = await call(scene.upstream, 'key:ann', 'echo_token', { meta: { note: 'x' }, session: 's-1' });
    expect(text).toMatch(/^you sent \*+ and /);
    const tokens = scene.peer.arrived.flatMap(({ headers }) => /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? []);
    expect(tokens.length).toBeGreaterThan(0);
    for (const token of tokens) expect(text).not.toContain(token);
  });
});

async function openStores(kind: string, count: number): Promise<CredentialStore[]> {
  if (kind === 'memory') return [memoryStore().credentials];
  const { dataDir, remove } = temporaryDataDir();
  const stores: Store[] = [];
  for (let n = 0; n < count; n++) stores.push(await open({ dataDir }));
  closing.push(async () => {
    for (const store of stores) await store.close();
    remove();
  });
  return stores.map(({ credentials }) => credentials);
}

function grants({ server }: Scene): (string | null)[] {
  return server.tokenRequests.map((request) => request.get('grant_type'));
}

describe('replicas', () => {
  test.each(['memory', 'SQLite'])(
    'OA-09: renew a grant in %s once: 150 calls over 3 of them when it has run out, none fails',
    async (kind) => {
      let nowMs = Date.now();
      const stores = await openStores(kind, 3);
      const scene = await setUp('modern', { count: 3, stores, now: () => nowMs });
      await signIn(scene, 'key:ann', 'ann@as');
      const { upstreams } = scene.replicas;
      for (const upstream of upstreams) expect(await call(upstream, 'key:ann')).toBe('ann@as');
      nowMs += 2 * 3_600_000;
      const all = () => upstreams.flatMap((upstream) => Array.from({ length: 50 }, () => call(upstream, 'key:ann')));
      expect(new Set(await Promise.all(all()))).toEqual(new Set(['ann@as']));
      expect(grants(scene)).toEqual(['authorization_code', 'refresh_token']);
      scene.server.expireTokens();
      expect(new Set(await Promise.all(all()))).toEqual(new Set(['ann@as']));
      expect(grants(scene)).toEqual(['authorization_code', 'refresh_token', 'refresh_token']);
    },
  );

  test('take over a sign-in that another one began, and know when it is done', async () => {
    const scene = await setUp('modern', { count: 2 });
    scene.replicas.pages.at = 1;
    const waiting = await asked(scene.upstream, 'key:ann');
    const done = waiting.finished(10_000, new Cancel());
    await signIn(scene, 'key:ann', 'ann@as');
    expect(await done).toBe(true);
    expect(await call(scene.upstream, 'key:ann')).toBe('ann@as');
    expect(await call(scene.replicas.upstreams[1] as Upstream, 'key:ann')).toBe('ann@as');
  });

  test('go on with a renewal whose replica went away in the middle of it', async () => {
    let nowMs = Date.now();
    const scene = await setUp('modern', { now: () => nowMs });
    await signIn(scene, 'key:ann', 'ann@as');
    nowMs += 2 * 3_600_000;
    const { store } = scene.replicas;
    const stored = await store.findGrant('support/crm', 'key:ann');
    await store.leaseGrant(stored as NonNullable<typeof stored>, nowMs, nowMs + 20_000);
    const text = call(scene.upstream, 'key:ann');
    await until('the lease was found taken', () => scene.server.asked.length > 0);
    nowMs += 20_001;
    expect(await text).toBe('ann@as');
  });
});

test.each([
  ['what the description of its upstream needs', {}, 'notes:write offline_access'],
  ['what the entry says, whatever the description needs', { scopes: ['notes:read'] }, 'notes:read offline_access'],
] as const)('a sign-in asks for %s', async (_, auth, scope) => {
  const { upstream, replicas, peer } = await setUp('modern', { auth });
  replicas.authorizations[0]?.leadsTo(new URL(peer.url), ['notes:write', 'no scope\n']);
  const { url } = await asked(upstream, 'key:ann');
  const browser = openBrowser();
  const page = await browser.step(url);
  const { headers } = await browser.step(new URL(linkOn(page.text) ?? '', url).href);
  expect(new URL(headers.get('location') ?? '').searchParams.get('scope')).toBe(scope);
});

test('a sign-in asks for none of so many scopes that nobody would agree to them, and for what the upstream itself says', async () => {
  const { upstream, replicas, peer } = await setUp('modern');
  const many = Array.from({ length: 101 }, (_, n) => `area${n}:read`);
  replicas.authorizations[0]?.leadsTo(new URL(peer.url), many);
  const browser = openBrowser();
  const { url } = await asked(upstream, 'key:ann');
  const { headers } = await browser.step(new URL(linkOn((await browser.step(url)).text) ?? '', url).href);
  expect(new URL(headers.get('location') ?? '').searchParams.get('scope')).toBe('notes:read offline_access');
});

describe('a grant', () => {
  /** The same upstream as somebody described it anew. */
  async function describedAnew({ replicas: { store, key } }: Scene, options: ReplicaOptions): Promise<Upstream> {
    const replicas = await startReplicas({ stores: [store], key, ...options });
    closing.push(() => replicas.close());
    return replicas.upstreams[0] as Upstream;
  }

  /** Whether the upstream, described anew, is called with what its caller was granted before. */
  async function ownToken({ store, key }: Replicas, options: ReplicaOptions): Promise<boolean> {
    const replicas = await startReplicas({ stores: [store], key, ...options });
    closing.push(() => replicas.close());
    const bearer = await Promise.resolve(replicas.authorizations[0]?.bearerFor('key:ann')).catch(() => undefined);
    return bearer?.principal === 'key:ann';
  }

  test.each(['modern', 'legacy'] as const)(
    'OA-02: goes to no other address of a %s upstream than it was given for',
    async (era) => {
      const scene = await setUp(era);
      await signIn(scene, 'key:ann', 'ann@as');
      const { verify, issuer } = server;
      const other = await startProtectedServer({ era, verify, metadata: { authorization_servers: [issuer] } });
      closing.push(() => other.close());
      const moved = await describedAnew(scene, { upstreamUrl: other.url });
      expect((await asked(moved, 'key:ann')).url).toContain('/oauth/start/');
      expect(other.arrived.map(({ headers }) => headers.authorization)).not.toContainEqual(expect.anything());
      const back = await describedAnew(scene, { upstreamUrl: scene.peer.url });
      expect(await call(back, 'key:ann')).toBe('ann@as');
    },
  );

  test('is not used in the name of somebody who is locked out, also not to see what there is', async () => {
    const scene = await setUp('modern');
    await signIn(scene, 'key:ann', 'ann@as');
    await until('the tools are listed', () => scene.upstream.offer().tools.length === 4);
    const upstreamUrl = scene.peer.url;
    const ofAnn = () => scene.peer.arrived.filter(({ account }) => account === 'ann@as').length;
    const before = ofAnn();
    const without = await describedAnew(scene, { upstreamUrl, isLetIn: (principal) => principal !== 'key:ann' });
    expect([without.offer().tools.map(({ name }) => name), ofAnn()]).toEqual([['sign_in_crm'], before]);
    const withHer = await describedAnew(scene, { upstreamUrl, isLetIn: (principal) => principal === 'key:ann' });
    expect([withHer.offer().tools.length, ofAnn() > before]).toEqual([4, true]);
  });

  test('is good however its address is spelled', async () => {
    const scene = await setUp('modern');
    await signIn(scene, 'key:ann', 'ann@as');
    const { peer, replicas } = scene;
    for (const upstreamUrl of [peer.url.replace('http:', 'HTTP:'), `${peer.url}/`, `${peer.url}?as=before`])
      expect(await ownToken(replicas, { upstreamUrl })).toBe(true);
    expect(await ownToken(replicas, { upstreamUrl: `${peer.url}/other` })).toBe(false);
  });

  test('of an earlier version, which says no address, is good where the resource is that it was asked for, and nowhere else', async () => {
    const scene = await setUp('modern');
    await signIn(scene, 'key:ann', 'ann@as');
    const { peer, replicas } = scene;
    const stored = (await replicas.store.findGrant('support/crm', 'key:ann')) as StoredGrant;
    const grant = openGrant(replicas.key, stored) as Grant;
    await replicas.store.putGrant(sealGrant(replicas.key, stored, { ...grant, address: undefined }, Date.now()));
    expect(await ownToken(replicas, { upstreamUrl: peer.url })).toBe(true);
    for (const upstreamUrl of [peer.url.replace('127.0.0.1', 'localhost'), `${new URL(peer.url).origin}/elsewhere`])
      expect(await ownToken(replicas, { upstreamUrl })).toBe(false);
  });

  test('for another address ends nobody’s wait for a sign-in at this one', async () => {
    const scene = await setUp('modern');
    await signIn(scene, 'key:ann', 'ann@as');
    const { verify, issuer } = server;
    const other = await startProtectedServer({ era: 'modern', verify, metadata: { authorization_servers: [issuer] } });
    closing.push(() => other.close());
    const moved = await describedAnew(scene, { upstreamUrl: other.url });
    const required = await asked(moved, 'key:ann');
    expect(await required.finished(1, new Cancel())).toBe(false);
    server.signInAs('ann2@as');
    await openBrowser().signIn(required.url);
    expect(await required.finished(1, new Cancel())).toBe(true);
    expect(await call(moved, 'key:ann')).toBe('ann2@as');
  });

  test('is used under no other issuer than the one that is written down', async () => {
    const scene = await setUp('modern');
    await signIn(scene, 'key:ann', 'ann@as');
    const upstreamUrl = scene.peer.url;
    const other = await describedAnew(scene, { upstreamUrl, auth: { issuer: 'https://other.example' } });
    await expect(call(other, 'key:ann')).rejects.toMatchObject({ code: 'credentials_failed' });
    expect(scene.peer.calls).toEqual([]);
    const same = await describedAnew(scene, { upstreamUrl, auth: { issuer: server.issuer } });
    expect(await call(same, 'key:ann')).toBe('ann@as');
  });
});

test.each([
  ['ends at every replica within seconds', false],
  ['outlasts a store that is away', true],
] as const)('a sign-in that was ended %s', async (_, isAway) => {
  const clock = { nowMs: Date.now() };
  const { credentials } = memoryStore();
  const away = { is: false };
  const store: CredentialStore = {
    ...credentials,
    findGrant: (...asked) => (away.is ? Promise.reject(new Error('the store is away')) : credentials.findGrant(...asked)),
  };
  const scene = await setUp('modern', { stores: [store, store], now: () => clock.nowMs });
  const upstreams = scene.replicas.upstreams as [Upstream, Upstream];
  await signIn(scene, 'key:ann', 'ann@as');
  await signIn(scene, 'key:bob', 'bob@as');
  const whoBoth = (principal: string) => Promise.all(upstreams.map((upstream) => call(upstream, principal)));
  expect(await whoBoth('key:ann')).toEqual(['ann@as', 'ann@as']);
  away.is = isAway;
  if (!isAway) expect(await store.removeGrants('support/crm', 'key:ann')).toBe(1);
  clock.nowMs += 6_000;
  if (isAway) expect(await whoBoth('key:ann')).toEqual(['ann@as', 'ann@as']);
  else for (const upstream of upstreams) expect((await asked(upstream, 'key:ann')).url).toContain('/oauth/start/');
  expect(await whoBoth('key:bob').catch(String)).toEqual(isAway ? expect.anything() : ['bob@as', 'bob@as']);
});

test('a lasting refusal of a token that was just issued is an error, and no sign-in for ever', async () => {
  const scene = await setUp('modern', {}, { verify: async () => undefined });
  await signIn(scene, 'key:ann', 'ann@as');
  await expect(call(scene.upstream, 'key:ann')).rejects.toThrow(
    /refuses the token that its own authorization server has just issued/,
  );
});

test('a token endpoint that is down is a passing failure: the grant stays, and the next call renews it', async () => {
  let nowMs = Date.now();
  const scene = await setUp('modern', { now: () => nowMs });
  await signIn(scene, 'key:ann', 'ann@as');
  expect(await call(scene.upstream, 'key:ann')).toBe('ann@as');
  nowMs += 2 * 3_600_000;
  const { store } = scene.replicas;
  const before = await store.findGrant('support/crm', 'key:ann');
  scene.server.setDown(true);
  await expect(call(scene.upstream, 'key:ann')).rejects.toThrow(/could not renew them\. Try again later/);
  expect(await store.findGrant('support/crm', 'key:ann')).toEqual(before);
  scene.server.setDown(false);
  expect(await call(scene.upstream, 'key:ann')).toBe('ann@as');
});

test('somebody who has not signed in is told so, however the upstream fares', async () => {
  const scene = await setUp('modern');
  await scene.peer.close();
  await expect(call(scene.upstream, 'key:ann')).rejects.toMatchObject({ code: 'credentials_failed' });
});

test('the tool to sign in with says that all is well to whoever has signed in', async () => {
  const scene = await setUp('modern');
  const tool = scene.upstream.offer().tools.find(({ name }) => name === 'sign_in_crm');
  await expect(call(scene.upstream, 'key:ann', 'sign_in_crm', { tool })).rejects.toThrow(/sign in to it first/);
  await signIn(scene, 'key:ann', 'ann@as');
  expect(await call(scene.upstream, 'key:ann', 'sign_in_crm', { tool })).toMatch(/You are signed in to support\/crm/);
});

test('a caller who asks again gets the same page, and one registration serves all', async () => {
  const scene = await setUp('modern');
  const [first, second] = [await asked(scene.upstream, 'key:ann'), await asked(scene.upstream, 'key:ann')];
  expect(second.url).toBe(first.url);
  expect((await asked(scene.upstream, 'key:bob')).url).not.toBe(first.url);
  expect(scene.server.asked.filter((path) => path === '/reg')).toHaveLength(1);
});
