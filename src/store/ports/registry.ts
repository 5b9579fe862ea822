/**
 * Everything that is registered at run time, as documents: namespaces, upstreams, toolboxes, consumers, members, keys, policies,
 * secrets. Each commit is one revision; revisions are one increasing sequence, and whoever sees one sees all before it.
 */
export interface RegistryStore {
  /** Every document that is there, and the position it is the state of. */
  load(): Promise<RegistryState>;
  /** What changed after a position, removed documents included; or that this store's past is not the one the position was seen in. */
  since(seen: RegistryPosition): Promise<RegistryNews>;
  /**
   * All or nothing, on disk before it resolves, the records in the same transaction. A rejected promise may leave a change that is
   * there: read before repeating. Throws GatewayError `store_unavailable` when the database is away or busy.
   */
  commit(changes: readonly DocumentChange[], records: readonly ChangeRecord[]): Promise<CommitResult>;
  /**
   * Calls back with the head that is there, then soon after any process committed: at once for this one, well under a second for
   * others as a rule, within 5 s while the database can be reached. The listener must not throw. Returns how to stop. To keep up,
   * use `followRegistry`, which also survives reads that fail.
   */
  watch(listener: (head: RegistryPosition) => void): () => void;
  /** Newest first. */
  changeRecords(query: ChangeQuery): Promise<readonly StoredChangeRecord[]>;
}

export interface RegistryPosition {
  /** 0 before the first commit. */
  readonly revision: number;
  /** Random, of the commit that made this revision: after a restore or a failover that lost commits, the same number has another one. */
  readonly mark: string;
}

export interface StoredDocument {
  /** Small letters and hyphens: `upstream`, `toolbox-version`. */
  readonly kind: string;
  /** Unique within its kind. */
  readonly id: string;
  /** JSON; its shape belongs to the kind. */
  readonly body: string;
  /** Of the commit that wrote it last. */
  readonly revision: number;
  readonly updatedAtMs: number;
}

export interface RegistryState {
  readonly position: RegistryPosition;
  /** By kind and id. */
  readonly documents: readonly StoredDocument[];
  /** Set when this store came from a backup: what was revoked after that was made may be valid again. */
  readonly restored: { readonly atMs: number; readonly backupMadeAtMs: number } | undefined;
}

/** A document as a commit left it; its body is undefined when it was removed. */
export interface StoredChange extends Omit<StoredDocument, 'body'> {
  readonly body: string | undefined;
}

export type RegistryNews =
  | {
      readonly kind: 'changes';
      readonly position: RegistryPosition;
      /** Each document once, in the order of revisions. */
      readonly changes: readonly StoredChange[];
    }
  /** Commits that were seen are not in this store: it was restored, or a standby took over without them. */
  | { readonly kind: 'regressed'; readonly position: RegistryPosition };

export interface DocumentChange {
  readonly kind: string;
  readonly id: string;
  /** JSON; undefined removes the document. */
  readonly body: string | undefined;
  /** The revision the document must have; undefined: there must be none. */
  readonly expects: number | undefined;
}

/** Who did what to which document. Secrets do not belong into it. */
export interface ChangeRecord {
  readonly actor: string;
  readonly action: string;
  readonly kind: string;
  readonly id: string;
  /** JSON. */
  readonly detail: string;
}

export interface StoredChangeRecord extends ChangeRecord {
  readonly revision: number;
  /** Within its commit, from 0. */
  readonly place: number;
  readonly atMs: number;
}

export type CommitResult =
  | { readonly kind: 'committed'; readonly position: RegistryPosition }
  /** Nothing was changed; `moved` are the documents whose revision was not the expected one, with the one they have. */
  | {
      readonly kind: 'conflict';
      readonly moved: readonly { readonly kind: string; readonly id: string; readonly revision: number | undefined }[];
    };

/** Every field that is set must match. */
export interface ChangeQuery {
  readonly actor?: string | undefined;
  readonly kind?: string | undefined;
  readonly id?: string | undefined;
  /** Inclusive. */
  readonly fromMs?: number | undefined;
  /** Exclusive. */
  readonly untilMs?: number | undefined;
  /** The last record of the page before this one. */
  readonly before?: { readonly revision: number; readonly place: number } | undefined;
  /** At most 1000. */
  readonly limit: number;
}
