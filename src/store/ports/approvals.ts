/**
 * Calls that wait, or waited, for a person. Every change names the version it is made from: of several at the same instant one is
 * made. It is durable before it resolves, its event in the same transaction.
 */
export interface ApprovalStore {
  /** False, and nothing is kept, where a call of this digest is open already. */
  create(approval: StoredApproval, event: ApprovalEventFacts): Promise<boolean>;
  find(id: string): Promise<StoredApproval | undefined>;
  /** The open one of this digest, else the newest: several may be of one millisecond. */
  findLatest(digest: string): Promise<StoredApproval | undefined>;
  /** Puts `next` in the place of version `next.version - 1`. False, and nothing changes, where that is no longer there. */
  replace(next: StoredApproval, event: ApprovalEventFacts): Promise<boolean>;
  /** Newest first. */
  list(query: ApprovalQuery): Promise<readonly StoredApproval[]>;
  /** Open ones whose time was over before this one, the oldest first. */
  listOverdue(beforeMs: number, limit: number): Promise<readonly StoredApproval[]>;
  /** How many wait; of one caller, where one is named. */
  countPending(caller?: string): Promise<number>;
  events(id: string): Promise<readonly StoredApprovalEvent[]>;
  /** Keeps what came of a call whose client asks for it later, in the place of what came of an earlier part of it. Durable before it resolves. */
  keepResult(id: string, result: string, nowMs: number): Promise<void>;
  findResult(id: string): Promise<string | undefined>;
  /** Forgets what was kept before this time. Returns of how many. */
  dropResults(beforeMs: number): Promise<number>;
  /** Forgets the arguments of those that were closed before this time. Returns of how many. */
  dropArguments(beforeMs: number): Promise<number>;
  /** Removes what was closed before this time, with its events. Returns how many. */
  prune(beforeMs: number): Promise<number>;
}

/** `pending` and `approved` are open, the others final. */
export type ApprovalState = 'pending' | 'approved' | 'consumed' | 'denied' | 'expired' | 'void';

/** One exact call, and what was decided on it. */
export interface StoredApproval {
  readonly id: string;
  /** Keyed digest of the caller and the canonical call: at most one of a digest is open. */
  readonly digest: string;
  readonly state: ApprovalState;
  /** From 1; each change adds 1. */
  readonly version: number;
  readonly caller: string;
  readonly key: string | null;
  readonly consumer: string | null;
  readonly member: string | null;
  /** JSON: who held a secret of the key. Null in what an earlier release wrote. */
  readonly holders: string | null;
  readonly namespace: string;
  /** `namespace/name`. */
  readonly capability: string;
  readonly upstream: string;
  readonly toolbox: string;
  /** The tool as its client calls it. */
  readonly tool: string;
  /** Hash of the definition that the call was judged by. */
  readonly definition: string;
  /** `policyVersion`. */
  readonly policy: string;
  /** JSON: what the gates that hold it ask for. */
  readonly gates: string;
  /** JSON: who decided what. */
  readonly decisions: string;
  /** Sealed; empty once they were dropped. */
  readonly arguments: string;
  /** Of a closed one, where there is something to say: a sentence. */
  readonly note: string;
  /** The request with other arguments that an approver put in its place. */
  readonly replacedBy: string | null;
  /** Of a consumed one: what became of the call; null where that is not known. */
  readonly outcome: string | null;
  /** Of a consumed one: further rounds of the call that were let through. */
  readonly rounds: number;
  readonly requestedAtMs: number;
  readonly expiresAtMs: number;
  readonly updatedAtMs: number;
}

/** Arguments do not belong into it. */
export interface ApprovalEventFacts {
  readonly actor: string;
  /** `requested`, `approved`, ... */
  readonly action: string;
  /** JSON. */
  readonly detail: string;
}

export interface StoredApprovalEvent extends ApprovalEventFacts {
  /** The version it led to. */
  readonly version: number;
  readonly atMs: number;
}

/** Every field that is set must match. */
export interface ApprovalQuery {
  readonly states?: readonly ApprovalState[] | undefined;
  /**
   * Is in one of these, or was asked for by one of `callers` or by `member`, or may name `named` in its gates; an empty list finds
   * nothing by itself.
   */
  readonly namespaces?: readonly string[] | undefined;
  readonly callers?: readonly string[] | undefined;
  readonly member?: string | undefined;
  readonly named?: string | undefined;
  readonly capability?: string | undefined;
  readonly limit: number;
  /** The last one of the page before. */
  readonly before?: { readonly requestedAtMs: number; readonly id: string } | undefined;
}
