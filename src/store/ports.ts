import type { Demand } from '../policy/compile-limits.ts';
import type { Secret } from '../secret.ts';
import type { ModelRecords } from './model-ports.ts';

/** What Gatehouse keeps. Every store implements these and passes test/contracts/store.contract.ts. All times are ms since 1970. */
export interface Store {
  readonly keys: KeyStore;
  readonly sealing: SealingKeyStore;
  readonly upstreams: UpstreamMemory;
  readonly sessions: SessionStore;
  readonly registry: RegistryStore;
  readonly keyUses: KeyUses;
  readonly vault: SecretVault;
  readonly masterKeys: MasterKeys;
  readonly rollUps: RollUps;
  readonly budgets: BudgetRows;
  readonly audit: AuditIndex;
  readonly credentials: CredentialStore;
  readonly approvals: ApprovalStore;
  readonly definitions: DefinitionStore;
  readonly models: ModelRecords;
  readonly notices: NoticeStore;
  readonly sightings: SightingRows;
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

export type SealingPurpose = 'session' | 'request-state' | 'pepper' | 'journal' | 'credential' | 'reply';

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

/** Where a secret belongs; what was sealed for one place opens for no other. */
export interface SecretPlace {
  readonly kind: string;
  readonly id: string;
}

/**
 * Seals values to be kept anywhere: each under a random data key of its own, which the store keeps wrapped by the master key.
 * A change of the master key touches the data keys only, never what was sealed.
 */
export interface SecretVault {
  /** The data key is on disk before it resolves. At most 32 KiB of UTF-8. */
  seal(place: SecretPlace, value: Secret): Promise<string>;
  /** Throws GatewayError `internal` for what was not sealed here for this place, or was forgotten. */
  open(place: SecretPlace, sealed: string): Promise<Secret>;
  /** Makes this sealed value unreadable for good, wherever copies of it lie, backups excepted. */
  forget(sealed: string): Promise<void>;
}

export interface RotationProgress {
  /** Keys that are wrapped by the newest master key. */
  readonly done: number;
  readonly total: number;
}

export interface MasterKeys {
  /**
   * Wraps every key that an older master key wraps by the newest one, a few at a time while everything runs, then retires the
   * older ones. Killed at any point, the next call goes on. Returns the version that is current now. Throws GatewayError
   * `bad_configuration` when there is no newer key.
   */
  rotate(onProgress: (progress: RotationProgress) => void): Promise<number>;
}

/**
 * Where limits are counted; every implementation passes test/contracts/counters.contract.ts. In any window of a rate the calls
 * let through are never more than its amount, and never under 99 % of it while more is asked for; a budget is exact.
 */
export interface Counters {
  /**
   * Takes from every counter that is asked, or from none. Each counter at most once per call. An answer known at once is no
   * promise. Never throws: where the counters cannot be reached, each limit's `whenStoreGone` decides.
   */
  take(demands: readonly Demand[], cost: Cost): Taken | Promise<Taken>;
  /** What is used up right now; takes nothing. Throws when the counters cannot be reached. */
  usage(demands: readonly Demand[]): Promise<readonly CounterUsage[]>;
  /** The same, where the counters are in this process; undefined where somebody has to be asked. */
  usageNow?(demands: readonly Demand[]): readonly CounterUsage[];
  /** Writes what is still to be written. What is held then is given up. */
  close(): Promise<void>;
}

/** What one call uses up, in whole units; what a limit does not count is left alone by it. */
export interface Cost {
  readonly calls: number;
  /** An estimate at first, at least 1 where the call will use any. 0 for what uses none: token limits do not hold it back. */
  readonly tokens: number;
  /** Billionths of a US dollar; as with tokens. */
  readonly nanoUsd: number;
}

export type Taken = Admitted | Refused;

export interface Admitted {
  readonly kind: 'admitted';
  readonly reservation: Reservation;
  /** Demands of shadow limits that would have refused. Their counters were left as they were. */
  readonly wouldRefuse: readonly Demand[];
}

export interface Refused {
  readonly kind: 'refused';
  /** Of those that refuse, the one with the longest wait. */
  readonly demand: Demand;
  /** `too-large`: this call asks for more than the limit ever allows; `store-gone`: the counters cannot be reached. */
  readonly reason: 'used-up' | 'too-large' | 'store-gone';
  /** In the limit's units. */
  readonly used: number;
  /** Until the same call may succeed, at least 1. */
  readonly retryAfterMs: number;
}

/**
 * What an admitted call holds. Estimates of budgets and slots are held under a lease that this process renews, however long
 * the call takes; when the process dies, they are free again within half a minute.
 */
export interface Reservation {
  /** Puts what was really used in the place of the estimate, once; later calls change nothing. May exceed a limit. */
  settle(actual: Cost): void;
  /** Frees the slots, once. What was not settled counts as it was asked for. */
  release(): void;
}

export interface CounterUsage {
  readonly demand: Demand;
  /** In the limit's units: in the last window, in this calendar window, or at this moment. */
  readonly used: number;
  /** Until a budget is full again; 0 for other limits. */
  readonly resetsInMs: number;
}

/**
 * When somebody was last handed something, for gates that hold what they do after it: a key says who and what. One clock counts for
 * all who share the rows, where the place has one.
 */
export interface SightingRows {
  /** Each key once. Never moves a time back. Every process sees it before it resolves. */
  note(batch: readonly Sighting[]): Promise<void>;
  /** How long ago each was, ms, in the order of the keys, which are each there once; undefined for never. */
  agesMs(keys: readonly string[]): Promise<readonly (number | undefined)[]>;
  /** Removes what was seen longer ago. Returns how many; 0 where the place itself removes what is old. */
  prune(olderThanMs: number): Promise<number>;
}

interface Sighting {
  readonly key: string;
  /** Below 0: it counts as now for so much longer. */
  readonly agoMs: number;
}

/** The same as the path of a call asks it. */
export interface Sightings {
  /** Undefined where they were noted a moment ago. Rejects where they cannot be. */
  note(keys: readonly string[]): Promise<void> | undefined;
  /** At once where this process knows of each that it was no longer ago than `enoughMs`. Rejects where others cannot be asked. */
  agesMs(keys: readonly string[], enoughMs: number): readonly (number | undefined)[] | Promise<readonly (number | undefined)[]>;
  close(): Promise<void>;
}

/** Budgets that outlive the process. Loss of the last moments before a crash is tolerable. */
export interface BudgetRows {
  load(): Promise<readonly StoredBudget[]>;
  /** Each key once. Within one window the larger number stays, and an older window does not come back. */
  save(batch: readonly StoredBudget[]): Promise<void>;
  /** Removes budgets whose window ended before this time. Returns how many. */
  prune(beforeMs: number): Promise<number>;
}

export interface StoredBudget {
  readonly key: string;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
  /** In the limit's units. */
  readonly spent: number;
}

/** Calls added up per minute: what dashboards read. Loss of the last seconds is tolerable, a wrong sum is not. */
export interface RollUps {
  /**
   * Adds to what is there, all of the batch or nothing: processes that add to the same minute add up. At most
   * `rollUpBatchLimit` entries; the same key may occur more than once.
   */
  add(batch: readonly RollUp[]): Promise<void>;
  /** The groups with the most calls; with `stepMs`, each group's steps in order of time after those of the group before. */
  query(query: RollUpQuery): Promise<readonly RollUpSum[]>;
  /** Removes whole minutes before this time. Returns how many rows went. */
  prune(beforeMs: number): Promise<number>;
}

/** Keeps one statement below SQLite's 32,766 parameters. */
export const rollUpBatchLimit = 500;

/**
 * Upper bounds of the latency buckets, each inclusive; one bucket more takes what is longer. They hold those that OpenTelemetry's
 * MCP conventions ask for, and three finer ones. Stored histograms add up because these never change.
 */
export const latencyBoundsMs = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
] as const;

export const rollUpDimensions = ['namespace', 'capability', 'consumer', 'key', 'member', 'upstream', 'code'] as const;
export type RollUpDimension = (typeof rollUpDimensions)[number];

interface RollUpNumbers {
  readonly calls: number;
  /** Calls per latency bucket: one number per bound of `latencyBoundsMs`, and the last for what is longer. */
  readonly latency: readonly number[];
  /** Of all calls together. */
  readonly totalMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Millionths of the currency that prices are given in. */
  readonly costMicros: number;
}

/** Empty where a dimension does not apply; `code` is empty for calls that went well. */
export interface RollUp extends RollUpNumbers, Readonly<Record<RollUpDimension, string>> {
  /** Begin of the minute. */
  readonly minuteMs: number;
}

export interface RollUpQuery {
  /** The first minute that counts, and the first that does not. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Left out: everything is one group, named ''. */
  readonly by?: RollUpDimension;
  readonly filters?: Partial<Readonly<Record<RollUpDimension, string>>>;
  /** Splits the time into steps of this length, aligned to 1970; whole minutes. Left out: one step. */
  readonly stepMs?: number;
  /** Most groups to return; 1000 when left out. */
  readonly limit?: number;
}

export interface RollUpSum extends RollUpNumbers {
  readonly group: string;
  /** Begin of the step; `fromMs` without steps. */
  readonly atMs: number;
  /** Calls with any code. */
  readonly errors: number;
}

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
}

export interface AuditQuery {
  readonly caller?: string | undefined;
  /** Any of these; an empty list finds nothing. */
  readonly callers?: readonly string[] | undefined;
  readonly capability?: string | undefined;
  /** What was called is in one of these; an empty list finds nothing. */
  readonly namespaces?: readonly string[] | undefined;
  readonly decision?: string | undefined;
  readonly code?: string | undefined;
  readonly trace?: string | undefined;
  readonly fromMs?: number | undefined;
  /** Not included. */
  readonly toMs?: number | undefined;
  readonly limit: number;
  /** The last row of the page before. */
  readonly before?: AuditCursor | undefined;
}

export type AuditCursor = Pick<AuditRow, 'atMs' | 'chain' | 'seq'>;

/**
 * Credentials towards upstreams. What is `sealed` is opaque here, and bound by its seal to the row it stands in. Everything that
 * changes something is durable before it resolves.
 */
export interface CredentialStore {
  /** The newest grant of this principal at this upstream, whoever issued it. */
  findGrant(upstream: string, principal: string): Promise<StoredGrant | undefined>;
  /** The newest grant of anybody at this upstream. */
  newestGrant(upstream: string): Promise<StoredGrant | undefined>;
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

/**
 * Texts that documents of the registry point to by their hash: definitions that were approved or wait for it, what was submitted and
 * what an assessment found. A hash has one text for ever, so whoever writes the text before the document that points to it never
 * leaves a document without its text.
 */
export interface DefinitionStore {
  /** Durable before it resolves. What is there already is kept from now on as if it were new. */
  keep(definitions: readonly StoredDefinition[], nowMs: number): Promise<void>;
  /** Those that are there, in any order. */
  find(hashes: readonly string[]): Promise<readonly StoredDefinition[]>;
  /** Removes what was kept before this time and is not among those still pointed to. Returns how many. */
  prune(beforeMs: number, pointedTo: ReadonlySet<string>): Promise<number>;
}

export interface StoredDefinition {
  readonly hash: string;
  /** JSON. */
  readonly body: string;
}

/** What people have to be told yet, by the way it goes. Whoever takes a notice has it for a while; not removed by then, it is there again. */
export interface NoticeStore {
  /** Durable before it resolves; one that is there already stays as it is. False, and nothing is kept, where `most` wait in its channel. */
  add(notice: StoredNotice, most: number): Promise<boolean>;
  /** Those due at `nowMs`, the longest due first; nobody else gets them before `untilMs`. */
  take(channel: string, nowMs: number, untilMs: number, limit: number): Promise<readonly StoredNotice[]>;
  /** Puts one that was taken back, for another try. */
  postpone(channel: string, id: string, tried: number, dueAtMs: number): Promise<void>;
  remove(channel: string, id: string): Promise<void>;
  /** When the next one is due; undefined where none waits. */
  nextDueMs(channel: string): Promise<number | undefined>;
}

export interface StoredNotice {
  readonly channel: string;
  /** Of the event: whoever gets it twice knows it by this. */
  readonly id: string;
  /** JSON. */
  readonly event: string;
  readonly tried: number;
  readonly dueAtMs: number;
}
/**
 * Answers that may be given again, and lists of what was asked, each under a key that says nothing of what it holds. Every
 * implementation passes test/contracts/reply-cache.contract.ts. It is on a call's way and worth nothing without being fast: what it
 * cannot say within 50 ms is not there, what it cannot take is dropped, and nothing of it throws.
 */
export interface ReplyCache {
  /** Other processes see what is kept here. */
  readonly isShared: boolean;
  /** Undefined where there is nothing. An answer known at once is no promise. */
  find(key: string): Buffer | undefined | Promise<Buffer | undefined>;
  /** For this long at most; behind the call. More than `longestReplyBytes` is not kept. */
  keep(key: string, reply: Buffer, ttlMs: number): void;
  /** Adds to the end of a list that every process sees; the oldest lines of a long one are dropped. It goes `ttlMs` after the last. */
  append(list: string, line: Buffer, ttlMs: number): void;
  /** What was added after a position, in order; of a list that was begun anew since, all of it. */
  linesAfter(list: string, position: string | undefined, limit: number): Promise<ListedLines>;
  /** Resolves when what was given to it is kept, or was dropped. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface ListedLines {
  readonly lines: readonly Buffer[];
  /** To go on from; undefined where there is nothing yet. */
  readonly position: string | undefined;
}

export const longestReplyBytes = 1024 * 1024;
export const longestListLines = 10_000;
