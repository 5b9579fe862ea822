import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { seal, unseal } from '../seal.ts';
import type { StoredSignIn } from '../store/ports/credentials.ts';
import { SignInRequired } from '../upstreams/authorization.ts';
import type { Cancel } from '../wire/cancel.ts';
import {
  type Attempt,
  authorizationUrl,
  checkIssuer,
  chooseScopes,
  describeRefusal,
  hash,
  isSafe,
  isSame,
  over,
  Visit,
} from './attempt.ts';
import { discover } from './discovery.ts';
import { credentialsFailed } from './failure.ts';
import { clientOf, grantClient } from './grant.ts';
import { configuredClient, forgetClient, redirectUriOf, registerClient } from './registration.ts';
import type { CredentialPorts } from './source.ts';
import { requestTokens, TokenRefused, TokenUnavailable } from './token-request.ts';
import type { UserCredentials } from './user-credentials.ts';

/** How long a person has, from the first call to the end of the sign-in. */
const signInWithinMs = 10 * 60_000;
const lookAgainMs = 500;

/** A wider grant than the one there is. */
export interface Asked {
  readonly scopes?: readonly string[];
  /** Version of the grant that is not enough. */
  readonly than?: string;
}

/** The start page's address is given out again as long as nothing came of it. */
interface Begun {
  readonly id: string;
  readonly url: string;
  readonly scopes: string;
  readonly expiresAtMs: number;
}

const maxBegun = 10_000;

/** Everything between a call that needs a sign-in and the grant it ends in (RFC 6749 section 4.1, OAuth 2.1, RFC 9207). */
export class SignIns {
  readonly #ports: CredentialPorts;
  readonly #sources = new Map<string, UserCredentials>();
  readonly #begun = new Map<string, Begun>();
  readonly #beginning = new Map<string, Promise<SignInRequired>>();
  readonly #waiting = new Set<() => void>();
  #prunedAtMs = 0;

  constructor(ports: CredentialPorts) {
    this.#ports = ports;
  }

  /** The credentials that a callback for this upstream belongs to; the last ones made for it count. */
  use(credentials: UserCredentials): void {
    this.#sources.set(credentials.source.upstreamId, credentials);
  }

  /** Begins a sign-in, or goes on with the one that is open. Rejects with GatewayError `credentials_failed` where it cannot. */
  begin(credentials: UserCredentials, principal: string, asked: Asked): Promise<SignInRequired> {
    const key = JSON.stringify([credentials.source.upstreamId, principal, asked.scopes ?? null]);
    let beginning = this.#beginning.get(key);
    if (beginning === undefined) {
      beginning = this.#begin(credentials, principal, asked).finally(() => this.#beginning.delete(key));
      this.#beginning.set(key, beginning);
    }
    return beginning;
  }

  async #begin(credentials: UserCredentials, principal: string, asked: Asked): Promise<SignInRequired> {
    const { upstreamId } = credentials.source;
    const { clock, store } = this.#ports;
    const publicUrl = this.#ports.publicUrl();
    if (publicUrl === undefined || !isSafe(publicUrl)) {
      throw credentialsFailed(
        upstreamId,
        'it wants everybody to sign in with a browser, and this gateway has no https address for one. The operator sets GATEHOUSE_PUBLIC_URL.',
      );
    }
    const key = JSON.stringify([upstreamId, principal]);
    const known = this.#begun.get(key);
    const scopes = JSON.stringify(asked.scopes ?? null);
    const isOpen = known !== undefined && known.scopes === scopes && known.expiresAtMs - signInWithinMs / 2 > clock.nowMs();
    if (isOpen && (await store.findSignIn(known.id)) !== undefined)
      return this.#required(credentials, principal, known.url, asked);
    const attempt = await this.#prepare(credentials, principal, publicUrl, asked);
    const ticket = randomBytes(32).toString('base64url');
    const url = `${publicUrl}/oauth/start/${ticket}`;
    const expiresAtMs = clock.nowMs() + signInWithinMs;
    const id = hash(ticket);
    await this.#prune();
    await store.putSignIn({ id, sealed: this.#seal(id, attempt), expiresAtMs });
    if (this.#begun.size >= maxBegun) this.#begun.clear();
    this.#begun.set(key, { id, url, scopes, expiresAtMs });
    return this.#required(credentials, principal, url, asked);
  }

  #required(credentials: UserCredentials, principal: string, url: string, { than, scopes }: Asked): SignInRequired {
    const why = scopes === undefined ? 'wants you to sign in to it first' : 'wants you to allow it more than before';
    const text = `The upstream ${credentials.source.upstreamId} ${why}. Open the page in your browser, sign in, and repeat the call.`;
    return new SignInRequired(text, url, (withinMs, cancel) => this.#finished(credentials, principal, than, withinMs, cancel));
  }

  /** Whether a grant came, here or on another replica, before the time was over. */
  async #finished(
    credentials: UserCredentials,
    principal: string,
    than: string | undefined,
    withinMs: number,
    cancel: Cancel,
  ): Promise<boolean> {
    const until = performance.now() + withinMs;
    const aborter = new AbortController();
    const stop = cancel.onCancel(() => aborter.abort());
    try {
      for (;;) {
        const found = await this.#ports.store.findGrant(credentials.source.upstreamId, principal);
        // One for another address, or of another issuer, is there still and ends no wait.
        if (found !== undefined && found.version !== than && credentials.takes(found)) return true;
        const leftMs = until - performance.now();
        if (leftMs <= 0 || cancel.isCancelled) return false;
        await this.#next(Math.min(lookAgainMs, leftMs), aborter.signal);
      }
    } finally {
      stop();
    }
  }

  /** Until somebody signs in here, or it is time to look whether they did elsewhere. */
  async #next(withinMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    await Promise.race([promise, pause(withinMs, undefined, { signal }).catch(() => {})]);
    this.#waiting.delete(resolve);
  }

  async #prepare(credentials: UserCredentials, principal: string, publicUrl: string, asked: Asked): Promise<Attempt> {
    const { source, challenge } = credentials;
    const { upstreamId, url, auth, named } = source;
    const { reach } = this.#ports;
    const found = await discover({
      upstreamId,
      upstreamUrl: url(),
      issuer: auth.issuer,
      resource: auth.resource,
      challenge,
      reach,
      named,
    });
    const { server, resource } = found;
    if (server.authorizationEndpoint === undefined)
      throw credentialsFailed(upstreamId, 'its authorization server has no page to sign in at. Ask its operator.');
    if (!server.hasS256) {
      throw credentialsFailed(
        upstreamId,
        'its authorization server does not say that it supports PKCE with S256, without which a sign-in is not safe. Ask its operator.',
      );
    }
    const isNamed = auth.issuer !== undefined;
    const client = await registerClient(this.#ports, {
      upstreamId,
      server,
      configured: source.client(),
      isNamed,
      publicUrl,
      named,
    });
    return {
      upstream: upstreamId,
      principal,
      address: credentials.address,
      issuer: server.issuer,
      authorizationEndpoint: server.authorizationEndpoint,
      tokenEndpoint: server.tokenEndpoint,
      sendsIssuer: server.sendsIssuer,
      resource,
      scopes: chooseScopes(asked.scopes ?? credentials.scopes, found),
      client: grantClient(client),
      redirectUri: redirectUriOf(publicUrl, client.kind === 'dynamic' ? server.issuer : undefined),
    };
  }

  /** The sign-in that a start page's ticket names. Throws Visit. */
  async open(ticket: string): Promise<{ readonly stored: StoredSignIn; readonly attempt: Attempt }> {
    return await this.#find(hash(ticket));
  }

  /** Binds the sign-in to this browser. Returns where to send it: the authorization server's page. */
  async goOn(ticket: string, browser: string): Promise<string> {
    const { stored, attempt } = await this.open(ticket);
    const verifier = randomBytes(32).toString('base64url');
    const random = randomBytes(32).toString('base64url');
    const under = { verifier, stateHash: hash(random), browserHash: hash(browser) };
    const isThere = await this.#ports.store.replaceSignIn({ ...stored, sealed: this.#seal(stored.id, { ...attempt, under }) });
    if (!isThere) throw new Visit(410, over);
    return authorizationUrl(attempt, `${stored.id}.${random}`, hash(verifier));
  }

  /**
   * Takes what the authorization server sent the browser back with, to this path. Resolves with the upstream that is signed in to. Throws
   * Visit; a browser that did not begin this sign-in changes nothing.
   */
  async finish(path: string, query: URLSearchParams, browser: string | undefined): Promise<Attempt> {
    const [id = '', random = ''] = (query.get('state') ?? '').split('.');
    const { attempt } = await this.#find(id);
    const { under } = attempt;
    if (under === undefined || !isSame(under.stateHash, hash(random))) throw new Visit(400, over);
    if (browser === undefined || !isSame(under.browserHash, hash(browser))) {
      throw new Visit(
        403,
        'This sign-in was begun in another browser, so it ends here: whoever sent you this address may be after your account. Nothing was stored.',
      );
    }
    // From here on it is used up, whatever comes of it.
    if (!(await this.#ports.store.takeSignIn(id))) throw new Visit(410, over);
    checkIssuer(attempt, path, query.getAll('iss'));
    const refusal = query.get('error');
    if (refusal !== null) throw new Visit(400, describeRefusal(refusal));
    const code = query.get('code');
    if (code === null || code.length > 4096)
      throw new Visit(400, 'The authorization server sent you back without a code. Repeat the call to try again.');
    await this.#redeem(attempt, code, under.verifier);
    for (const wake of [...this.#waiting]) wake();
    return attempt;
  }

  async #redeem(attempt: Attempt, code: string, verifier: string): Promise<void> {
    const credentials = this.#sources.get(attempt.upstream);
    if (credentials === undefined) throw new Visit(410, 'The upstream you signed in to is not configured any more.');
    const { clock, reach, log } = this.#ports;
    const { source } = credentials;
    const configured = source.client();
    const method = attempt.client.method;
    const client = clientOf(attempt.client, configured && { ...configuredClient(configured, undefined), method });
    if (client === undefined)
      throw new Visit(410, 'The client id of this upstream was changed meanwhile. Repeat the call to try again.');
    const parameters = {
      grant_type: 'authorization_code',
      code,
      redirect_uri: attempt.redirectUri,
      code_verifier: verifier,
      resource: attempt.resource,
    };
    const { tokenEndpoint, issuer, scopes, resource } = attempt;
    try {
      const request = { endpoint: tokenEndpoint, issuer, client, parameters, named: source.named };
      const { accessToken, refreshToken, expiresAtMs } = await requestTokens(reach, request, clock.nowMs());
      await credentials.signedIn(attempt.principal, issuer, {
        address: attempt.address,
        accessToken,
        refreshToken,
        expiresAtMs,
        scopes,
        signedInAtMs: clock.nowMs(),
        tokenEndpoint,
        resource,
        client: attempt.client,
      });
    } catch (error) {
      if (!(error instanceof TokenRefused) && !(error instanceof TokenUnavailable)) throw error;
      log.warn({ upstream: attempt.upstream, reason: error.message }, 'a sign-in ended without a token');
      if (error instanceof TokenRefused && error.isFinal && error.error !== 'invalid_grant' && attempt.client.kind === 'dynamic')
        await forgetClient(this.#ports, issuer, attempt.redirectUri, attempt.client.id);
      throw new Visit(502, 'The authorization server did not exchange your sign-in for a token. Repeat the call to try again.');
    }
  }

  async #find(id: string): Promise<{ readonly stored: StoredSignIn; readonly attempt: Attempt }> {
    if (!/^[A-Za-z0-9_-]{43}$/.test(id)) throw new Visit(404, over);
    const stored = await this.#ports.store.findSignIn(id);
    const attempt = stored && (unseal(this.#ports.key, bindingOf(id), stored.sealed) as Attempt | undefined);
    if (stored === undefined || attempt === undefined || stored.expiresAtMs < this.#ports.clock.nowMs())
      throw new Visit(404, over);
    return { stored, attempt };
  }

  #seal(id: string, attempt: Attempt): string {
    return seal(this.#ports.key, bindingOf(id), attempt);
  }

  async #prune(): Promise<void> {
    const { clock, store } = this.#ports;
    if (clock.nowMs() - this.#prunedAtMs < 60_000) return;
    this.#prunedAtMs = clock.nowMs();
    await store.pruneSignIns(clock.nowMs());
  }
}

function bindingOf(id: string): string {
  return `sign-in|${id}`;
}
