import { createPrivateKey, sign } from 'node:crypto';
import { isObject, type JsonObject } from '../../../wire/json.ts';
import { FetchFailed, type JsonAnswer, type Reach } from '../../fetch-json.ts';
import { LinkError } from '../../link-error.ts';
import type { ProviderTarget } from '../provider.ts';
import { noCredential } from './credential.ts';

/** What a service account's key file says. */
interface GoogleAccount {
  readonly email: string;
  readonly project: string | undefined;
  /** PEM. */
  readonly privateKey: string;
  readonly keyId: string | undefined;
  /** Where its tokens come from. */
  readonly tokenUrl: string;
}

/** Access tokens of service accounts: one request for all callers of an account, and the next one before the last runs out. */
interface GoogleTokens {
  /** Rejects with GatewayError `credentials_failed`, and with `upstream_unavailable` where the token endpoint is not there. */
  tokenFor(target: ProviderTarget, text: string, nowMs: number): string | Promise<string>;
  /** A server did not take this token: whether `tokenFor` will get another. */
  refused(text: string, token: string, nowMs: number): boolean;
}

interface Token {
  readonly token: string;
  readonly expiresAtMs: number;
}

interface Held {
  token: Token | undefined;
  asking: Promise<Token> | undefined;
  /** Until when nothing is asked, because the last answer was a refusal. */
  pausedUntilMs: number;
  failure: unknown;
  /** Until when a token is kept though it was refused: the one before it was as well. */
  keptUntilMs: number;
}

const mostAccounts = 256;
/** A token is not used for its last minute, and renewed in its last five. */
const marginMs = 60_000;
const renewMs = 300_000;
const pauseMs = 5_000;

export function openGoogleTokens(reach: Pick<Reach, 'fetchJson' | 'mayReach'>): GoogleTokens {
  const accounts = new Map<string, Held>();
  return {
    tokenFor(target, text, nowMs) {
      const held = heldFor(accounts, text);
      const leftMs = held.token === undefined ? 0 : held.token.expiresAtMs - nowMs;
      if (held.token !== undefined && leftMs > marginMs) {
        // Nobody waits for it, and its failure is told to whoever comes when the token has run out.
        if (leftMs < renewMs && held.pausedUntilMs <= nowMs) renew(reach, held, target, text, nowMs).catch(() => {});
        return held.token.token;
      }
      if (held.asking === undefined && held.pausedUntilMs > nowMs) throw held.failure;
      return renew(reach, held, target, text, nowMs).then(({ token }) => token);
    },
    refused(text, token, nowMs) {
      const held = heldFor(accounts, text);
      // Of all those that are refused together, the first one sees to it.
      if (held.token?.token !== token) return true;
      if (nowMs < held.keptUntilMs) return false;
      held.token = undefined;
      held.keptUntilMs = nowMs + pauseMs;
      return true;
    },
  };
}

function heldFor(accounts: Map<string, Held>, text: string): Held {
  const found = accounts.get(text);
  if (found !== undefined) return found;
  if (accounts.size >= mostAccounts) accounts.clear();
  const held: Held = { token: undefined, asking: undefined, pausedUntilMs: 0, failure: undefined, keptUntilMs: 0 };
  accounts.set(text, held);
  return held;
}

function renew(
  reach: Pick<Reach, 'fetchJson' | 'mayReach'>,
  held: Held,
  target: ProviderTarget,
  text: string,
  nowMs: number,
): Promise<Token> {
  held.asking ??= askToken(reach, target, readAccount(target, text), nowMs)
    .then(
      (token) => {
        held.token = token;
        return token;
      },
      (error: unknown) => {
        held.failure = error;
        held.pausedUntilMs = nowMs + pauseMs;
        throw error;
      },
    )
    .finally(() => {
      held.asking = undefined;
    });
  return held.asking;
}

const longestTokenS = 3_600;
/** Google is not asked for another token by every call, whatever it says. */
const shortestTokenS = 1;

/** RFC 7523 section 2.1, as Google has it (developers.google.com/identity/protocols/oauth2/service-account). */
async function askToken(
  reach: Pick<Reach, 'fetchJson' | 'mayReach'>,
  target: ProviderTarget,
  account: GoogleAccount,
  nowMs: number,
): Promise<Token> {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: makeAssertion(target, account, nowMs),
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const request = { url: account.tokenUrl, method: 'POST', headers, body: body.toString(), named: new Set<string>() } as const;
  const { status, body: answer = {} } = await reach.fetchJson(request).catch((error: unknown): JsonAnswer => {
    if (error instanceof FetchFailed && (error.reason === 'unreachable' || error.reason === 'timeout'))
      throw unavailable(target, 'does not answer', error);
    throw noCredential(target, 'got no answer from the token endpoint of its service account', error);
  });
  if (status === 429 || status >= 500) throw unavailable(target, `answers HTTP ${status}`);
  const { access_token: token, expires_in: seconds } = answer;
  if (status !== 200 || typeof token !== 'string' || token.length > 12_288 || !/^[\x21-\x7e]+$/.test(token))
    throw noCredential(target, `was refused an access token (${refusalOf(status, answer)}); look at its service account`);
  const isKnown = typeof seconds === 'number' && seconds > 0;
  const lifeS = isKnown ? Math.min(Math.max(seconds, shortestTokenS), longestTokenS) : longestTokenS;
  return { token, expiresAtMs: nowMs + lifeS * 1000 };
}

/** Google being down is no fault of the account's: other targets may be tried. */
function unavailable({ model }: ProviderTarget, what: string, cause?: unknown): LinkError {
  const text = `The token endpoint for the vertex model ${model.slice(0, 200)} ${what}. Call again in a while.`;
  return new LinkError('upstream_unavailable', text, { isUnsent: true, detail: `its token endpoint ${what}`, cause });
}

/** With the code of RFC 6749 section 5.2, and none of its other words. */
function refusalOf(status: number, { error }: JsonObject): string {
  return typeof error === 'string' && /^[a-z_]{1,40}$/.test(error) ? `HTTP ${status}, ${error}` : `HTTP ${status}`;
}

function makeAssertion(target: ProviderTarget, { email, privateKey, keyId, tokenUrl }: GoogleAccount, nowMs: number): string {
  const iat = Math.floor(nowMs / 1000);
  const scope = 'https://www.googleapis.com/auth/cloud-platform';
  const header = { alg: 'RS256', typ: 'JWT', ...(keyId !== undefined && { kid: keyId }) };
  const claims = { iss: email, scope, aud: tokenUrl, iat, exp: iat + longestTokenS };
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  try {
    return `${text}.${sign('sha256', Buffer.from(text), createPrivateKey(privateKey)).toString('base64url')}`;
  } catch (error) {
    throw noCredential(target, 'has a service account whose private key cannot be read', error);
  }
}

const googleTokenUrl = 'https://oauth2.googleapis.com/token';

/** Throws GatewayError `credentials_failed`; nothing of the file is in its message. */
export function readAccount(target: ProviderTarget, text: string): GoogleAccount {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    file = undefined;
  }
  if (!isObject(file)) throw noCredential(target, 'has a service account that is no JSON; paste the whole key file');
  const { client_email: email, private_key: privateKey, project_id: project, private_key_id: keyId, token_uri: tokenUrl } = file;
  if (typeof email !== 'string' || typeof privateKey !== 'string') {
    throw noCredential(target, 'has a service account without client_email or private_key; paste the whole key file');
  }
  if (tokenUrl !== undefined && !(typeof tokenUrl === 'string' && URL.parse(tokenUrl)?.protocol === 'https:')) {
    throw noCredential(target, 'has a service account whose token_uri is not an https address');
  }
  const only = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return { email, privateKey, project: only(project), keyId: only(keyId), tokenUrl: tokenUrl ?? googleTokenUrl };
}
