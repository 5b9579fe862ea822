import { FetchFailed, type JsonAnswer, type Reach } from '../upstreams/fetch-json.ts';
import type { JsonObject } from '../wire/json.ts';
import { readScopes } from './challenge.ts';
import { authenticateClient, type OAuthClient } from './client.ts';

/** What a token endpoint gave (RFC 6749 section 5.1). */
export interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  /** Undefined where the server does not say. */
  readonly expiresAtMs: number | undefined;
  readonly scopes: readonly string[] | undefined;
}

/** The token endpoint said no, or something that is no answer. `error` is its code, e.g. `invalid_grant`. */
export class TokenRefused extends Error {
  readonly error: string;
  constructor(error: string) {
    super(`the token endpoint refused: ${error}`);
    this.name = 'TokenRefused';
    this.error = error;
  }
  /** What was presented is worth nothing any more; asking again would not help. */
  get isFinal(): boolean {
    return this.error === 'invalid_grant' || this.error === 'invalid_client' || this.error === 'unauthorized_client';
  }
}

/** The token endpoint could not be asked, or failed: the same request may succeed later. */
export class TokenUnavailable extends Error {}

export interface TokenRequest {
  readonly endpoint: string;
  readonly issuer: string;
  readonly client: OAuthClient;
  /** `grant_type` and what belongs to it. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly named: ReadonlySet<string>;
}

/** Asks a token endpoint once. Rejects with TokenRefused or TokenUnavailable; neither carries what was sent or received. */
export async function requestTokens(
  reach: Reach,
  { endpoint, issuer, client, parameters, named }: TokenRequest,
  nowMs: number,
): Promise<Tokens> {
  const own = authenticateClient(client, issuer, nowMs);
  const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded' };
  if (own.header !== undefined) headers.authorization = own.header;
  const body = new URLSearchParams({ ...parameters, ...own.parameters }).toString();
  let answer: JsonAnswer;
  try {
    answer = await reach.fetchJson({ url: endpoint, method: 'POST', headers, body, named });
  } catch (error) {
    if (error instanceof FetchFailed) throw new TokenUnavailable(error.message, { cause: error });
    throw error;
  }
  if (answer.status === 200 && answer.body !== undefined) return readTokens(answer.body, nowMs);
  if (answer.status >= 500 || answer.status === 429) throw new TokenUnavailable(`HTTP ${answer.status}`);
  throw new TokenRefused(readErrorCode(answer));
}

// A code of the server's own choosing ends up in messages: nothing but a word.
function readErrorCode({ status, body }: JsonAnswer): string {
  const error = body?.error;
  return typeof error === 'string' && /^[a-z_]{1,60}$/.test(error) ? error : `http_${status}`;
}

const maxToken = 12_288;
const longestS = 365 * 24 * 60 * 60;
/** Nobody is asked for another token by every call: one that is taken for valid too long is refused, and replaced then. */
const shortestS = 1;

function readTokens(body: JsonObject, nowMs: number): Tokens {
  const { access_token: accessToken, token_type: type, refresh_token: refreshToken, expires_in: expiresIn } = body;
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') throw new TokenRefused('unknown_token_type');
  if (!isToken(accessToken)) throw new TokenRefused('no_usable_token');
  if (refreshToken !== undefined && !isToken(refreshToken)) throw new TokenRefused('no_usable_token');
  // Some servers send the number as text.
  const seconds = typeof expiresIn === 'string' ? Number(expiresIn) : expiresIn;
  const isKnown = typeof seconds === 'number' && seconds > 0;
  return {
    accessToken,
    refreshToken,
    expiresAtMs: isKnown ? nowMs + Math.min(Math.max(seconds, shortestS), longestS) * 1000 : undefined,
    scopes: readScopes(body.scope),
  };
}

/** Fit for a header: visible ASCII. */
function isToken(value: unknown): value is string {
  return typeof value === 'string' && value.length <= maxToken && /^[\x21-\x7e]+$/.test(value);
}
