import { randomBytes } from 'node:crypto';
import type { ModelTarget, ModelTransport } from '../../catalog/config.ts';
import { GatewayError } from '../../errors.ts';
import { type ClientDialect, type ClientDialectName, type ProviderDialect, ReplyError } from '../../models/dialect.ts';
import { clientDialects, providerDialects } from '../../models/dialects.ts';
import { costOf, reservedCost } from '../../models/prices.ts';
import type { Prompt } from '../../models/prompt.ts';
import { noUsage, type Reply, type Usage } from '../../models/reply.ts';
import { estimateTokens } from '../../models/tokens.ts';
import { decide, type Rule } from '../../policy/rule.ts';
import type { Facts } from '../../policy/rule-facts.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { blankOut } from '../blank-out.ts';
import { LinkError } from '../link-error.ts';
import { readRetryAfter } from '../retry-after.ts';
import type { Answer, CallEstimate, UpstreamCall } from '../upstream.ts';
import { type Judgement, judgeFailure } from './judge-failure.ts';
import type { OpenTarget } from './open-target.ts';
import { PassSink } from './pass-sink.ts';
import type { BodySink, ProviderAnswer, ProviderHead } from './provider-exchange.ts';
import { answersOf, lengthOf, type PassedBody, passBody } from './request-body.ts';
import type { Attempt, Route, Routing } from './routing.ts';
import { conversationOf } from './sticky.ts';
import { ProviderFailed, StreamMeter } from './stream-meter.ts';
import { TranslateSink } from './translate-sink.ts';

export interface ModelCallPorts {
  readonly id: string;
  readonly transport: ModelTransport;
  readonly targets: readonly OpenTarget[];
  readonly routing: Routing;
  readonly rules: readonly { readonly rule: Rule; readonly targets: readonly number[] }[];
  readonly factsOf: (call: UpstreamCall) => Facts;
  readonly nowMs: () => number;
}

/** What a client asked of a model. */
export interface ModelAsk {
  readonly dialect: ClientDialectName;
  readonly body: JsonObject;
}

/** A whole answer, before it is said in anybody's words. */
export interface WholeReply {
  readonly reply: Reply;
  readonly target: ModelTarget;
}

const longestFirstByteMs = 60_000;
/** Where nobody says how long an answer may be. */
const usualAnswerTokens = 1_024;

/** What a call may use up, for what is reserved at its entry: its prompt, and the longest answer that it allows. */
export function estimateCall(
  { transport, targets }: ModelCallPorts,
  { dialect, body }: ModelAsk | { readonly dialect: 'embeddings'; readonly body: JsonObject },
): CallEstimate {
  const input = estimateTokens(body, dialect);
  const output = dialect === 'embeddings' ? 0 : answerTokens(transport, dialect, body);
  const costs = targets.map(({ price }) => (price === undefined ? 0 : reservedCost(input, output, price)));
  return { tokens: input + output, nanoUsd: Math.max(0, ...costs) };
}

function answerTokens({ defaults, maxOutputTokens }: ModelTransport, dialect: ClientDialectName, body: JsonObject): number {
  const one = lengthOf(body, dialect) ?? defaults.maxTokens ?? usualAnswerTokens;
  return Math.min(one, maxOutputTokens ?? Number.POSITIVE_INFINITY) * answersOf(body);
}

/** Answers in the client's dialect, in parts where it wants that. */
export function generate(ports: ModelCallPorts, call: UpstreamCall, ask: ModelAsk): Promise<Answer> {
  const client = clientDialects.get(ask.dialect);
  if (client === undefined)
    throw new GatewayError('invalid_request', `There is no dialect "${String(ask.dialect)}" to call models in.`);
  const isStream = call.stream !== undefined && client.isStream(ask.body);
  let prompt: Prompt | undefined;
  const facts = () => {
    prompt ??= withDefaults(client.readPrompt(ask.body), ports.transport, isStream);
    return prompt;
  };
  return attemptAll(ports, call, ask, (target, course) =>
    target.speaks(ask.dialect)
      ? pass(target, course, call, ask, ports, isStream)
      : translate(target, course, call, { client, prompt: facts(), ask, isStream, nowMs: ports.nowMs() }),
  );
}

/** A whole answer to a prompt, of whatever target. */
export function complete(ports: ModelCallPorts, call: UpstreamCall, prompt: Prompt, body: JsonObject): Promise<WholeReply> {
  return attemptAll(ports, call, { dialect: 'messages', body }, async (target, course) => {
    const { dialect, request } = write(target, withDefaults(prompt, ports.transport, false));
    course.wasHeard = true;
    const answer = await target.send(
      {
        ...request,
        operation: { kind: 'generate', dialect: dialect.name },
        isStream: false,
        firstByteMs: course.firstByteMs,
        sinkFor: none,
      },
      call,
    );
    const reply = dialect.readReply(readBody(answer, target, dialect));
    course.took(reply.usage, reply.finish, reply.model);
    return { reply, target: target.config };
  });
}

/** One attempt of a call while it runs: what it is measured by, and what becomes of what it used up. */
export class AttemptCourse {
  readonly meter = new StreamMeter();
  readonly firstByteMs: number | undefined;
  /** A provider was turned to. */
  wasHeard = false;
  /** What is asked costs nothing. */
  isFree = false;
  readonly #call: UpstreamCall;
  readonly #target: OpenTarget;
  readonly #route: Route;
  readonly #attempt: Attempt;
  readonly #inputTokens: () => number;

  constructor(
    call: UpstreamCall,
    target: OpenTarget,
    route: Route,
    attempt: Attempt,
    firstByteMs: number | undefined,
    inputTokens: () => number,
  ) {
    this.#call = call;
    this.#target = target;
    this.#route = route;
    this.#attempt = attempt;
    this.firstByteMs = firstByteMs;
    this.#inputTokens = inputTokens;
  }

  /** A whole answer came. */
  took(usage: Usage | undefined, finish: Reply['finish'] | undefined, model: string | undefined): void {
    this.meter.firstTokenMs ??= this.meter.elapsedMs();
    this.meter.usage = usage === undefined || isNothing(usage) ? undefined : usage;
    this.meter.finish = finish;
    if (model !== undefined && model !== '') this.meter.model = model;
  }

  succeeded(): void {
    this.#attempt.succeeded(this.wasHeard ? (this.meter.firstTokenMs ?? this.meter.elapsedMs()) : undefined);
    if (this.wasHeard) this.settle(!this.isFree);
  }

  /** `isCharged`: something may have been used that nobody told us. */
  settle(isCharged: boolean): void {
    const { usage: told, finish, model, firstTokenMs, spokenBytes } = this.meter;
    const isWhole = told !== undefined && finish !== undefined;
    const usage = isWhole || !isCharged ? (told ?? noUsage) : this.#guess(told);
    const { config, price } = this.#target;
    this.#attempt.used(usage.input + usage.output);
    this.#call.spent?.({
      usage,
      isEstimated: !isWhole && isCharged && (told === undefined || spokenBytes > 0),
      nanoUsd: price === undefined ? undefined : costOf(usage, price),
      target: config.name,
      version: config.version,
      provider: config.provider,
      model: model ?? config.model,
      finish,
      firstTokenMs,
      cache: undefined,
      failovers: this.#route.failovers,
    });
  }

  /** What was said so far counts, where the provider told nothing of it or told it too early. */
  #guess(told: Usage | undefined): Usage {
    const output = Math.max(told?.output ?? 0, this.meter.spokenTokens());
    return { ...(told ?? noUsage), input: told?.input || this.#inputTokens(), output };
  }
}

function isNothing({ input, output }: Usage): boolean {
  return input === 0 && output === 0;
}

/** Tries target after target until one answers, nobody is left, or trying another would be wrong. */
export async function attemptAll<Result>(
  ports: ModelCallPorts,
  call: UpstreamCall,
  ask: ModelAsk | { readonly dialect: 'embeddings'; readonly body: JsonObject },
  run: (target: OpenTarget, course: AttemptCourse) => Promise<Result>,
): Promise<Result> {
  const { transport, targets, routing } = ports;
  let known: number | undefined;
  const inputTokens = () => {
    known ??= estimateTokens(ask.body, ask.dialect);
    return known;
  };
  const hasTpm = transport.targets.some(({ limits }) => limits.tpm !== undefined);
  const tokens = hasTpm ? estimateCall(ports, ask).tokens : 0;
  const route = routing.route({ among: amongOf(ports, call), stickyKey: stickyKeyOf(ports, call, ask.body), tokens });
  const { firstByteMs = call.stream === undefined ? undefined : longestFirstByteMs } = transport.routing.failover;
  let last: Judgement | undefined;
  for (let attempt = route.next(); attempt !== undefined; attempt = route.next()) {
    const target = targets[attempt.place];
    if (target === undefined) throw new Error('the routing knows a target that is not open');
    const course = new AttemptCourse(call, target, route, attempt, firstByteMs, inputTokens);
    try {
      const result = await run(target, course);
      course.succeeded();
      return result;
    } catch (thrown) {
      if (!course.wasHeard) {
        // The request cannot be said to this target at all: that is for its client to mend.
        attempt.abandoned();
        throw thrown;
      }
      last = judgeFailure(thrown, target, attempt, call.cancel);
      const isOver = !last.mayGoOn || course.meter.hasWritten || call.cancel.isCancelled;
      course.settle(last.isCharged || course.meter.hasWritten);
      if (isOver) throw broken(last, course, target);
    }
  }
  throw last?.error ?? nobody(ports, route);
}

/** An answer that has begun and does not go on is no answer that somebody else can give. */
function broken({ error }: Judgement, { meter }: AttemptCourse, { subject }: OpenTarget): unknown {
  if (!meter.hasWritten || !(error instanceof GatewayError) || !error.code.startsWith('upstream_')) return error;
  return new LinkError(
    'upstream_failed',
    `${subject} broke off in the middle of its answer. What came so far is not the whole of it.`,
    {
      cause: error,
    },
  );
}

function nobody({ id, targets }: ModelCallPorts, route: Route): GatewayError {
  const waitMs = route.waitMs();
  const text = `The model ${id} has no target that takes this call right now`;
  if (targets.length === 0 || waitMs === undefined)
    return new GatewayError('upstream_unavailable', `${text}: none is in a region that it may go to.`);
  const next = `try again in ${Math.max(1, Math.ceil(waitMs / 1000))} s`;
  return new GatewayError('upstream_busy', `${text}; ${next}.`, { retryAfterMs: Math.max(waitMs, 1_000) });
}

/** The targets that the first rule that fits leaves; undefined where none does. Throws GatewayError `not_allowed`. */
function amongOf({ rules, factsOf, id }: ModelCallPorts, call: UpstreamCall): readonly number[] | undefined {
  if (rules.length === 0) return undefined;
  const facts = factsOf(call);
  const args = isObject(call.params.arguments) ? call.params.arguments : {};
  for (const [at, { rule, targets }] of rules.entries()) {
    const { isAllowed, faults } = decide([rule], facts, args);
    if (isAllowed) return targets;
    // Such a rule may be what keeps data in a place: a request that it cannot be asked of goes nowhere.
    if (faults.length > 0)
      throw new GatewayError(
        'not_allowed',
        `Rule ${at + 1} of the routing of ${id} cannot be evaluated for this call: it looks at something that the call does not have.`,
      );
  }
  return undefined;
}

function stickyKeyOf({ transport, factsOf }: ModelCallPorts, call: UpstreamCall, body: JsonObject): string | undefined {
  const { sticky } = transport.routing;
  if (sticky === undefined) return undefined;
  const consumer = factsOf(call).caller.consumer || call.client.principal;
  if (sticky === 'consumer') return consumer;
  const conversation = conversationOf(body);
  return conversation === undefined ? undefined : `${consumer}\0${conversation}`;
}

// Pass-through

async function pass(
  target: OpenTarget,
  course: AttemptCourse,
  call: UpstreamCall,
  { dialect: name, body }: ModelAsk,
  { transport }: ModelCallPorts,
  isStream: boolean,
): Promise<Answer> {
  const dialect = dialectOf(name);
  const passed = passBody(body, name, { model: target.config.model, isStream, maxTokens: transport.defaults.maxTokens });
  const { stream } = call;
  const sink = !isStream || stream === undefined ? undefined : passSink(name, dialect, passed, course, target, stream);
  course.wasHeard = true;
  const answer = await target.send(
    {
      operation: { kind: 'generate', dialect: name },
      isStream,
      body: Buffer.from(JSON.stringify(passed.body)),
      firstByteMs: course.firstByteMs,
      sinkFor: sink === undefined ? none : forStream(sink, target),
    },
    call,
  );
  if (sink !== undefined && answer.status < 300) return { kind: 'streamed', bytes: course.meter.bytesOut };
  noteWhole(readBody(answer, target, dialect), dialect, course);
  return { kind: 'reply', body: answer.body, headers: {} };
}

function passSink(
  dialect: ClientDialectName,
  provider: ProviderDialect,
  { keepsUsage }: PassedBody,
  { meter }: AttemptCourse,
  { secrets }: OpenTarget,
  stream: NonNullable<UpstreamCall['stream']>,
): BodySink {
  return new PassSink({ dialect, reader: provider.streamReader(), meter, stream, secrets, keepsUsage });
}

function noteWhole(body: JsonObject, dialect: ProviderDialect, course: AttemptCourse): void {
  const model = typeof body.model === 'string' ? body.model : undefined;
  let reply: Reply | undefined;
  try {
    reply = dialect.readReply(body);
  } catch {
    // What it holds that no other dialect has is for its client to read.
  }
  course.took(reply?.usage ?? dialect.usageOf(body), reply?.finish, model);
}

// Translation

interface Translation {
  readonly client: ClientDialect;
  readonly prompt: Prompt;
  readonly ask: ModelAsk;
  readonly isStream: boolean;
  readonly nowMs: number;
}

async function translate(
  target: OpenTarget,
  course: AttemptCourse,
  call: UpstreamCall,
  translation: Translation,
): Promise<Answer> {
  const { client, prompt, ask, isStream, nowMs } = translation;
  const { dialect, request } = write(target, prompt);
  const streamOptions = isObject(ask.body.stream_options) ? ask.body.stream_options : {};
  const facts = {
    model: prompt.model,
    id: randomBytes(12).toString('hex'),
    createdAtMs: nowMs,
    streamsUsage: streamOptions.include_usage === true,
    prompt,
  };
  const { stream } = call;
  const sink =
    !isStream || stream === undefined
      ? undefined
      : new TranslateSink({
          framing: target.provider.framing,
          reader: dialect.streamReader(),
          writer: client.streamWriter(facts),
          meter: course.meter,
          stream,
          secrets: target.secrets,
        });
  course.wasHeard = true;
  const answer = await target.send(
    {
      ...request,
      operation: { kind: 'generate', dialect: dialect.name },
      isStream,
      firstByteMs: course.firstByteMs,
      sinkFor: sink === undefined ? none : forStream(sink, target),
    },
    call,
  );
  if (sink !== undefined && answer.status < 300) return { kind: 'streamed', bytes: course.meter.bytesOut };
  const reply = dialect.readReply(readBody(answer, target, dialect));
  course.took(reply.usage, reply.finish, reply.model);
  return { kind: 'reply', body: Buffer.from(JSON.stringify(client.writeReply(reply, facts))), headers: {} };
}

function write(
  target: OpenTarget,
  prompt: Prompt,
): { readonly dialect: ProviderDialect; readonly request: { readonly body: Buffer } } {
  const dialect = dialectOf(target.dialects[0]);
  return { dialect, request: { body: Buffer.from(JSON.stringify(dialect.writePrompt(prompt, target.config.model))) } };
}

function withDefaults(prompt: Prompt, { defaults }: ModelTransport, isStream: boolean): Prompt {
  const maxTokens = prompt.maxTokens ?? defaults.maxTokens;
  return prompt.maxTokens === maxTokens && prompt.isStream === isStream ? prompt : { ...prompt, maxTokens, isStream };
}

function dialectOf(name: OpenTarget['dialects'][number] | undefined): ProviderDialect {
  const dialect = name === undefined ? undefined : providerDialects.get(name);
  if (dialect === undefined) throw new GatewayError('bad_configuration', `There is no dialect "${name}" to speak to providers.`);
  return dialect;
}

// What comes back

export function none(): undefined {
  return undefined;
}

/** A refusal is read as a whole; what is no stream of events is no answer in parts. */
function forStream(sink: BodySink, { provider }: OpenTarget): (head: ProviderHead) => BodySink | undefined {
  return ({ status, headers }) => {
    if (status >= 300) return undefined;
    const type = headers['content-type'] ?? '';
    const wanted = provider.framing === 'sse' ? 'text/event-stream' : 'application/vnd.amazon.eventstream';
    if (!type.startsWith(wanted))
      throw new ReplyError(`its answer is ${type.slice(0, 100) || 'of no type'}, and no stream of events`);
    return sink;
  };
}

/** Throws ProviderFailed for a refusal, and ReplyError for what is no JSON object. Secrets are blanked out in place. */
export function readBody(
  answer: ProviderAnswer,
  { secrets }: OpenTarget,
  dialect: Pick<ProviderDialect, 'readFailure'>,
): JsonObject {
  const { status, headers, body } = answer;
  blankOut(body, secrets);
  const read = parseObject(body);
  if (status >= 200 && status < 300 && read !== undefined && !isObject(read.error)) return read;
  if (status < 300 && read === undefined) throw new ReplyError('its answer is no JSON object');
  if (status >= 300 && status < 400) throw new ReplyError(`it answered HTTP ${status}`);
  const failure = dialect.readFailure(status < 300 ? 502 : status, read);
  throw new ProviderFailed({ ...failure, retryAfterMs: readRetryAfter(headers['retry-after']) ?? failure.retryAfterMs });
}

function parseObject(body: Buffer): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(body.toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
