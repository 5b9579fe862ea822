import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { JWK } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VerifiedToken } from '../../src/identity/verify-token.ts';
import { makeKey, publicPart } from '../support/oidc-provider.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';
import { makeVerifier, type TestVerifier, triage } from './verifier.ts';

let server: TestServer;
let key: JWK;
let verifiers: TestVerifier[];
let issuers: string[];
beforeAll(async () => {
  // Both issuers have the same key and kid: nothing but the issuer tells their tokens apart.
  key = await makeKey('EdDSA');
  server = await listenOn(createServer((_request, response) => response.end(JSON.stringify({ keys: [publicPart(key)] }))));
  const origin = server.url.replace('/mcp', '');
  issuers = [`${origin}/one`, `${origin}/two`];
  const given = issuers.map((issuer) => ({ issuer, jwksUrl: `${origin}/keys`, claims: { member: 'sub' } }));
  // As three replicas would.
  verifiers = Array.from({ length: 3 }, () => makeVerifier(...given));
});
afterAll(async () => {
  await Promise.all([...verifiers.map((verifier) => verifier.close()), server.close()]);
});

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function signer(): (iss: string, sub: string) => string {
  const privateKey: KeyObject = createPrivateKey({ key: key as never, format: 'jwk' });
  const head = encode({ alg: 'EdDSA', typ: 'at+jwt', kid: key.kid });
  const iat = Math.floor(Date.now() / 1000);
  return (iss, sub) => {
    // What tells one person from another comes last: hundreds of characters are the same.
    const body = `${head}.${encode({ aud: triage, iat, exp: iat + 600, scope: 'a '.repeat(100), iss, sub })}`;
    return `${body}.${sign(null, Buffer.from(body), privateKey).toString('base64url')}`;
  };
}

const count = process.env.TEST_LONG === undefined ? 2000 : 10_000;

test(`AZ-17: ${count} tokens that begin alike, half of them forged, on three replicas: nobody becomes anybody else`, async () => {
  const make = signer();
  const people = Array.from({ length: count / 2 }, (_, at) => ({
    iss: issuers[at % 2] ?? '',
    sub: `person-${Math.floor(at / 2)}`,
  }));
  const valid = people.map((person) => ({ token: make(person.iss, person.sub), ...person }));
  const [first, last] = [valid[0]?.token ?? '', valid.at(-1)?.token ?? ''];
  expect(first.slice(0, 300)).toBe(last.slice(0, 300));
  const forged = valid.map(({ token }, at) => {
    const other = valid[(at + 2) % valid.length]?.token ?? '';
    const [head, body] = token.split('.');
    // The words of one under the signature of another, and a signature that is almost right.
    return at % 2 === 0 ? `${head}.${body}.${other.split('.')[2]}` : `${token.slice(0, -6)}${other.slice(-6)}`;
  });
  const ask = async (token: string, at: number): Promise<VerifiedToken | 'refused'> => {
    try {
      return await verifiers[at % 3]!.verify(token, triage);
    } catch {
      return 'refused';
    }
  };
  const seen = new Map<string, string>();
  for (let round = 0; round < 2; round++) {
    for (let from = 0; from < valid.length; from += 250) {
      const part = valid.slice(from, from + 250).map(async ({ token, iss, sub }, index) => {
        const at = from + index;
        const [right, wrong] = await Promise.all([ask(token, at + round), ask(forged[at] ?? '', at + round)]);
        expect(wrong).toBe('refused');
        expect(right).toMatchObject({ principal: `oauth:${iss}#${sub}`, member: `oauth:${iss}#${sub}`, issuer: iss });
        seen.set(`${iss} ${sub}`, right === 'refused' ? '' : right.principal);
      });
      await Promise.all(part);
    }
  }
  expect(new Set(seen.values()).size).toBe(people.length);
});

test('more tokens than are remembered are taken all the same', async () => {
  const { TokenCache } = await import('../../src/identity/token-cache.ts');
  const clock = { nowMs: () => 0 };
  const cache = new TokenCache<number>(clock, 3);
  for (const value of [1, 2, 3, 4, 5]) cache.set(`d${value}`, value, 1000);
  expect(cache.size).toBe(3);
  expect([1, 2, 3, 4, 5].map((value) => cache.get(`d${value}`))).toEqual([undefined, undefined, 3, 4, 5]);
});
