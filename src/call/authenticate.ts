/** Refuses whoever shows no key and no token that Gatehouse knows. There is no anonymous access, on loopback either. */
import { userInfo } from 'node:os';
import { GatewayError } from '../errors.ts';
import { looksLikeToken, type TokenVerifier, type VerifiedToken } from '../identity/verify-token.ts';
import { type Caller, makeCaller, reachOfScope } from './authenticate/caller.ts';
import { type KeyRing, nobody } from './authenticate/key-ring.ts';
import type { TokenCallers } from './authenticate/token-callers.ts';

export type { Caller } from './authenticate/caller.ts';

/** What proves who somebody is. */
export interface Proofs {
  readonly keys: KeyRing;
  readonly callers: TokenCallers;
  /** Undefined where no issuer is trusted. */
  readonly tokens: TokenVerifier | undefined;
}

/** What a request shows. */
export interface Shown {
  /** The header `Authorization`. */
  readonly authorization: string | undefined;
  /** The header `x-api-key`: Anthropic's clients send their key there. */
  readonly apiKey: string | undefined;
  /** The full address that is called, which a token must be good for. */
  readonly resource: string;
}

/** The caller behind a request, at once where nothing has to be asked. Throws, or rejects with, GatewayError `unauthenticated` or `issuer_unavailable`. */
export function authenticate(
  { keys, callers, tokens }: Proofs,
  { authorization, apiKey, resource }: Shown,
): Caller | Promise<Caller> {
  const key = authorization === undefined ? apiKey : bearer(authorization);
  if (key === undefined) {
    throw new GatewayError('unauthenticated', 'This gateway needs a key. Send it as "Authorization: Bearer <key>".');
  }
  // Keys first: one that an operator chose may look like anything.
  const found = keys.find(key);
  if (found !== undefined) return found;
  if (tokens === undefined || authorization === undefined || !looksLikeToken(key)) throw unknown();
  const token = tokens.verify(key, resource);
  return token instanceof Promise ? token.then((verified) => callerOf(callers, verified)) : callerOf(callers, token);
}

/** The person who started this process: for stdio and the control socket, where the operating system has already checked. */
export function authenticateLocalUser(toolboxes: 'all' | ReadonlySet<string>): Caller {
  const reach = toolboxes === 'all' ? undefined : reachOfScope({ toolboxes: [...toolboxes] });
  const id = `local:${userInfo().username}`;
  const reaches = reach === undefined ? [] : [reach];
  return makeCaller({ ...nobody, id, kind: 'local', isOperator: true, roles: [{ role: 'admin' }], reaches });
}

/** The same callers as the registry has them now; undefined for those who are no longer let in. For one change: asked again, it answers the same. */
export function renewCallers({ keys, callers }: Pick<Proofs, 'keys' | 'callers'>): (caller: Caller) => Caller | undefined {
  const known = new Map<string, Caller | undefined>();
  return (caller) => {
    const { key } = caller;
    if (key === undefined) return caller.facts.kind === 'local' ? caller : callers.again(caller);
    if (!known.has(key)) known.set(key, keys.callerOf(key));
    return known.get(key);
  };
}

function callerOf(callers: TokenCallers, token: VerifiedToken): Caller {
  const caller = callers.of(token);
  if (caller === undefined) throw unknown();
  return caller;
}

// The same words for what never was, what ended and what was switched off.
function unknown(): GatewayError {
  return new GatewayError('unauthenticated', 'This key is not known here, or no longer valid.');
}

function bearer(header: string): string | undefined {
  const space = header.indexOf(' ');
  if (space < 0 || header.slice(0, space).toLowerCase() !== 'bearer') return undefined;
  return header.slice(space + 1).trim();
}
