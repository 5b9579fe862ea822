import type { Usage } from '../../../src/models/reply.ts';
import type { JsonObject } from '../../../src/wire/json.ts';

// What a stand-in of a provider answers next, said once for all of them.

/** Something waits here until it is opened. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

export type ScriptedPart =
  | { readonly kind: 'text' | 'refusal'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string; readonly signature?: string }
  | { readonly kind: 'tool-call'; readonly id: string; readonly name: string; readonly arguments: JsonObject };

export type ScriptedFinish = 'stop' | 'length' | 'tool-calls' | 'content-filter';

interface Scripted {
  /** Which requests it is for; `generate` where it is not said. */
  readonly for?: 'generate' | 'embed' | 'count';
  /** Nothing is sent before it is open, no headers either. */
  readonly before?: Gate;
  readonly headers?: Readonly<Record<string, string>>;
  /** The request's credential comes back in the text (or message) and in a header. */
  readonly echoes?: boolean;
}

export interface ScriptedReply extends Scripted {
  readonly kind: 'reply';
  readonly parts: readonly ScriptedPart[];
  readonly finish?: ScriptedFinish;
  readonly stopSequence?: string;
  /** What is billed, and told unless `told` says otherwise. */
  readonly usage?: Usage;
  readonly told?: 'nothing' | Usage;
  /** Characters in a piece of the stream; 8 where it is not said. */
  readonly chunkLength?: number;
  /** The stream stops there until the gate opens. */
  readonly holds?: readonly { readonly after: number; readonly gate: Gate }[];
  /**
   * After so many pieces of text. `cut`: the connection, in the middle of an event. `end`: cleanly, without what comes last. `broken`:
   * bytes that are no event, then the end. `error`: the provider says that it failed.
   */
  readonly fault?: { readonly after: number; readonly kind: 'cut' | 'end' | 'hang' | 'broken' | 'error' };
}

export interface ScriptedFailure extends Scripted {
  readonly kind: 'failure';
  readonly status: number;
  /** The provider's own word for it, where it is another than usual for the status. */
  readonly code?: string;
  readonly message?: string;
  readonly retryAfterS?: number;
}

/** What no provider documents and every one does. */
interface ScriptedOddity extends Scripted {
  /** `hang`: never an answer. `drop`: the connection ends. `page`: HTML. `garbage`: status 200 and half of a JSON document. */
  readonly kind: 'hang' | 'drop' | 'page' | 'garbage';
  readonly status?: number;
}

export type ScriptedAnswer = ScriptedReply | ScriptedFailure | ScriptedOddity;

export function says(text: string, more: Partial<ScriptedReply> = {}): ScriptedReply {
  return { kind: 'reply', parts: [{ kind: 'text', text }], ...more };
}

export function calls(name: string, input: JsonObject, more: Partial<ScriptedReply> = {}): ScriptedReply {
  return { kind: 'reply', parts: [{ kind: 'tool-call', id: `call_${name}`, name, arguments: input }], ...more };
}

export function fails(status: number, more: Partial<ScriptedFailure> = {}): ScriptedFailure {
  return { kind: 'failure', status, ...more };
}
