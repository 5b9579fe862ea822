/**
 * Credentials towards upstreams. What is `sealed` is opaque here, and bound by its seal to the row it stands in. Everything that
 * changes something is durable before it resolves.
 */
export interface CredentialStore {
  /** The newest grant of this principal at this upstream, whoever issued it. */
  findGrant(upstream: string, principal: string): Promise<StoredGrant | undefined>;
  /** Of one upstream, or all; of these principals, or everybody; newest first, at most `limit`. */
  listGrants(query: GrantQuery): Promise<readonly StoredGrant[]>;
  /** Takes the place of what the principal had from this issuer; whoever renews that has lost it. */
  putGrant(grant: StoredGrant): Promise<void>;
  /** Keeps the renewal of this version for the caller until a time. False where another replica has it, or it is no longer there. */
  leaseGrant(grant: StoredGrant, nowMs: number, untilMs: number): Promise<boolean>;
  /** Gives the lease of this version back. */
  releaseGrant(grant: StoredGrant): Promise<void>;
  /** Puts `next` in the place of `before`, without a lease. False, and nothing changes, where that is no longer there. */
  replaceGrant(before: StoredGrant, next: StoredGrant): Promise<boolean>;
  /** Removes exactly this version. */
  removeGrant(grant: StoredGrant): Promise<boolean>;
  /** Removes whatever this principal has at this upstream, also while it is renewed; returns how many. */
  removeGrants(upstream: string, principal: string): Promise<number>;
  findClient(issuer: string, redirectUri: string): Promise<StoredClient | undefined>;
  /** Keeps the first one of an issuer and redirect URI, and returns it. */
  putClient(client: StoredClient): Promise<StoredClient>;
  /** Removes exactly this one. */
  removeClient(client: StoredClient): Promise<void>;
  putSignIn(signIn: StoredSignIn): Promise<void>;
  findSignIn(id: string): Promise<StoredSignIn | undefined>;
  /** False where it is gone. */
  replaceSignIn(signIn: StoredSignIn): Promise<boolean>;
  /** Removes it. True for exactly one of those who try. */
  takeSignIn(id: string): Promise<boolean>;
  /** Removes what expired before this time; returns how many. */
  pruneSignIns(beforeMs: number): Promise<number>;
}

interface GrantQuery {
  readonly upstream?: string | undefined;
  readonly principals?: readonly string[] | undefined;
  readonly limit: number;
}

/** What an authorization server granted a person for one upstream. Upstream, principal and issuer name it. */
export interface StoredGrant {
  /** `namespace/name`. */
  readonly upstream: string;
  readonly principal: string;
  readonly issuer: string;
  /** Another one with every change. */
  readonly version: string;
  readonly sealed: string;
  readonly updatedAtMs: number;
}

/** What an authorization server gave Gatehouse when it registered itself. */
export interface StoredClient {
  readonly issuer: string;
  readonly redirectUri: string;
  readonly sealed: string;
  readonly createdAtMs: number;
}

/** A sign-in that somebody has begun. */
export interface StoredSignIn {
  readonly id: string;
  readonly sealed: string;
  readonly expiresAtMs: number;
}
