import type { Kysely } from 'kysely';

/** The tables as the newest migration leaves them. Times are ms since 1970; booleans are 0 or 1, the same on every database. */
export interface Schema {
  readonly keys: {
    readonly id: string;
    readonly hash: string;
    readonly created_at_ms: number;
  };
  readonly sealing_keys: {
    readonly purpose: string;
    /** Which master key sealed it; 1 until master keys can be rotated. */
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
}

/** Loads Kysely at its first use: that costs more than everything else a start on SQLite does together. */
export type Database = () => Promise<Kysely<Schema>>;
