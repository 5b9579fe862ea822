import { createServer, type RequestListener } from 'node:http';
import type { JWK } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { forgeToken, makeKey, publicPart, startOidcProvider, type TestIssuer } from '../support/oidc-provider.ts';
import { until } from '../support/until.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';
import { makeVerifier, type TestVerifier, triage } from './verifier.ts';

const unavailable = /^issuer_unavailable: The keys of the issuer/;
const unknownKey = /^unauthenticated: This token is signed with a key that its issuer does not publish/;
const minuteMs = 60_000;

describe('a provider of another maker', () => {
  let login: TestIssuer;
  let verifier: TestVerifier;
  /** A token that is new, and valid by the verifier's clock. */
  let count = 0;
  const fresh = (header = {}) => {
    const nowS = Math.floor(verifier.clock.nowMs() / 1000);
    return login.forge({ sub: `s${count++}`, aud: triage, iat: nowS, exp: nowS + 300 }, header);
  };
  beforeEach(async () => {
    login = await startOidcProvider('ES256');
    verifier = makeVerifier({ issuer: login.issuer });
  });
  afterEach(async () => {
    await Promise.all([verifier.close(), login.close()]);
  });

  test('nothing is fetched before a token comes, and then once, however many come at once', async () => {
    expect(login.asked.size).toBe(0);
    expect(verifier.status()).toEqual([{ issuer: login.issuer, state: 'unused', keys: 0, lastError: undefined }]);
    const tokens = await Promise.all(Array.from({ length: 50 }, () => fresh()));
    const outcomes = await Promise.all(tokens.map((token) => verifier.outcome(token)));
    expect(outcomes.every((outcome) => outcome.startsWith('oauth:'))).toBe(true);
    expect(login.keyFetches()).toBe(1);
    expect(verifier.status()).toEqual([{ issuer: login.issuer, state: 'ready', keys: 1, lastError: undefined }]);
  });

  test('a new key of the issuer is found when a token has it; tokens of the old one are refused from then on', async () => {
    const before = await fresh();
    expect(await verifier.outcome(before)).toMatch(/^oauth/);
    await login.rotate();
    const after = await fresh();
    // Asked a moment ago: whether there is a new key is not asked again so soon.
    expect(await verifier.outcome(after)).toMatch(unknownKey);
    verifier.clock.advance(10_000);
    expect(await verifier.outcome(after)).toMatch(/^oauth/);
    expect(login.keyFetches()).toBe(2);
    verifier.clock.advance(minuteMs);
    expect(await verifier.outcome(before)).toMatch(unknownKey);
  });

  test('a flood of unknown keys asks the issuer once in ten seconds', async () => {
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    const flood = async (times: number) => {
      const tokens = await Promise.all(Array.from({ length: times }, (_, at) => fresh({ kid: `unknown-${at}` })));
      for (const outcome of await Promise.all(tokens.map((token) => verifier.outcome(token))))
        expect(outcome).toMatch(unknownKey);
    };
    await flood(200);
    expect(login.keyFetches()).toBe(1);
    for (const fetches of [2, 3]) {
      verifier.clock.advance(10_000);
      await flood(200);
      expect(login.keyFetches()).toBe(fetches);
    }
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
  });

  test('an issuer that is down keeps nobody out who has a token, for six hours', async () => {
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    login.setDown(true);
    verifier.clock.advance(5 * 60 * minuteMs);
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    expect(verifier.status()).toMatchObject([{ state: 'stale', keys: 1 }]);
    verifier.clock.advance(61 * minuteMs);
    expect(await verifier.outcome(await fresh())).toMatch(unavailable);
    expect(verifier.status()).toMatchObject([{ state: 'unavailable', keys: 0 }]);
    login.setDown(false);
    verifier.clock.advance(10_000);
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    expect(verifier.status()).toMatchObject([{ state: 'ready', lastError: undefined }]);
  });

  test('an issuer that was never reached is asked once in ten seconds, and the log says why', async () => {
    login.setDown(true);
    const outcomes = await Promise.all(Array.from({ length: 50 }, async () => verifier.outcome(await fresh())));
    for (const outcome of outcomes) expect(outcome).toMatch(unavailable);
    expect(login.asked.get('/.well-known/oauth-authorization-server')).toBe(1);
    expect(verifier.warnings).toEqual([{ issuer: login.issuer, reason: expect.stringMatching(/^fetch failed: /) }]);
    login.setDown(false);
    expect(await verifier.outcome(await fresh())).toMatch(unavailable);
    verifier.clock.advance(10_000);
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
  });

  test('a key that was withdrawn while nobody called counts no more', async () => {
    const withdrawn = login.key;
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    await login.rotate();
    verifier.clock.advance(60 * minuteMs);
    const nowS = Math.floor(verifier.clock.nowMs() / 1000);
    const token = await forgeToken(withdrawn, { iss: login.issuer, aud: triage, iat: nowS, exp: nowS + 300 });
    const both = await Promise.all([verifier.outcome(token), verifier.outcome(token)]);
    for (const outcome of both) expect(outcome).toMatch(unknownKey);
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
  });

  test('nor does one that was withdrawn after the issuer could not be reached once', async () => {
    const withdrawn = login.key;
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    login.setDown(true);
    verifier.clock.advance(11 * minuteMs);
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    await until('the failure is on record', () => verifier.status()[0]?.state === 'stale');
    login.setDown(false);
    await login.rotate();
    verifier.clock.advance(60 * minuteMs);
    const nowS = Math.floor(verifier.clock.nowMs() / 1000);
    const token = await forgeToken(withdrawn, { iss: login.issuer, aud: triage, iat: nowS, exp: nowS + 300 });
    expect(await verifier.outcome(token)).toMatch(unknownKey);
  });

  test('keys in use are fetched anew beside the calls', async () => {
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    verifier.clock.advance(11 * minuteMs);
    expect(await verifier.outcome(await fresh())).toMatch(/^oauth/);
    await until('the keys were fetched again', () => login.keyFetches() === 2);
  });
});

describe('a far end that lies', () => {
  let server: TestServer;
  let issuer: string;
  let key: JWK;
  let asked: string[];
  let routes: Record<string, unknown>;
  let verifier: TestVerifier | undefined;
  beforeEach(async () => {
    asked = [];
    routes = {};
    key ??= await makeKey('ES256');
    const listener: RequestListener = (request, response) => {
      const path = request.url ?? '';
      asked.push(path);
      const answer = routes[path];
      if (answer === undefined) response.writeHead(404).end('nothing');
      else if (typeof answer === 'function') answer(response);
      else response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    };
    server = await listenOn(createServer(listener));
    issuer = server.url.replace('/mcp', '');
    routes['/keys'] = { keys: [publicPart(key)] };
  });
  afterEach(async () => {
    await Promise.all([verifier?.close(), server.close()]);
  });

  async function outcomeFor(iss: string): Promise<string> {
    await verifier?.close();
    verifier = makeVerifier({ issuer: iss });
    return verifier.outcome(await forgeToken(key, { iss, aud: triage }));
  }
  const metadata = (iss: string, jwks_uri: unknown = `${issuer}/keys`) => ({ issuer: iss, jwks_uri });

  test('metadata is looked for in the order of the specification', async () => {
    expect(await outcomeFor(issuer)).toMatch(unavailable);
    expect(asked.splice(0)).toEqual(['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']);
    const tenant = `${issuer}/tenant/one`;
    const places = [
      '/.well-known/oauth-authorization-server/tenant/one',
      '/.well-known/openid-configuration/tenant/one',
      '/tenant/one/.well-known/openid-configuration',
    ];
    expect(await outcomeFor(tenant)).toMatch(unavailable);
    expect(asked.splice(0)).toEqual(places);
    for (const place of places) {
      routes = { '/keys': routes['/keys'], [place]: metadata(tenant) };
      expect(await outcomeFor(tenant)).toBe(`oauth:${tenant}#somebody`);
      expect(asked.splice(0)).toEqual([...places.slice(0, places.indexOf(place) + 1), '/keys']);
    }
  });

  test('metadata of another issuer is not used, not even of one that differs by a slash', async () => {
    for (const other of ['https://login.example.com', `${issuer}/`, issuer.toUpperCase(), undefined, [issuer]]) {
      routes['/.well-known/oauth-authorization-server'] = { issuer: other, jwks_uri: `${issuer}/keys` };
      expect(await outcomeFor(issuer)).toMatch(unavailable);
      expect(verifier?.status()).toMatchObject([{ lastError: expect.stringContaining('status 404') }]);
    }
    expect(asked).not.toContain('/keys');
    // The true one is behind it.
    routes['/.well-known/openid-configuration'] = metadata(issuer);
    expect(await outcomeFor(issuer)).toMatch(/^oauth/);
  });

  test.each([
    'http://169.254.169.254/keys',
    'http://10.0.0.1/keys',
    'https://10.0.0.1/keys',
    'https://[::1]/keys',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'data:application/json,{}',
    'https://user:pass@127.0.0.1/keys',
    'keys',
    7,
    null,
  ])('keys are not fetched from %s', async (address) => {
    routes['/.well-known/oauth-authorization-server'] = metadata(issuer, address);
    expect(await outcomeFor(issuer)).toMatch(unavailable);
    expect(verifier?.status()[0]?.lastError).toMatch(/jwks_uri|may not be reached/);
    routes['/.well-known/oauth-authorization-server'] = metadata(issuer);
    expect(await outcomeFor(issuer)).toMatch(/^oauth/);
  });

  test('a redirect is not followed', async () => {
    routes['/.well-known/oauth-authorization-server'] = metadata(issuer, `${issuer}/moved`);
    routes['/moved'] = (response: Parameters<RequestListener>[1]) => response.writeHead(302, { location: '/keys' }).end();
    expect(await outcomeFor(issuer)).toMatch(unavailable);
    expect(asked).not.toContain('/keys');
  });

  test.each<[string, unknown]>([
    ['no JSON', '<html>'],
    ['a list', '[]'],
    ['no keys', '{}'],
    ['keys that are no list', '{"keys":{"length":1}}'],
    ['more keys than anybody has', JSON.stringify({ keys: Array.from({ length: 101 }, () => ({})) })],
    ['more than a key set can be', `{"keys":[],"fill":"${'x'.repeat(600_000)}"}`],
    [
      'an answer without end',
      (response: Parameters<RequestListener>[1]) => {
        response.writeHead(200);
        const more = () => {
          while (!response.destroyed && response.write('x'.repeat(65_536)));
        };
        response.on('drain', more);
        more();
      },
    ],
  ])('%s for keys: none are known, and those that were stay', async (_name, answer) => {
    routes['/.well-known/oauth-authorization-server'] = metadata(issuer);
    const right = routes['/keys'];
    routes['/keys'] = answer;
    expect(await outcomeFor(issuer)).toMatch(unavailable);
    routes['/keys'] = right;
    expect(await outcomeFor(issuer)).toMatch(/^oauth/);
    routes['/keys'] = answer;
    verifier?.clock.advance(15 * minuteMs);
    const fresh = await forgeToken(key, { iss: issuer, aud: triage, exp: Math.floor(Date.now() / 1000) + 3000 });
    expect(await verifier?.outcome(fresh)).toMatch(/^oauth/);
    await until('the refused keys are on record', () => verifier?.status()[0]?.state === 'stale');
  });

  test.runIf(process.env.TEST_LONG !== undefined)('an issuer that never answers holds a token up for five seconds', async () => {
    routes['/.well-known/oauth-authorization-server'] = () => {};
    const startedAtMs = performance.now();
    expect(await outcomeFor(issuer)).toMatch(unavailable);
    expect(performance.now() - startedAtMs).toBeLessThan(8000);
    routes['/.well-known/oauth-authorization-server'] = metadata(issuer);
    expect(await outcomeFor(issuer)).toMatch(/^oauth/);
  });

  test('two keys of one name, or a token without a name for one of two, are not guessed at', async () => {
    const second = await makeKey('ES256');
    routes['/.well-known/oauth-authorization-server'] = metadata(issuer);
    routes['/keys'] = { keys: [publicPart(key), publicPart({ ...second, kid: String(key.kid) })] };
    expect(await outcomeFor(issuer)).toMatch(/^unauthenticated: This token does not say which key/);
    routes['/keys'] = { keys: [publicPart(key), publicPart(second)] };
    expect(await outcomeFor(issuer)).toMatch(/^oauth/);
  });
});
