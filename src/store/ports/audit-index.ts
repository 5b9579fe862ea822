/** What the journal has on record, for searching. It follows the journal and may lag behind it or forget; it proves nothing. */
export interface AuditIndex {
  /**
   * Takes rows, and with them how far into their chain they reach. A row that is there already takes from the new one what
   * became of the call, so that a call is one row. Either all of it is kept or nothing.
   */
  add(batch: readonly AuditRow[], reached: AuditHead): Promise<void>;
  /** How far the index reaches, per chain. */
  heads(): Promise<readonly AuditHead[]>;
  /** Newest first. */
  search(query: AuditQuery): Promise<readonly AuditRow[]>;
  /** Removes rows from before this time. Returns how many. */
  prune(beforeMs: number): Promise<number>;
}

/** A place in a chain of the journal. */
export interface AuditHead {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
}

/** One call, or one change of the gateway itself. */
export interface AuditRow {
  readonly chain: string;
  /** Unique in the chain: a call's id, or `#<seq>`. */
  readonly id: string;
  /** Of its first record. */
  readonly seq: number;
  readonly atMs: number;
  readonly kind: 'call' | 'change';
  /** Null where what the call was is no longer here. */
  readonly caller: string | null;
  readonly consumer: string | null;
  /** What was called, or the object that was changed. */
  readonly capability: string | null;
  readonly upstream: string | null;
  readonly decision: string | null;
  /** Null while a call runs, and for ever when the process was killed meanwhile. */
  readonly outcome: string | null;
  readonly code: string | null;
  readonly ms: number | null;
  readonly trace: string | null;
  /** JSON: every field of its first record. */
  readonly record: string | null;
  /** JSON: every field of the record of its outcome, when that is another one. */
  readonly result: string | null;
  /** Content rules that matched, as `category/name`. */
  readonly contentRules: readonly string[];
}

export interface AuditQuery {
  /** Of one of these ids. */
  readonly calls?: readonly string[] | undefined;
  readonly caller?: string | undefined;
  /** Any of these; an empty list finds nothing. */
  readonly callers?: readonly string[] | undefined;
  readonly capability?: string | undefined;
  /** What was called is in one of these; an empty list finds nothing. */
  readonly namespaces?: readonly string[] | undefined;
  readonly decision?: string | undefined;
  readonly code?: string | undefined;
  readonly trace?: string | undefined;
  /** A content rule that matched, `category/name`, or any of a `category`; neither has blanks or wildcards. */
  readonly contentRule?: string | undefined;
  readonly fromMs?: number | undefined;
  /** Not included. */
  readonly toMs?: number | undefined;
  readonly limit: number;
  /** The last row of the page before. */
  readonly before?: AuditCursor | undefined;
}

export type AuditCursor = Pick<AuditRow, 'atMs' | 'chain' | 'seq'>;
