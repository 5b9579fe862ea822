import { setTimeout as pause } from 'node:timers/promises';
import type { StoredGrant } from '../store/ports/credentials.ts';
import type { Authorization, Bearer, Refusal } from '../upstreams/authorization.ts';
import { makeBearer, usableUntil } from './bearer.ts';
import { type Challenge, readChallenge, readScopes } from './challenge.ts';
import { canonical } from './discovery.ts';
import { credentialsFailed } from './failure.ts';
import { clientOf, type Grant, isFor, openGrant, renewed, sealGrant } from './grant.ts';
import { configuredClient, forgetClient, redirectUriOf } from './registration.ts';
import type { Asked, SignIns } from './sign-in.ts';
import type { Source } from './source.ts';
import { requestTokens, TokenRefused, TokenUnavailable } from './token-request.ts';

/** A token that is ready to be sent. */
interface Held {
  readonly bearer: Bearer;
  readonly version: string;
  readonly untilMs: number;
  readonly grant: Grant;
  /** When it was last seen in the store, or looked for in vain as that was away. */
  seenAtMs: number;
}

const maxHeld = 10_000;
/** Scopes that a sign-in asks for because a description names them. */
const mostDescribed = 100;
/** Of the newest grants, for one whose owner is still let in. */
const mostLookedAt = 100;
// A renewal is one request of at most ten seconds: who still holds the lease after this is gone.
const leaseMs = 20_000;
const lookAgainMs = 50;
// Whoever ended a sign-in, here or at another replica, is obeyed everywhere within this time.
const stillThereMs = 5_000;
// An upstream that refuses what it was just given the sign-in for would be signed in to for ever.
const freshMs = 60_000;
const stepUpWindowMs = 10 * 60_000;
const maxStepUps = 3;

/** There is no grant, or none that is good enough. Asking its owner for one costs requests, so only who can ask them does. */
class NoGrant extends Error {
  readonly asked: Asked;
  constructor(asked: Asked = {}) {
    super('there is no grant');
    this.asked = asked;
  }
}

/**
 * Everybody's own grant at one upstream (OAuth 2.1 authorization code). A grant is looked for in the store at a caller's first
 * call and held in memory from then on, with a look whether it is still there every few seconds; of all replicas one renews it.
 */
export class UserCredentials implements Authorization {
  readonly isPerUser = true;
  readonly source: Source;
  readonly #signIns: SignIns;
  readonly #held = new Map<string, Held>();
  /** Work on a principal's grant that everybody who needs it waits for. */
  readonly #flights = new Map<string, Promise<Bearer>>();
  readonly #stepUps = new Map<string, { readonly sinceMs: number; readonly count: number }>();
  readonly #listeners = new Set<() => void>();
  #challenge: Challenge | undefined;
  #address: string | undefined;
  #described: readonly string[] | undefined;

  constructor(source: Source, signIns: SignIns) {
    this.source = source;
    this.#signIns = signIns;
  }

  leadsTo(address: URL, scopes: readonly string[]): void {
    this.#address = canonical(address);
    this.#described = readScopes(scopes.filter((scope) => !/\s/.test(scope)).join(' '));
    if (scopes.length <= mostDescribed && (this.#described !== undefined || scopes.length === 0)) return;
    // Nobody agrees to so much at once, and a part of it would be anybody's guess.
    this.#described = undefined;
    const { log } = this.source.ports;
    log.warn(
      { upstream: this.source.upstreamId, scopes: scopes.length },
      'The description names more scopes than a sign-in asks for, so it asks for none of them; write "scopes" into its "auth".',
    );
  }

  /** Where tokens go. Throws GatewayError `bad_configuration` where a secret in it is missing. */
  get address(): string {
    return this.#address ?? canonical(this.source.url());
  }

  bearerFor(principal: string | undefined): Bearer | Promise<Bearer | undefined> {
    if (principal === undefined) return this.#anyBearer();
    const nowMs = this.source.ports.clock.nowMs();
    const held = this.#held.get(principal);
    const isGood = held !== undefined && held.untilMs > nowMs;
    if (isGood && Math.abs(nowMs - held.seenAtMs) < stillThereMs) return held.bearer;
    return this.#flight(principal, () => this.#load(principal)).catch((error: unknown) => {
      // A store that is away ends nobody's sign-in.
      if (isGood && !(error instanceof NoGrant)) {
        held.seenAtMs = nowMs;
        return held.bearer;
      }
      return this.#askOwner(principal, error);
    });
  }

  async refused(refusal: Refusal): Promise<Bearer | undefined> {
    const { principal, bearer, status, isSecondTry } = refusal;
    const challenge = readChallenge(refusal.challenge);
    if (challenge !== undefined && status === 401) this.#challenge = challenge;
    // Gatehouse's own requests go out with the grant of somebody, who is not asked to sign in for them.
    const owner = principal ?? bearer?.principal;
    if (owner === undefined) throw this.#nobody();
    const held = this.#held.get(owner);
    if (!isSecondTry && held !== undefined && held.bearer !== bearer) return held.bearer;
    try {
      if (status === 403) return await this.#stepUp(owner, bearer, challenge, isSecondTry);
      return await this.#flight(owner, () => this.#replace(owner, bearer, isSecondTry));
    } catch (error) {
      if (principal === undefined && error instanceof NoGrant) throw this.#nobody();
      return await this.#askOwner(owner, error);
    }
  }

  onSignedIn(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes the grant that a sign-in ended in. */
  async signedIn(principal: string, issuer: string, grant: Grant): Promise<void> {
    const { ports, upstreamId } = this.source;
    const stored = sealGrant(ports.key, { upstream: upstreamId, principal, issuer }, grant, ports.clock.nowMs());
    await ports.store.putGrant(stored);
    this.#hold(stored, grant);
    for (const listener of this.#listeners) listener();
  }

  /** Whether it is a grant for this upstream as it is now, whatever its token is worth. */
  takes(stored: StoredGrant): boolean {
    return this.#opened(stored) !== undefined;
  }

  /** What the upstream last asked for. */
  get challenge(): Challenge | undefined {
    return this.#challenge;
  }

  /** What a sign-in asks for where nothing wider is needed; undefined where nobody says. */
  get scopes(): readonly string[] | undefined {
    return this.source.auth.scopes ?? this.#challenge?.scopes ?? this.#described;
  }

  /** The listing of an upstream must wait until somebody has signed in. */
  #nobody(): Error {
    return credentialsFailed(
      this.source.upstreamId,
      'nobody is signed in to it, so it cannot be asked what it offers. The first who signs in makes its tools known.',
    );
  }

  async #anyBearer(): Promise<Bearer | undefined> {
    const { ports, upstreamId } = this.source;
    const newest = await ports.store.listGrants({ upstream: upstreamId, limit: mostLookedAt });
    // For somebody who is locked out nothing is asked in their name either.
    const principal = newest.find((grant) => ports.isLetIn(grant.principal))?.principal;
    if (principal === undefined) return undefined;
    const held = this.#held.get(principal);
    if (held !== undefined && held.untilMs > ports.clock.nowMs()) return held.bearer;
    return await this.#flight(principal, () => this.#load(principal)).catch((error: unknown) => {
      // Their grant is worth nothing any more; a list that needs none may still be had.
      if (error instanceof NoGrant) return undefined;
      throw error;
    });
  }

  /**
   * Undefined for what was not granted for this upstream as it is now: whoever gave it another address, or another issuer, has
   * nobody's consent for that.
   */
  #opened(stored: StoredGrant): Grant | undefined {
    const { auth, ports } = this.source;
    if (auth.issuer !== undefined && stored.issuer !== auth.issuer) return undefined;
    const grant = openGrant(ports.key, stored);
    return grant !== undefined && isFor(grant, this.address) ? { ...grant, address: this.address } : undefined;
  }

  #flight(principal: string, work: () => Promise<Bearer>): Promise<Bearer> {
    let flight = this.#flights.get(principal);
    if (flight === undefined) {
      flight = work().finally(() => this.#flights.delete(principal));
      this.#flights.set(principal, flight);
    }
    return flight;
  }

  async #load(principal: string): Promise<Bearer> {
    const { ports, upstreamId } = this.source;
    const stored = await ports.store.findGrant(upstreamId, principal);
    const grant = stored && this.#opened(stored);
    if (stored === undefined || grant === undefined) {
      this.#held.delete(principal);
      throw new NoGrant();
    }
    const nowMs = ports.clock.nowMs();
    if (usableUntil(grant.expiresAtMs, nowMs) > nowMs) return this.#hold(stored, grant);
    return await this.#renew(stored, grant);
  }

  /** The upstream refused the token: another one, if the grant gives one. */
  async #replace(principal: string, bearer: Bearer | undefined, isSecondTry: boolean): Promise<Bearer> {
    const { ports, upstreamId } = this.source;
    const before = this.#held.get(principal);
    const stored = await ports.store.findGrant(upstreamId, principal);
    const grant = stored && this.#opened(stored);
    if (stored === undefined || grant === undefined) throw new NoGrant();
    if (!isSecondTry) {
      // Somebody else renewed it, or its owner has signed in anew.
      if (before !== undefined && before.version !== stored.version) return await this.#usable(stored, grant);
      if (grant.refreshToken !== undefined) return await this.#renew(stored, grant);
    }
    if (bearer?.isAccepted === false && ports.clock.nowMs() - grant.signedInAtMs < freshMs) {
      throw credentialsFailed(
        upstreamId,
        'it refuses the token that its own authorization server has just issued. Ask its operator.',
      );
    }
    await this.#drop(stored);
    throw new NoGrant();
  }

  async #usable(stored: StoredGrant, grant: Grant): Promise<Bearer> {
    const nowMs = this.source.ports.clock.nowMs();
    return usableUntil(grant.expiresAtMs, nowMs) > nowMs ? this.#hold(stored, grant) : await this.#renew(stored, grant);
  }

  /** The token is good, but not for this: a sign-in for everything asked for so far and what is asked for now. */
  async #stepUp(
    principal: string,
    bearer: Bearer | undefined,
    challenge: Challenge | undefined,
    isSecondTry: boolean,
  ): Promise<Bearer | undefined> {
    const { ports, upstreamId } = this.source;
    const wanted = challenge?.scopes ?? [];
    const stored = await ports.store.findGrant(upstreamId, principal);
    const grant = stored && this.#opened(stored);
    if (stored === undefined || grant === undefined) throw new NoGrant();
    const held = this.#held.get(principal);
    if (!isSecondTry && held?.bearer === bearer && held?.version !== stored.version) return await this.#usable(stored, grant);
    const missing = wanted.filter((scope) => !grant.scopes.includes(scope));
    if (missing.length === 0) {
      throw credentialsFailed(
        upstreamId,
        'what its authorization server granted is not enough for this, and asking again would change nothing. Ask its operator.',
      );
    }
    if (!this.#mayStepUp(principal))
      throw credentialsFailed(
        upstreamId,
        'it keeps asking for wider access; no more sign-ins for the next minutes. Ask its operator.',
      );
    throw new NoGrant({ scopes: [...grant.scopes, ...missing], than: stored.version });
  }

  #mayStepUp(principal: string): boolean {
    const nowMs = this.source.ports.clock.nowMs();
    const before = this.#stepUps.get(principal);
    const recent = before !== undefined && nowMs - before.sinceMs < stepUpWindowMs ? before : { sinceMs: nowMs, count: 0 };
    if (recent.count >= maxStepUps) return false;
    if (this.#stepUps.size >= maxHeld) this.#stepUps.clear();
    this.#stepUps.set(principal, { sinceMs: recent.sinceMs, count: recent.count + 1 });
    return true;
  }

  /** One request for as many callers and replicas as there are. */
  async #renew(stored: StoredGrant, grant: Grant): Promise<Bearer> {
    const { ports, upstreamId } = this.source;
    const { store, clock } = ports;
    if (grant.refreshToken === undefined) {
      await this.#drop(stored);
      throw new NoGrant();
    }
    const patienceMs = performance.now() + 2 * leaseMs;
    while (performance.now() < patienceMs) {
      const nowMs = clock.nowMs();
      if (await store.leaseGrant(stored, nowMs, nowMs + leaseMs))
        return await this.#renewLeased(stored, grant, grant.refreshToken);
      await pause(lookAgainMs);
      const current = await store.findGrant(upstreamId, stored.principal);
      const opened = current && this.#opened(current);
      if (current === undefined || opened === undefined) throw new NoGrant();
      if (current.version !== stored.version) return this.#hold(current, opened);
    }
    throw credentialsFailed(upstreamId, 'renewing them takes too long. Try again later.');
  }

  async #renewLeased(stored: StoredGrant, grant: Grant, refreshToken: string): Promise<Bearer> {
    const { ports, upstreamId, named } = this.source;
    const { store, clock, reach, key } = ports;
    try {
      const configured = this.source.client();
      const client = clientOf(
        grant.client,
        configured && configuredClient({ ...configured, method: configured.method ?? basicOrPost(grant) }, undefined),
      );
      if (client === undefined) throw new TokenRefused('unauthorized_client');
      const parameters = { grant_type: 'refresh_token', refresh_token: refreshToken, resource: grant.resource };
      const request = { endpoint: grant.tokenEndpoint, issuer: stored.issuer, client, parameters, named };
      const next = renewed(grant, await requestTokens(reach, request, clock.nowMs()));
      const kept = sealGrant(key, stored, next, clock.nowMs());
      if (await store.replaceGrant(stored, kept)) return this.#hold(kept, next);
      // Its owner signed in anew meanwhile: that is the grant to use.
      return await this.#load(stored.principal);
    } catch (error) {
      if (error instanceof TokenRefused && error.isFinal) {
        if (error.error !== 'invalid_grant') await this.#forgetClient(stored, grant);
        await this.#drop(stored);
        throw new NoGrant();
      }
      await store.releaseGrant(stored);
      if (!(error instanceof TokenRefused) && !(error instanceof TokenUnavailable)) throw error;
      throw credentialsFailed(upstreamId, 'its authorization server could not renew them. Try again later.', error);
    }
  }

  async #forgetClient({ issuer }: StoredGrant, grant: Grant): Promise<void> {
    const { ports } = this.source;
    const publicUrl = ports.publicUrl();
    if (grant.client.kind !== 'dynamic' || publicUrl === undefined) return;
    await forgetClient(ports, issuer, redirectUriOf(publicUrl, issuer), grant.client.id);
  }

  async #drop(stored: StoredGrant): Promise<void> {
    if (this.#held.get(stored.principal)?.version === stored.version) this.#held.delete(stored.principal);
    await this.source.ports.store.removeGrant(stored);
  }

  #hold(stored: StoredGrant, grant: Grant): Bearer {
    const { principal, version } = stored;
    const before = this.#held.get(principal);
    const nowMs = this.source.ports.clock.nowMs();
    if (before?.version === version) {
      before.seenAtMs = nowMs;
      return before.bearer;
    }
    const bearer = makeBearer(principal, grant.accessToken);
    const untilMs = usableUntil(grant.expiresAtMs, nowMs);
    if (this.#held.size >= maxHeld)
      for (const oldest of this.#held.keys()) {
        this.#held.delete(oldest);
        break;
      }
    this.#held.set(principal, { bearer, version, untilMs, grant, seenAtMs: nowMs });
    return bearer;
  }

  /** Whoever has no grant is sent to get one; every other error stays what it is. */
  async #askOwner(principal: string, error: unknown): Promise<never> {
    if (!(error instanceof NoGrant)) throw error;
    throw await this.#signIns.begin(this, principal, error.asked);
  }
}

function basicOrPost({ client: { method } }: Grant): 'client_secret_basic' | 'client_secret_post' | undefined {
  return method === 'client_secret_basic' || method === 'client_secret_post' ? method : undefined;
}
