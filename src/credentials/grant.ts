import { randomUUID } from 'node:crypto';
import { seal, unseal } from '../seal.ts';
import { Secret } from '../secret.ts';
import type { StoredGrant } from '../store/ports/credentials.ts';
import type { OAuthClient } from './client.ts';
import { isResourceOf } from './discovery.ts';
import type { Registered } from './registration.ts';
import type { Tokens } from './token-request.ts';

/** What an authorization server granted one person for one upstream, opened. */
export interface Grant {
  /**
   * Where the upstream was when its owner signed in: the token is shown to nobody at another address. Undefined in what earlier
   * versions sealed: there the resource says it.
   */
  readonly address: string | undefined;
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  readonly expiresAtMs: number | undefined;
  /** Everything that was ever asked for; a wider scope is asked for together with these. */
  readonly scopes: readonly string[];
  /** When the person signed in. */
  readonly signedInAtMs: number;
  /** Where it is renewed, and as whom. */
  readonly tokenEndpoint: string;
  readonly resource: string;
  readonly client: GrantClient;
}

/** The client a grant was made for. A configured one keeps its secret in the configuration. */
export type GrantClient = {
  readonly kind: Registered['kind'];
  readonly id: string;
  readonly method: OAuthClient['method'];
  readonly secret: string | undefined;
};

export function grantClient({ kind, client: { id, method, secret } }: Registered): GrantClient {
  return { kind, id, method, secret: kind === 'dynamic' ? secret?.reveal() : undefined };
}

/** The client of a grant, ready for a token request; undefined where the configuration has another one by now. */
export function clientOf(client: GrantClient, configured: OAuthClient | undefined): OAuthClient | undefined {
  if (client.kind === 'configured') return configured?.id === client.id ? configured : undefined;
  const secret = client.secret === undefined ? undefined : new Secret(client.secret);
  return { id: client.id, method: client.method, secret, privateKey: undefined };
}

type GrantName = Pick<StoredGrant, 'upstream' | 'principal' | 'issuer'>;

/** Seals a grant under a new version. */
export function sealGrant(key: Buffer, name: GrantName, grant: Grant, nowMs: number): StoredGrant {
  const { upstream, principal, issuer } = name;
  return { upstream, principal, issuer, version: randomUUID(), sealed: seal(key, bindingOf(name), grant), updatedAtMs: nowMs };
}

/** Undefined for what was not sealed for exactly this upstream, principal and issuer. */
export function openGrant(key: Buffer, stored: StoredGrant): Grant | undefined {
  return unseal(key, bindingOf(stored), stored.sealed) as Grant | undefined;
}

/** The grant with its new tokens. A server that sends no new refresh token leaves the old one valid (RFC 6749 section 6). */
export function renewed(grant: Grant, { accessToken, refreshToken, expiresAtMs }: Tokens): Grant {
  return { ...grant, accessToken, refreshToken: refreshToken ?? grant.refreshToken, expiresAtMs };
}

/** Whether it was given for the upstream at this address. A closing slash makes no other one. */
export function isFor({ address, resource }: Grant, here: string): boolean {
  if (address === undefined) return isResourceOf(resource, new URL(here));
  return address.replace(/\/$/, '') === here.replace(/\/$/, '');
}

function bindingOf({ upstream, principal, issuer }: GrantName): string {
  return `grant|${JSON.stringify([upstream, principal, issuer])}`;
}
