import { GatewayError } from '../errors.ts';
import type { Spent } from '../models/spent.ts';
import type { Cancel } from '../wire/cancel.ts';
import type { JsonObject } from '../wire/json.ts';
import type { RawResult, RpcError } from '../wire/message.ts';

/** Longest time by the clock that reading an API description may take, once those before it are done. */
export const importTimeoutMs = 60_000;
/** Largest API description that is read at all, wherever it comes from; the largest known that is published has 47 MB. */
export const descriptionLimitBytes = 48 * 1024 * 1024;

/**
 * A registered far end, whatever its kind. It keeps its own connections, knows what it last offered, and turns one neutral
 * call into its own protocol. It judges nothing: who may call what was decided before `call`.
 */
export interface Upstream {
  /** `namespace/name`, unique in the catalog. */
  readonly id: string;
  readonly kind: string;
  /** Begins to connect. Never throws and never waits: failure shows in `health()`. */
  start(): void;
  /** What it offers, from the last good answer. The same object until something changed. */
  offer(): Offer;
  /** Resolves at the first offer or the first failure to get one. */
  ready(): Promise<void>;
  health(): UpstreamHealth;
  /**
   * Sends one call. Resolves with what the far end answered, an error of its own included.
   * Throws GatewayError (`upstream_*`, `answer_too_large`, `cancelled`) when there is no answer.
   */
  call(call: UpstreamCall): Promise<Answer>;
  /** What a `models/call` with these params may use up at most, for what is reserved at its entry. */
  estimate?(params: JsonObject): Promise<CallEstimate> | CallEstimate;
  /** Wants `resource-updated` changes for this URI until as many `unsubscribe` have come. */
  subscribe(uri: string): Promise<void>;
  unsubscribe(uri: string): Promise<void>;
  /** Passes on a notification of one client's session (`notifications/roots/list_changed`), where a session of its own exists. */
  notify(session: string, method: string, params: JsonObject): void;
  /** A client's session is gone: whatever was opened for it alone is closed. */
  endSession(session: string): void;
  /** Returns a function that takes the listener back. */
  onChange(listener: (change: UpstreamChange) => void): () => void;
  /** Ends every connection and child process; resolves when nothing is left. */
  close(): Promise<void>;
}

export interface CallEstimate {
  readonly tokens: number;
  readonly nanoUsd: number;
}

export type UpstreamChange =
  | { readonly kind: 'offer' }
  | { readonly kind: 'health' }
  | { readonly kind: 'resource-updated'; readonly uri: string };

/** Everything an upstream offers, in its own names and URIs, in its own order. */
export interface Offer {
  readonly tools: readonly ToolDefinition[];
  readonly prompts: readonly PromptDefinition[];
  readonly resources: readonly ResourceDefinition[];
  readonly resourceTemplates: readonly ResourceTemplateDefinition[];
  /** The tool among them by which callers sign in: Gatehouse's own, so no filter of the upstream's names applies to it. */
  readonly signIn?: ToolDefinition | undefined;
  readonly can: { readonly complete: boolean; readonly log: boolean; readonly subscribe: boolean };
  readonly instructions: string | undefined;
  /** Tools among them whose calls wait for a person unless a policy says otherwise, by their own names; Gatehouse's own judgement. */
  readonly gatedByDefault?: ReadonlySet<string> | undefined;
  /** What Gatehouse puts in for arguments that callers leave out, by their names: its operator's words, so no part of what is pinned. */
  readonly filledIn?: JsonObject | undefined;
  /** How long each list may be cached, as the upstream says; absent for eras and kinds that do not. */
  readonly caching: { readonly ttlMs: number; readonly cacheScope: 'public' | 'private' } | undefined;
  /** Gateways whose capabilities may be among these, by the ids they have for themselves. */
  readonly gateways?: readonly string[];
  /** From an earlier connection: the upstream cannot be asked right now. */
  readonly isStale: boolean;
  /** What was left out, and why, one sentence each. */
  readonly problems: readonly OfferProblem[];
}

export interface OfferProblem {
  /** The definition's own name or URI. */
  readonly subject: string;
  readonly message: string;
}

/** Definitions are passed on as they came; only what routing needs has been checked. */
export interface ToolDefinition extends JsonObject {
  name: string;
  inputSchema: JsonObject;
}
export interface PromptDefinition extends JsonObject {
  name: string;
}
export interface ResourceDefinition extends JsonObject {
  uri: string;
  name: string;
}
export interface ResourceTemplateDefinition extends JsonObject {
  uriTemplate: string;
  name: string;
}

export const emptyOffer: Offer = Object.freeze({
  tools: [],
  prompts: [],
  resources: [],
  resourceTemplates: [],
  can: { complete: false, log: false, subscribe: false },
  instructions: undefined,
  caching: undefined,
  isStale: true,
  problems: [],
});

export type CallMethod = 'tools/call' | 'prompts/get' | 'resources/read' | 'completion/complete' | 'models/call';

/** One call on its way out, in the upstream's own names and URIs. */
export interface UpstreamCall {
  readonly method: CallMethod;
  /**
   * As judged; without `_meta`, `inputResponses` and `requestState`. Of a `models/call`: `name`, `dialect` (a client dialect,
   * `embeddings` or `count`), and the client's whole request as `arguments`.
   */
  readonly params: JsonObject;
  /** The client's `_meta` without the reserved keys and without its progress token; trace context included. */
  readonly meta: JsonObject | undefined;
  /** For the headers of a request, where this gateway is part of the trace. */
  readonly traceContext?: { readonly traceparent: string; readonly tracestate: string | undefined } | undefined;
  /** What the call's record is found by. Nothing of it goes out. */
  readonly trace?: string | undefined;
  /** The gateways that the client's request came through, for the headers of a request. */
  readonly hops?: string | undefined;
  readonly client: CallingClient;
  readonly conversation: Conversation;
  /** Who calls, for upstreams that are part of this gateway. Nothing of it goes out. */
  readonly caller?: object | undefined;
  /** By which way the client came. Nothing of it goes out. */
  readonly door?: 'http' | 'stdio' | 'rest' | 'cli' | undefined;
  /** Where the client calls from; empty where it has no address. Nothing of it goes out. */
  readonly ip?: string | undefined;
  /** The definition a `tools/call` was judged under: names the arguments to mirror into headers. */
  readonly tool: ToolDefinition | undefined;
  /** Second round of a call that ended in `input-required`. */
  readonly retry: { readonly inputResponses: JsonObject | undefined; readonly requestState: string | undefined } | undefined;
  readonly cancel: Cancel;
  /** Largest answer to accept. */
  readonly limitBytes: number;
  /** Where a `models/call` puts an answer that its client wants in parts. */
  readonly stream?: AnswerStream | undefined;
  /**
   * What a call used up, as far as is known: the last word of each call counts, also of one that fails or is given up. To be said of
   * every call that a provider heard of.
   */
  spent?(spent: Spent): void;
}

/** An answer on its way to its client while the call runs: whole server-sent events in the client's dialect. */
export interface AnswerStream {
  /** Headers of the answer, before anything is written. */
  begin?(headers: Readonly<Record<string, string>>): void;
  /** Undefined, or resolves, when more can be taken. What was written cannot be taken back: no other target may answer any more. */
  write(bytes: Uint8Array): Promise<void> | undefined;
}

/** The client behind a call, as far as an upstream may know it. */
export interface CallingClient {
  /** Who calls; what is opened for one is never used for another. */
  readonly principal: string;
  /** The client's session, where its era has one. */
  readonly session: string | undefined;
  /** As the client declared them in its era's shape (`elicitation`, `sampling`, `roots`, `extensions`). */
  readonly capabilities: JsonObject;
}

/** What may pass between client and upstream while the call runs. */
export interface Conversation {
  /** Present when the client asked for progress. `params` as the upstream sent them, without the token. */
  readonly progress: ((params: JsonObject) => void) | undefined;
  /** Log messages at or above this level may be passed to `log`; undefined: none. */
  readonly logLevel: string | undefined;
  log(params: JsonObject): void;
  /** Any other notification the upstream sent about this call, e.g. `notifications/elicitation/complete`. */
  notify(method: string, params: JsonObject): void;
  /** The client takes `input-required` answers and calls again. */
  readonly takesRounds: boolean;
  /**
   * Puts an upstream's request (`elicitation/create`, `sampling/createMessage`, `roots/list`) to the client and resolves with
   * its result. Rejects with GatewayError `missing_client_capability` or `cancelled`, or with RpcFailure when the client
   * answered with an error. The call's deadline stands still meanwhile.
   */
  ask(method: string, params: JsonObject): Promise<JsonObject>;
}

/**
 * The far end answered that it failed. Told apart from an answer, so that it counts against the far end and may be repeated where a
 * policy says so. In the end the caller gets `answer`, or where there is none the message.
 */
export class FailedAnswer extends GatewayError {
  readonly answer: Answer | undefined;
  /** Counts for the breaker. */
  readonly isItsFault: boolean;

  constructor(
    code: 'upstream_failed' | 'upstream_busy' | 'upstream_limited' | 'upstream_unavailable',
    message: string,
    details: { readonly answer?: Answer; readonly isItsFault: boolean; readonly retryAfterMs?: number | undefined },
  ) {
    super(code, message, details.retryAfterMs === undefined ? {} : { retryAfterMs: details.retryAfterMs });
    this.answer = details.answer;
    this.isItsFault = details.isItsFault;
  }
}

/** A client answered an upstream's request with a JSON-RPC error. */
export class RpcFailure extends Error {
  readonly error: RpcError;
  constructor(error: RpcError) {
    super(error.message);
    this.error = error;
  }
}

export type Answer =
  /** The result as the upstream's bytes; may carry `resultType` and `_meta` of its era. */
  | {
      readonly kind: 'result';
      readonly result: RawResult;
      /** Its era has every answer say of which kind it is, and this one does not. */
      readonly lacksResultType?: true;
    }
  /** MCP 2026-07-28 basic/patterns/mrtr: at least one of the two is present. */
  | { readonly kind: 'input-required'; readonly inputRequests: JsonObject | undefined; readonly requestState: string | undefined }
  | { readonly kind: 'error'; readonly error: RpcError }
  /** A model's whole answer: a JSON document in the client's dialect. */
  | { readonly kind: 'reply'; readonly body: Buffer; readonly headers: Readonly<Record<string, string>> }
  /** A model's answer went out in parts, to its end. */
  | { readonly kind: 'streamed'; readonly bytes: number };

export type UpstreamState =
  | 'connecting'
  /** The last call or refresh succeeded. */
  | 'healthy'
  /** Connected, but the last call failed. */
  | 'failing'
  /** Not connected; tried again with growing pauses. */
  | 'down'
  | 'closed';

export interface UpstreamHealth {
  readonly state: UpstreamState;
  /** `2026-07-28`, `2025-11-25`, ...; undefined until known. */
  readonly protocolVersion: string | undefined;
  readonly era: 'modern' | 'legacy' | undefined;
  /** `stdio`, `http` or `sse` for kind `mcp`, `http` for kind `openapi`. */
  readonly transport: string;
  readonly server: string | undefined;
  readonly lastError: { readonly atMs: number; readonly message: string } | undefined;
  readonly lastSuccessAtMs: number | undefined;
  readonly calls: { readonly succeeded: number; readonly failed: number };
  readonly callsInFlight: number;
  /** When the next attempt to connect is made, for state `down`. */
  readonly nextAttemptAtMs: number | undefined;
  /** Child processes and sessions held open right now. */
  readonly connections: number;
}
