/** Refuses when the upstream is full, its breaker is open, or it takes too long. The only step that sends bytes out. */
import CircuitBreaker from 'opossum';
import type { Member } from '../catalog/catalog.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import { GatewayError } from '../errors.ts';
import type { Answer, Conversation } from '../upstreams/upstream.ts';
import type { Cancel } from '../wire/cancel.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Ask } from './ask.ts';
import type { Permit } from './authorize.ts';
import { Slots } from './slots.ts';

/** What holds the calls to one upstream. It outlives a change of the upstream's configuration that leaves these numbers alone. */
interface Lane {
  readonly slots: Slots;
  readonly breaker: CircuitBreaker<Parameters<typeof send>, Answer>;
  /** The numbers it was made with. */
  readonly limits: string;
}

/** One lane per upstream, made at its first call. */
export class Lanes {
  readonly #lanes = new Map<string, Lane>();

  of(member: Member): Lane {
    let lane = this.#lanes.get(member.id);
    if (lane === undefined) {
      const { concurrency } = member.config;
      lane = { slots: new Slots(concurrency), breaker: makeBreaker(member.config), limits: limitsOf(member) };
      this.#lanes.set(member.id, lane);
    }
    return lane;
  }

  /** Whether calls to this upstream are refused right now because too many failed. */
  isOpen(upstreamId: string): boolean {
    return this.#lanes.get(upstreamId)?.breaker.opened ?? false;
  }

  /** Forgets the lanes of upstreams that are gone or whose numbers changed. Calls that run or wait keep the lane they are in. */
  keep(members: ReadonlyMap<string, Member>): void {
    for (const [id, lane] of this.#lanes) {
      const member = members.get(id);
      if (member !== undefined && limitsOf(member) === lane.limits) continue;
      this.#lanes.delete(id);
      lane.slots.onIdle(() => lane.breaker.shutdown());
    }
  }
}

function limitsOf({ config }: Member): string {
  return JSON.stringify([config.concurrency, config.breaker]);
}

/** Resolves with what the upstream answered. Throws GatewayError `upstream_*`, `breaker_open`, `answer_too_large`, `cancelled`. */
export async function callUpstream(lanes: Lanes, permit: Permit, ask: Ask): Promise<Answer> {
  const { member } = permit;
  const lane = lanes.of(member);
  const deadline = new Deadline(member.config, ask.cancel);
  try {
    const turn = lane.slots.take(member.id, ask.cancel);
    if (turn !== undefined) await turn;
    try {
      return await lane.breaker.fire(permit, ask, deadline, lane.slots);
    } finally {
      lane.slots.give();
    }
  } catch (error) {
    throw explain(error, member, deadline);
  } finally {
    deadline.stop();
  }
}

function send(permit: Permit, ask: Ask, deadline: Deadline, slots: Slots): Promise<Answer> {
  const { member, params, tool } = permit;
  return member.upstream.call({
    method: ask.method,
    params,
    meta: ask.meta,
    client: ask.client,
    conversation: new TimedConversation(ask.conversation, deadline, slots),
    tool,
    retry: ask.retry,
    cancel: ask.cancel,
    limitBytes: member.config.answerLimitBytes,
  });
}

function explain(error: unknown, member: Member, deadline: Deadline): unknown {
  if (deadline.passed !== undefined) {
    return new GatewayError(
      'upstream_timeout',
      `The upstream ${member.id} did not answer within ${deadline.passed / 1000} s. It may still have acted: check before you repeat the call.`,
      { cause: error },
    );
  }
  if (error instanceof Error && (error as { code?: unknown }).code === 'EOPENBREAKER') {
    const waitMs = member.config.breaker.openMs;
    return new GatewayError(
      'breaker_open',
      `Calls to the upstream ${member.id} are paused because too many failed; the next one is let through within ${Math.ceil(waitMs / 1000)} s.`,
      { retryAfterMs: waitMs },
    );
  }
  return error;
}

function makeBreaker({ breaker }: UpstreamConfig): Lane['breaker'] {
  const { errorRate, minimumCalls, windowMs, openMs } = breaker;
  return new CircuitBreaker(send, {
    timeout: false,
    errorThresholdPercentage: errorRate * 100,
    volumeThreshold: minimumCalls,
    rollingCountTimeout: windowMs,
    resetTimeout: openMs,
    // Percentiles and snapshots cost a timer per breaker and nobody reads them.
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
    // A time-out comes as the cancellation that carried it.
    errorFilter: (error: unknown, ...sent: unknown[]) => !sent.some(isPassed) && !countsAsFailure(error),
  });
}

// A client that gives up, or answers with too much, says nothing about the health of the far end.
function countsAsFailure(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return true;
  return error.code !== 'cancelled' && error.code !== 'answer_too_large' && error.row.shows === 'result';
}

function isPassed(sent: unknown): boolean {
  return sent instanceof Deadline && sent.passed !== undefined;
}

/** The longest silence and the longest duration of one call; both stand still while somebody is asked. */
class Deadline {
  /** The limit that was passed, ms. */
  passed: number | undefined;
  readonly #cancel: Cancel;
  readonly #config: UpstreamConfig;
  #endsAtMs: number;
  #timer: NodeJS.Timeout;
  #pauses = 0;
  #pausedAtMs = 0;
  #isStopped = false;

  constructor(config: UpstreamConfig, cancel: Cancel) {
    this.#cancel = cancel;
    this.#config = config;
    this.#endsAtMs = performance.now() + config.maxDurationMs;
    this.#timer = setTimeout(expire, Math.min(config.timeoutMs, config.maxDurationMs), this);
  }

  expire(): void {
    const { timeoutMs, maxDurationMs } = this.#config;
    this.passed = performance.now() >= this.#endsAtMs ? maxDurationMs : timeoutMs;
    this.#cancel.cancel('timeout');
  }

  /** The upstream was heard of: it may be silent again for as long, within what the call may take in all. */
  progress(): void {
    if (this.#pauses > 0 || this.#isStopped) return;
    const { timeoutMs } = this.#config;
    const leftMs = this.#endsAtMs - performance.now();
    if (leftMs > timeoutMs) this.#timer.refresh();
    else this.#start();
  }

  pause(): void {
    if (this.#pauses++ > 0) return;
    this.#pausedAtMs = performance.now();
    clearTimeout(this.#timer);
  }

  resume(): void {
    if (--this.#pauses > 0 || this.#isStopped) return;
    this.#endsAtMs += performance.now() - this.#pausedAtMs;
    this.#start();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #start(): void {
    clearTimeout(this.#timer);
    const leftMs = Math.max(0, this.#endsAtMs - performance.now());
    this.#timer = setTimeout(expire, Math.min(this.#config.timeoutMs, leftMs), this);
  }
}

function expire(deadline: Deadline): void {
  deadline.expire();
}

class TimedConversation implements Conversation {
  readonly progress: Conversation['progress'];
  readonly logLevel: string | undefined;
  readonly takesRounds: boolean;
  readonly #inner: Conversation;
  readonly #deadline: Deadline;
  readonly #slots: Slots;

  constructor(inner: Conversation, deadline: Deadline, slots: Slots) {
    this.#inner = inner;
    this.#deadline = deadline;
    this.#slots = slots;
    this.logLevel = inner.logLevel;
    this.takesRounds = inner.takesRounds;
    const report = inner.progress;
    this.progress =
      report &&
      ((params) => {
        deadline.progress();
        report(params);
      });
  }

  log(params: JsonObject): void {
    this.#inner.log(params);
  }

  notify(method: string, params: JsonObject): void {
    this.#inner.notify(method, params);
  }

  async ask(method: string, params: JsonObject): Promise<JsonObject> {
    this.#deadline.pause();
    // A person who thinks keeps nobody else from the upstream.
    const comeBack = this.#slots.leave();
    try {
      return await this.#inner.ask(method, params);
    } finally {
      comeBack();
      this.#deadline.resume();
    }
  }
}
