import type { CryptoKey, JWK, JWSHeaderParameters } from 'jose';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { findKeysUrl, type GuardedFetch, getJson } from './discover-issuer.ts';
import type { TrustedIssuer } from './issuers.ts';

/** The public keys of one issuer, as they were last published. */
export interface IssuerKeys {
  /**
   * The one key that a token's header means. Throws GatewayError `unauthenticated` where there is none, `issuer_unavailable` while
   * the keys cannot be had.
   */
  find(header: JWSHeaderParameters): Promise<CryptoKey>;
  status(): IssuerStatus;
}

/** What an operator sees of an issuer. */
export interface IssuerStatus {
  readonly issuer: string;
  /** `unused`: no token of it was seen of late. `stale`: its keys could not be fetched of late, the last ones are still in use. */
  readonly state: 'unused' | 'ready' | 'stale' | 'unavailable';
  readonly keys: number;
  readonly lastError: string | undefined;
}

interface KeyPorts {
  readonly fetch: GuardedFetch;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
}

/** After this long, keys are fetched anew beside the calls that use them. */
const freshMs = 600_000;
/** For this long they are used although the issuer does not answer. A key that was withdrawn meanwhile counts no longer than that. */
const staleMs = 6 * 60 * 60 * 1000;
/** An issuer is asked at most this often, whatever tokens say and however many there are. */
const intervalMs = 10_000;
const timeoutMs = 5000;
const mostKeys = 100;

interface KeySet {
  find(header: JWSHeaderParameters): Promise<CryptoKey>;
  readonly size: number;
  readonly fetchedAtMs: number;
}

export function createIssuerKeys(issuer: TrustedIssuer, { fetch, clock, log }: KeyPorts): IssuerKeys {
  let held: KeySet | undefined;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;
  // The one that calls wait for although there are keys.
  let awaited: Promise<void> | undefined;
  let lastError: string | undefined;

  // A clock that was set back must not keep old keys in use for as long as it jumped.
  const ageMs = ({ fetchedAtMs }: KeySet) => Math.abs(clock.nowMs() - fetchedAtMs);
  const usable = () => (held !== undefined && ageMs(held) <= staleMs ? held : undefined);
  const mayAsk = () => Math.abs(clock.nowMs() - askedAtMs) >= intervalMs;

  /** Fetches the keys, unless that was tried a moment ago. Never rejects: what is held says how it went. */
  const refresh = (): Promise<void> => {
    if (asking !== undefined || !mayAsk()) return asking ?? Promise.resolve();
    askedAtMs = clock.nowMs();
    asking = fetchKeys(issuer, fetch)
      .then(async (keys) => {
        held = { ...(await openKeySet(keys)), fetchedAtMs: clock.nowMs() };
        lastError = undefined;
      })
      .catch((error: unknown) => {
        lastError = reasonOf(error);
        log.warn({ issuer: issuer.issuer, reason: lastError }, 'the keys of an issuer could not be fetched');
      })
      .finally(() => {
        asking = undefined;
      });
    return asking;
  };

  /** Waits only where the keys are missing, or old because nobody used them; an issuer that is down holds no call up. */
  const freshen = (): Promise<void> | undefined => {
    if (held !== undefined && ageMs(held) <= freshMs) return undefined;
    const isIdle = Math.abs(clock.nowMs() - askedAtMs) > 2 * freshMs;
    const refreshed = refresh();
    if (isIdle) {
      awaited = refreshed.finally(() => {
        awaited = undefined;
      });
    }
    return usable() === undefined ? refreshed : awaited;
  };

  return {
    async find(header) {
      await freshen();
      const keys = usable();
      if (keys === undefined) throw unavailable(intervalMs);
      try {
        return await keys.find(header);
      } catch (error) {
        if (!isCode(error, 'ERR_JWKS_NO_MATCHING_KEY')) throw noKey(error);
      }
      // The issuer may have a new key since.
      await refresh();
      return await (usable() ?? keys).find(header).catch((error: unknown) => {
        throw noKey(error);
      });
    },
    status() {
      const isWell = lastError === undefined;
      const state = usable() === undefined ? (isWell ? 'unused' : 'unavailable') : isWell ? 'ready' : 'stale';
      return { issuer: issuer.issuer, state, keys: usable()?.size ?? 0, lastError };
    },
  };
}

async function fetchKeys(issuer: TrustedIssuer, fetch: GuardedFetch): Promise<JWK[]> {
  // For all of it together: calls wait for this.
  const signal = AbortSignal.timeout(timeoutMs);
  const url = await findKeysUrl(issuer, fetch, signal);
  const answer = await getJson(fetch, url, signal);
  if (answer.kind === 'none') throw new Error(answer.reason);
  const { keys } = answer.value;
  if (!Array.isArray(keys) || keys.length > mostKeys) throw new Error(`${url} answered with no list of at most ${mostKeys} keys`);
  return keys.filter(isObject).filter(isPublicKey);
}

// A shared secret has no place among published keys, and a private key that was published is no longer anybody's.
function isPublicKey(key: JsonObject): boolean {
  return typeof key.kty === 'string' && ['RSA', 'EC', 'OKP'].includes(key.kty) && !('d' in key) && !('k' in key);
}

async function openKeySet(keys: JWK[]): Promise<Omit<KeySet, 'fetchedAtMs'>> {
  const { createLocalJWKSet } = await import('jose/jwks/local');
  const find = createLocalJWKSet({ keys });
  return { find: (header) => find(header), size: keys.length };
}

function noKey(error: unknown): GatewayError {
  if (isCode(error, 'ERR_JWKS_MULTIPLE_MATCHING_KEYS')) {
    return new GatewayError(
      'unauthenticated',
      'This token does not say which key it is signed with (kid), and its issuer has several.',
    );
  }
  return new GatewayError(
    'unauthenticated',
    'This token is signed with a key that its issuer does not publish; get a new token from the issuer.',
    { cause: error },
  );
}

function unavailable(retryAfterMs: number): GatewayError {
  return new GatewayError(
    'issuer_unavailable',
    'The keys of the issuer of this token cannot be fetched right now, so it cannot be checked; try again in a moment.',
    { retryAfterMs },
  );
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // fetch says "fetch failed" and keeps the reason behind it.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
