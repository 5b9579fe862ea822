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
