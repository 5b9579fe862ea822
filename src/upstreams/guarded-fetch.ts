import type { Response } from 'undici';
import type { EgressGuard } from './egress.ts';

interface Request {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** A `fetch` for documents that reaches only what the guard lets it reach, and follows no redirect. */
export function createGuardedFetch(guard: Pick<EgressGuard, 'dispatcherFor'>): (url: URL, request: Request) => Promise<Response> {
  return async (url, { headers, signal }) => {
    const dispatcher = await guard.dispatcherFor(url);
    // In the same words as for an address that a name led to, so that nobody learns what is inside.
    if (dispatcher === undefined) throw Object.assign(new Error('this address may not be reached'), { code: 'EGRESS_REFUSED' });
    // The one that the dispatcher comes with: Node's own may be of another version.
    const { fetch } = await import('undici');
    return fetch(url, { headers: { ...headers }, signal, redirect: 'manual', dispatcher });
  };
}
