/**
 * Calls whose clients gave them a key, so that each is made once however often it is asked for. One clock counts for all who share the
 * rows, where the place has one. Every change is durable before it resolves; every implementation passes
 * test/contracts/keyed-calls.contract.ts.
 */
export interface KeyedCalls {
  /** Takes a key that is free: of many at the same instant one gets it. Undefined where it was taken, else what is known of the call that has it. */
  take(claim: Claim): Promise<KeyedCall | undefined>;
  /** Undefined where the key is free. */
  find(key: string): Promise<KeyedCall | undefined>;
  /** Takes a key from a holder whose lease is over. False where it is not, or somebody else has it by now. */
  takeOver(holder: string, claim: Claim): Promise<boolean>;
  /** False where the holder has it no longer. */
  renew(claim: Claim): Promise<boolean>;
  /** Keeps what came of the call until its time is over. False where the holder has it no longer. */
  settle(claim: Claim, answer: string): Promise<boolean>;
  /** As if the key had never been used. */
  release(claim: Claim): Promise<void>;
  /** Removes those whose time is over. Returns how many. */
  prune(): Promise<number>;
}

export interface Claim {
  /** Says nothing of whose it is. */
  readonly key: string;
  /** Digest of what is asked for. */
  readonly request: string;
  /** Who makes the call: another one for each attempt. */
  readonly holder: string;
  /** Without a word of its holder it may be taken over then. */
  readonly leaseMs: number;
  /** How long the key is remembered; longer than any call. */
  readonly ttlMs: number;
}

export interface KeyedCall {
  readonly request: string;
  readonly holder: string;
  /** Sealed; undefined while nothing came of it. */
  readonly answer: string | undefined;
  /** 0 and less: its holder is gone. */
  readonly leaseLeftMs: number;
}
