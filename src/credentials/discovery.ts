import type { GatewayError } from '../errors.ts';
import { FetchFailed, type JsonAnswer, type Reach } from '../upstreams/fetch-json.ts';
import type { Json, JsonObject } from '../wire/json.ts';
import type { Challenge } from './challenge.ts';
import { credentialsFailed } from './failure.ts';

/** Where tokens for an upstream come from, as its own metadata says. Every endpoint was checked: it may be reached. */
export interface Discovered {
  readonly server: AuthorizationServer;
  /** The resource identifier, exactly as it was published (RFC 8707). */
  readonly resource: string;
  /** What the upstream's metadata lists. */
  readonly scopes: readonly string[] | undefined;
}

/** The part of an authorization server's metadata that is used (RFC 8414 section 2). */
export interface AuthorizationServer {
  readonly issuer: string;
  readonly authorizationEndpoint: string | undefined;
  readonly tokenEndpoint: string;
  readonly registrationEndpoint: string | undefined;
  readonly hasS256: boolean;
  /** It takes the address of a metadata document for a client id. */
  readonly takesDocuments: boolean;
  /** It promises `iss` in every authorization response (RFC 9207). */
  readonly sendsIssuer: boolean;
  readonly tokenAuthMethods: readonly string[] | undefined;
  readonly scopes: readonly string[] | undefined;
}

export interface DiscoveryOptions {
  readonly upstreamId: string;
  readonly upstreamUrl: URL;
  /** The authorization server that the operator wrote down: no other one is used. */
  readonly issuer: string | undefined;
  /** The resource identifier that the operator wrote down. */
  readonly resource: string | undefined;
  readonly challenge: Challenge | undefined;
  readonly reach: Pick<Reach, 'fetchJson' | 'mayReach'>;
  /** Origins that the operator wrote down. */
  readonly named: ReadonlySet<string>;
}

/**
 * Finds the authorization server of an upstream (MCP basic/authorization, "Authorization Server Discovery"). Rejects with
 * GatewayError `credentials_failed`.
 */
export async function discover(asked: DiscoveryOptions): Promise<Discovered> {
  const options = { ...asked, reach: withinOneTime(asked.reach) };
  const metadata = await findResourceMetadata(options);
  const { upstreamId, upstreamUrl, resource } = options;
  if (metadata === undefined) {
    if (options.issuer === undefined) {
      throw credentialsFailed(
        upstreamId,
        'it does not say which authorization server it trusts (RFC 9728). Ask its operator, or write "issuer" into its "auth".',
      );
    }
    const server = await discoverServer(options, options.issuer);
    return { server, resource: resource ?? canonical(upstreamUrl), scopes: undefined };
  }
  const published = readResource(options, metadata);
  const server = await discoverServer(options, chooseIssuer(options, metadata));
  return { server, resource: resource ?? published, scopes: texts(metadata.scopes_supported) };
}

/** An upstream's address as a resource identifier: without query, fragment and a bare closing slash. */
export function canonical(url: URL): string {
  return url.pathname === '/' ? url.origin : `${url.origin}${url.pathname}`;
}

async function findResourceMetadata(options: DiscoveryOptions): Promise<JsonObject | undefined> {
  const { challenge, upstreamUrl } = options;
  const pathname = upstreamUrl.pathname.replace(/\/$/, '');
  const root = `${upstreamUrl.origin}/.well-known/oauth-protected-resource`;
  const places =
    challenge?.resourceMetadata === undefined ? [...new Set([`${root}${pathname}`, root])] : [challenge.resourceMetadata];
  for (const place of places) {
    const found = await fetchMetadata(options, place);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The document must speak of this upstream: its own origin, and a path that leads to it (RFC 9728 section 3.3). */
function readResource({ upstreamId, upstreamUrl }: DiscoveryOptions, metadata: JsonObject): string {
  const text = metadata.resource;
  if (typeof text === 'string' && isResourceOf(text, upstreamUrl)) return text;
  throw credentialsFailed(
    upstreamId,
    'its metadata is about another resource than its own address, so a token for it could be one for somebody else. Ask its operator.',
  );
}

/** Whether a resource identifier is of the upstream at this address: its own origin, and a path that leads to it. */
export function isResourceOf(text: string, { origin, pathname }: URL): boolean {
  const url = text.length <= maxUrl ? URL.parse(text) : null;
  return url !== null && url.origin === origin && url.hash === '' && leadsTo(url.pathname, pathname);
}

function leadsTo(resource: string, path: string): boolean {
  const base = resource.replace(/\/$/, '');
  return path === base || path.startsWith(`${base}/`);
}

function chooseIssuer({ upstreamId, issuer }: DiscoveryOptions, metadata: JsonObject): string {
  const named = texts(metadata.authorization_servers) ?? [];
  if (issuer !== undefined) {
    if (named.length === 0 || named.includes(issuer)) return issuer;
    throw credentialsFailed(
      upstreamId,
      'it no longer names the authorization server that is written as "issuer" in its "auth". Ask its operator, and correct it if that is right.',
    );
  }
  const [first] = named;
  if (first !== undefined) return first;
  throw credentialsFailed(upstreamId, 'its metadata names no authorization server. Ask its operator.');
}

/** Reads an authorization server's metadata and checks it. Rejects with GatewayError `credentials_failed`. */
export async function discoverServer(
  options: Pick<DiscoveryOptions, 'upstreamId' | 'reach' | 'named'>,
  issuer: string,
): Promise<AuthorizationServer> {
  const { upstreamId } = options;
  for (const place of serverMetadataPlaces(upstreamId, issuer)) {
    const metadata = await fetchMetadata(options, place);
    if (metadata === undefined) continue;
    // Compared as text: whoever could pass for another issuer by a slash could take its codes (RFC 8414 section 3.3).
    if (metadata.issuer !== issuer)
      throw credentialsFailed(upstreamId, 'its authorization server answers in the name of another one. Ask its operator.');
    return readServer(options, issuer, metadata);
  }
  throw credentialsFailed(
    upstreamId,
    `the metadata of its authorization server could not be read from ${originOf(issuer)}. If that is an internal address, the operator can allow it with GATEHOUSE_EGRESS_ALLOW.`,
  );
}

// MCP basic/authorization: RFC 8414 with the path inserted, then OpenID Connect with it inserted, then appended.
function serverMetadataPlaces(upstreamId: string, issuer: string): readonly string[] {
  const url = issuer.length <= maxUrl ? URL.parse(issuer) : null;
  if (url === null || url.search !== '' || url.hash !== '')
    throw credentialsFailed(upstreamId, 'its metadata names an authorization server that is not a plain URL. Ask its operator.');
  const path = url.pathname.replace(/\/$/, '');
  const wellKnown = `${url.origin}/.well-known`;
  if (path === '') return [`${wellKnown}/oauth-authorization-server`, `${wellKnown}/openid-configuration`];
  return [
    `${wellKnown}/oauth-authorization-server${path}`,
    `${wellKnown}/openid-configuration${path}`,
    `${url.origin}${path}/.well-known/openid-configuration`,
  ];
}

async function readServer(
  { upstreamId, reach, named }: Pick<DiscoveryOptions, 'upstreamId' | 'reach' | 'named'>,
  issuer: string,
  metadata: JsonObject,
): Promise<AuthorizationServer> {
  async function endpoint(name: string): Promise<string | undefined> {
    const text = metadata[name];
    if (text === undefined) return undefined;
    if (typeof text === 'string' && text.length <= maxUrl && !URL.parse(text)?.hash && (await reach.mayReach(text, named)))
      return text;
    throw unusableEndpoint(upstreamId, name);
  }
  const tokenEndpoint = await endpoint('token_endpoint');
  if (tokenEndpoint === undefined) throw unusableEndpoint(upstreamId, 'token_endpoint');
  return {
    issuer,
    authorizationEndpoint: await endpoint('authorization_endpoint'),
    tokenEndpoint,
    registrationEndpoint: await endpoint('registration_endpoint'),
    hasS256: texts(metadata.code_challenge_methods_supported)?.includes('S256') ?? false,
    takesDocuments: metadata.client_id_metadata_document_supported === true,
    sendsIssuer: metadata.authorization_response_iss_parameter_supported === true,
    tokenAuthMethods: texts(metadata.token_endpoint_auth_methods_supported),
    scopes: texts(metadata.scopes_supported),
  };
}

function unusableEndpoint(upstreamId: string, name: string): GatewayError {
  return credentialsFailed(
    upstreamId,
    `the ${name} of its authorization server is missing, or not an address that may be reached: it must be https, and public or allowed by GATEHOUSE_EGRESS_ALLOW.`,
  );
}

/** There are up to five places to ask, and a caller waits: all of them share one time. */
const metadataWithinMs = 15_000;

function withinOneTime(reach: DiscoveryOptions['reach']): DiscoveryOptions['reach'] {
  const endsAtMs = performance.now() + metadataWithinMs;
  return {
    mayReach: (url, named) => reach.mayReach(url, named),
    fetchJson: (request) => reach.fetchJson({ ...request, deadlineMs: Math.max(1, Math.ceil(endsAtMs - performance.now())) }),
  };
}

/** The document at this place; undefined where there is none, or nobody that may be asked. */
async function fetchMetadata(
  { reach, named }: Pick<DiscoveryOptions, 'reach' | 'named'>,
  url: string,
): Promise<JsonObject | undefined> {
  let answer: JsonAnswer;
  try {
    answer = await reach.fetchJson({ url, named });
  } catch (error) {
    // The same for closed, filtered, refused and absent: nobody learns from it what is behind an address.
    if (error instanceof FetchFailed) return undefined;
    throw error;
  }
  return answer.status === 200 ? answer.body : undefined;
}

const maxUrl = 2048;

function texts(value: Json | undefined): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.slice(0, 200).filter((item) => typeof item === 'string');
}

function originOf(url: string): string {
  return URL.parse(url)?.origin ?? 'there';
}
