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

/** When keys were last used; written in batches behind the calls. Loss is tolerable. */
export interface KeyUses {
  /** Keeps the latest time of each key. */
  note(uses: readonly KeyUse[]): Promise<void>;
  load(keyIds: readonly string[]): Promise<readonly KeyUse[]>;
}

export interface KeyUse {
  readonly keyId: string;
  readonly atMs: number;
}
