/** Refuses when the upstream is full, its breaker is open, or it takes too long. The only step that sends bytes out. */
import CircuitBreaker from 'opossum';
import type { Member } from '../catalog/catalog.ts';
import { GatewayError } from '../errors.ts';
import type { Answer, Conversation } from '../upstreams/upstream.ts';
import type { Cancel } from '../wire/cancel.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Ask } from './ask.ts';
import type { Permit } from './authorize.ts';
import { Slots } from './slots.ts';

/** What holds the calls to one upstream. Lives as long as its configuration does. */
interface Lane {
  readonly slots: Slots;
  readonly breaker: CircuitBreaker<[() => Promise<Answer>], Answer>;
}

/** One lane per upstream, made at its first call. */
export class Lanes {
  readonly #lanes = new Map<Member, Lane>();

  of(member: Member): Lane {
    let lane = this.#lanes.get(member);
    if (lane === undefined) {
      lane = { slots: new Slots(member.config.concurrency), breaker: makeBreaker(member) };
      this.#lanes.set(member, lane);
    }
    return lane;
  }

  /** Whether calls to this upstream are refused right now because too many failed. */
  isOpen(member: Member): boolean {
    return this.#lanes.get(member)?.breaker.opened ?? false;
  }

  /** Drops the lanes of all others; a breaker holds a timer until it is shut down. */
  keep(members: ReadonlySet<Member>): void {
    for (const [member, lane] of this.#lanes) {
      if (members.has(member)) continue;
      lane.breaker.shutdown();
      this.#lanes.delete(member);
    }
  }
}

/** Resolves with what the upstream answered. Throws GatewayError `upstream_*`, `breaker_open`, `answer_too_large`, `cancelled`. */
export async function callUpstream(lanes: Lanes, permit: Permit, ask: Ask): Promise<Answer> {
  const { member } = permit;
  const lane = lanes.of(member);
  await lane.slots.take(member.id, ask.cancel);
  const deadline = new Deadline(member, ask.cancel);
  try {
    return await lane.breaker.fire(() => send(permit, ask, deadline));
  } catch (error) {
    throw explain(error, member, deadline);
  } finally {
    deadline.stop();
    lane.slots.give();
  }
}

function send(permit: Permit, ask: Ask, deadline: Deadline): Promise<Answer> {
  const { member, params, tool } = permit;
  return member.upstream.call({
    method: ask.method,
    params,
    meta: ask.meta,
    client: ask.client,
    conversation: new TimedConversation(ask.conversation, deadline),
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

function makeBreaker(member: Member): Lane['breaker'] {
  const { errorRate, minimumCalls, windowMs, openMs } = member.config.breaker;
  return new CircuitBreaker((action: () => Promise<Answer>) => action(), {
    timeout: false,
    errorThresholdPercentage: errorRate * 100,
    volumeThreshold: minimumCalls,
    rollingCountTimeout: windowMs,
    resetTimeout: openMs,
    // Percentiles and snapshots cost a timer per breaker and nobody reads them.
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
    errorFilter: (error: unknown) => !countsAsFailure(error),
  });
}

// A client that gives up, or answers with too much, says nothing about the health of the far end.
function countsAsFailure(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return true;
  return error.code !== 'cancelled' && error.code !== 'answer_too_large' && error.row.shows === 'result';
}

/** The longest silence and the longest duration of one call; stands still while a person is asked. */
class Deadline {
  /** The limit that was passed, ms. */
  passed: number | undefined;
  readonly #cancel: Cancel;
  readonly #timeoutMs: number;
  readonly #endsAtMs: number;
  #timer: NodeJS.Timeout;

  constructor(member: Member, cancel: Cancel) {
    this.#cancel = cancel;
    this.#timeoutMs = member.config.timeoutMs;
    this.#endsAtMs = performance.now() + member.config.maxDurationMs;
    this.#timer = setTimeout(expire, this.#timeoutMs, this);
  }

  expire(): void {
    this.passed = this.#timeoutMs;
    this.#cancel.cancel('timeout');
  }

  progress(): void {
    if (performance.now() < this.#endsAtMs) this.#timer.refresh();
  }

  pause(): void {
    clearTimeout(this.#timer);
  }

  resume(): void {
    this.#timer = setTimeout(expire, this.#timeoutMs, this);
  }

  stop(): void {
    clearTimeout(this.#timer);
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

  constructor(inner: Conversation, deadline: Deadline) {
    this.#inner = inner;
    this.#deadline = deadline;
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
    try {
      return await this.#inner.ask(method, params);
    } finally {
      this.#deadline.resume();
    }
  }
}
