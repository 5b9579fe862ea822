/** Refuses answers that are not what the method promises and content that must not come back, and maps what they carry back into the client's names and URIs. */
import type { AnswerChecks } from '../arguments/answer-check.ts';
import type { Judges } from '../content/judge.ts';
import type { ContentHit, ContentVerdict } from '../content/screen.ts';
import { textsIn } from '../content/texts-in.ts';
import { GatewayError } from '../errors.ts';
import type { TextSlot } from '../models/dialect.ts';
import type { Answer, AnswerStream, CallMethod } from '../upstreams/upstream.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { RawResult } from '../wire/message.ts';
import type { ApprovedRound, Ask } from './ask.ts';
import type { Permit } from './authorize.ts';
import { checkAnswer } from './check-answer.ts';
import { passInspected } from './inspect-stream.ts';
import { judgeAnswer } from './judge-answer.ts';
import { ContentRefusal } from './screen.ts';

declare const inspected: unique symbol;

/** An answer its client may have. Only this file makes one. */
export type Outcome = Answer & {
  readonly [inspected]: true;
  /** Content rules that matched on the way out. */
  readonly hits: readonly ContentHit[];
  /** What people had agreed to; a further round of the call goes on from there. */
  readonly approval?: ApprovedRound | undefined;
};

declare const watched: unique symbol;

/** A client's stream into which only what its client may have gets. Only this file makes one. */
export type InspectedStream = AnswerStream & { readonly [watched]: true };

interface Passing {
  readonly stream: InspectedStream;
  /** To be waited for before an answer that ended well is ended. Throws, or rejects with, GatewayError `content_blocked` and `judge_unavailable`. */
  readonly end: () => Promise<void> | undefined;
  readonly hits: () => readonly ContentHit[];
}

/** For the answer of a call that its client wants in parts; undefined where it does not. */
export function inspectStream(
  judges: Judges | undefined,
  { policy, capability }: Permit,
  { stream, dialect }: Ask,
): Passing | undefined {
  if (stream === undefined) return undefined;
  const { contentOut, judgesOut } = policy;
  if ((contentOut === undefined && judgesOut.length === 0) || dialect === undefined)
    return { stream: stream as InspectedStream, end: () => undefined, hits: () => none };
  const judge =
    judges === undefined || judgesOut.length === 0
      ? undefined
      : (texts: readonly string[]) => judgeAnswer(judges, judgesOut, { capability, mayRepeat: true }, texts);
  const inspection = passInspected(contentOut?.stream(), dialect, stream, capability, judge);
  const inspected: AnswerStream = {
    begin: (headers) => stream.begin?.(headers),
    write: (bytes) => inspection.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)),
  };
  return { stream: inspected as InspectedStream, end: () => inspection.end(), hits: () => inspection.hits };
}

/** Of an answer that went out whole. */
export function inspectStreamed(answer: Answer & { readonly kind: 'streamed' }, { hits }: Passing): Outcome {
  return { ...answer, hits: hits() } as unknown as Outcome;
}

/** Who looks at an answer. */
interface Inspectors {
  readonly answers: AnswerChecks;
  readonly judges: Judges | undefined;
}

/**
 * At once where nobody has to be asked and nothing takes long. Throws, or rejects with, GatewayError `upstream_failed`, `content_blocked`
 * and `judge_unavailable`.
 */
export function inspect({ answers, judges }: Inspectors, permit: Permit, ask: Ask, answer: Answer): Outcome | Promise<Outcome> {
  const flaws = checkAnswer(answers, permit, ask, answer);
  return flaws instanceof Promise
    ? flaws.then((late) => judged(judges, permit, ask, inspectWhole(permit, ask, answer, late)))
    : judged(judges, permit, ask, inspectWhole(permit, ask, answer, flaws));
}

/** What comes of a value that may not be there yet. */
function whenKnown<Value, Result>(
  value: Value | Promise<Value>,
  next: (value: Value) => Result | Promise<Result>,
): Result | Promise<Result> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Tells a client of models that an answer is not a new one. */
export const repeatedHeaders = { 'idempotent-replayed': 'true' } as const;

/** The same for what its client was given before: of that only what may be in it can have changed. */
export function inspectRepeated(
  judges: Judges | undefined,
  permit: Permit,
  ask: Ask,
  answer: Answer & { readonly kind: 'result' | 'error' | 'reply' },
): Outcome | Promise<Outcome> {
  return judged(judges, permit, ask, inspectAgain(permit, ask, answer));
}

function inspectAgain(
  permit: Permit,
  ask: Ask,
  answer: Answer & { readonly kind: 'result' | 'error' | 'reply' },
): Outcome | Promise<Outcome> {
  if (answer.kind === 'error') return { ...answer, hits: none } as unknown as Outcome;
  if (answer.kind === 'result')
    return whenKnown(
      withoutContent(permit, ask, answer.result, none),
      (clean) => ({ kind: 'result', ...clean }) as unknown as Outcome,
    );
  return inspectReply(permit, ask, { ...answer, headers: { ...answer.headers, ...repeatedHeaders } });
}

function judged(
  judges: Judges | undefined,
  permit: Permit,
  ask: Ask,
  inspected: Outcome | Promise<Outcome>,
): Outcome | Promise<Outcome> {
  const { capability, member } = permit;
  const { judgesOut } = permit.policy;
  if (judges === undefined || judgesOut.length === 0) return inspected;
  const mayRepeat = ask.method !== 'tools/call' || member.config.kind === 'model';
  return whenKnown(inspected, (outcome) => {
    if (outcome.kind !== 'result' && outcome.kind !== 'reply') return outcome;
    const value =
      outcome.kind === 'result' ? parsed(permit, outcome.result) : (JSON.parse(outcome.body.toString()) as JsonObject);
    const texts = ask.dialect === undefined ? textsIn(value) : ask.dialect.textsOf(value).map(({ text }) => text);
    return judgeAnswer(judges, judgesOut, { capability, mayRepeat }, texts).then(
      (hits) => ({ ...outcome, hits: [...outcome.hits, ...hits] }) as unknown as Outcome,
    );
  });
}

function inspectWhole(permit: Permit, ask: Ask, answer: Answer, flaws: readonly ContentHit[]): Outcome | Promise<Outcome> {
  if (answer.kind === 'reply') return inspectReply(permit, ask, answer);
  if (answer.kind !== 'result') return { ...answer, hits: none } as unknown as Outcome;
  const shaped = withShape(permit, ask.method, answer.result);
  return whenKnown(
    withoutContent(permit, ask, shaped, flaws),
    ({ result, hits }) => ({ kind: 'result', result: withClientUris(permit, ask.method, result), hits }) as unknown as Outcome,
  );
}

/** The words of a model alone: ids and what is sealed for a provider mean nothing to a rule, and must stay what they are. */
function inspectReply(
  permit: Permit,
  { dialect, cancel }: Ask,
  answer: Answer & { readonly kind: 'reply' },
): Outcome | Promise<Outcome> {
  const { contentOut } = permit.policy;
  if (contentOut === undefined || dialect === undefined) return { ...answer, hits: none } as unknown as Outcome;
  const document = JSON.parse(answer.body.toString()) as JsonObject;
  const slots = dialect.textsOf(document);
  const verdict = contentOut.screenValue(
    slots.map(({ text }) => text),
    cancel,
  );
  return whenKnown(verdict, (known) => replyBy(known, permit, answer, document, slots));
}

function replyBy(
  verdict: ContentVerdict,
  permit: Permit,
  answer: Answer & { readonly kind: 'reply' },
  document: JsonObject,
  slots: readonly TextSlot[],
): Outcome {
  switch (verdict.kind) {
    case 'clean':
      return { ...answer, hits: none } as unknown as Outcome;
    case 'flagged':
      return { ...answer, hits: verdict.hits } as unknown as Outcome;
    case 'blocked':
      throw blocked(permit, verdict.rules, verdict.hits);
    case 'redacted': {
      const texts = verdict.value as readonly string[];
      for (const [at, slot] of slots.entries()) if (texts[at] !== slot.text) slot.replace(texts[at] ?? '');
      return { ...answer, body: Buffer.from(JSON.stringify(document)), hits: verdict.hits } as unknown as Outcome;
    }
  }
}

function blocked({ capability, namespace }: Permit, rules: readonly string[], hits: readonly ContentHit[]): ContentRefusal {
  return new ContentRefusal(
    `The answer of ${capability} holds what must not be passed on (${rules.join(', ')}). Ask for something else, or ask whoever administers the namespace ${namespace}.`,
    hits,
  );
}

const none: readonly ContentHit[] = Object.freeze([]);

interface Cleaned {
  readonly result: RawResult;
  readonly hits: readonly ContentHit[];
}

function withoutContent(
  permit: Permit,
  { cancel }: Ask,
  result: RawResult,
  flaws: readonly ContentHit[],
): Cleaned | Promise<Cleaned> {
  const { contentOut } = permit.policy;
  if (contentOut === undefined) return { result, hits: flaws };
  const verdict = contentOut.inspectBytes(result.bytes.subarray(result.start, result.end), cancel);
  return whenKnown(verdict, (known) => cleanedBy(known, permit, result, flaws));
}

function cleanedBy(verdict: ContentVerdict, permit: Permit, result: RawResult, flaws: readonly ContentHit[]): Cleaned {
  if (verdict.kind === 'clean') return { result, hits: flaws };
  const hits = [...flaws, ...verdict.hits];
  switch (verdict.kind) {
    case 'flagged':
      return { result, hits };
    case 'redacted':
      return { result: RawResult.from(isObject(verdict.value) ? verdict.value : {}), hits };
    case 'blocked':
      throw blocked(permit, verdict.rules, hits);
  }
}

const promises = {
  'tools/call': { key: 'content', opens: 0x5b },
  'prompts/get': { key: 'messages', opens: 0x5b },
  'resources/read': { key: 'contents', opens: 0x5b },
  'completion/complete': { key: 'completion', opens: 0x7b },
} as const satisfies Record<Exclude<CallMethod, 'models/call'>, { key: string; opens: number }>;

function withShape(permit: Permit, method: CallMethod, result: RawResult): RawResult {
  if (method === 'models/call') return result;
  const { key, opens } = promises[method];
  for (const member of result.members) {
    if (member.key === key && result.bytes[member.start] === opens) return result;
  }
  // `content` may be left out where `structuredContent` says it all; older clients insist on it.
  if (method === 'tools/call' && !result.has('content')) return RawResult.from({ ...parsed(permit, result), content: [] });
  throw new GatewayError(
    'upstream_failed',
    `The upstream ${permit.member.id} sent an answer without a usable "${key}"; ask its operator, repeating the call will not help.`,
  );
}

function withClientUris(permit: Permit, method: CallMethod, result: RawResult): RawResult {
  const { uris } = permit.toolbox;
  // Most answers name no URI, and then stay the bytes they were.
  if (uris.isIdentity || permit.member === permit.toolbox.finder || method === 'completion/complete' || !result.namesUri)
    return result;
  const map = (uri: Json | undefined) => (typeof uri === 'string' ? uris.toClient(permit.member, uri) : uri);
  const value = parsed(permit, result);
  if (method === 'resources/read')
    return RawResult.from({ ...value, contents: each(value.contents, (item) => mapUri(item, map)) });
  if (method === 'tools/call') return RawResult.from({ ...value, content: each(value.content, (item) => mapBlock(item, map)) });
  return RawResult.from({
    ...value,
    messages: each(value.messages, (message) => {
      const { content } = message;
      const mapped = Array.isArray(content)
        ? each(content, (block) => mapBlock(block, map))
        : isObject(content)
          ? mapBlock(content, map)
          : content;
      return mapped === undefined ? message : { ...message, content: mapped };
    }),
  });
}

type MapUri = (uri: Json | undefined) => Json | undefined;

function mapBlock(block: JsonObject, map: MapUri): JsonObject {
  if (block.type === 'resource_link') return mapUri(block, map);
  if (block.type === 'resource' && isObject(block.resource)) return { ...block, resource: mapUri(block.resource, map) };
  return block;
}

function mapUri(item: JsonObject, map: MapUri): JsonObject {
  const uri = map(item.uri);
  return uri === undefined ? item : { ...item, uri };
}

function each(items: Json | undefined, map: (item: JsonObject) => JsonObject): Json[] {
  return Array.isArray(items) ? items.map((item) => (isObject(item) ? map(item) : item)) : [];
}

function parsed(permit: Permit, result: RawResult): JsonObject {
  try {
    return result.value;
  } catch (error) {
    throw new GatewayError('upstream_failed', `The upstream ${permit.member.id} sent an answer that is not valid JSON.`, {
      cause: error,
    });
  }
}
