import type { ModelTarget, ModelTransport } from '../../catalog/config.ts';
import { GatewayError } from '../../errors.ts';
import type { ClientDialect, ClientDialectName, ProviderDialect } from '../../models/dialect.ts';
import { clientDialects } from '../../models/dialects.ts';
import type { Prompt } from '../../models/prompt.ts';
import type { Reply } from '../../models/reply.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { Answer, UpstreamCall } from '../upstream.ts';
import { attemptAll } from './attempt-all.ts';
import type { AttemptCourse } from './attempt-course.ts';
import { type AnswerMarks, marksFor, withOwnIds } from './held-marks.ts';
import { itemIdAt, placeOf, previousId } from './held-response.ts';
import type { ModelAsk, ModelCallPorts } from './model-calls.ts';
import type { OpenTarget } from './open-target.ts';
import { PassSink } from './pass-sink.ts';
import type { BodySink } from './provider-exchange.ts';
import { dialectOf, forStream, none, readBody } from './read-answer.ts';
import { replyFacts } from './reply-facts.ts';
import { type PassedBody, passBody } from './request-body.ts';
import { TranslateSink } from './translate-sink.ts';

/** A whole answer, before it is said in anybody's words. */
interface WholeReply {
  readonly reply: Reply;
  readonly target: ModelTarget;
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
    course.sends(request.body);
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
    course.took(reply.usage, reply.finish, reply.model, () => spokenIn(reply));
    return { reply, target: target.config };
  });
}

// Pass-through

async function pass(
  target: OpenTarget,
  course: AttemptCourse,
  call: UpstreamCall,
  { dialect: name, body, held = [] }: ModelAsk,
  ports: ModelCallPorts,
  isStream: boolean,
): Promise<Answer> {
  const { id, transport } = ports;
  const dialect = dialectOf(name);
  const placeOfCall = () => placeOf(ports, call, target);
  const place = name === 'responses' ? placeOfCall() : undefined;
  const passed = passBody(body, name, {
    model: target.config.model,
    isStream,
    maxTokens: transport.defaults.maxTokens,
    habits: target.provider.habits,
    hostedTools: transport.hostedTools,
    heldIds: transport.heldIds,
    ownItemId: (item) => place && itemIdAt(item, place),
    name: id,
    previousId: name === 'responses' ? previousId(body) : undefined,
  });
  const marks = marksFor(name, body, transport, placeOfCall);
  const { stream } = call;
  const sink = !isStream || stream === undefined ? undefined : passSink(name, dialect, passed, course, target, stream, marks);
  const answer = await target.send(
    {
      operation: { kind: 'generate', dialect: name },
      isStream,
      body: course.sends(withOwnIds(passed.bytes, held, placeOfCall)),
      firstByteMs: course.firstByteMs,
      sinkFor: sink === undefined ? none : forStream(sink, target),
    },
    call,
  );
  if (sink !== undefined && answer.status < 300) return { kind: 'streamed', bytes: course.meter.bytesOut };
  noteWhole(readBody(answer, target, dialect), dialect, course);
  return { kind: 'reply', body: marks === undefined ? answer.body : marks.body(answer.body), headers: {} };
}

function passSink(
  dialect: ClientDialectName,
  provider: ProviderDialect,
  { keepsUsage }: PassedBody,
  { meter }: AttemptCourse,
  target: OpenTarget,
  stream: NonNullable<UpstreamCall['stream']>,
  marks: AnswerMarks | undefined,
): BodySink {
  return new PassSink({ dialect, reader: provider.streamReader(), meter, stream, target, keepsUsage, marks });
}

function noteWhole(body: JsonObject, dialect: ProviderDialect, course: AttemptCourse): void {
  const model = typeof body.model === 'string' ? body.model : undefined;
  let reply: Reply | undefined;
  try {
    reply = dialect.readReply(body);
  } catch {
    // What it holds that no other dialect has is for its client to read.
  }
  course.took(reply?.usage ?? dialect.usageOf(body), reply?.finish, model, () =>
    reply === undefined ? Buffer.byteLength(JSON.stringify(body)) : spokenIn(reply),
  );
}

/** Bytes of what a whole answer says: text, reasoning, and the arguments of calls. */
function spokenIn({ parts }: Reply): number {
  let bytes = 0;
  for (const part of parts) bytes += Buffer.byteLength(part.kind === 'tool-call' ? part.arguments : part.text);
  return bytes;
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
  const facts = replyFacts(prompt, ask.body, nowMs);
  const { stream } = call;
  const sink =
    !isStream || stream === undefined
      ? undefined
      : new TranslateSink({
          framing: target.provider.framing,
          reader: dialect.streamReader(),
          client,
          writer: client.streamWriter(facts),
          meter: course.meter,
          stream,
          target,
        });
  course.sends(request.body);
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
  course.took(reply.usage, reply.finish, reply.model, () => spokenIn(reply));
  return { kind: 'reply', body: Buffer.from(JSON.stringify(client.writeReply(reply, facts))), headers: {} };
}

function write(
  target: OpenTarget,
  prompt: Prompt,
): { readonly dialect: ProviderDialect; readonly request: { readonly body: Buffer } } {
  const dialect = dialectOf(target.dialects[0]);
  const body = dialect.writePrompt(prompt, target.config.model, target.provider.habits);
  return { dialect, request: { body: Buffer.from(JSON.stringify(body)) } };
}

function withDefaults(prompt: Prompt, { defaults }: ModelTransport, isStream: boolean): Prompt {
  const maxTokens = prompt.maxTokens ?? defaults.maxTokens;
  return prompt.maxTokens === maxTokens && prompt.isStream === isStream ? prompt : { ...prompt, maxTokens, isStream };
}
