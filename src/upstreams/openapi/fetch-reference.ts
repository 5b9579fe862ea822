/** Fetches what an API description refers to: from the addresses that its entry allows, through the guard, and from nowhere else. */

import { GatewayError } from '../../errors.ts';
import type { EgressGuard } from '../egress.ts';
import { createGuardedFetch } from '../guarded-fetch.ts';
import { descriptionLimitBytes } from '../upstream.ts';
import { isClimbing } from './path-segments.ts';

export type FetchAllowed = (url: string, signal?: AbortSignal) => Promise<Uint8Array>;

/** Of each; an import as a whole has a minute. */
const timeoutMs = 10_000;

/**
 * Undefined where nothing is allowed. `allowed`: addresses; what lies at one or below it may be fetched. Rejects with GatewayError
 * `forbidden` and `upstream_failed`, whose messages tell nothing of what is behind an address that the guard keeps.
 */
export function referenceFetcher(
  allowed: readonly string[],
  egress: Pick<EgressGuard, 'dispatcherFor'>,
): FetchAllowed | undefined {
  if (allowed.length === 0) return undefined;
  const prefixes = allowed.flatMap((text) => URL.parse(text) ?? []);
  const get = createGuardedFetch(egress);
  return async (address, givenUp) => {
    const url = URL.parse(address);
    if (url === null || url.username !== '' || url.password !== '' || !prefixes.some((prefix) => isBelow(url, prefix)))
      throw new GatewayError('forbidden', 'it is not among the "references" of the upstream\'s entry');
    const late = AbortSignal.timeout(timeoutMs);
    const signal = givenUp === undefined ? late : AbortSignal.any([late, givenUp]);
    const accept = 'application/json, application/yaml, text/yaml, */*;q=0.5';
    const response = await get(url, { headers: { accept }, signal }).catch(() => undefined);
    if (response === undefined) throw failed('it could not be reached, or may not be');
    if (response.status === 200) return await readWhole(response.body);
    await response.body?.cancel();
    const isRedirect = response.status >= 300 && response.status < 400;
    throw failed(isRedirect ? 'it answers with a redirect, and those are not followed' : `it answers HTTP ${response.status}`);
  };
}

/** A segment of a path is one as a whole: `/common` is above `/common/a` and not above `/common-b`. */
function isBelow(url: URL, prefix: URL): boolean {
  if (url.origin !== prefix.origin) return false;
  const { pathname } = prefix;
  // Some servers decode what is encoded before they look at a path.
  if (isClimbing(url.pathname)) return false;
  return url.pathname === pathname || url.pathname.startsWith(pathname.endsWith('/') ? pathname : `${pathname}/`);
}

async function readWhole(body: AsyncIterable<Uint8Array> | null): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body ?? []) {
      size += chunk.length;
      if (size > descriptionLimitBytes) break;
      chunks.push(chunk);
    }
  } catch {
    throw failed('it did not arrive in time');
  }
  if (size > descriptionLimitBytes) throw failed(`it is larger than ${descriptionLimitBytes} bytes`);
  return Buffer.concat(chunks);
}

function failed(why: string): GatewayError {
  return new GatewayError('upstream_failed', why);
}
