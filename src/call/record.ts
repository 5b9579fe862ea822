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
  if (outcome.kind === 'error') {
    log.info({ ...line(course), outcome: 'upstream-error', rpcCode: outcome.error.code }, 'call');
  } else if (outcome.kind === 'input-required') {
    log.info({ ...line(course), outcome: 'input-required' }, 'call');
  } else {
    log.info({ ...line(course), outcome: 'done', bytesOut: outcome.result.size }, 'call');
  }
}

const refusals: ReadonlySet<ErrorCode> = new Set([
  'unknown_capability',
  'invalid_params',
  'not_found',
  'upstream_busy',
  'breaker_open',
]);

export function recordFailure(log: Logger, course: Course, thrown: unknown): void {
  const error = toGatewayError(thrown);
  const fields = {
    ...line(course),
    outcome: refusals.has(error.code) ? 'refused' : 'failed',
    code: error.code,
    reason: error.message,
  };
  if (error.code === 'internal') log.error({ ...fields, err: error.cause }, 'call');
  else log.info(fields, 'call');
}

function line({ caller, ask, permit, startedAtMs }: Course) {
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
  };
}
