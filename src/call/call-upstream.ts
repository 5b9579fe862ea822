/** Refuses when the upstream is full, its breaker is open, or it takes too long. The only step that sends bytes out. */
import { isDeepStrictEqual } from 'node:util';
import type { Member } from '../catalog/catalog.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { CallPolicy } from '../policy/policy.ts';
import type { BreakerPolicy } from '../policy/policy-schema.ts';
import { metaWithTrace } from '../telemetry/call-trace.ts';
import { type Answer, type AnswerStream, type Conversation, FailedAnswer } from '../upstreams/upstream.ts';
import type { Cancel } from '../wire/cancel.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Clearance } from './approve.ts';
import type { Ask } from './ask.ts';
import type { Permit } from './authorize.ts';
import { Breaker, type BreakerNumbers, BreakerOpen, type BreakerStatus } from './breaker.ts';
import type { Course } from './record.ts';
import { Slots } from './slots.ts';

type Sent = [permit: Permit, ask: Ask, deadline: Deadline, slots: Slots, course: Course];

/** What holds the calls to one upstream, and those to capabilities with a breaker of their own. It outlives what leaves its numbers alone. */
interface Lane {
  readonly slots: Slots;
  readonly breaker: Breaker<Sent, Answer>;
  /** By capability. */
  readonly own: Map<string, Breaker<Sent, Answer>>;
  /** Calls that may still be repeated: a share of those that were made. */
  retries: number;
  /** The numbers it was made with. */
  readonly limits: string;
}

/** One lane per upstream, made at its first call. */
export class Lanes {
  readonly #lanes = new Map<string, Lane>();

  of({ member, policy }: Permit): Lane {
    const limits = limitsOf(member, policy);
    const known = this.#lanes.get(member.id);
    if (known !== undefined && known.limits === limits) return known;
    if (known !== undefined) end(known);
    const lane = {
      slots: new Slots(member.config.concurrency),
      breaker: new Breaker(send, numbersOf(member, policy.breaker), isFailure),
      own: new Map<string, Breaker<Sent, Answer>>(),
      retries: mostRetriesSaved,
      limits,
    };
    this.#lanes.set(member.id, lane);
    return lane;
  }

  /** How the calls to this upstream fare; undefined before the first. */
  status(upstreamId: string): BreakerStatus | undefined {
    return this.#lanes.get(upstreamId)?.breaker.status;
  }

  /** The same for capabilities that have a breaker of their own. */
  ownStatus(): ReadonlyMap<string, BreakerStatus> {
    return new Map(
      [...this.#lanes.values()].flatMap(({ own }) => Array.from(own, ([name, { status }]) => [name, status] as const)),
    );
  }

  /** Forgets the lanes of upstreams that are gone. Calls that run or wait keep the lane they are in. */
  keep(members: ReadonlyMap<string, Member>): void {
    for (const [id, lane] of this.#lanes) {
      if (members.get(id)?.config.concurrency === lane.slots.size) continue;
      this.#lanes.delete(id);
      end(lane);
    }
  }
}

function end(lane: Lane): void {
  lane.slots.onIdle(() => {
    lane.breaker.shutdown();
    for (const breaker of lane.own.values()) breaker.shutdown();
  });
}

const described = new WeakMap<CallPolicy, WeakMap<UpstreamConfig, string>>();

// Compared at every call, made once per policy and configuration.
function limitsOf({ config }: Member, policy: CallPolicy): string {
  let byConfig = described.get(policy);
  if (byConfig === undefined) {
    byConfig = new WeakMap();
    described.set(policy, byConfig);
  }
  let limits = byConfig.get(config);
  if (limits === undefined) {
    limits = JSON.stringify([config.concurrency, config.breaker, policy.breaker, config.own?.breaker]);
    byConfig.set(config, limits);
  }
  return limits;
}

/** From what holds where nobody says anything to the capability's own: the nearest counts. */
function numbersOf({ config }: Member, policy: BreakerPolicy, capability: BreakerPolicy = {}): BreakerNumbers {
  return { ...config.breaker, ...defined(policy), ...defined(config.own?.breaker ?? {}), ...defined(capability) };
}

/** The longest silence of a call: of the capability, the upstream, its namespace or the gateway, whichever is nearest and says one. */
export function silenceMs({ ownTimeoutMs, timeoutMs }: CallPolicy, { own, timeoutMs: otherwiseMs }: UpstreamConfig): number {
  return ownTimeoutMs ?? own?.timeoutMs ?? timeoutMs ?? otherwiseMs;
}

/** A number that a policy leaves out is not one that it sets. */
function defined<Numbers extends object>(numbers: Numbers): { [Key in keyof Numbers]: Exclude<Numbers[Key], undefined> } {
  return Object.fromEntries(Object.entries(numbers).filter(([, number]) => number !== undefined)) as never;
}

/** The breaker of a capability whose own policy sets one. */
function ownBreaker(lane: Lane, { policy, member, capability }: Permit): Breaker<Sent, Answer> | undefined {
  if (policy.ownBreaker === undefined) return undefined;
  let breaker = lane.own.get(capability);
  const numbers = numbersOf(member, policy.breaker, policy.ownBreaker);
  if (breaker === undefined || !isDeepStrictEqual(breaker.numbers, numbers)) {
    breaker?.shutdown();
    breaker = new Breaker((...sent: Sent) => lane.breaker.fire(...sent), numbers, isFailure);
    lane.own.set(capability, breaker);
  }
  return breaker;
}

/** Resolves with what the upstream answered. Throws GatewayError `upstream_*`, `breaker_open`, `answer_too_large`, `cancelled`. */
export async function callUpstream(lanes: Lanes, clearance: Clearance, ask: Ask, course: Course): Promise<Answer> {
  const { member, policy } = clearance;
  const lane = lanes.of(clearance);
  const breaker = policy.ownBreaker === undefined ? lane.breaker : (ownBreaker(lane, clearance) ?? lane.breaker);
  const deadline = new Deadline(silenceMs(policy, member.config), member.config.maxDurationMs, ask.cancel);
  try {
    const turn = lane.slots.take(member.id, ask.cancel);
    if (turn !== undefined) await turn;
    const sentAtMs = performance.now();
    try {
      // A model's own targets are tried one after the other, and a stream that broke off is not begun anew.
      if (policy.attempts === 1 || ask.method === 'models/call')
        return await breaker.fire(clearance, ask, deadline, lane.slots, course);
      return await attempt(lane, breaker, [clearance, ask, deadline, lane.slots, course]);
    } finally {
      if (course.isSent) course.upstreamMs = performance.now() - sentAtMs;
      lane.slots.give();
    }
  } catch (error) {
    if (error instanceof FailedAnswer && error.answer !== undefined && deadline.passed === undefined) return error.answer;
    throw explain(error, clearance, deadline);
  } finally {
    deadline.stop();
  }
}

/** A tenth of the calls may be repeated, and a few more after a quiet time. */
const retryShare = 0.1;
const mostRetriesSaved = 10;
const firstPauseMs = 100;
const longestPauseMs = 2_000;

/** Sends, and sends again what may be sent again, as often as the policy says and the upstream can bear. */
async function attempt(lane: Lane, breaker: Breaker<Sent, Answer>, sent: Sent): Promise<Answer> {
  const [{ policy }, ask, deadline, , course] = sent;
  lane.retries = Math.min(mostRetriesSaved, lane.retries + retryShare);
  for (let tried = 1; ; tried++) {
    try {
      return await breaker.fire(...sent);
    } catch (error) {
      if (tried >= policy.attempts || !isRepeatable(error) || lane.retries < 1 || deadline.passed !== undefined) throw error;
      lane.retries -= 1;
      course.retries += 1;
      // Full jitter: those that failed together do not come back together.
      const longestMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (tried - 1));
      const askedForMs = error instanceof GatewayError ? (error.retryAfterMs ?? 0) : 0;
      if (askedForMs > longestPauseMs) throw error;
      await pause(Math.max(askedForMs, Math.random() * longestMs), ask.cancel);
    }
  }
}

function isRepeatable(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  return error.code === 'upstream_failed' || error.code === 'upstream_unavailable' || error.code === 'upstream_busy';
}

function pause(ms: number, cancel: Cancel): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      takeBack();
      resolve();
    }, ms);
    const takeBack = cancel.onCancel((reason) => {
      clearTimeout(timer);
      reject(new GatewayError('cancelled', reason));
    });
  });
}

function send(permit: Permit, ask: Ask, deadline: Deadline, slots: Slots, course: Course): Promise<Answer> {
  const { member, params, tool } = permit;
  const stream = course.stream;
  course.isSent = true;
  return member.upstream.call({
    method: ask.method,
    params,
    meta: metaWithTrace(ask.meta, course.trace),
    traceContext: course.trace.outgoing,
    trace: course.trace.traceId,
    hops: ask.hops,
    client: ask.client,
    caller: permit.caller,
    ip: ask.ip,
    door: ask.door,
    conversation: new TimedConversation(ask.conversation, deadline, slots),
    tool,
    retry: ask.retry,
    cancel: ask.cancel,
    limitBytes: member.config.answerLimitBytes,
    stream: stream === undefined ? undefined : new TimedStream(stream, deadline),
    spent: (spent) => {
      course.spent = spent;
    },
  });
}

/** Whatever comes of an answer says that the upstream still works on it. */
class TimedStream implements AnswerStream {
  readonly #inner: AnswerStream;
  readonly #deadline: Deadline;

  constructor(inner: AnswerStream, deadline: Deadline) {
    this.#inner = inner;
    this.#deadline = deadline;
  }

  begin(headers: Readonly<Record<string, string>>): void {
    this.#inner.begin?.(headers);
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    this.#deadline.progress();
    return this.#inner.write(bytes);
  }
}

function explain(error: unknown, { member, capability }: Permit, deadline: Deadline): unknown {
  if (deadline.passed !== undefined) {
    return new GatewayError(
      'upstream_timeout',
      `The upstream ${member.id} did not answer within ${deadline.passed / 1000} s. It may still have acted: check before you repeat the call.`,
      { cause: error },
    );
  }
  if (error instanceof BreakerOpen) {
    return new GatewayError(
      'breaker_open',
      `Calls to ${member.id} (${capability}) are paused because ${error.reason}; the next one is let through within ${Math.ceil(error.waitMs / 1000)} s.`,
      { retryAfterMs: error.waitMs },
    );
  }
  return error;
}

function isFailure(error: unknown, ...sent: unknown[]): boolean {
  // A time-out comes as the cancellation that carried it.
  return sent.some(isPassed) || countsAsFailure(error);
}

const itsFault: ReadonlySet<ErrorCode> = new Set([
  'upstream_unavailable',
  'upstream_timeout',
  'upstream_failed',
  'upstream_busy',
]);

// A client that gives up, has not signed in or asks for what cannot be asked, or an answer that is too large, says nothing about the
// health of the far end: nobody may close it to all others by what they send.
function countsAsFailure(error: unknown): boolean {
  if (error instanceof BreakerOpen) return false;
  if (error instanceof FailedAnswer) return error.isItsFault;
  return !(error instanceof GatewayError) || itsFault.has(error.code);
}

function isPassed(sent: unknown): boolean {
  return sent instanceof Deadline && sent.passed !== undefined;
}

/** The longest silence and the longest duration of one call; both stand still while somebody is asked. */
class Deadline {
  /** The limit that was passed, ms. */
  passed: number | undefined;
  readonly #cancel: Cancel;
  readonly #timeoutMs: number;
  readonly #maxDurationMs: number;
  #endsAtMs: number;
  #timer: NodeJS.Timeout;
  #pauses = 0;
  #pausedAtMs = 0;
  #isStopped = false;

  constructor(timeoutMs: number, maxDurationMs: number, cancel: Cancel) {
    this.#cancel = cancel;
    this.#timeoutMs = timeoutMs;
    this.#maxDurationMs = maxDurationMs;
    this.#endsAtMs = performance.now() + maxDurationMs;
    this.#timer = setTimeout(expire, Math.min(timeoutMs, maxDurationMs), this);
  }

  expire(): void {
    this.passed = performance.now() >= this.#endsAtMs ? this.#maxDurationMs : this.#timeoutMs;
    this.#cancel.cancel('timeout');
  }

  /** The upstream was heard of: it may be silent again for as long, within what the call may take in all. */
  progress(): void {
    if (this.#pauses > 0 || this.#isStopped) return;
    const leftMs = this.#endsAtMs - performance.now();
    if (leftMs > this.#timeoutMs) this.#timer.refresh();
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
    this.#timer = setTimeout(expire, Math.min(this.#timeoutMs, leftMs), this);
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
