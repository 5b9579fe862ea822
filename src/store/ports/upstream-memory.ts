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
