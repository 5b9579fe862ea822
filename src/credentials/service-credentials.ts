import type { UpstreamAuth } from '../catalog/config.ts';
import type { Authorization, Bearer, Refusal } from '../upstreams/authorization.ts';
import { makeBearer, usableUntil } from './bearer.ts';
import { readChallenge } from './challenge.ts';
import type { OAuthClient } from './client.ts';
import { canonical, discoverServer } from './discovery.ts';
import { credentialsFailed } from './failure.ts';
import { configuredClient } from './registration.ts';
import type { Source } from './source.ts';
import { requestTokens, TokenRefused, TokenUnavailable } from './token-request.ts';

const pauseMs = 5_000;

/** Gatehouse in its own name (RFC 6749 section 4.4): one token for all callers, kept in memory and fetched by one of them. */
export class ServiceCredentials implements Authorization {
  readonly isPerUser = false;
  readonly #source: Source;
  readonly #auth: UpstreamAuth;
  #held: { readonly bearer: Bearer; readonly untilMs: number } | undefined;
  #fetching: Promise<Bearer> | undefined;
  #scopes: readonly string[];
  #retryAtMs = 0;
  #lastFailure: unknown;

  constructor(source: Source) {
    this.#source = source;
    this.#auth = source.auth;
    this.#scopes = source.auth.scopes ?? [];
  }

  // Whose secret it is wrote down where it is used.
  leadsTo(): void {}

  bearerFor(): Bearer | Promise<Bearer> {
    const held = this.#held;
    if (held !== undefined && held.untilMs > this.#source.ports.clock.nowMs()) return held.bearer;
    return this.#fetch();
  }

  async refused({ bearer, status, challenge, isSecondTry }: Refusal): Promise<Bearer | undefined> {
    if (isSecondTry) return undefined;
    if (this.#held !== undefined && this.#held.bearer !== bearer) return this.#held.bearer;
    if (status === 403 && !this.#widens(challenge)) return undefined;
    this.#held = undefined;
    return await this.#fetch();
  }

  onSignedIn(): () => void {
    return () => {};
  }

  /** Whether the upstream asks for scopes that were not asked for yet. */
  #widens(challenge: string | undefined): boolean {
    const wanted = readChallenge(challenge)?.scopes ?? [];
    const scopes = [...new Set([...this.#scopes, ...wanted])];
    if (scopes.length === this.#scopes.length) return false;
    this.#scopes = scopes;
    return true;
  }

  #fetch(): Promise<Bearer> {
    this.#fetching ??= this.#request().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #request(): Promise<Bearer> {
    const { ports, upstreamId, named } = this.#source;
    const { clock } = ports;
    // A token endpoint that is down is not asked once more by every call.
    if (clock.nowMs() < this.#retryAtMs) throw this.#lastFailure;
    try {
      const { endpoint, issuer, client } = await this.#server();
      const parameters: Record<string, string> = { grant_type: 'client_credentials' };
      const resource = this.#auth.resource ?? (this.#source.isApi ? undefined : canonical(this.#source.url()));
      if (resource !== undefined) parameters.resource = resource;
      if (this.#scopes.length > 0) parameters.scope = this.#scopes.join(' ');
      const tokens = await requestTokens(ports.reach, { endpoint, issuer, client, parameters, named }, clock.nowMs());
      const bearer = makeBearer(undefined, tokens.accessToken);
      this.#held = { bearer, untilMs: usableUntil(tokens.expiresAtMs, clock.nowMs()) };
      return bearer;
    } catch (error) {
      this.#lastFailure = explain(upstreamId, error);
      this.#retryAtMs = clock.nowMs() + pauseMs;
      throw this.#lastFailure;
    }
  }

  async #server(): Promise<{ readonly endpoint: string; readonly issuer: string; readonly client: OAuthClient }> {
    const { ports, upstreamId, named } = this.#source;
    const { tokenUrl, issuer = '' } = this.#auth;
    const configured = this.#source.client();
    if (configured === undefined) throw credentialsFailed(upstreamId, 'its "auth" has no client id.');
    if (tokenUrl !== undefined) {
      return { endpoint: tokenUrl, issuer: this.#auth.issuer ?? tokenUrl, client: configuredClient(configured, undefined) };
    }
    const server = await discoverServer({ upstreamId, reach: ports.reach, named }, issuer);
    return { endpoint: server.tokenEndpoint, issuer, client: configuredClient(configured, server.tokenAuthMethods) };
  }
}

function explain(upstreamId: string, error: unknown): unknown {
  if (error instanceof TokenRefused) {
    return credentialsFailed(
      upstreamId,
      `the authorization server refused (${error.error}). Check the client id, the secret and the scopes in its "auth".`,
      error,
    );
  }
  if (error instanceof TokenUnavailable)
    return credentialsFailed(upstreamId, 'the authorization server could not be asked for a token. Try again later.', error);
  return error;
}
