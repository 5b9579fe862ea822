import { createServer } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SignInRequired } from '../../src/upstreams/authorization.ts';
import { Cancel } from '../../src/wire/cancel.ts';
import { startAuthorizationServer, type TestAuthorizationServer } from '../support/authorization-server.ts';
import { linkOn, openBrowser, type Visited } from '../support/browser.ts';
import { type ReplicaOptions, type Replicas, startReplicas } from '../support/replicas.ts';
import { textOf, toolCall } from '../support/upstreams/harness.ts';
import { listenOn } from '../support/upstreams/listen-on.ts';
import { type ProtectedServer, startProtectedServer } from '../support/upstreams/protected-server.ts';

let server: TestAuthorizationServer;
let peer: ProtectedServer;
let replicas: Replicas;
let nowMs = Date.now();
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  server = await startAuthorizationServer();
  peer = await startProtectedServer({
    era: 'modern',
    verify: server.verify,
    metadata: { authorization_servers: [server.issuer] },
  });
});
afterAll(() => Promise.all([server.close(), peer.close()]));
beforeEach(() => {
  nowMs = Date.now();
  server.tokenRequests.length = 0;
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function start(options: Partial<ReplicaOptions> = {}): Promise<void> {
  replicas = await startReplicas({ upstreamUrl: peer.url, now: () => nowMs, ...options });
  closing.push(() => replicas.close());
}

async function ask(principal: string): Promise<SignInRequired> {
  const error = await call(principal).catch((thrown: unknown) => thrown);
  if (error instanceof SignInRequired) return error;
  throw error;
}

async function call(principal: string): Promise<string> {
  const answer = await replicas.upstreams[0]?.call(toolCall('whoami', {}, { principal }));
  return answer === undefined ? '' : textOf(answer);
}

function granted(principal: string) {
  return replicas.store.findGrant('support/crm', principal);
}

/** Goes as far as the authorization server's answer, and does not deliver it. */
async function upToCallback(browser: ReturnType<typeof openBrowser>, url: string): Promise<string> {
  let at: Visited = await browser.step(new URL(linkOn((await browser.step(url)).text) ?? '', url).href);
  for (;;) {
    const next = new URL(at.headers.get('location') ?? '', at.url).href;
    if (next.startsWith(`${replicas.publicUrl}/oauth/callback`)) return next;
    at = await browser.step(next);
  }
}

describe('a sign-in', () => {
  test('OA-07: ends in a grant for who began it, sealed, with PKCE and the resource in both requests', async () => {
    await start();
    const { url } = await ask('key:ann');
    server.signInAs('ann@as');
    const end = await openBrowser().signIn(url);
    expect(end.text).toContain('Signed in to support/crm');
    const grant = await granted('key:ann');
    expect(grant).toMatchObject({ issuer: server.issuer, principal: 'key:ann' });
    const authorization = new URL(end.way.find((address) => address.startsWith(`${server.issuer}/auth?`)) ?? '').searchParams;
    expect(Object.fromEntries(authorization)).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      resource: peer.url,
      scope: 'notes:read offline_access',
    });
    const [exchange] = server.tokenRequests;
    expect(exchange?.get('resource')).toBe(peer.url);
    const verifier = exchange?.get('code_verifier') ?? '';
    expect(verifier).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await call('key:ann')).toBe('ann@as');
    const token = peer.arrived.findLast(({ account }) => account === 'ann@as')?.headers.authorization?.slice(7) ?? 'none';
    expect(token).not.toBe('none');
    for (const secret of [token, verifier]) expect(JSON.stringify(grant)).not.toContain(secret);
  });

  test('OA-04: says on its first page who signs in to what, and sets a cookie there that only we get back', async () => {
    await start();
    const { url } = await ask('key:<b>ann</b>');
    const page = await openBrowser().step(url);
    expect(page.status).toBe(200);
    expect(page.text).toContain('key:&lt;b&gt;ann&lt;/b&gt;');
    expect(page.text).toContain(new URL(server.issuer).host);
    expect(page.text).not.toMatch(/<script|<form|<img|style=/);
    expect(page.headers.get('set-cookie')).toMatch(
      /^gatehouse-sign-in=[\w-]{43}; Path=\/oauth; HttpOnly; SameSite=Lax; Max-Age=3600$/,
    );
    expect(page.headers.get('content-security-policy')).toBe(
      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
  });

  test('OA-05: is refused in a browser that did not begin it, and goes on in the one that did', async () => {
    await start();
    const { url } = await ask('key:mallory');
    server.signInAs('mallory@as');
    const mallory = openBrowser();
    const page = await mallory.step(url);
    const onward = await mallory.step(new URL(linkOn(page.text) ?? '', url).href);
    const captured = new URL(onward.headers.get('location') ?? '', onward.url).href;
    // The victim opens the captured address, is signed in at the authorization server, and agrees.
    server.signInAs('victim@as');
    const victim = await openBrowser().visit(captured);
    expect([victim.status, victim.text]).toEqual([403, expect.stringContaining('begun in another browser')]);
    expect(await granted('key:mallory')).toBeUndefined();
    expect(server.tokenRequests).toEqual([]);
    server.signInAs('mallory@as');
    expect((await mallory.visit(captured)).status).toBe(200);
    expect(await call('key:mallory')).toBe('mallory@as');
  });

  test('OA-05: cannot be pushed past its first page: the link on it works in the browser that was shown it', async () => {
    await start();
    const { url } = await ask('key:mallory');
    const page = await openBrowser().step(url);
    const link = new URL(linkOn(page.text) ?? '', url).href;
    for (const address of [link, `${url}/continue`, `${url}/continue?check=x`])
      expect((await openBrowser().step(address)).status).toBe(403);
    const victim = openBrowser();
    await victim.step(url);
    expect((await victim.step(link)).status).toBe(403);
  });

  test('OA-05: takes its answer once: the same answer again is refused, in the same browser too', async () => {
    await start();
    const browser = openBrowser();
    const { url } = await ask('key:ann');
    server.signInAs('ann@as');
    const callback = await upToCallback(browser, url);
    expect((await browser.step(callback)).status).toBe(200);
    const before = await granted('key:ann');
    expect((await browser.step(callback)).status).toBe(404);
    expect(await granted('key:ann')).toEqual(before);
    expect(server.tokenRequests).toHaveLength(1);
    expect((await browser.step(url)).status).toBe(404);
  });

  test('takes one of many answers that come at once', async () => {
    await start();
    const browser = openBrowser();
    const { url } = await ask('key:ann');
    server.signInAs('ann@as');
    const callback = await upToCallback(browser, url);
    const statuses = await Promise.all(Array.from({ length: 10 }, () => browser.step(callback).then(({ status }) => status)));
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(server.tokenRequests).toHaveLength(1);
  });

  test.each([
    ['another state', (url: URL) => url.searchParams.set('state', `${url.searchParams.get('state')}x`)],
    ['half a state', (url: URL) => url.searchParams.set('state', url.searchParams.get('state')?.split('.')[0] ?? '')],
    ['no state', (url: URL) => url.searchParams.delete('state')],
    ['the issuer of another server', (url: URL) => url.searchParams.set('iss', 'https://evil.example.com')],
    ['an issuer that is the same but for a slash', (url: URL) => url.searchParams.set('iss', `${server.issuer}/`)],
    ['two issuers', (url: URL) => url.searchParams.append('iss', server.issuer)],
    ['no issuer, though the server promised one', (url: URL) => url.searchParams.delete('iss')],
    ['no code', (url: URL) => url.searchParams.delete('code')],
    ['an error', (url: URL) => url.searchParams.set('error', '<script>')],
  ])('OA-07: refuses an answer with %s before the code is shown to anybody', async (_what, change) => {
    await start();
    const browser = openBrowser();
    const { url } = await ask('key:ann');
    server.signInAs('ann@as');
    const callback = new URL(await upToCallback(browser, url));
    change(callback);
    const refused = await browser.step(callback.href);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(refused.text).not.toContain('<script>');
    expect(server.tokenRequests).toEqual([]);
    expect(await granted('key:ann')).toBeUndefined();
  });

  test('is over after ten minutes, and a new call begins another', async () => {
    await start();
    const { url } = await ask('key:ann');
    nowMs += 10 * 60_000 + 1;
    expect((await openBrowser().step(url)).status).toBe(404);
    const again = await ask('key:ann');
    expect(again.url).not.toBe(url);
    server.signInAs('ann@as');
    expect((await openBrowser().signIn(again.url)).status).toBe(200);
  });

  test('that was refused at the authorization server leaves nothing, and can be begun again', async () => {
    await start();
    const browser = openBrowser();
    const { url } = await ask('key:ann');
    const callback = new URL(await upToCallback(browser, url));
    callback.searchParams.delete('code');
    callback.searchParams.set('error', 'access_denied');
    expect((await browser.step(callback.href)).text).toContain('Access was denied');
    const again = await ask('key:ann');
    expect(again.url).not.toBe(url);
  });

  test('does not end by itself: whoever waits for it hears that it did not', async () => {
    await start();
    const required = await ask('key:ann');
    expect(await required.finished(20, new Cancel())).toBe(false);
    const cancel = new Cancel();
    const waiting = required.finished(60_000, cancel);
    cancel.cancel('gone');
    expect(await waiting).toBe(false);
  });

  test('needs an address that browsers reach safely', async () => {
    await start({ publicUrl: 'http://gatehouse.example.com' });
    await expect(call('key:ann')).rejects.toMatchObject({
      code: 'credentials_failed',
      message: expect.stringContaining('GATEHOUSE_PUBLIC_URL'),
    });
  });
});

describe('registration', () => {
  test('goes by our own metadata document where the server takes one and can reach it', async () => {
    const far = await startMetadataServer({ client_id_metadata_document_supported: true, ...saysWhoAnswers });
    await start({ upstreamUrl: far.upstreamUrl, publicUrl: 'https://gatehouse.example.com' });
    const { url } = await ask('key:ann');
    expect(url).toMatch(/^https:\/\/gatehouse\.example\.com\/oauth\/start\/[\w-]{43}$/);
    const browser = openBrowser();
    const local = (address: string) => address.replace('https://gatehouse.example.com', replicas.pagesUrl);
    const page = await browser.step(local(url));
    expect(page.headers.get('set-cookie')).toMatch(
      /^__Host-gatehouse-sign-in=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Lax/,
    );
    const onward = await browser.step(local(linkOn(page.text) ?? ''));
    const clientId = new URL(onward.headers.get('location') ?? '').searchParams.get('client_id') ?? '';
    expect(clientId).toBe('https://gatehouse.example.com/oauth/client-metadata.json');
    const document = await browser.step(local(clientId));
    expect(document.headers.get('content-type')).toBe('application/json');
    expect(JSON.parse(document.text)).toMatchObject({
      client_id: clientId,
      client_name: 'Gatehouse',
      redirect_uris: ['https://gatehouse.example.com/oauth/callback'],
      token_endpoint_auth_method: 'none',
    });
    expect(far.asked).not.toContain('/reg');
  });

  test('OA-07: goes by a document that all servers know only where a server says who answers, or the operator wrote it down', async () => {
    const documents = { client_id_metadata_document_supported: true };
    const clientOf = async (special: object, auth: (issuer: string) => object = () => ({})) => {
      const far = await startMetadataServer({ ...documents, ...special });
      await start({ upstreamUrl: far.upstreamUrl, publicUrl: 'https://gatehouse.example.com', auth: auth(far.issuer) });
      const local = (address: string) => address.replace('https://gatehouse.example.com', replicas.pagesUrl);
      const browser = openBrowser();
      const page = await browser.step(local((await ask('key:ann')).url));
      const onward = await browser.step(local(linkOn(page.text) ?? ''));
      return new URL(onward.headers.get('location') ?? '').searchParams;
    };
    const silent = await clientOf({});
    expect(silent.get('client_id')).toBe('made-up');
    expect(silent.get('redirect_uri')).toMatch(/\/oauth\/callback\/[\w-]{22}$/);
    await expect(clientOf({ registration_endpoint: undefined })).rejects.toThrow(/does not promise to say who answers/);
    const document = 'https://gatehouse.example.com/oauth/client-metadata.json';
    const none = { registration_endpoint: undefined };
    expect((await clientOf({ ...none, ...saysWhoAnswers })).get('client_id')).toBe(document);
    expect((await clientOf(none, (issuer) => ({ issuer }))).get('client_id')).toBe(document);
  });

  test('goes by a client id that the operator wrote down before anything else', async () => {
    const far = await startMetadataServer({ client_id_metadata_document_supported: true });
    await start({ upstreamUrl: far.upstreamUrl, auth: { clientId: 'made-by-hand' } });
    const browser = openBrowser();
    const { url } = await ask('key:ann');
    const onward = await browser.step(new URL(linkOn((await browser.step(url)).text) ?? '', url).href);
    expect(new URL(onward.headers.get('location') ?? '').searchParams.get('client_id')).toBe('made-by-hand');
    expect(far.asked).not.toContain('/reg');
  });

  test('sends a secret to no other server than the one it was written down for', async () => {
    const far = await startMetadataServer({});
    const auth = { clientId: 'made-by-hand', clientSecret: `\${secret:CRM}`, issuer: 'https://as.example.com' };
    await start({ upstreamUrl: far.upstreamUrl, auth, secrets: { CRM: 'client-secret-canary' } });
    await expect(call('key:ann')).rejects.toThrow(/no longer names the authorization server that is written as "issuer"/);
    expect(far.asked).toEqual([]);
  });

  test('by itself says what it is and where people come back to', async () => {
    const far = await startMetadataServer({});
    await start({ upstreamUrl: far.upstreamUrl });
    await ask('key:ann');
    expect(JSON.parse(far.registrations[0] ?? '{}')).toEqual({
      client_name: 'Gatehouse',
      redirect_uris: [expect.stringMatching(`^${replicas.publicUrl}/oauth/callback/[\\w-]{22}$`)],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: 'native',
      token_endpoint_auth_method: 'client_secret_basic',
    });
  });
});

describe('OA-07: a server that sends people to the pages of another one', () => {
  /** Its own token endpoint, the other's pages, and a client id that the other one knows. */
  async function startMixer(clientId: string) {
    const codes: string[] = [];
    const far = await startMetadataServer({ authorization_endpoint: `${server.issuer}/auth` }, (url, body) => {
      if (url === '/reg') return { client_id: clientId };
      codes.push(new URLSearchParams(body).get('code') ?? '');
      return { access_token: 'x', token_type: 'Bearer' };
    });
    return { far, codes };
  }

  async function goOn(browser: ReturnType<typeof openBrowser>, url: string): Promise<string> {
    const onward = await browser.step(new URL(linkOn((await browser.step(url)).text) ?? '', url).href);
    return onward.headers.get('location') ?? '';
  }

  test('gets no code of it: people come back to an address of its own, which the other one does not know', async () => {
    await start();
    server.signInAs('ann@as');
    const honest = openBrowser();
    const { url } = await ask('key:ann');
    const known = new URL(await goOn(honest, url)).searchParams;
    const { far, codes } = await startMixer(known.get('client_id') ?? '');
    await start({ upstreamUrl: far.upstreamUrl });
    const browser = openBrowser();
    const mixed = await goOn(browser, (await ask('key:ann')).url);
    expect(mixed.startsWith(`${server.issuer}/auth?`)).toBe(true);
    const { text, way } = await browser.visit(mixed);
    expect(text).toContain('redirect_uri');
    expect(way.filter((at) => at.includes('/oauth/callback'))).toEqual([]);
    expect(codes).toEqual([]);
  });

  test('nor where people are sent back to the address of the other one', async () => {
    const { far, codes } = await startMixer('some-client');
    await start({ upstreamUrl: far.upstreamUrl });
    const comeBackTo = async (place: (own: string) => string) => {
      const browser = openBrowser();
      const { searchParams } = new URL(await goOn(browser, (await ask('key:ann')).url));
      const own = searchParams.get('redirect_uri') ?? '';
      expect(own).toMatch(/\/oauth\/callback\/[\w-]{22}$/);
      return (await browser.step(`${place(own)}?code=c&state=${searchParams.get('state')}`)).status;
    };
    expect(await comeBackTo((own) => `${own.slice(0, -22)}${'A'.repeat(22)}`)).toBe(400);
    expect(await comeBackTo((own) => own.slice(0, -23))).toBe(400);
    expect(codes).toEqual([]);
    expect(await comeBackTo((own) => own)).toBe(200);
    expect(codes).toEqual(['c']);
  });

  test('nor by calling Gatehouse what others know it by', async () => {
    const { far } = await startMixer('https://gatehouse.example.com/oauth/client-metadata.json');
    await start({ upstreamUrl: far.upstreamUrl, publicUrl: 'https://gatehouse.example.com' });
    await expect(call('key:ann')).rejects.toThrow('did not register Gatehouse');
  });
});

/** An upstream and an authorization server whose metadata says something special. */
/** RFC 9207 section 3. */
const saysWhoAnswers = { authorization_response_iss_parameter_supported: true };

async function startMetadataServer(
  special: Record<string, unknown>,
  answer: (path: string, body: string) => object = () => ({ client_id: 'made-up' }),
) {
  const asked: string[] = [];
  const registrations: string[] = [];
  const far = await listenOn(
    createServer((request, response) => {
      asked.push(request.url ?? '');
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { url = '' } = request;
        const sent = Buffer.concat(chunks).toString();
        if (url === '/reg') registrations.push(sent);
        const body =
          url === '/reg' || url === '/token'
            ? answer(url, sent)
            : {
                issuer: far.url,
                authorization_endpoint: `${far.url}/auth`,
                token_endpoint: `${far.url}/token`,
                registration_endpoint: `${far.url}/reg`,
                code_challenge_methods_supported: ['S256'],
                ...special,
              };
        response.writeHead(request.url === '/reg' ? 201 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    }),
    0,
    '',
  );
  const upstream = await startProtectedServer({
    era: 'modern',
    verify: async () => undefined,
    metadata: { authorization_servers: [far.url] },
  });
  closing.push(() => far.close());
  closing.push(() => upstream.close());
  return { asked, registrations, issuer: far.url, upstreamUrl: upstream.url };
}
