import { isObject, type JsonObject } from '../../wire/json.ts';
import { type Finish, noUsage, type Reply, type ReplyEvent, type ReplyPart, type Usage } from '../reply.ts';

/** An answer as it is kept: to be given whole or in parts, in the dialect it was asked for in. */
export type KeptReply = (
  | { readonly kind: 'reply'; readonly reply: Reply }
  /** Of a dialect that has no other form, as `embeddings`: whole only. */
  | { readonly kind: 'document'; readonly body: JsonObject; readonly usage: Usage }
) & {
  /** What it cost when it was made, in billionths of a US dollar; absent where nobody knows. */
  readonly nanoUsd?: number | undefined;
};

/** What it used up when it was made. */
export function usedFor(kept: KeptReply): { readonly tokens: number; readonly nanoUsd: number } {
  const { input, output } = kept.kind === 'reply' ? kept.reply.usage : kept.usage;
  return { tokens: input + output, nanoUsd: kept.nanoUsd ?? 0 };
}

const goodFinishes: ReadonlySet<Finish> = new Set<Finish>(['stop', 'length', 'tool-calls']);

/** Whether an answer is one that somebody else should get: it is whole, says something, and nobody refused. */
export function isWorthKeeping(kept: KeptReply, takesTools: boolean): boolean {
  if (kept.kind === 'document') return !isObject(kept.body.error);
  const { parts, finish } = kept.reply;
  if (!goodFinishes.has(finish) || parts.some(({ kind }) => kind === 'refusal')) return false;
  const calls = finish === 'tool-calls' || parts.some(({ kind }) => kind === 'tool-call');
  if (calls) return takesTools;
  return parts.some((part) => part.kind === 'text' && part.text !== '');
}

/** As bytes, with when it was given. */
export function writeKept(kept: KeptReply, atMs: number): Buffer {
  return Buffer.from(JSON.stringify({ v: 1, atMs, kept }));
}

interface Entry {
  readonly v: number;
  readonly atMs: number;
  readonly kept: KeptReply;
}

/** Undefined for what `writeKept` of this version did not make. */
export function readKept(bytes: Buffer): { readonly kept: KeptReply; readonly atMs: number } | undefined {
  try {
    const { v, atMs, kept }: Partial<Entry> = JSON.parse(bytes.toString());
    return v === 1 && typeof atMs === 'number' && typeof kept === 'object' ? { kept, atMs } : undefined;
  } catch {
    return undefined;
  }
}

const deltaChars = 256;

/** A whole answer as if it came in parts. */
export function* replay({ id, model, parts, usage, finish, stopSequence }: Reply): Generator<ReplyEvent> {
  yield { kind: 'start', id, model };
  for (const [index, part] of parts.entries()) yield* replayPart(part, index);
  yield { kind: 'usage', usage };
  yield { kind: 'finish', finish, stopSequence };
}

function* replayPart(part: ReplyPart, index: number): Generator<ReplyEvent> {
  if (part.kind === 'tool-call') yield { kind: 'open', index, part: 'tool-call', id: part.id, name: part.name };
  else yield { kind: 'open', index, part: part.kind };
  for (const text of slices(part.kind === 'tool-call' ? part.arguments : part.text)) yield { kind: 'delta', index, text };
  if ('signature' in part && part.signature !== undefined) yield { kind: 'signature', index, signature: part.signature };
  if ('redacted' in part && part.redacted !== undefined) yield { kind: 'redacted', index, data: part.redacted };
  yield { kind: 'close', index };
}

function* slices(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + deltaChars, text.length);
    // Never between the halves of one character.
    if ((text.charCodeAt(end) & 0xfc00) === 0xdc00 && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end += 1;
    yield text.slice(at, end);
    at = end;
  }
}

/** Puts together what comes in parts. Of one answer. */
interface ReplyCollector {
  add(event: ReplyEvent): void;
  /** Undefined for one that did not end well, or was larger than anybody keeps. */
  reply(): Reply | undefined;
}

interface OpenPart {
  readonly kind: ReplyPart['kind'];
  readonly id: string;
  readonly name: string;
  readonly texts: string[];
  signature: string | undefined;
  redacted: string | undefined;
  isClosed: boolean;
}

export function collectReply(limitChars: number): ReplyCollector {
  const parts = new Map<number, OpenPart>();
  let start = { id: '', model: '' };
  let usage: Usage = noUsage;
  let end: { readonly finish: Finish; readonly stopSequence?: string | undefined } | undefined;
  let chars = 0;
  let hasFailed = false;
  return {
    add(event) {
      if (hasFailed) return;
      if (event.kind === 'start') start = { id: event.id, model: event.model };
      else if (event.kind === 'usage') usage = { ...usage, ...event.usage };
      else if (event.kind === 'finish') end = { finish: event.finish, stopSequence: event.stopSequence };
      else if (event.kind === 'failed') hasFailed = true;
      else if (event.kind === 'open') parts.set(event.index, openPart(event));
      else {
        const part = parts.get(event.index);
        if (part === undefined) hasFailed = true;
        else chars += fill(part, event);
      }
      if (chars > limitChars || parts.size > 10_000) {
        hasFailed = true;
        parts.clear();
      }
    },
    reply() {
      if (hasFailed || end === undefined) return undefined;
      const inOrder = [...parts].sort(([a], [b]) => a - b).map(([, part]) => part);
      if (inOrder.some(({ isClosed }) => !isClosed)) return undefined;
      return { ...start, parts: inOrder.map(closed), ...end, usage };
    },
  };
}

function openPart(event: Extract<ReplyEvent, { kind: 'open' }>): OpenPart {
  const { id, name } = event.part === 'tool-call' ? event : { id: '', name: '' };
  return { kind: event.part, id, name, texts: [], signature: undefined, redacted: undefined, isClosed: false };
}

/** Returns how many characters that was. */
function fill(part: OpenPart, event: Extract<ReplyEvent, { kind: 'delta' | 'signature' | 'redacted' | 'close' }>): number {
  switch (event.kind) {
    case 'delta':
      part.texts.push(event.text);
      return event.text.length;
    case 'signature':
      part.signature = (part.signature ?? '') + event.signature;
      return event.signature.length;
    case 'redacted':
      part.redacted = (part.redacted ?? '') + event.data;
      return event.data.length;
    case 'close':
      part.isClosed = true;
      return 0;
  }
}

function closed({ kind, id, name, texts, signature, redacted }: OpenPart): ReplyPart {
  const text = texts.join('');
  const signed = signature === undefined ? {} : { signature };
  if (kind === 'tool-call') return { kind, id, name, arguments: text, ...signed };
  if (kind === 'reasoning') return { kind, text, ...signed, ...(redacted === undefined ? {} : { redacted }) };
  return { kind, text };
}
