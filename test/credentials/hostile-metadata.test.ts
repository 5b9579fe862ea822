import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { discover } from '../../src/credentials/discovery.ts';
import { SignInRequired } from '../../src/upstreams/authorization.ts';
import { createEgressGuard } from '../../src/upstreams/egress.ts';
import { FetchFailed, openReach } from '../../src/upstreams/fetch-json.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { startReplicas } from '../support/replicas.ts';
import { toolCall } from '../support/upstreams/harness.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';
import { type ProtectedOptions, startProtectedServer } from '../support/upstreams/protected-server.ts';

/** Something inside that must never be connected to. */
let canary: TestServer;
let hits = 0;
/** An authorization server whose metadata says whatever a test wants. */
let server: TestServer & { readonly asked: string[] };
let metadata: (issuer: string) => JsonObject;
let redirectTo: string | undefined;

beforeAll(async () => {
  const inside = createServer((_request, response) => {
    hits++;
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  inside.on('connection', () => hits++);
  canary = await listenOn(inside, 0, '');
  const asked: string[] = [];
  const listening = await listenOn(
    createServer((request, response) => {
      asked.push(request.url ?? '');
      if (redirectTo !== undefined) {
        response.writeHead(307, { location: redirectTo }).end();
        return;
      }
      const isRegistration = request.url === '/reg';
      const body = isRegistration ? { client_id: 'made-up' } : metadata(listening.url);
      response.writeHead(isRegistration ? 201 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }),
    0,
    '',
  );
  server = { ...listening, asked };
});
afterAll(() => Promise.all([canary.close(), server.close()]));
beforeEach(() => {
  hits = 0;
  server.asked.length = 0;
  redirectTo = undefined;
  metadata = honest;
});

function honest(issuer: string): JsonObject {
  return {
    issuer,
    authorization_endpoint: `${issuer}/auth`,
    token_endpoint: `${issuer}/token`,
    registration_endpoint: `${issuer}/reg`,
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
  };
}

/** What a caller hears that wants to sign in; only the authorization server's port may be reached, besides the upstream itself. */
async function attempt(options: Partial<ProtectedOptions> = {}): Promise<unknown> {
  const peer = await startProtectedServer({
    era: 'modern',
    verify: async () => undefined,
    metadata: { authorization_servers: [server.url] },
    ...options,
  });
  const replicas = await startReplicas({
    upstreamUrl: peer.url,
    egress: [{ kind: 'range', address: '127.0.0.1', prefix: 32, family: 'ipv4', port: server.port }],
  });
  try {
    return await replicas.upstreams[0]?.call(toolCall('whoami', {}, { principal: 'key:ann' }));
  } catch (error) {
    return error;
  } finally {
    await replicas.close();
    await peer.close();
  }
}

function addresses(): string[] {
  return [
    'javascript:alert(1)',
    'file:///etc/passwd',
    'data:application/json,{}',
    '$(touch c)',
    'http://169.254.169.254/latest/meta-data',
    'https://169.254.169.254/latest/meta-data',
    canary.url,
    `http://localhost:${canary.port}/`,
    `http://2130706433:${canary.port}/`,
    `http://[::ffff:127.0.0.1]:${canary.port}/`,
    `https://127.0.0.1:${canary.port}/`,
    'https://user:password@as.example.com/',
    '',
  ];
}
const kinds = Array.from({ length: 13 }, (_, n) => n);

test('honest metadata leads to a sign-in', async () => {
  expect(await attempt()).toBeInstanceOf(SignInRequired);
});

describe.each(['authorization_endpoint', 'token_endpoint', 'registration_endpoint'])('OA-08: a hostile %s', (name) => {
  test.each(kinds)('of kind %i is refused, and nobody is connected to', async (kind) => {
    metadata = (issuer) => ({ ...honest(issuer), [name]: addresses()[kind] ?? '' });
    expect(await attempt()).toMatchObject({ code: 'credentials_failed', message: expect.stringContaining(name) });
    expect(hits).toBe(0);
    expect(existsSync('c')).toBe(false);
  });
});

describe('OA-08: a hostile upstream', () => {
  test.each(kinds)('that names an authorization server of kind %i is refused, and nobody is connected to', async (kind) => {
    const outcome = await attempt({ metadata: { authorization_servers: [addresses()[kind] ?? ''] } });
    expect(outcome).toMatchObject({ code: 'credentials_failed' });
    expect(hits).toBe(0);
  });

  test.each(kinds)('whose challenge points to metadata of kind %i is refused, and nobody is connected to', async (kind) => {
    const outcome = await attempt({ challenge: () => `Bearer resource_metadata="${addresses()[kind] ?? ''}"` });
    expect(outcome).toMatchObject({ code: 'credentials_failed' });
    expect(hits).toBe(0);
  });

  test.each([
    ['another origin', 'https://evil.example.com/mcp'],
    ['another path', (origin: string) => `${origin}/other`],
    ['a path that only begins alike', (origin: string) => `${origin}/mc`],
    ['no URL', 'mcp'],
    ['no text', 7],
  ])('whose metadata is about %s is refused before anybody else is asked', async (_what, resource) => {
    const outcome = await attempt({
      metadata: (origin) => ({ authorization_servers: [server.url], resource: resourceOf(resource, origin) }),
    });
    expect(outcome).toMatchObject({ code: 'credentials_failed', message: expect.stringContaining('another resource') });
    expect(server.asked).toEqual([]);
  });
});

function resourceOf(resource: string | number | ((origin: string) => string), origin: string): string | number {
  return typeof resource === 'function' ? resource(origin) : resource;
}

describe('an authorization server', () => {
  test.each([
    ['does not say that it knows S256', { code_challenge_methods_supported: ['plain'] }, /PKCE with S256/],
    ['says nothing of PKCE', { code_challenge_methods_supported: null }, /PKCE with S256/],
    ['answers in the name of another one', { issuer: 'https://attacker.example.com' }, /in the name of another one/],
    ['is itself but for a slash', { issuer: 'slash' }, /in the name of another one/],
    ['has no page to sign in at', { authorization_endpoint: undefined }, /has no page to sign in at/],
    [
      'registers nobody',
      { registration_endpoint: undefined },
      /Register Gatehouse at http:\/\/127\.0\.0\.1:\d+ with the redirect URI/,
    ],
  ])('that %s is refused', async (_what, change, message) => {
    metadata = (issuer) => {
      const changed: Record<string, unknown> = { ...honest(issuer), ...change };
      if (changed.issuer === 'slash') changed.issuer = `${issuer}/`;
      return JSON.parse(JSON.stringify(changed)) as JsonObject;
    };
    expect(await attempt()).toMatchObject({ code: 'credentials_failed', message: expect.stringMatching(message) });
  });

  test('that redirects inside is not followed; within itself it is', async () => {
    redirectTo = `${canary.url}/metadata`;
    expect(await attempt()).toMatchObject({ code: 'credentials_failed' });
    expect(hits).toBe(0);
  });
});

test('all places that metadata may be at share one time, whatever each of them may take', async () => {
  const times: number[] = [];
  const url = 'https://crm.example/mcp';
  const reach = {
    mayReach: async () => true,
    async fetchJson({ deadlineMs = Number.POSITIVE_INFINITY }: { readonly deadlineMs?: number }) {
      times.push(deadlineMs);
      await new Promise((resolve) => setTimeout(resolve, 2));
      return { status: 404, body: undefined };
    },
  };
  const asked = {
    upstreamId: 'support/crm',
    upstreamUrl: new URL(url),
    resource: undefined,
    challenge: undefined,
    named: new Set([]),
  };
  await expect(discover({ ...asked, issuer: 'https://as.example/a', reach })).rejects.toMatchObject({
    code: 'credentials_failed',
  });
  expect(times).toHaveLength(5);
  expect(times.every((timeMs) => Number.isInteger(timeMs) && timeMs > 0 && timeMs <= 15_000)).toBe(true);
  expect(times).toEqual([...times].sort((one, other) => other - one));
  expect(times.at(-1)).toBeLessThan(times[0] ?? 0);
});

describe('fetching', () => {
  async function fetchFrom(handler: Parameters<typeof createServer>[1], method: 'GET' | 'POST' = 'GET') {
    const far = await listenOn(createServer(handler), 0, '');
    const egress = createEgressGuard([]);
    try {
      return await openReach(egress).fetchJson({ url: far.url, method, named: new Set([far.url]) });
    } finally {
      await egress.close();
      await far.close();
    }
  }

  test('takes JSON objects, and calls everything else no body', async () => {
    const body = (text: string) => fetchFrom((_request, response) => void response.end(text)).then((answer) => answer.body);
    expect(await body('{"a":1}')).toEqual({ a: 1 });
    for (const text of ['[1]', '"x"', 'null', '', '<html>']) expect(await body(text)).toBeUndefined();
  });

  test('gives up on an answer that is too large', async () => {
    const endless = fetchFrom((_request, response) => {
      const timer = setInterval(() => response.write('x'.repeat(65_536)), 1);
      response.on('close', () => clearInterval(timer));
    });
    await expect(endless).rejects.toMatchObject({ reason: 'too-large' });
  });

  test('follows a redirect within the origin for a GET, three at most, and none for a POST', async () => {
    const twice: Parameters<typeof createServer>[1] = (request, response) => {
      const hop = Number(request.url?.slice(1));
      if (hop >= 2) response.end('{"arrived":true}');
      else response.writeHead(302, { location: `/${hop + 1}` }).end();
    };
    expect((await fetchFrom(twice)).body).toEqual({ arrived: true });
    await expect(fetchFrom(twice, 'POST')).rejects.toThrow(FetchFailed);
    const always = fetchFrom((_request, response) => void response.writeHead(302, { location: '/' }).end());
    await expect(always).rejects.toMatchObject({ reason: 'redirect' });
  });
});
