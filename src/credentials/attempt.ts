import { createHash, timingSafeEqual } from 'node:crypto';
import type { Discovered } from './discovery.ts';
import type { GrantClient } from './grant.ts';

/** A sign-in under way; sealed, it survives a restart and is taken up by whatever replica the browser reaches. */
export interface Attempt {
  readonly upstream: string;
  readonly principal: string;
  /** Of the upstream: what is granted is good for it alone. */
  readonly address: string;
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  readonly sendsIssuer: boolean;
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly client: GrantClient;
  readonly redirectUri: string;
  /** From the moment the person went on to the authorization server. */
  readonly under?: { readonly verifier: string; readonly stateHash: string; readonly browserHash: string };
}

/** Why a visit to one of our pages ends there; the sentence is for the person in front of it. */
export class Visit extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What a visitor reads whose sign-in cannot be found. */
export const over =
  'This sign-in is over or was never begun here. Go back to your client and repeat the call: it gives you a new address.';
const maxScopes = 200;

/** A code that came over plain http could be read on its way; only this machine is near enough (RFC 8252 section 8.3). */
export function isSafe(publicUrl: string): boolean {
  const { protocol, hostname } = new URL(publicUrl);
  return protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname);
}

/** What the upstream asks for, then what it lists; and lasting access, where the server has a scope for it. */
export function chooseScopes(asked: readonly string[] | undefined, { scopes, server }: Discovered): readonly string[] {
  const chosen = asked ?? scopes ?? [];
  const lasting = server.scopes?.includes('offline_access') ? ['offline_access'] : [];
  return [...new Set([...chosen, ...lasting])].slice(0, maxScopes);
}

export function authorizationUrl(
  { authorizationEndpoint, client, redirectUri, scopes, resource }: Attempt,
  state: string,
  challenge: string,
): string {
  const url = new URL(authorizationEndpoint);
  const parameters: Record<string, string> = {
    response_type: 'code',
    client_id: client.id,
    redirect_uri: redirectUri,
    state,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    resource,
  };
  if (scopes.length > 0) parameters.scope = scopes.join(' ');
  // OpenID Connect Core section 11: a server may ignore the scope unless consent is asked for.
  if (scopes.includes('offline_access')) parameters.prompt = 'consent';
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/** RFC 9207 section 2.4: as text, and before the code is shown to anybody. So is the address that is the server's own. */
export function checkIssuer({ issuer, sendsIssuer, redirectUri }: Attempt, path: string, sent: readonly string[]): void {
  const isRight = sent.length === 0 ? !sendsIssuer : sent.length === 1 && sent[0] === issuer;
  if (isRight && redirectUri.endsWith(path)) return;
  throw new Visit(
    400,
    'Another authorization server answered than the one that was asked, so the answer was thrown away. Nothing was stored.',
  );
}

export function describeRefusal(error: string): string {
  if (error === 'access_denied') return 'Access was denied at the authorization server. Repeat the call to try again.';
  const code = /^[a-z_]{1,60}$/.test(error) ? ` (${error})` : '';
  return `The authorization server did not let you sign in${code}. Repeat the call to try again.`;
}

/** SHA-256 as base64url: also what PKCE calls S256 (RFC 7636 section 4.2). */
export function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

export function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
