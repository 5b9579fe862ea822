import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReplyFacts } from '../../../src/models/dialect.ts';
import { messagesProvider } from '../../../src/models/messages/messages.ts';
import type { Prompt } from '../../../src/models/prompt.ts';
import { noUsage, type Reply, type ReplyEvent, type ReplyPart } from '../../../src/models/reply.ts';
import { SseReader } from '../../../src/wire/sse.ts';
import { emptyPrompt } from '../../support/prompts.ts';

export function golden(name: string): string {
  return readFileSync(join(import.meta.dirname, '..', '..', 'fixtures', 'models', 'messages', name), 'utf8');
}

export function asked(text: string, more: Partial<Prompt> = {}): Prompt {
  return { ...emptyPrompt, model: 'models/smart', messages: [{ role: 'user', parts: [{ kind: 'text', text }] }], ...more };
}

export const facts: ReplyFacts = {
  model: 'models/smart',
  id: '7f3a',
  createdAtMs: 1_700_000_000_000,
  streamsUsage: false,
  prompt: asked('hello'),
};

/** What an SSE stream reads as, in the provider's dialect. */
export function readStream(text: string): { readonly events: readonly ReplyEvent[]; readonly isComplete: boolean } {
  const reader = messagesProvider.streamReader();
  const events: ReplyEvent[] = [];
  const sse = new SseReader({ onEvent: ({ type, data }) => events.push(...reader.read(type, data.toString())) }, 10_000_000);
  sse.push(Buffer.from(text));
  return { events, isComplete: reader.isComplete };
}

/** The same answer, as it comes in parts. */
export function eventsOf(reply: Reply, cut: (text: string) => readonly string[] = (text) => [text]): ReplyEvent[] {
  const events: ReplyEvent[] = [{ kind: 'start', id: reply.id, model: reply.model }];
  for (const [index, part] of reply.parts.entries()) {
    if (part.kind === 'tool-call') events.push({ kind: 'open', index, part: part.kind, id: part.id, name: part.name });
    else events.push({ kind: 'open', index, part: part.kind });
    for (const text of cut(part.kind === 'tool-call' ? part.arguments : part.text)) events.push({ kind: 'delta', index, text });
    if ('signature' in part && part.signature !== undefined) events.push({ kind: 'signature', index, signature: part.signature });
    if ('redacted' in part && part.redacted !== undefined) events.push({ kind: 'redacted', index, data: part.redacted });
    events.push({ kind: 'close', index });
  }
  const { finish, stopSequence, usage } = reply;
  events.push({ kind: 'finish', finish, stopSequence }, { kind: 'usage', usage });
  return events;
}

/** What the events come to, as somebody who gathers them has it. */
export function gather(events: readonly ReplyEvent[]): Reply {
  const parts: ReplyPart[] = [];
  let reply: Reply = { id: '', model: '', parts, finish: 'other', usage: noUsage };
  const change = (index: number, by: (part: ReplyPart) => Partial<ReplyPart>) => {
    const part = parts[index];
    if (part !== undefined) parts[index] = { ...part, ...by(part) } as ReplyPart;
  };
  for (const event of events) {
    if (event.kind === 'start') reply = { ...reply, id: event.id, model: event.model };
    else if (event.kind === 'open' && event.part === 'tool-call')
      parts[event.index] = { kind: 'tool-call', id: event.id, name: event.name, arguments: '' };
    else if (event.kind === 'open') parts[event.index] = { kind: event.part, text: '' };
    else if (event.kind === 'delta')
      change(event.index, (part) =>
        part.kind === 'tool-call' ? { arguments: part.arguments + event.text } : { text: part.text + event.text },
      );
    else if (event.kind === 'signature') change(event.index, () => ({ signature: event.signature }));
    else if (event.kind === 'redacted') change(event.index, () => ({ redacted: event.data }));
    else if (event.kind === 'usage') reply = { ...reply, usage: { ...reply.usage, ...event.usage } };
    else if (event.kind === 'finish') reply = { ...reply, finish: event.finish, stopSequence: event.stopSequence };
  }
  return reply;
}
