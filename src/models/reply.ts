import type { ReasoningPart, RefusalPart, TextPart, ToolCallPart } from './prompt.ts';

/** A model's whole answer, whatever dialect it came in. */
export interface Reply {
  /** The provider's; empty where it gives none. */
  readonly id: string;
  /** The provider's name of the model that answered. */
  readonly model: string;
  readonly parts: readonly ReplyPart[];
  readonly finish: Finish;
  /** The stop sequence that ended it. */
  readonly stopSequence?: string | undefined;
  readonly usage: Usage;
}

export type ReplyPart = TextPart | ToolCallPart | ReasoningPart | RefusalPart;

export type Finish = 'stop' | 'length' | 'tool-calls' | 'content-filter' | 'refusal' | 'pause' | 'other';

/** Tokens, as the provider counts them. What is cached is part of `input`, what is reasoning part of `output`. */
export interface Usage {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly reasoning: number;
}

export const noUsage: Usage = Object.freeze({ input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 });

/**
 * A model's answer as it comes: `start`, then parts one after the other, each opened, filled and closed, then `finish`. Usage may
 * come early and again: the last one of each counts.
 */
export type ReplyEvent =
  | { readonly kind: 'start'; readonly id: string; readonly model: string }
  | { readonly kind: 'open'; readonly index: number; readonly part: 'text' | 'reasoning' | 'refusal' }
  | { readonly kind: 'open'; readonly index: number; readonly part: 'tool-call'; readonly id: string; readonly name: string }
  /** Text of the part; of a tool call, its arguments as JSON text. */
  | { readonly kind: 'delta'; readonly index: number; readonly text: string }
  | { readonly kind: 'signature'; readonly index: number; readonly signature: string }
  | { readonly kind: 'redacted'; readonly index: number; readonly data: string }
  | { readonly kind: 'close'; readonly index: number }
  | { readonly kind: 'usage'; readonly usage: Partial<Usage> }
  | { readonly kind: 'finish'; readonly finish: Finish; readonly stopSequence?: string | undefined }
  /** The provider said in the stream that it failed. */
  | { readonly kind: 'failed'; readonly failure: ProviderFailure };

/** What a provider says of a request that it did not answer. Nothing of it goes to a client but a cleaned message. */
export interface ProviderFailure {
  /** HTTP status; what it would have been for a failure in the middle of a stream. */
  readonly status: number;
  readonly kind:
    | 'bad-request'
    /** More than the model can read. */
    | 'too-long'
    /** More than this account may send at once, or in a minute: waiting helps nobody, another account may. */
    | 'too-much'
    /** The credential is not good: our fault, never the client's. */
    | 'unauthorized'
    | 'not-found'
    | 'rate-limited'
    | 'overloaded'
    | 'content-filter'
    | 'failed';
  readonly message: string;
  /** The provider's own word for it, e.g. `context_length_exceeded`. */
  readonly code: string | undefined;
  /** Where the body says when to come back. */
  readonly retryAfterMs?: number | undefined;
}
