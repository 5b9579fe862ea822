import { isLoopback } from '../open-url.ts';
import type { Reach, TrustedIssuer } from './issuers.ts';

/** Protected resource metadata (RFC 9728 section 2): whom a client asks for a token for this address. */
export interface ResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly scopes_supported?: readonly string[];
  readonly bearer_methods_supported: readonly ['header'];
  readonly resource_name: string;
}

const wellKnown = '/.well-known/oauth-protected-resource';
// Every name that a toolbox could have, with or without a version.
const toolboxPath = /^\/mcp(\/[a-z][a-z0-9-]{0,39}(@[a-zA-Z0-9._-]{1,64})?)?$/;

/**
 * The document at `path`, or undefined where there is none. A toolbox that does not exist has the same document as one that does:
 * nobody learns from it what there is. Undefined for every path while no issuer is trusted.
 */
export function describeResource(
  issuers: readonly TrustedIssuer[],
  path: string,
  publicUrl: string,
): ResourceMetadata | undefined {
  if (issuers.length === 0 || !path.startsWith(wellKnown)) return undefined;
  const resourcePath = withoutPrefix(path.slice(wellKnown.length), publicUrl);
  if (resourcePath !== '' && !toolboxPath.test(resourcePath)) return undefined;
  const scopes = scopesOf(issuers);
  return {
    resource: resourceUrl(resourcePath, publicUrl),
    authorization_servers: issuers.map(({ issuer }) => issuer),
    ...(scopes.length > 0 ? { scopes_supported: scopes } : {}),
    bearer_methods_supported: ['header'],
    resource_name: 'Gatehouse',
  };
}

/** The resource identifier of a toolbox (RFC 8707): its full address. `path` is that of the request, `/mcp/<toolbox>`. */
export function resourceUrl(path: string, publicUrl: string): string {
  return publicUrl + path;
}

/** Where the metadata of a request's path is; for a path that is no toolbox's, that of the whole gateway. */
function metadataUrl(path: string, publicUrl: string): string {
  return publicUrl + wellKnown + (toolboxPath.test(path) ? path : '');
}

// A client that asks unprompted puts the whole path behind the well-known one, the path of the gateway itself included
// (RFC 9728 section 3.1).
function withoutPrefix(path: string, publicUrl: string): string {
  const prefix = new URL(publicUrl).pathname.replace(/\/$/, '');
  return prefix !== '' && (path === prefix || path.startsWith(`${prefix}/`)) ? path.slice(prefix.length) : path;
}

/** Every scope that means something here. The same for each toolbox, so that it tells nobody what there is. */
export function scopesOf(issuers: readonly TrustedIssuer[]): readonly string[] {
  return Array.from(new Set(issuers.flatMap(({ claims }) => Array.from(claims.scopes?.keys() ?? []))));
}

/**
 * The scopes to ask for when a token does not reach a toolbox, all in one challenge: those that reach no more than others that
 * would do. Empty when no scope of this issuer names the toolbox: then asking again would not help. Made of the issuer's rules
 * alone, not of what there is: nobody learns from it which toolboxes exist.
 */
export function scopesFor(issuers: readonly TrustedIssuer[], issuer: string, toolbox: string): readonly string[] {
  const rules = issuers.find((trusted) => trusted.issuer === issuer)?.claims.scopes;
  const reaching = Array.from(rules ?? []).flatMap(([name, reach]) =>
    reach !== 'all' && reach.toolboxes.has(toolbox) ? [{ name, size: reach.toolboxes.size + reach.namespaces.size }] : [],
  );
  const least = reaching.toSorted((a, b) => a.size - b.size)[0];
  if (least !== undefined) return [least.name];
  const namesOf = (isMeant: (reach: Reach) => boolean) =>
    Array.from(rules ?? []).flatMap(([name, reach]) => (isMeant(reach) ? [name] : []));
  const toAll = namesOf((reach) => reach === 'all');
  // A namespace's scope leads into every toolbox but shows its own capabilities only; at `/mcp` there are some for certain.
  return toAll.length > 0 || toolbox !== '' ? toAll : namesOf((reach) => reach !== 'all' && reach.namespaces.size > 0);
}

export interface Challenge {
  /** `none`: the request had no token, and so nothing was wrong with it (RFC 6750 section 3.1). */
  readonly error: 'none' | 'invalid_token' | 'insufficient_scope';
  /** A sentence for the client's developer. */
  readonly description?: string;
  readonly scopes: readonly string[];
  /** Of the request, `/mcp/<toolbox>`. */
  readonly path: string;
  readonly publicUrl: string;
}

/** The value of `WWW-Authenticate` (RFC 6750 section 3, RFC 9728 section 5.1). Goes with 401, and with 403 `insufficient_scope`. */
export function bearerChallenge({ error, description, scopes, path, publicUrl }: Challenge): string {
  const parameters: [string, string | undefined][] = [
    ['realm', 'gatehouse'],
    ['error', error === 'none' ? undefined : error],
    ['error_description', error === 'none' ? undefined : description],
    ['scope', scopes.length === 0 ? undefined : scopes.join(' ')],
    ['resource_metadata', metadataUrl(path, publicUrl)],
  ];
  return `Bearer ${parameters.flatMap(([name, value]) => (value === undefined ? [] : `${name}="${quotable(value)}"`)).join(', ')}`;
}

// What RFC 6750 section 3 lets these values hold; a header can hold no line break either.
function quotable(text: string): string {
  return text.replaceAll('"', "'").replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?');
}

/** The gateway's own address: as configured, or where it listens on this machine. */
export function publicUrlOf(settings: { readonly publicUrl: string | undefined; readonly host: string }, port: number): string {
  if (settings.publicUrl !== undefined) return settings.publicUrl;
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  return `http://${isLoopback(host) ? host : '127.0.0.1'}:${port}`;
}
