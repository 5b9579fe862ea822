import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { importSPKI, jwtVerify } from 'jose';
import { Agent } from 'undici';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Secret } from '../../../src/secret.ts';
import { openReach } from '../../../src/upstreams/fetch-json.ts';
import type { ProviderTarget } from '../../../src/upstreams/model/provider.ts';
import { openVertex } from '../../../src/upstreams/model/providers/vertex.ts';
import { listenOn, type TestServer } from '../../support/upstreams/listen-on.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
const file = {
  type: 'service_account',
  client_email: 'gate@proj-1.iam.gserviceaccount.com',
  private_key: privateKey,
  private_key_id: 'k1',
  project_id: 'proj-1',
};

interface Asked {
  readonly host: string;
  readonly path: string;
  readonly form: URLSearchParams;
}

const asked: Asked[] = [];
let answer: { status: number; body: string } = { status: 200, body: '' };
let hold: Promise<void> | undefined;
let server: TestServer;
const origins: string[] = [];
/** Every origin leads to the server of these tests; what is asked of whom stays as it is. */
const agent = new Agent({
  connect: (_options, callback) => {
    const socket = connect(server.port, '127.0.0.1', () => callback(null, socket));
  },
});

beforeAll(async () => {
  const listener = createServer(async (request, response) => {
    asked.push({ host: request.headers.host ?? '', path: request.url ?? '', form: new URLSearchParams(await text(request)) });
    await hold;
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  });
  server = await listenOn(listener, 0, '');
});
afterAll(async () => {
  await agent.destroy();
  await server.close();
});
beforeEach(() => {
  asked.splice(0);
  origins.splice(0);
  hold = undefined;
  succeed('ya29.first');
});

function succeed(token: string, seconds = 3_599): void {
  answer = { status: 200, body: JSON.stringify({ access_token: token, expires_in: seconds, token_type: 'Bearer' }) };
}

function open(refuses?: (url: URL) => boolean) {
  return opened(refuses).authorize;
}

function opened(refuses: (url: URL) => boolean = () => false) {
  const reach = openReach({
    dispatcherFor: async (url) => {
      origins.push(url.origin);
      return refuses(url) ? undefined : agent;
    },
  });
  const provider = openVertex(reach);
  return {
    authorize: (nowMs: number, account: unknown = file) => {
      const target = targetWith(account);
      const url = provider.addressOf(target, { kind: 'generate', dialect: 'gemini' }, false);
      return provider.authorize(target, { url, body: Buffer.alloc(0), nowMs });
    },
    refused: (headers: Readonly<Record<string, string>>, nowMs: number) =>
      provider.refused?.(targetWith(file), headers, nowMs) ?? false,
  };
}

function targetWith(account: unknown): ProviderTarget {
  return {
    provider: 'vertex',
    model: 'gemini-3-flash',
    url: undefined,
    credential: { kind: 'google', account: new Secret(typeof account === 'string' ? account : JSON.stringify(account)) },
    region: 'us-central1',
    apiVersion: undefined,
    project: 'proj-1',
    dialects: undefined,
  };
}

const startMs = Date.parse('2026-11-26T12:00:00Z');
const minuteMs = 60_000;
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

test('a token is asked of Google with a statement that the account signed, for an hour', async () => {
  expect(await open()(startMs)).toEqual(bearer('ya29.first'));
  const [{ host, path, form } = { host: '', path: '', form: new URLSearchParams() }] = asked;
  expect([host, path]).toEqual(['oauth2.googleapis.com', '/token']);
  expect(form.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
  const { payload, protectedHeader } = await jwtVerify(form.get('assertion') ?? '', await importSPKI(publicKey, 'RS256'), {
    currentDate: new Date(startMs),
  });
  expect(protectedHeader).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'k1' });
  expect(payload).toEqual({
    iss: file.client_email,
    scope: 'https://www.googleapis.com/auth/cloud-platform',
    aud: 'https://oauth2.googleapis.com/token',
    iat: startMs / 1000,
    exp: startMs / 1000 + 3_600,
  });
});

test('many callers share one request, and later ones wait for nothing', async () => {
  const authorize = open();
  const { promise, resolve } = Promise.withResolvers<void>();
  hold = promise;
  const all = Promise.all(Array.from({ length: 100 }, async () => authorize(startMs)));
  resolve();
  expect(new Set((await all).map(({ authorization }) => authorization))).toEqual(new Set(['Bearer ya29.first']));
  expect(asked).toHaveLength(1);
  expect(authorize(startMs + 50 * minuteMs)).toEqual(bearer('ya29.first'));
  expect(asked).toHaveLength(1);
});

test('accounts have tokens of their own', async () => {
  const authorize = open();
  await authorize(startMs);
  succeed('ya29.other');
  expect(await authorize(startMs, { ...file, client_email: 'other@x' })).toEqual(bearer('ya29.other'));
  expect(await authorize(startMs)).toEqual(bearer('ya29.first'));
});

test('the next token is fetched while the last one is still good, and nobody waits for it', async () => {
  const authorize = open();
  await authorize(startMs);
  succeed('ya29.second');
  const { promise, resolve } = Promise.withResolvers<void>();
  hold = promise;
  const lateMs = startMs + 56 * minuteMs;
  expect(authorize(lateMs)).toEqual(bearer('ya29.first'));
  expect(authorize(lateMs)).toEqual(bearer('ya29.first'));
  // Whoever comes when the old one is not to be used any more waits for the same answer.
  const waiting = authorize(startMs + 59 * minuteMs + 30_000);
  resolve();
  expect(await waiting).toEqual(bearer('ya29.second'));
  expect(asked).toHaveLength(2);
});

test('a refusal is told at once to those who come within five seconds, and not after that', async () => {
  const authorize = open();
  answer = { status: 400, body: '{"error":"invalid_grant","error_description":"canary-1234"}' };
  const refusal = { code: 'credentials_failed', message: expect.not.stringContaining('canary-1234') };
  await expect(async () => authorize(startMs)).rejects.toMatchObject(refusal);
  await expect(async () => authorize(startMs + 4_000)).rejects.toMatchObject(refusal);
  expect(asked).toHaveLength(1);
  succeed('ya29.again');
  expect(await authorize(startMs + 5_000)).toEqual(bearer('ya29.again'));
});

test.each([
  ['an error page', { status: 403, body: '<html>' }],
  ['no token', { status: 200, body: '{}' }],
  ['a token that no header may hold', { status: 200, body: '{"access_token":"a\\r\\nb"}' }],
  ['a redirect', { status: 302, body: '' }],
])('%s is no token', async (_name, given) => {
  answer = given;
  await expect(async () => open()(startMs)).rejects.toMatchObject({ code: 'credentials_failed' });
});

test.each([429, 500, 503])('an endpoint that answers %d is away: others may be tried, and nothing was sent', async (status) => {
  answer = { status, body: '<html>' };
  const away = { code: 'upstream_unavailable', isUnsent: true };
  await expect(async () => open()(startMs)).rejects.toMatchObject(away);
});

test('a token that was refused is got anew once in five seconds, whoever had it', async () => {
  const { authorize, refused } = opened();
  const first = await authorize(startMs);
  succeed('ya29.second');
  expect([refused(first, startMs), refused(first, startMs)]).toEqual([true, true]);
  const second = await authorize(startMs);
  expect(second).toEqual(bearer('ya29.second'));
  // Who comes late with the first one is sent to the second.
  expect(refused(first, startMs + 1_000)).toBe(true);
  expect(refused(second, startMs + 4_999)).toBe(false);
  expect(authorize(startMs + 4_999)).toEqual(second);
  expect(refused(second, startMs + 5_000)).toBe(true);
  succeed('ya29.third');
  expect(await authorize(startMs + 5_000)).toEqual(bearer('ya29.third'));
  expect(asked).toHaveLength(3);
});

test('a token of no known life is used for an hour at most', async () => {
  const authorize = open();
  succeed('ya29.long', 1e9);
  await authorize(startMs);
  succeed('ya29.next');
  expect(await authorize(startMs + 60 * minuteMs)).toEqual(bearer('ya29.next'));
});

test('another token endpoint of the account file is asked through the guard, and only over https', async () => {
  const other = { ...file, token_uri: 'https://sts.example.com/token' };
  expect(await open()(startMs, other)).toEqual(bearer('ya29.first'));
  expect(asked.map(({ host }) => host)).toEqual(['sts.example.com']);
  expect(origins).toEqual(['https://sts.example.com']);
  const guarded = open(({ hostname }) => hostname === 'sts.example.com');
  await expect(async () => guarded(startMs, other)).rejects.toMatchObject({ code: 'credentials_failed' });
  for (const token_uri of ['http://sts.example.com/token', 'file:///etc/passwd', 7]) {
    await expect(async () => open()(startMs, { ...file, token_uri })).rejects.toMatchObject({ code: 'credentials_failed' });
  }
  expect(asked).toHaveLength(1);
});

test.each([
  ['no JSON', 'canary-1234'],
  ['a list', '["canary-1234"]'],
  ['no private key', { ...file, private_key: undefined, note: 'canary-1234' }],
  ['a private key that is none', { ...file, private_key: 'canary-1234' }],
])('an account file with %s is refused without being shown', async (_name, account) => {
  const error: unknown = await Promise.resolve()
    .then(async () => open()(startMs, account))
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'credentials_failed', message: expect.not.stringContaining('canary-1234') });
  expect(asked).toHaveLength(0);
});
