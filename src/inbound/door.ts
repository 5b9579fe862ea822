import type { IncomingMessage } from 'node:http';
import type { ShownStatus } from '../admin/status-for.ts';
import { authenticate, type Caller, type Proofs } from '../call/authenticate.ts';
import { ScopeRequired } from '../call/authorize.ts';
import type { PageRequest, PageResponse } from '../credentials/pages.ts';
import type { GatewayError } from '../errors.ts';
import type { TrustedIssuer } from '../identity/issuers.ts';
import { bearerChallenge, resourceUrl, scopesOf } from '../identity/resource-metadata.ts';
import type { NetworkTest } from '../policy/network.ts';
import type { Edge } from './mcp/edge.ts';
import { retryHeaders } from './mcp/messages.ts';
import type { RatingPorts } from './models/rate.ts';
import type { Addressing } from './origin.ts';

/** What the doors need of the gateway. */
export interface ServerPorts {
  readonly edge: Edge;
  readonly proofs: Proofs;
  /** Whose tokens are taken, and the address they are issued for. */
  readonly oauth: { readonly issuers: readonly TrustedIssuer[]; readonly publicUrl: () => string };
  /** Proxies whose word counts on where a request came from. */
  readonly isTrustedProxy: NetworkTest;
  readonly addressing: Addressing;
  readonly bodyLimitBytes: number;
  readonly startedAtMs: number;
  readonly ratings: RatingPorts;
  /** The pages under `/oauth/`; undefined for a path that is none of them. */
  servePage(request: PageRequest): Promise<PageResponse | undefined>;
  /** Prometheus text (GET /metrics). */
  metricsText(): Promise<string>;
  /** What `/api/status` answers. */
  status(): ShownStatus;
  /** Loads what administers the gateway. */
  loadAdministration(): Promise<void>;
  /** Ready to serve: false while starting and while draining. */
  isReady(): boolean;
}

/** Who sends a request. Throws, or rejects with, GatewayError `unauthenticated` or `issuer_unavailable`. */
export function authenticateRequest(ports: ServerPorts, request: IncomingMessage, path: string): Caller | Promise<Caller> {
  const { authorization } = request.headers;
  const resource = ports.proofs.tokens === undefined ? '' : resourceUrl(path, ports.oauth.publicUrl());
  return authenticate(ports.proofs, { authorization, apiKey: apiKey(request), resource });
}

/** Who a key or token is that was typed into a form; a token has to be good for the gateway's administration. Throws as `authenticateRequest` does. */
export function identifyShown(ports: ServerPorts, credential: string): Caller | Promise<Caller> {
  const resource = resourceUrl('/mcp/admin', ports.oauth.publicUrl());
  return authenticate(ports.proofs, { authorization: `Bearer ${credential}`, apiKey: undefined, resource });
}

export function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

function apiKey(request: IncomingMessage): string | undefined {
  const key = request.headers['x-api-key'];
  return typeof key === 'string' ? key : undefined;
}

/** What goes with an error besides its status. */
export function errorHeaders(
  { oauth }: ServerPorts,
  request: IncomingMessage,
  error: GatewayError,
): Readonly<Record<string, string | number>> {
  if (error.code === 'method_not_allowed') return { allow: 'POST, GET, DELETE' };
  const missing = error instanceof ScopeRequired ? error.scopes : undefined;
  if (error.code !== 'unauthenticated' && missing === undefined) return retryHeaders(error) ?? {};
  if (oauth.issuers.length === 0) return { 'www-authenticate': 'Bearer realm="gatehouse"' };
  return {
    'www-authenticate': bearerChallenge({
      error:
        missing !== undefined ? 'insufficient_scope' : request.headers.authorization === undefined ? 'none' : 'invalid_token',
      description: error.message,
      scopes: missing ?? scopesOf(oauth.issuers),
      path: pathOf(request.url ?? ''),
      publicUrl: oauth.publicUrl(),
    }),
  };
}
