/** Refuses what cannot be put on record. One record for every call, whether it was refused, failed or done. */
import type { Logger } from 'pino';
import { maxValues, measureArguments } from '../arguments/measure-arguments.ts';
import type { ContentHit } from '../content/screen.ts';
import { type ErrorCode, type GatewayError, toGatewayError } from '../errors.ts';
import type { CallEntry, Journal } from '../journal/journal.ts';
import { type Spent, totalSpent } from '../models/spent.ts';
import type { Cost } from '../store/ports/counters.ts';
import type { CallTrace } from '../telemetry/call-trace.ts';
import type { CallOutcome } from '../telemetry/course.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { canonicalJson } from '../wire/canonical-json.ts';
import { canonicalPieces } from '../wire/canonical-pieces.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { memberTexts, writeMembers } from '../wire/member-texts.ts';
import type { RawResult } from '../wire/message.ts';
import type { Clearance } from './approve.ts';
import type { Ask } from './ask.ts';
import type { Caller } from './authenticate.ts';
import type { Permit } from './authorize.ts';
import type { InspectedStream, Outcome } from './inspect.ts';
import type { Admission, HeldSlots } from './limit.ts';
import type { Target } from './resolve.ts';
import { ContentRefusal } from './screen.ts';

export interface RecordPorts {
  readonly journal: Journal;
  readonly telemetry: Telemetry;
  readonly log: Logger;
}

/** One call from its ask to its record. */
export class Course {
  readonly trace: CallTrace;
  permit: Permit | undefined;
  /** What it was for, where its caller can see that and may not call it so. */
  refused: Target | undefined;
  admission: Admission | undefined;
  /** Of a call that may have to wait for another one, and left them meanwhile. */
  slots: HeldSlots | undefined;
  /** The upstream may have heard of it. */
  isSent = false;
  upstreamMs: number | undefined;
  retries = 0;
  /** Where an answer that comes in parts goes, once it is known what may be in it. */
  stream: InspectedStream | undefined;
  /** What a model used up, as far as is known. */
  spent: Spent | undefined;
  readonly #ports: RecordPorts;
  readonly #caller: Caller;
  readonly #ask: Ask;
  readonly #startedAtMs = performance.now();
  #entry: CallEntry | undefined;
  #hits: readonly ContentHit[] = [];

  constructor(ports: RecordPorts, caller: Caller, ask: Ask) {
    this.#ports = ports;
    this.#caller = caller;
    this.#ask = ask;
    this.trace = ports.telemetry.started(ask.meta, ask.traceHeaders);
  }

  /** Before the upstream hears of it. Rejects with GatewayError `audit_unavailable`. */
  intend(clearance: Clearance): Promise<void> | undefined {
    this.#hits = clearance.hits;
    this.#entry = this.#describe('allow', clearance.policy.rules.length > 0 ? 'allow' : 'default', clearance.approval?.id);
    return this.#ports.journal.intent(this.#entry, mayChange(this.#ask, clearance));
  }

  /** Its client is given what came of it before: no upstream hears of it. */
  repeats(): void {
    this.#entry = this.#describe('allow', 'repeated');
  }

  done(outcome: Outcome): void {
    if (outcome.hits.length > 0) this.#hits = [...this.#hits, ...outcome.hits];
    this.#settle();
    if (outcome.kind === 'error') traces.set(this.#ask, this.trace.traceId);
    if (outcome.kind === 'error') this.#end('upstream-error', undefined, 0, outcome.error.code);
    else if (outcome.kind === 'input-required') this.#end('input-required', undefined, 0);
    else if (outcome.kind === 'reply') this.#end('done', undefined, outcome.body.length);
    else if (outcome.kind === 'streamed') this.#end('done', undefined, outcome.bytes);
    else this.#end(isToolError(outcome.result) ? 'tool-error' : 'done', undefined, outcome.result.size);
  }

  // A model's tokens and money were reserved by an estimate; where no provider heard of the call, nothing was used.
  #settle(): void {
    const { admission, spent } = this;
    if (admission?.reservation === undefined) return;
    if (spent?.cache !== undefined) admission.reservation.settle(costOfHit(spent, admission.policy.cacheHits));
    else if (admission.isEstimated) {
      const { input, output, nanoUsd } = spent === undefined ? nothing : totalSpent(spent);
      admission.reservation.settle({ calls: 1, tokens: input + output, nanoUsd });
    }
    admission.reservation.release();
    this.slots?.leave();
  }

  failed(thrown: unknown): void {
    const error = toGatewayError(thrown);
    traces.set(this.#ask, this.trace.traceId);
    if (error instanceof ContentRefusal) this.#hits = [...this.#hits, ...error.hits];
    this.#settle();
    const outcome = this.isSent ? 'failed' : 'refused';
    this.#end(outcome, error, 0);
    this.#tell(outcome, error);
  }

  #end(outcome: CallOutcome, error: GatewayError | undefined, bytesOut: number, rpcCode?: number): void {
    const { journal, telemetry } = this.#ports;
    const ms = performance.now() - this.#startedAtMs;
    const { permit } = this;
    const caller = this.#caller;
    const ask = this.#ask;
    const code = error?.code;
    this.#entry ??= this.#describe('deny', code, approvalOf(error));
    const contentRules = this.#hits.length === 0 ? undefined : [...new Set(this.#hits.map(({ ruleId }) => ruleId))];
    const kind = outcome === 'tool-error' ? 'done' : outcome;
    const { spent } = this;
    const total = spent === undefined ? nothing : totalSpent(spent);
    ask.heardEnd?.({ ms, upstreamMs: this.upstreamMs, spent });
    const sizes = { ms, bytesIn: ask.bytesIn, bytesOut };
    journal.outcome(this.#entry, { outcome: kind, code, rpcCode, ...sizes, contentRules, contentHits: this.#hits, spent });
    telemetry.ended(
      {
        capability: permit?.capability,
        namespace: permit?.namespace,
        upstream: permit?.member.id,
        consumer: caller.consumer,
        key: caller.key,
        member: caller.member,
        door: ask.door,
        era: ask.era,
        method: ask.method,
        outcome,
        code,
        ms,
        upstreamMs: this.upstreamMs,
        bytesIn: ask.bytesIn,
        bytesOut,
        tokensIn: total.input,
        tokensOut: total.output,
        costMicros: Math.round(total.nanoUsd / 1000),
        spent,
        answerId: ask.answerId,
        retries: this.retries,
        limitRefusals: (this.admission?.shadowRefusals ?? 0) + (code !== undefined && ofLimits.has(code) ? 1 : 0),
        contentHits: this.#hits.length,
      },
      this.trace,
    );
  }

  #describe(
    decision: 'allow' | 'deny',
    rule: ErrorCode | 'allow' | 'default' | 'repeated' | undefined,
    approval?: string,
  ): CallEntry {
    const { journal } = this.#ports;
    const target = this.permit ?? this.refused;
    const { id, key, consumer, member } = this.#caller;
    const { answerId, nextName, door, toolbox, method, params, bytesIn } = this.#ask;
    // No limit looks at arguments, and a crowd that is refused is not to cost what it does when it is let in.
    const isUnread = rule !== undefined && rule !== 'repeated' && ofLimits.has(rule);
    const digested = isUnread || isTooMuch(method, params.arguments, bytesIn) ? undefined : params.arguments;
    return journal.describe({
      call: answerId ?? nextName?.(),
      principal: id,
      key,
      consumer,
      member,
      door,
      toolbox,
      method,
      capability: target?.capability,
      upstream: target?.member.id,
      definition: target?.definition,
      argumentsDigest: isObject(digested) ? (digests.get(digested) ?? journal.digest(textOf(method, digested))) : undefined,
      argumentsBytes: bytesIn,
      decision,
      rule,
      approval,
      trace: this.trace.traceId,
    });
  }

  // Calls that went well, and those refused, are in the journal and the metrics; the log is for what somebody may have to look at,
  // and nobody who keeps asking for what is refused may fill it.
  #tell(outcome: CallOutcome, error: GatewayError): void {
    const { log } = this.#ports;
    const level = error.code === 'internal' ? 'error' : outcome === 'refused' ? 'debug' : 'info';
    if (!log.isLevelEnabled(level)) return;
    const { permit } = this;
    const { door, era, toolbox, method } = this.#ask;
    const line = {
      caller: this.#caller.id,
      door,
      era,
      toolbox,
      method,
      capability: permit?.capability,
      upstream: permit?.member.id,
      ms: Math.round((performance.now() - this.#startedAtMs) * 100) / 100,
      trace: this.trace.traceId,
      outcome,
      code: error.code,
      reason: error.message,
    };
    log[level](error.code === 'internal' ? { ...line, err: error.cause } : line, 'call');
  }
}

const digests = new WeakMap<JsonObject, string>();

/** For arguments of many megabytes: what their record says of them is made before the call, in turns with everybody else's work. */
export async function digestInTurns({ journal }: Pick<RecordPorts, 'journal'>, args: JsonObject): Promise<void> {
  digests.set(args, await journal.digestPieces(canonicalPieces(args)));
}

const traces = new WeakMap<Ask, string>();

/** What the record of a call that failed is found by, for whoever has to tell an operator. */
export function traceOf(ask: Ask | undefined): string | undefined {
  return ask && traces.get(ask);
}

/** The request that a refused call waits for, or was denied by. */
function approvalOf(error: GatewayError | undefined): string | undefined {
  if (error?.code !== 'approval_pending' && error?.code !== 'approval_denied') return undefined;
  return isObject(error.data) && typeof error.data.approval === 'string' ? error.data.approval : undefined;
}

const ofLimits: ReadonlySet<string> = new Set(['rate_limited', 'limit_reached']);
const nothing = { input: 0, output: 0, nanoUsd: 0 };

/** No provider heard of it: what it uses up of limits is for policies to say. */
function costOfHit({ spared }: Spent, counted: Admission['policy']['cacheHits']): Cost {
  return {
    calls: counted.includes('calls') ? 1 : 0,
    tokens: counted.includes('tokens') ? (spared?.tokens ?? 0) : 0,
    nanoUsd: counted.includes('money') ? (spared?.nanoUsd ?? 0) : 0,
  };
}

/** More than any tool is passed: writing it down in order would hold up everybody else. */
function isTooMuch(method: Ask['method'], args: Json | undefined, bytesIn: number): boolean {
  if (bytesIn < 2 * maxValues || method === 'models/call' || !isObject(args)) return false;
  return typeof measureArguments(args) === 'string';
}

/** A prompt can be large, and is sent as its client ordered it: it is written down once for both. */
function textOf(method: Ask['method'], args: JsonObject): string {
  return method === 'models/call' ? writeMembers(memberTexts(args)) : canonicalJson(args);
}

function isToolError(result: RawResult): boolean {
  return result.has('isError') && result.get('isError') === true;
}

/**
 * What only reads goes on without a record rather than not at all. Whether a tool does, its upstream cannot be asked; of the gateway's
 * own actions it is known: whoever looks for what is wrong needs them then. What connects to others does more than read.
 */
function mayChange({ method }: Ask, { member, tool }: Clearance): boolean {
  if (method !== 'tools/call' && method !== 'models/call') return false;
  const annotations = tool?.annotations;
  if (!isObject(annotations) || member.config.kind !== 'admin') return true;
  const { readOnlyHint, openWorldHint } = annotations;
  return readOnlyHint !== true || openWorldHint !== false;
}
