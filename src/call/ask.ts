import type { ClientDialect } from '../models/dialect.ts';
import type { Spent } from '../models/spent.ts';
import type { CounterUsage } from '../store/ports/counters.ts';
import type { AnswerStream, CallingClient, CallMethod, Conversation } from '../upstreams/upstream.ts';
import type { Cancel } from '../wire/cancel.ts';
import type { JsonObject } from '../wire/json.ts';

/** One request of a client, parsed once: what is judged here is what is sent. Every door makes these. */
export interface Ask {
  /** `cli`: the command line says of itself that it asks, by the route of REST. */
  readonly door: 'http' | 'stdio' | 'rest' | 'cli';
  readonly era: 'modern' | 'legacy';
  /** Name in the URL or on the command line; empty for everything. */
  readonly toolbox: string;
  readonly method: CallMethod;
  /** In the client's names and URIs; without `_meta`, `inputResponses` and `requestState`. */
  readonly params: JsonObject;
  /** `_meta` without reserved keys and without the progress token. */
  readonly meta: JsonObject | undefined;
  readonly client: CallingClient;
  readonly conversation: Conversation;
  /** Second round of a call that needed input. */
  readonly retry: Retry | undefined;
  readonly cancel: Cancel;
  /** Of the client; empty where there is none (stdio). */
  readonly ip: string;
  /** The trace that the client's request belongs to, as its headers say. */
  readonly traceHeaders: { readonly traceparent: string | undefined; readonly tracestate: string | undefined } | undefined;
  /** The gateways that the request came through, as the header has it; undefined where there are none. */
  readonly hops?: string | undefined;
  readonly bytesIn: number;
  /** The request for a person's consent that this call goes on from: it runs by that one, and asks nobody anew. */
  readonly approval?: string | undefined;
  /** By which its client may speak of the answer later. */
  readonly answerId?: string | undefined;
  /** Gives each record that this request leaves a name, by which its client may speak of it later; undefined where there are no more. */
  readonly nextName?: (() => string | undefined) | undefined;
  /** Where a model's answer goes that its client wants in parts. */
  readonly stream?: AnswerStream | undefined;
  /** Asked by the gateway itself to judge another call: nobody judges this one. */
  readonly isJudging?: boolean | undefined;
  /** Is told how the rates stand that the call is under, once they have let it in: what then refuses it is answered with them, too. */
  readonly heardRates?: ((rates: readonly CounterUsage[]) => void) | undefined;
  /** Is told what the call took, as soon as that is known; of one that went well before its caller has the outcome. */
  readonly heardEnd?: ((figures: CallFigures) => void) | undefined;
  /** By which its client sends the same call again: it is made once. */
  readonly idempotencyKey?: string | undefined;
  /** Of a model's client: where the words are in what it gets. */
  readonly dialect?: ClientDialect | undefined;
}

/** What one call took, for whoever made it. */
export interface CallFigures {
  /** From the ask to its outcome. */
  readonly ms: number;
  /** Of these the upstream's; undefined where it was not asked. */
  readonly upstreamMs: number | undefined;
  /** Of a model's call. */
  readonly spent: Spent | undefined;
}

interface Retry {
  readonly inputResponses: JsonObject | undefined;
  readonly requestState: string | undefined;
  /** The part of it that was let through before, where a person had to agree to the call. */
  readonly approval?: ApprovedRound | undefined;
}

/** One use of an approval: the call itself is round 0, what its upstream asked for in between makes further ones. */
export interface ApprovedRound {
  readonly id: string;
  readonly round: number;
}
