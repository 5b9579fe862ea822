import type { Clock } from '../clock.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { LinkError } from './link-error.ts';
import { FailedAnswer, type UpstreamCall, type UpstreamHealth, type UpstreamState } from './upstream.ts';

/** How an upstream fares: whether calls succeed counts, not whether a socket is open. */
export class Health {
  readonly #subject: string;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #state: UpstreamState = 'connecting';
  #succeeded = 0;
  #failed = 0;
  lastError: UpstreamHealth['lastError'];
  /** It is down for what its own entry says or lacks, which is for those who administer it. */
  #isUnready = false;
  lastSuccessAtMs: number | undefined;
  nextAttemptAtMs: number | undefined;

  constructor(subject: string, clock: Clock, onChange: () => void) {
    this.#subject = subject;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  get state(): UpstreamState {
    return this.#state;
  }

  /** Its part of what an upstream tells of itself. */
  get figures(): Pick<UpstreamHealth, 'state' | 'lastError' | 'lastSuccessAtMs' | 'calls' | 'nextAttemptAtMs'> {
    return {
      state: this.#state,
      lastError: this.lastError,
      lastSuccessAtMs: this.lastSuccessAtMs,
      calls: { succeeded: this.#succeeded, failed: this.#failed },
      nextAttemptAtMs: this.nextAttemptAtMs,
    };
  }

  /** `closed` is for good. */
  become(state: UpstreamState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.#onChange();
  }

  callSucceeded(): void {
    this.#succeeded++;
    this.answered();
  }

  /** Something of ours was answered: a call or a list. */
  answered(): void {
    this.lastSuccessAtMs = this.#clock.nowMs();
    if (this.#state === 'failing') this.become('healthy');
  }

  callFailed(error: unknown): void {
    this.#failed++;
    this.noteFailure(error);
  }

  /** Books what a call threw as far as it says something of the far end: `upstream_*` does, and this code. */
  callThrew(error: unknown, { cancel }: UpstreamCall, telling: ErrorCode): void {
    if (!(error instanceof GatewayError)) return;
    // A deadline comes as a cancellation; a far end that stays silent is not well.
    if (cancel.reason === 'timeout') this.callFailed(new GatewayError('upstream_timeout', 'a call was not answered in time'));
    else if (error instanceof FailedAnswer && !error.isItsFault) this.answered();
    else if (error.code.startsWith('upstream_') || error.code === telling) this.callFailed(error);
  }

  noteFailure(error: unknown): void {
    this.lastError = { atMs: this.#clock.nowMs(), message: phrase(error) };
    if (this.#state === 'healthy') this.become('failing');
  }

  down(error: unknown, pauseMs: number): void {
    this.#isUnready = error instanceof GatewayError && error.code === 'bad_configuration';
    this.lastError = { atMs: this.#clock.nowMs(), message: phrase(error) };
    this.nextAttemptAtMs = this.#clock.nowMs() + pauseMs;
    this.become('down');
  }

  /** What a caller is told while there is no connection. */
  unavailable(): GatewayError {
    if (this.#state === 'closed') return new GatewayError('upstream_unavailable', `${this.#subject} was removed.`);
    const reason = this.#isUnready ? unready : (this.lastError?.message ?? 'it was not reached yet');
    const waitMs = this.nextAttemptAtMs === undefined ? 0 : Math.max(0, this.nextAttemptAtMs - this.#clock.nowMs());
    const next = waitMs === 0 ? 'it is being tried again right now' : `the next attempt is in ${Math.ceil(waitMs / 1000)} s`;
    return new GatewayError('upstream_unavailable', `${this.#subject} cannot be reached (${reason}); ${next}.`, {
      retryAfterMs: Math.max(waitMs, 1_000),
    });
  }
}

const unready = 'its setup is not complete; whoever administers its namespace finds what is missing with "gatehouse doctor"';

function phrase(error: unknown): string {
  if (error instanceof LinkError && error.detail !== undefined) return error.detail;
  return error instanceof GatewayError && error.code !== 'internal' ? error.message : 'an unexpected error; the log has it';
}
