import { ReplyError } from './dialect.ts';
import type { Finish, Reply, ReplyEvent, ReplyPart, Usage } from './reply.ts';
import { noUsage } from './reply.ts';

interface Gathered {
  readonly opened: Extract<ReplyEvent, { kind: 'open' }>;
  readonly texts: string[];
  signature: string | undefined;
  redacted: string | undefined;
}

/** The whole answer of which these are the events. Throws ReplyError where the provider failed on the way, or where it never ended. */
export function gatherReply(events: Iterable<ReplyEvent>): Reply {
  const parts = new Map<number, Gathered>();
  let [id, model] = ['', ''];
  let usage: Usage = noUsage;
  let end: { readonly finish: Finish; readonly stopSequence?: string | undefined } | undefined;
  for (const event of events) {
    if (event.kind === 'start') [id, model] = [event.id, event.model];
    else if (event.kind === 'usage') usage = { ...usage, ...event.usage };
    else if (event.kind === 'finish') end = event;
    else if (event.kind === 'failed') throw new ReplyError(`the provider failed: ${event.failure.message}`);
    else gather(parts, event);
  }
  if (end === undefined) throw new ReplyError('the answer has no end');
  const { finish, stopSequence } = end;
  return {
    id,
    model,
    parts: Array.from(parts.values(), toPart),
    finish,
    ...(stopSequence !== undefined && { stopSequence }),
    usage,
  };
}

function gather(parts: Map<number, Gathered>, event: Extract<ReplyEvent, { index: number }>): void {
  if (event.kind === 'open') {
    parts.set(event.index, { opened: event, texts: [], signature: undefined, redacted: undefined });
    return;
  }
  const part = parts.get(event.index);
  if (part === undefined) throw new ReplyError(`part ${event.index} was never opened`);
  if (event.kind === 'delta') part.texts.push(event.text);
  else if (event.kind === 'signature') part.signature = event.signature;
  else if (event.kind === 'redacted') part.redacted = event.data;
}

function toPart({ opened, texts, signature, redacted }: Gathered): ReplyPart {
  const text = texts.join('');
  const signed = signature !== undefined && { signature };
  if (opened.part === 'tool-call') {
    return { kind: 'tool-call', id: opened.id, name: opened.name, arguments: text === '' ? '{}' : text, ...signed };
  }
  if (opened.part === 'reasoning') return { kind: 'reasoning', text, ...signed, ...(redacted !== undefined && { redacted }) };
  return { kind: opened.part, text };
}
