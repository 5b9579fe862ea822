import type { Kysely } from 'kysely';
import type { ApprovalState } from './ports/approvals.ts';

/** The tables as the newest migration leaves them. Times are ms since 1970; booleans are 0 or 1, the same on every database. */
export interface Schema {
  readonly keys: {
    readonly id: string;
    readonly hash: string;
    readonly created_at_ms: number;
  };
  readonly sealing_keys: {
    readonly purpose: string;
    /** Which master key sealed it. */
    readonly version: number;
    readonly sealed: string;
  };
  readonly upstream_memory: {
    readonly id: string;
    readonly fingerprint: string;
    readonly state: string;
    readonly saved_at_ms: number;
  };
  readonly sessions: {
    readonly id: string;
    readonly is_ended: number;
    readonly state: string;
    readonly last_used_at_ms: number;
  };
  /** One row: the newest revision. Whoever commits changes it first, which keeps commits in one order. */
  readonly registry_state: {
    readonly id: number;
    readonly revision: number;
    readonly mark: string;
    readonly restored_at_ms: number | null;
    readonly backup_made_at_ms: number | null;
  };
  readonly registry_commits: {
    readonly revision: number;
    readonly mark: string;
    readonly at_ms: number;
  };
  readonly documents: {
    readonly kind: string;
    readonly id: string;
    readonly body: string;
    readonly revision: number;
    readonly is_removed: number;
    readonly updated_at_ms: number;
  };
  readonly change_records: {
    readonly revision: number;
    readonly place: number;
    readonly at_ms: number;
    readonly actor: string;
    readonly action: string;
    readonly kind: string;
    readonly id: string;
    readonly detail: string;
  };
  readonly key_uses: {
    readonly key_id: string;
    readonly last_used_at_ms: number;
  };
  readonly master_keys: {
    readonly version: number;
    readonly fingerprint: string;
    readonly made_at_ms: number;
    /** Set once nothing is wrapped by it any more. */
    readonly retired_at_ms: number | null;
  };
  readonly data_keys: {
    readonly id: string;
    /** Which master key wraps it. */
    readonly version: number;
    readonly wrapped: string;
  };
  readonly budgets: {
    readonly key: string;
    readonly window_start_ms: number;
    readonly window_end_ms: number;
    /** Calls, tokens or billionths of a US dollar. */
    readonly spent: number;
  };
  readonly roll_ups: {
    readonly minute_ms: number;
    readonly namespace: string;
    readonly capability: string;
    readonly consumer: string;
    readonly key_id: string;
    readonly member: string;
    readonly upstream: string;
    readonly code: string;
    readonly calls: number;
    /** Microseconds. */
    readonly total_us: number;
    readonly bytes_in: number;
    readonly bytes_out: number;
    readonly tokens_in: number;
    readonly tokens_out: number;
    readonly cost_micros: number;
  } & { readonly [Bucket in BucketColumn]: number };
  readonly model_calls: {
    readonly minute_ms: number;
    readonly model: string;
    readonly version: string;
    readonly target: string;
    readonly consumer: string;
    readonly key_id: string;
    readonly ending: string;
    readonly calls: number;
    readonly failed: number;
    readonly cached: number;
    readonly failovers: number;
    readonly total_ms: number;
    readonly total_square: number;
    readonly first_calls: number;
    readonly first_ms: number;
    readonly tokens_in: number;
    readonly tokens_out: number;
    readonly nano_usd: number;
    readonly unpriced: number;
  };
  readonly model_answers: {
    readonly id: string;
    readonly at_ms: number;
    readonly model: string;
    readonly version: string;
    readonly consumer: string;
  };
  readonly model_ratings: {
    readonly id: string;
    readonly at_ms: number;
    readonly model: string;
    readonly version: string;
    readonly consumer: string;
    readonly score: number;
    readonly note: string | null;
  };
  readonly alert_events: {
    readonly id: string;
    readonly at_ms: number;
    readonly alert: string;
    readonly subject: string;
    readonly message: string;
    readonly used: number;
    readonly amount: number;
  };
  readonly failovers: {
    readonly id: string;
    readonly at_ms: number;
    readonly model: string;
    readonly from_target: string;
    readonly to_target: string | null;
    readonly reason: string;
    readonly kind: 'failover' | 'ejected' | 'returned' | 'refused';
  };
  readonly audit_calls: {
    readonly chain: string;
    readonly id: string;
    readonly seq: number;
    readonly at_ms: number;
    readonly kind: 'call' | 'change';
    readonly caller: string | null;
    readonly consumer: string | null;
    readonly capability: string | null;
    readonly upstream: string | null;
    readonly decision: string | null;
    readonly outcome: string | null;
    readonly code: string | null;
    readonly ms: number | null;
    readonly trace: string | null;
    readonly record: string | null;
    readonly result: string | null;
    readonly content_rules: string | null;
  };
  readonly audit_heads: {
    readonly chain: string;
    readonly seq: number;
    readonly hash: string;
  };
  readonly grants: {
    readonly upstream: string;
    readonly principal: string;
    readonly issuer: string;
    readonly version: string;
    readonly sealed: string;
    readonly updated_at_ms: number;
    /** 0: nobody renews it. */
    readonly leased_until_ms: number;
  };
  readonly oauth_clients: {
    readonly issuer: string;
    readonly redirect_uri: string;
    readonly sealed: string;
    readonly created_at_ms: number;
  };
  readonly sign_ins: {
    readonly id: string;
    readonly sealed: string;
    readonly expires_at_ms: number;
  };
  readonly approvals: {
    readonly id: string;
    readonly digest: string;
    readonly state: ApprovalState;
    readonly version: number;
    readonly caller: string;
    readonly key_id: string | null;
    readonly consumer: string | null;
    readonly member: string | null;
    readonly holders: string | null;
    readonly namespace: string;
    readonly capability: string;
    readonly upstream: string;
    readonly toolbox: string;
    readonly tool: string;
    readonly definition: string;
    readonly policy: string;
    readonly gates: string;
    readonly decisions: string;
    readonly arguments: string;
    readonly note: string;
    readonly replaced_by: string | null;
    readonly outcome: string | null;
    readonly rounds: number;
    readonly requested_at_ms: number;
    readonly expires_at_ms: number;
    readonly updated_at_ms: number;
  };
  readonly approval_events: {
    readonly approval_id: string;
    readonly version: number;
    readonly at_ms: number;
    readonly actor: string;
    readonly action: string;
    readonly detail: string;
  };
  readonly approval_results: {
    readonly approval_id: string;
    readonly result: string;
    readonly kept_at_ms: number;
  };
  readonly notices: {
    readonly channel: string;
    readonly id: string;
    readonly event: string;
    readonly tried: number;
    readonly due_at_ms: number;
  };
  readonly sightings: {
    readonly key: string;
    readonly seen_ms: number;
  };
  readonly keyed_calls: {
    readonly key: string;
    readonly request: string;
    readonly holder: string;
    readonly answer: string | null;
    readonly leased_until_ms: number;
    readonly expires_ms: number;
  };
  readonly definitions: {
    readonly hash: string;
    readonly body: string;
    /** When somebody last wanted it kept. */
    readonly kept_at_ms: number;
  };
}

/** Calls per latency bucket, in the order of `latencyBoundsMs`. */
export type BucketColumn = `b${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 17}`;

/** Loads Kysely at its first use: that costs more than everything else a start on SQLite does together. */
export type Database = () => Promise<Kysely<Schema>>;
