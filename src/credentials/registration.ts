import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { seal, unseal } from '../seal.ts';
import { Secret } from '../secret.ts';
import type { CredentialStore, StoredClient } from '../store/ports/credentials.ts';
import { FetchFailed, type JsonAnswer, type Reach } from '../upstreams/fetch-json.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { authMethods, chooseMethod, type OAuthClient } from './client.ts';
import type { AuthorizationServer } from './discovery.ts';
import { credentialsFailed } from './failure.ts';

export interface RegistrationPorts {
  readonly store: CredentialStore;
  readonly key: Buffer;
  readonly reach: Reach;
  readonly clock: Clock;
}

/** How Gatehouse came to be known to a server, which says where its credentials are found again. */
export type Registered =
  /** Written into the namespace file. */
  | { readonly kind: 'configured'; readonly client: OAuthClient }
  /** Its id is the address of our own metadata document. */
  | { readonly kind: 'document'; readonly client: OAuthClient }
  /** Registered by itself (RFC 7591); kept in the store. */
  | { readonly kind: 'dynamic'; readonly client: OAuthClient };

/** What the namespace file says of Gatehouse as a client. */
export interface ConfiguredClient {
  readonly id: string;
  readonly secret: Secret | undefined;
  readonly privateKey: Secret | undefined;
  readonly method: 'client_secret_basic' | 'client_secret_post' | undefined;
}

/** It as a client of a server that supports these ways of showing that it is itself. */
export function configuredClient(
  { id, secret, privateKey, method }: ConfiguredClient,
  supported: readonly string[] | undefined,
): OAuthClient {
  const chosen = chooseMethod({ secret: secret !== undefined, privateKey: privateKey !== undefined }, supported);
  return { id, method: chosen.startsWith('client_secret') ? (method ?? chosen) : chosen, secret, privateKey };
}

interface RegistrationOptions {
  readonly upstreamId: string;
  readonly server: AuthorizationServer;
  readonly configured: ConfiguredClient | undefined;
  /** The operator wrote this server down. */
  readonly isNamed: boolean;
  readonly publicUrl: string;
  readonly named: ReadonlySet<string>;
}

/**
 * Where people come back to. Gatehouse registers one of its own with each server: one that sends them to another's pages gets no code of
 * that, which knows no such address (RFC 9700 section 4.4.2.2). Who registers it by hand, and our document, name no server.
 */
export function redirectUriOf(publicUrl: string, issuer?: string): string {
  const common = `${publicUrl}/oauth/callback`;
  return issuer === undefined ? common : `${common}/${hash('sha256', issuer, 'base64url').slice(0, 22)}`;
}

/** Our own metadata document's address: a client id for servers that take such, where they can fetch it. */
function documentUrlOf(publicUrl: string): string | undefined {
  return publicUrl.startsWith('https://') ? `${publicUrl}/oauth/client-metadata.json` : undefined;
}

/** The document behind that address; undefined where the public URL is not https and nobody could trust it. */
export function clientMetadata(publicUrl: string): JsonObject | undefined {
  const url = documentUrlOf(publicUrl);
  return url === undefined
    ? undefined
    : {
        client_id: url,
        client_uri: publicUrl,
        ...describeClient(publicUrl, redirectUriOf(publicUrl)),
        token_endpoint_auth_method: 'none',
      };
}

function describeClient(publicUrl: string, redirectUri: string): JsonObject {
  return {
    client_name: 'Gatehouse',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    // Redirects over plain http are for programs on the person's own machine (OpenID Connect Registration 1.0 section 2).
    application_type: publicUrl.startsWith('https://') ? 'web' : 'native',
  };
}

/**
 * Gatehouse as a client of this server (MCP basic/authorization, "Client Registration Approaches", in that order). Rejects with
 * GatewayError `credentials_failed`.
 */
export async function registerClient(ports: RegistrationPorts, options: RegistrationOptions): Promise<Registered> {
  const { configured, server, publicUrl, upstreamId } = options;
  if (configured !== undefined) return { kind: 'configured', client: configuredClient(configured, server.tokenAuthMethods) };
  const documentUrl = documentUrlOf(publicUrl);
  // The document is the same for all servers, and so is where it says that people come back to: a server that does not tell its name there
  // (RFC 9207) could be handed the codes of another one.
  const isTold = server.sendsIssuer || options.isNamed;
  if (server.takesDocuments && isTold && documentUrl !== undefined)
    return { kind: 'document', client: { id: documentUrl, method: 'none', secret: undefined, privateKey: undefined } };
  if (server.registrationEndpoint !== undefined)
    return { kind: 'dynamic', client: await registered(ports, options, server.registrationEndpoint) };
  if (server.takesDocuments && !isTold && documentUrl !== undefined)
    throw credentialsFailed(
      upstreamId,
      'its authorization server does not promise to say who answers (RFC 9207), so that its answers could be those of another one. If you trust it, write it as "issuer" into "auth" of the namespace file.',
    );
  throw credentialsFailed(
    upstreamId,
    `its authorization server registers no clients by itself. Register Gatehouse at ${new URL(server.issuer).origin} with the redirect URI ${redirectUriOf(publicUrl)}, and write the client id into "auth" of the namespace file.`,
  );
}

async function registered(ports: RegistrationPorts, options: RegistrationOptions, endpoint: string): Promise<OAuthClient> {
  const { store, key, clock } = ports;
  const { server, publicUrl } = options;
  const redirectUri = redirectUriOf(publicUrl, server.issuer);
  const known = await store.findClient(server.issuer, redirectUri);
  const opened = known && openClient(key, known);
  if (opened !== undefined && (opened.expiresAtMs === 0 || opened.expiresAtMs > clock.nowMs() + 60_000)) return opened.client;
  if (known !== undefined) await store.removeClient(known);
  const value = await askForClient(ports, options, endpoint);
  const fresh: StoredClient = {
    issuer: server.issuer,
    redirectUri,
    sealed: seal(key, bindingOf(server.issuer, redirectUri), value),
    createdAtMs: clock.nowMs(),
  };
  // Of replicas that register at once, all go on with the first.
  return openClient(key, await store.putClient(fresh))?.client ?? toClient(value);
}

/** Forgets a registration that its server no longer knows: the next sign-in makes a new one. */
export async function forgetClient(
  { store, key }: RegistrationPorts,
  issuer: string,
  redirectUri: string,
  id: string,
): Promise<void> {
  const known = await store.findClient(issuer, redirectUri);
  if (known !== undefined && openClient(key, known)?.client.id === id) await store.removeClient(known);
}

interface SealedClient {
  readonly id: string;
  readonly method: OAuthClient['method'];
  readonly secret: string | undefined;
  /** 0: never. */
  readonly expiresAtMs: number;
}

function toClient({ id, method, secret }: SealedClient): OAuthClient {
  return { id, method, secret: secret === undefined ? undefined : new Secret(secret), privateKey: undefined };
}

function openClient(key: Buffer, { issuer, redirectUri, sealed }: StoredClient) {
  const value = unseal(key, bindingOf(issuer, redirectUri), sealed) as SealedClient | undefined;
  return value === undefined ? undefined : { client: toClient(value), expiresAtMs: value.expiresAtMs };
}

function bindingOf(issuer: string, redirectUri: string): string {
  return `client|${JSON.stringify([issuer, redirectUri])}`;
}

async function askForClient(
  { reach }: RegistrationPorts,
  { upstreamId, server, publicUrl, named }: RegistrationOptions,
  endpoint: string,
): Promise<SealedClient> {
  const wanted = wantedMethod(server.tokenAuthMethods);
  const description = describeClient(publicUrl, redirectUriOf(publicUrl, server.issuer));
  const body = JSON.stringify({ ...description, token_endpoint_auth_method: wanted });
  const headers = { 'content-type': 'application/json' };
  let answer: JsonAnswer;
  try {
    answer = await reach.fetchJson({ url: endpoint, method: 'POST', headers, body, named });
  } catch (error) {
    if (!(error instanceof FetchFailed)) throw error;
    throw credentialsFailed(
      upstreamId,
      'the registration endpoint of its authorization server could not be used. Try again later.',
      error,
    );
  }
  const client = answer.status === 201 || answer.status === 200 ? readClient(answer.body, wanted) : undefined;
  // An id under our own address is our document's: of what is registered there, other servers would know it.
  if (client !== undefined && !client.id.startsWith(publicUrl)) return client;
  throw credentialsFailed(
    upstreamId,
    `its authorization server did not register Gatehouse (HTTP ${answer.status}). Register it by hand with the redirect URI ${redirectUriOf(publicUrl)}, and write the client id into "auth" of the namespace file.`,
  );
}

// A secret that only this client and the server know is worth having where the server deals in them.
function wantedMethod(supported: readonly string[] | undefined): OAuthClient['method'] {
  if (supported === undefined) return 'client_secret_basic';
  return (['client_secret_basic', 'client_secret_post'] as const).find((method) => supported.includes(method)) ?? 'none';
}

/** What RFC 7591 section 3.2.1 answers with; the server may have decided on another method than was asked for. */
function readClient(body: JsonObject | undefined, wanted: OAuthClient['method']): SealedClient | undefined {
  if (!isObject(body)) return undefined;
  const { client_id: id, client_secret: secret, client_secret_expires_at: expiresAt } = body;
  if (typeof id !== 'string' || !/^[\x20-\x7e]{1,2048}$/.test(id)) return undefined;
  const hasSecret = typeof secret === 'string' && /^[\x20-\x7e]{1,4096}$/.test(secret);
  const said = authMethods.find((name) => name === body.token_endpoint_auth_method);
  const method = hasSecret
    ? said === 'none' || said === 'private_key_jwt'
      ? 'none'
      : (said ?? (wanted === 'none' ? 'client_secret_basic' : wanted))
    : 'none';
  return {
    id,
    method,
    secret: hasSecret && method !== 'none' ? secret : undefined,
    expiresAtMs: typeof expiresAt === 'number' && expiresAt > 0 ? expiresAt * 1000 : 0,
  };
}
