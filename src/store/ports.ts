/** What Gatehouse keeps. Every store implements these and passes test/contracts/store.contract.ts. All times are ms since 1970. */
export interface Store {
  readonly keys: KeyStore;
  readonly sealing: SealingKeyStore;
  readonly upstreams: UpstreamMemory;
  readonly sessions: SessionStore;
  close(): Promise<void>;
}

/** Hashes of keys; the keys themselves are shown once and never kept. */
export interface KeyStore {
  /** Durable before it resolves. Returns false, and changes nothing, when the id exists. */
  create(key: StoredKey): Promise<boolean>;
  list(): Promise<readonly StoredKey[]>;
}

export interface StoredKey {
  readonly id: string;
  /** HMAC-SHA256 of the key under the pepper, hex. */
  readonly hash: string;
  readonly createdAtMs: number;
}

export type SealingPurpose = 'session' | 'request-state' | 'pepper';

/** One random 32-byte key per purpose, the same for every replica that opens this store. */
export interface SealingKeyStore {
  /** Returns the key of this purpose, made once; two replicas that start at once get the same one. */
  get(purpose: SealingPurpose): Promise<Buffer>;
}

/** What is known of an upstream from earlier runs, so that a start needs no probe and a dead upstream keeps its definitions. */
export interface UpstreamMemory {
  load(): Promise<readonly RememberedUpstream[]>;
  save(upstream: RememberedUpstream): Promise<void>;
  forget(id: string): Promise<void>;
}

export interface RememberedUpstream {
  /** `namespace/name`. */
  readonly id: string;
  /** Changes when the address or command does: a memory with another one is not used. */
  readonly fingerprint: string;
  /** JSON; its shape belongs to the upstream's kind. */
  readonly state: string;
  readonly savedAtMs: number;
}

/** What a sealed session id cannot carry: that it ended, and what its client changed later. Loss is tolerable, a read is rare. */
export interface SessionStore {
  /** Undefined when nothing was kept for this id, or when the store cannot say within 250 ms. Never throws. */
  load(id: string): Promise<StoredSession | undefined>;
  /** May be written later and in batches; `flush` waits for it. An ended session stays ended, whatever is saved after it. */
  save(session: StoredSession): void;
  /** Removes what was last used before this time. Returns how many; 0 where the store itself removes what is old. */
  prune(beforeMs: number): Promise<number>;
  /** Tries to write everything that was saved. Never throws: what fails is tried again later. */
  flush(): Promise<void>;
}

export interface StoredSession {
  readonly id: string;
  readonly isEnded: boolean;
  /** JSON: log level, subscriptions. */
  readonly state: string;
  readonly lastUsedAtMs: number;
}
