import type { Clock } from '../clock.ts';
import type { Secret } from '../secret.ts';

/** What opening a store needs. Settings of the environment come in as values; the store reads no environment itself. */
export interface StoreOptions {
  /** Holds the SQLite file and, without `masterKey`, the master key file. Made when missing. */
  readonly dataDir: string;
  /** `postgres://...`: everything lasting lives there instead of in `dataDir`. */
  readonly databaseUrl?: Secret | undefined;
  /** `redis://...` or `rediss://...`: sessions live there. */
  readonly redisUrl?: Secret | undefined;
  /** 32 bytes as base64. Sealing keys are encrypted under it; required together with `databaseUrl`. */
  readonly masterKey?: Secret | undefined;
  /** Those that `masterKey` replaces or replaced, each as it is: what they sealed still opens. */
  readonly previousMasterKeys?: readonly Secret[] | undefined;
  /** How long a session is remembered after it was last saved. Must not be shorter than a sealed session id is honoured. */
  readonly sessionTtlMs?: number | undefined;
  /** Refuses where there is no store, instead of making one. */
  readonly mustExist?: boolean | undefined;
  readonly clock: Clock;
  readonly log: StoreLog;
}

/** The part of a pino logger that stores use. */
export interface StoreLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Seven days. */
export const defaultSessionTtlMs = 7 * 24 * 60 * 60 * 1000;
