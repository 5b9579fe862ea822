import type { GatewayError } from '../errors.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Prompt } from './prompt.ts';
import type { ProviderFailure, Reply, ReplyEvent, Usage } from './reply.ts';

/** A way of speaking to models, as clients of ours use it. Pure: bytes and clocks belong to whoever uses it. */
export interface ClientDialect {
  readonly name: ClientDialectName;
  /** Throws GatewayError `invalid_request` that names the member and says what it must be. */
  readPrompt(body: JsonObject): Prompt;
  writeReply(reply: Reply, facts: ReplyFacts): JsonObject;
  /** For one answer. */
  streamWriter(facts: ReplyFacts): StreamWriter;
  /** Whether the client wants the answer in parts. */
  isStream(body: JsonObject): boolean;
  /** Error document and its HTTP status, as the dialect's own clients expect them. */
  writeError(error: GatewayError): { readonly status: number; readonly body: JsonObject };
  /**
   * One event that ends a stream which broke off, as the dialect's clients understand it; never what ends a good one. `lastPart`: the
   * events that went out last, for dialects that number them.
   */
  writeStreamError(error: GatewayError, lastPart?: string): string;
  /**
   * Where the model's words are in one event's data or in a whole reply, in order: what content rules read, and rewrite where
   * they blank something out.
   */
  textsOf(document: JsonObject): readonly TextSlot[];
  /** Whether an event with words, by its data, ends what is said; not there where words and ends are never in one event. */
  isEnd?(data: string): boolean;
}

export type ClientDialectName = 'chat' | 'responses' | 'completions' | 'messages';

/** A place of text in a JSON document. */
export interface TextSlot {
  readonly text: string;
  /** Texts of one channel follow each other; those of different ones have nothing to do with each other. */
  readonly channel: string;
  replace(text: string): void;
}

export interface ReplyFacts {
  /** What the client called the model. */
  readonly model: string;
  /** Unique, without the dialect's prefix. */
  readonly id: string;
  readonly createdAtMs: number;
  /** The client wants usage at the end of the stream, where its dialect leaves that open. */
  readonly streamsUsage: boolean;
  readonly prompt: Prompt;
}

export interface StreamWriter {
  /** Whole SSE events, empty where the dialect has nothing to say for it. */
  write(event: ReplyEvent): string;
  /** What follows the last event of a stream that ended well. */
  end(): string;
  /** `writeStreamError` by a writer that knows how far the stream has come; not there where that makes no difference. */
  fail?(error: GatewayError): string;
}

/** The same for how a provider is spoken to. */
export interface ProviderDialect {
  readonly name: ProviderDialectName;
  /** `model` is the provider's name for it. Throws GatewayError `invalid_request` for what cannot be said in it. */
  writePrompt(prompt: Prompt, model: string, habits?: ServerHabits): JsonObject;
  /** Throws ReplyError where it is none. */
  readReply(body: JsonObject): Reply;
  /** For one answer. */
  streamReader(): StreamReader;
  /** Of a body that the provider sent with an error status; undefined body: it was no JSON object. */
  readFailure(status: number, body: JsonObject | undefined): ProviderFailure;
  /** Of a whole reply, for answers that are passed on as they are; undefined where it says none. */
  usageOf(body: JsonObject): Usage | undefined;
}

/** What servers that speak one dialect do not agree on. */
export interface ServerHabits {
  /** What `chat` calls the limit of an answer; OpenAI's own models that reason refuse the old name, most other servers know no other. */
  readonly maxTokensMember?: 'max_tokens' | 'max_completion_tokens' | undefined;
}

export type ProviderDialectName = ClientDialectName | 'gemini' | 'converse';

export interface StreamReader {
  /** One event of the provider's stream: SSE `event` (or the AWS event type) and its data. Throws ReplyError. */
  read(event: string, data: string): readonly ReplyEvent[];
  /** The stream was complete: what the provider sends last has come. */
  readonly isComplete: boolean;
  /** The stream has ended without that: says what it would have said, where the answer was whole; some servers leave their last word out. */
  end?(): readonly ReplyEvent[];
}

/** What a provider sent is no answer in its dialect. The message is for the log. */
export class ReplyError extends Error {}
