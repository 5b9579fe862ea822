import { createPrivateKey, type KeyObject, randomUUID, sign } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import type { Secret } from '../secret.ts';

export const authMethods = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const;
export type AuthMethod = (typeof authMethods)[number];

/** Gatehouse as one authorization server knows it. */
export interface OAuthClient {
  readonly id: string;
  readonly method: AuthMethod;
  /** For the two `client_secret_*` methods. */
  readonly secret: Secret | undefined;
  /** PKCS #8 as PEM, for `private_key_jwt`. */
  readonly privateKey: Secret | undefined;
}

/** How a client that has this shows that it is itself, of what the server supports (RFC 8414: basic where it says nothing). */
export function chooseMethod(
  has: { readonly secret: boolean; readonly privateKey: boolean },
  supported: readonly string[] | undefined,
): AuthMethod {
  if (has.privateKey) return 'private_key_jwt';
  if (!has.secret) return 'none';
  if (supported?.includes('client_secret_post') && !supported.includes('client_secret_basic')) return 'client_secret_post';
  return 'client_secret_basic';
}

/** What a token request carries of its client: parameters of the body, and perhaps a header. */
export function authenticateClient(
  client: OAuthClient,
  issuer: string,
  nowMs: number,
): { readonly parameters: Readonly<Record<string, string>>; readonly header: string | undefined } {
  const { id, method, secret, privateKey } = client;
  if (method === 'client_secret_basic' && secret !== undefined) {
    // Both parts are form-encoded first (RFC 6749 section 2.3.1).
    const pair = `${formEncode(id)}:${formEncode(secret.reveal())}`;
    return { parameters: {}, header: `Basic ${Buffer.from(pair).toString('base64')}` };
  }
  if (method === 'client_secret_post' && secret !== undefined)
    return { parameters: { client_id: id, client_secret: secret.reveal() }, header: undefined };
  if (method === 'private_key_jwt' && privateKey !== undefined) {
    const parameters = {
      client_id: id,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: makeAssertion(id, issuer, privateKey, nowMs),
    };
    return { parameters, header: undefined };
  }
  return { parameters: { client_id: id }, header: undefined };
}

function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}

const assertionMs = 60_000;

/** A signed statement that the bearer is this client, for this server and this minute (RFC 7523 section 3). */
function makeAssertion(id: string, audience: string, privateKey: Secret, nowMs: number): string {
  const key = readKey(privateKey);
  const nowS = Math.floor(nowMs / 1000);
  const claims = { iss: id, sub: id, aud: audience, jti: randomUUID(), iat: nowS, exp: nowS + assertionMs / 1000 };
  const { alg, digest } = algorithmOf(key);
  const body = [{ alg, typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign(digest, Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' });
  return `${body}.${signature.toString('base64url')}`;
}

/** Throws GatewayError `bad_configuration`. */
function readKey(privateKey: Secret): KeyObject {
  try {
    // A variable of the environment often holds its line breaks as \n.
    return createPrivateKey(privateKey.reveal().replaceAll('\\n', '\n'));
  } catch {
    throw new GatewayError('bad_configuration', 'the private key is not a PEM key (PKCS #8) that can be read.');
  }
}

function algorithmOf(key: KeyObject): { readonly alg: string; readonly digest: string | null } {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'rsa') return { alg: 'RS256', digest: 'sha256' };
  if (type === 'ed25519') return { alg: 'EdDSA', digest: null };
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return { alg: 'ES256', digest: 'sha256' };
  if (type === 'ec' && details?.namedCurve === 'secp384r1') return { alg: 'ES384', digest: 'sha384' };
  throw new GatewayError('bad_configuration', 'the private key must be RSA, Ed25519, P-256 or P-384.');
}
