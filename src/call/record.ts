/** Refuses nothing: one structured log line for every call, whether it was refused, failed or done. */
import type { Logger } from 'pino';
import { type ErrorCode, toGatewayError } from '../errors.ts';
import type { Ask } from './ask.ts';
import type { Caller } from './authenticate.ts';
import type { Permit } from './authorize.ts';
import type { Outcome } from './inspect.ts';

/** What is known of a call when it ends. */
interface Course {
  readonly caller: Caller;
  readonly ask: Ask;
  /** Absent when the call was refused before anything was found for it. */
  readonly permit: Permit | undefined;
  readonly startedAtMs: number;
}

export function recordOutcome(log: Logger, course: Course, outcome: Outcome): void {
  const line = lineOf(course);
  if (outcome.kind === 'error') {
    line.outcome = 'upstream-error';
    line.rpcCode = outcome.error.code;
  } else if (outcome.kind === 'input-required') {
    line.outcome = 'input-required';
  } else {
    line.bytesOut = outcome.result.size;
  }
  log.info(line, 'call');
}

const refusals: ReadonlySet<ErrorCode> = new Set([
  'header_mismatch',
  'conversation_lost',
  'unknown_capability',
  'invalid_params',
  'not_found',
  'upstream_busy',
  'breaker_open',
]);

export function recordFailure(log: Logger, course: Course, thrown: unknown): void {
  const error = toGatewayError(thrown);
  const line = lineOf(course);
  line.outcome = refusals.has(error.code) ? 'refused' : 'failed';
  line.code = error.code;
  line.reason = error.message;
  if (error.code === 'internal') log.error({ ...line, err: error.cause }, 'call');
  else log.info(line, 'call');
}

/** One shape for every line, whatever came of the call. */
interface Line {
  readonly caller: string;
  readonly door: Ask['door'];
  readonly era: Ask['era'];
  readonly toolbox: string;
  readonly method: string;
  readonly capability: string | undefined;
  readonly upstream: string | undefined;
  readonly bytesIn: number;
  /** From the ask to its outcome, ms. */
  readonly ms: number;
  readonly trace: string | undefined;
  outcome: 'done' | 'input-required' | 'upstream-error' | 'refused' | 'failed';
  bytesOut: number | undefined;
  /** JSON-RPC code of the upstream's error. */
  rpcCode: number | undefined;
  code: ErrorCode | undefined;
  reason: string | undefined;
}

function lineOf({ caller, ask, permit, startedAtMs }: Course): Line {
  const traceparent = ask.meta?.traceparent;
  return {
    caller: caller.id,
    door: ask.door,
    era: ask.era,
    toolbox: ask.toolbox,
    method: ask.method,
    capability: permit?.capability,
    upstream: permit?.member.id,
    bytesIn: ask.bytesIn,
    ms: Math.round((performance.now() - startedAtMs) * 100) / 100,
    trace: typeof traceparent === 'string' ? traceparent.slice(3, 35) : undefined,
    outcome: 'done',
    bytesOut: undefined,
    rpcCode: undefined,
    code: undefined,
    reason: undefined,
  };
}
