import type { JsonObject } from '../wire/json.ts';

/** What somebody wants of a model, whatever dialect it was said in. Translators go from a client's dialect to this, and from this to a provider's. */
export interface Prompt {
  /** What the client calls the model; whoever writes a request puts the provider's name in its place. */
  readonly model: string;
  /** Instructions of the application; empty where there are none. */
  readonly system: readonly TextPart[];
  readonly messages: readonly Message[];
  readonly tools: readonly OfferedTool[];
  readonly toolChoice: ToolChoice | undefined;
  readonly parallelTools: boolean | undefined;
  /** Most tokens of the answer, reasoning included. */
  readonly maxTokens: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly topK: number | undefined;
  readonly stop: readonly string[];
  readonly seed: number | undefined;
  readonly presencePenalty: number | undefined;
  readonly frequencyPenalty: number | undefined;
  readonly format: AnswerFormat;
  readonly reasoning: ReasoningWish | undefined;
  /** The answer comes in parts. */
  readonly isStream: boolean;
  /** Whom the application acts for, in its own words. */
  readonly user: string | undefined;
}

export interface Message {
  readonly role: 'user' | 'assistant';
  readonly parts: readonly Part[];
}

export type Part = TextPart | MediaPart | ToolCallPart | ToolResultPart | ReasoningPart | RefusalPart;

export interface TextPart {
  readonly kind: 'text';
  readonly text: string;
  /** The provider may keep everything up to here for the next request. */
  readonly isCached?: boolean | undefined;
}

/** An image, a document or sound. */
export interface MediaPart {
  readonly kind: 'media';
  /** `image/png`, `application/pdf`, `audio/wav`; for an address it may be unknown: `image/*`. */
  readonly mediaType: string;
  readonly source: { readonly kind: 'base64'; readonly data: string } | { readonly kind: 'url'; readonly url: string };
  readonly name?: string | undefined;
  readonly detail?: string | undefined;
}

/** The model wants a tool called. */
export interface ToolCallPart {
  readonly kind: 'tool-call';
  readonly id: string;
  readonly name: string;
  /** As JSON text: what a model writes need not be valid. */
  readonly arguments: string;
  /** What the provider wants to see again with it. */
  readonly signature?: string | undefined;
}

export interface ToolResultPart {
  readonly kind: 'tool-result';
  readonly callId: string;
  /** Of the tool; undefined where the dialect does not say it again. */
  readonly name: string | undefined;
  readonly parts: readonly (TextPart | MediaPart)[];
  readonly isError: boolean;
  /** As for text. */
  readonly isCached?: boolean | undefined;
}

export interface ReasoningPart {
  readonly kind: 'reasoning';
  readonly text: string;
  /** What the provider wants to see again with it. */
  readonly signature?: string | undefined;
  /** The text is for the provider alone: opaque. */
  readonly redacted?: string | undefined;
}

export interface RefusalPart {
  readonly kind: 'refusal';
  readonly text: string;
}

export interface OfferedTool {
  readonly name: string;
  readonly description: string | undefined;
  /** JSON Schema of its arguments. */
  readonly schema: JsonObject;
  readonly isStrict: boolean | undefined;
  /** The provider may keep the tools up to here for the next request. */
  readonly isCached?: boolean | undefined;
}

export type ToolChoice = { readonly kind: 'auto' | 'none' | 'required' } | { readonly kind: 'tool'; readonly name: string };

export type AnswerFormat =
  | { readonly kind: 'text' | 'json' }
  | {
      readonly kind: 'schema';
      readonly name: string;
      readonly description: string | undefined;
      readonly schema: JsonObject;
      readonly isStrict: boolean | undefined;
    };

/** One of the two, as the dialect has it. */
export interface ReasoningWish {
  readonly effort: 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max' | undefined;
  readonly budgetTokens: number | undefined;
  /** The client wants to read it. */
  readonly isShown?: boolean | undefined;
}
