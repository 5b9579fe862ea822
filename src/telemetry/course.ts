import type { Spent } from '../models/spent.ts';

/**
 * What telemetry is told of a call when it has ended: numbers and names, no argument, no result, no message. Every name comes
 * from the catalog or from what identifies the caller; a name that a client made up belongs to no field.
 */
export interface CallCourse {
  /** `namespace/name`; undefined when the call was refused before anything was found for it. */
  readonly capability: string | undefined;
  readonly namespace: string | undefined;
  /** `namespace/name` of the upstream. */
  readonly upstream: string | undefined;
  readonly consumer: string | undefined;
  /** The key's id, never the key. */
  readonly key: string | undefined;
  readonly member: string | undefined;
  readonly door: string;
  readonly era: string;
  /** `tools/call`, ... */
  readonly method: string;
  readonly outcome: CallOutcome;
  /** A row of `errorTable`, where there is one. */
  readonly code: string | undefined;
  /** From the ask to its outcome. */
  readonly ms: number;
  /** Of `ms`, what was spent on the upstream; undefined when nothing was sent. */
  readonly upstreamMs: number | undefined;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Millionths of the currency that prices are given in. */
  readonly costMicros: number;
  /** Of a model's call: by whom it was answered, and how. */
  readonly spent?: Spent | undefined;
  /** By which its client may speak of the answer later. */
  readonly answerId?: string | undefined;
  /** Attempts after the first. */
  readonly retries: number;
  /** Limits that refused it, those in shadow mode included. */
  readonly limitRefusals: number;
  /** Content rules that matched. */
  readonly contentHits: number;
}

/** As in the log: `refused` before anything was sent, `failed` afterwards; `tool-error` is a result with `isError`. */
export type CallOutcome = 'done' | 'input-required' | 'tool-error' | 'upstream-error' | 'refused' | 'failed';

/** What went wrong, in one word; empty when nothing did. Errors that have no row in the table go by their outcome. */
export function failureOf({ outcome, code }: CallCourse): string {
  if (outcome === 'done' || outcome === 'input-required') return '';
  return code ?? (outcome === 'tool-error' ? 'tool_error' : outcome === 'upstream-error' ? 'upstream_error' : 'internal');
}
