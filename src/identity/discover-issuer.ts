import { isLoopback, isOpenUrl } from '../open-url.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { TrustedIssuer } from './issuers.ts';

/** Sends one request to an address that was checked as it was connected to. Follows no redirect. */
export type GuardedFetch = (
  url: URL,
  request: { readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal },
) => Promise<FetchedAnswer>;

interface FetchedAnswer {
  readonly status: number;
  readonly body: (AsyncIterable<Uint8Array> & { cancel(): Promise<void> }) | null;
}

const documentLimitBytes = 512 * 1024;

/** Where an issuer publishes its keys: as configured, or as its own metadata says. Throws Error with the reason, for the log. */
export async function findKeysUrl({ issuer, jwksUrl }: TrustedIssuer, fetch: GuardedFetch, signal: AbortSignal): Promise<URL> {
  if (jwksUrl !== undefined) return new URL(jwksUrl);
  let reason = '';
  for (const url of metadataUrls(issuer)) {
    // Whoever does not answer at all will not answer at the next address either: that error ends the search.
    const answer = await getJson(fetch, url, signal);
    if (answer.kind === 'none') reason = answer.reason;
    // RFC 8414 section 3.3: a document that speaks for another issuer must not be used.
    else if (answer.value.issuer !== issuer) reason = `the metadata at ${url} is of another issuer`;
    else return keysUrlIn(answer.value, new URL(issuer));
  }
  throw new Error(reason);
}

/** In the order of the MCP specification (basic/authorization): RFC 8414, then OpenID Connect with the path put in, then appended. */
function metadataUrls(issuer: string): URL[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const urls = [`${origin}/.well-known/oauth-authorization-server${path}`, `${origin}/.well-known/openid-configuration${path}`];
  if (path !== '') urls.push(`${origin}${path}/.well-known/openid-configuration`);
  return urls.map((url) => new URL(url));
}

function keysUrlIn({ jwks_uri: text }: JsonObject, issuer: URL): URL {
  if (typeof text !== 'string' || text.length > 2048 || !isOpenUrl(text)) throw new Error('its metadata has no usable jwks_uri');
  const url = new URL(text);
  // A far issuer must not make us fetch from this machine in the clear.
  if (url.protocol !== 'https:' && !isLoopback(issuer.hostname)) throw new Error('its metadata has a jwks_uri without https');
  return url;
}

type JsonAnswer = { readonly kind: 'document'; readonly value: JsonObject } | { readonly kind: 'none'; readonly reason: string };

/** A JSON object, or why there is none here. Throws what `fetch` does when nobody answers. */
export async function getJson(fetch: GuardedFetch, url: URL, signal: AbortSignal): Promise<JsonAnswer> {
  const response = await fetch(url, { headers: { accept: 'application/json' }, signal });
  if (response.status !== 200) {
    await response.body?.cancel();
    return { kind: 'none', reason: `${url} answered with status ${response.status}` };
  }
  const text = await readText(response);
  if (text === undefined) return { kind: 'none', reason: `${url} answered with more than ${documentLimitBytes} bytes` };
  const value = parseObject(text);
  return value === undefined ? { kind: 'none', reason: `${url} answered with no JSON object` } : { kind: 'document', value };
}

async function readText({ body }: FetchedAnswer): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    bytes += piece.byteLength;
    // Leaving the loop ends the answer.
    if (bytes > documentLimitBytes) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
