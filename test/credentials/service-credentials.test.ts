import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { jwtVerify } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { UpstreamAuth } from '../../src/catalog/config.ts';
import { service, startAuthorizationServer, type TestAuthorizationServer } from '../support/authorization-server.ts';
import { type Replicas, startReplicas } from '../support/replicas.ts';
import { overHttp, started, textOf, toolCall } from '../support/upstreams/harness.ts';
import { listenOn } from '../support/upstreams/listen-on.ts';
import { type ProtectedServer, startProtectedServer } from '../support/upstreams/protected-server.ts';
import { reply, startModernRaw } from '../support/upstreams/raw-server.ts';

let server: TestAuthorizationServer;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  server = await startAuthorizationServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.tokenRequests.length = 0;
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function serviceAuth(changes: Partial<UpstreamAuth> = {}): Partial<UpstreamAuth> {
  return { kind: 'client-credentials', issuer: server.issuer, clientId: service.id, clientSecret: `\${secret:CRM}`, ...changes };
}

async function start(
  era: 'modern' | 'legacy',
  changes: Partial<UpstreamAuth> = {},
  secret = service.secret,
): Promise<ProtectedServer> {
  const peer = await startProtectedServer({ era, verify: server.verify, metadata: {} });
  closing.push(() => peer.close());
  replicas = await startReplicas({ upstreamUrl: peer.url, auth: serviceAuth(changes), secrets: { CRM: secret } });
  closing.push(() => replicas.close());
  return peer;
}
let replicas: Replicas;

async function call(principal: string, tool = 'whoami'): Promise<string> {
  const answer = await replicas.upstreams[0]?.call(toolCall(tool, {}, { principal }));
  return answer === undefined ? '' : textOf(answer);
}

describe.each(['modern', 'legacy'] as const)('a %s upstream that Gatehouse calls in its own name', (era) => {
  test('is listed and called with one token for all callers', async () => {
    const peer = await start(era);
    expect(replicas.upstreams[0]?.offer().tools.map(({ name }) => name)).toEqual(['whoami', 'write', 'echo_token']);
    const texts = await Promise.all(['ann', 'bob'].map((name) => call(`key:${name}`)));
    expect(texts).toEqual([`client ${service.id}`, `client ${service.id}`]);
    expect(server.tokenRequests.map((request) => Object.fromEntries(request))).toEqual([
      { grant_type: 'client_credentials', resource: peer.url },
    ]);
  });

  test('OA-09: gets another token when the one there was has run out: 50 calls, one request, none fails', async () => {
    await start(era);
    expect(await call('key:ann')).toBe(`client ${service.id}`);
    server.expireTokens();
    const texts = await Promise.all(Array.from({ length: 50 }, () => call('key:ann')));
    expect(new Set(texts)).toEqual(new Set([`client ${service.id}`]));
    expect(server.tokenRequests).toHaveLength(2);
  });

  test('gets a token for the wider scope it asks for, once', async () => {
    await start(era, { scopes: ['notes:read'] });
    expect(await call('key:ann', 'write')).toBe(`client ${service.id}`);
    expect(server.tokenRequests.map((request) => request.get('scope'))).toEqual(['notes:read', 'notes:read notes:write']);
  });
});

test('a token endpoint can be written down instead of an issuer', async () => {
  await start('modern', { issuer: undefined, tokenUrl: `${server.issuer}/token` });
  expect(await call('key:ann')).toBe(`client ${service.id}`);
});

test('a wrong secret is an error that says what to check and does not hold the secret, and is not tried at each call', async () => {
  await start('modern', {}, 'wrong-secret-canary');
  for (let n = 0; n < 5; n++) {
    const error = await call('key:ann').catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ message: expect.stringMatching(/refused \(invalid_client\)\. Check the client id/) });
    expect(JSON.stringify(error) + String(error)).not.toContain('wrong-secret-canary');
  }
  expect(server.tokenRequests.length).toBeLessThan(3);
  expect(JSON.stringify(replicas.harnesses[0]?.logged)).not.toContain('wrong-secret-canary');
});

/** A token endpoint that keeps what it was sent; `expiresIn` is JSON as it stands in its answers. */
async function startTokenEndpoint(expiresIn = '"60"') {
  const seen: { authorization: string | undefined; body: URLSearchParams }[] = [];
  const far = await listenOn(
    createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        seen.push({ authorization: request.headers.authorization, body: new URLSearchParams(Buffer.concat(chunks).toString()) });
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"access_token":"a-token-of-the-tests","token_type":"bearer","expires_in":${expiresIn}}`);
      });
    }),
    0,
    '/token',
  );
  closing.push(() => far.close());
  return { seen, url: far.url };
}

async function tokenFor(changes: Partial<UpstreamAuth>, secret: string) {
  const endpoint = await startTokenEndpoint();
  const peer = await startProtectedServer({ era: 'modern', verify: async () => ({ account: 'x', scopes: [] }), metadata: {} });
  closing.push(() => peer.close());
  const auth = { ...serviceAuth({ issuer: undefined, tokenUrl: endpoint.url, clientId: 'a b:c' }), ...changes };
  replicas = await startReplicas({ upstreamUrl: peer.url, auth, secrets: { CRM: secret } });
  closing.push(() => replicas.close());
  return { ...endpoint.seen[0], url: endpoint.url };
}

test.each(['0', '-1', '1e-10', '"1e-10"', '1e-3', '1e400', '"NaN"', 'null', '[]', '60'])(
  'OA-09: a token endpoint that says "expires_in": %s is not asked by every call',
  async (expiresIn) => {
    const endpoint = await startTokenEndpoint(expiresIn);
    const peer = await startProtectedServer({ era: 'modern', verify: async () => ({ account: 'x', scopes: [] }), metadata: {} });
    closing.push(() => peer.close());
    const nowMs = Date.now();
    const auth = serviceAuth({ issuer: undefined, tokenUrl: endpoint.url });
    replicas = await startReplicas({ upstreamUrl: peer.url, auth, secrets: { CRM: 'x' }, now: () => nowMs });
    closing.push(() => replicas.close());
    for (let n = 0; n < 5; n++) await call('key:ann');
    expect(endpoint.seen).toHaveLength(1);
  },
);

describe('a client shows that it is itself', () => {
  test('by its secret in a header, both parts form-encoded', async () => {
    const { authorization = '' } = await tokenFor({}, 'p%s:/+ é');
    expect(Buffer.from(authorization.replace('Basic ', ''), 'base64').toString()).toBe('a+b%3Ac:p%25s%3A%2F%2B+%C3%A9');
  });

  test('by its secret in the body, where the file says so', async () => {
    const { authorization, body } = await tokenFor({ clientAuth: 'client_secret_post' }, 'secret-of-tests');
    expect(authorization).toBeUndefined();
    expect(Object.fromEntries(body ?? [])).toMatchObject({ client_id: 'a b:c', client_secret: 'secret-of-tests' });
  });

  test.each([
    ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['P-256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['Ed25519', () => generateKeyPairSync('ed25519')],
  ])('by a signature with its %s key', async (_kind, make) => {
    const pem = make().privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const privateKey = `\${secret:CRM}`;
    const { body, authorization, url } = await tokenFor({ clientSecret: undefined, privateKey }, pem.replaceAll('\n', '\\n'));
    expect(authorization).toBeUndefined();
    expect(body?.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    const { payload } = await jwtVerify(body?.get('client_assertion') ?? '', createPublicKey(pem), { audience: url });
    expect(payload).toMatchObject({ iss: 'a b:c', sub: 'a b:c' });
  });
});

test('a secret in a fixed header is blanked out wherever an answer repeats it', async () => {
  const secret = 'header-secret-canary/0123456789';
  const peer = await startModernRaw((request) => {
    const text = `you sent ${request.request.headers.authorization}`;
    if (request.message?.params.name === 'refuse') reply(request, { error: { code: -32000, message: text } }, 400);
    else if (request.message?.params.name === 'fail') reply(request, { error: { code: 7, message: text } });
    else reply(request, { result: { resultType: 'complete', content: [{ type: 'text', text }] } });
  });
  closing.push(() => peer.close());
  const headers = { Authorization: `Bearer \${secret:CRM_KEY}` };
  const harness = await started(overHttp(peer.url, { headers, secrets: { CRM_KEY: secret } }));
  closing.push(() => harness.upstream.close());
  expect(textOf(await harness.upstream.call(toolCall('poke')))).toBe(`you sent Bearer ${'*'.repeat(secret.length)}`);
  expect(textOf(await harness.upstream.call(toolCall('fail')))).toBe(`error 7: you sent Bearer ${'*'.repeat(secret.length)}`);
  const refusal = await harness.upstream.call(toolCall('refuse')).catch((error: Error) => error);
  expect(JSON.stringify(refusal)).not.toContain(secret);
  expect(JSON.stringify(harness.logged)).not.toContain(secret);
});
