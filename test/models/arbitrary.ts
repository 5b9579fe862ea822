import fc from 'fast-check';
import type { Message, Part, Prompt, ReasoningPart, TextPart, ToolCallPart } from '../../src/models/prompt.ts';
import type { Reply, ReplyEvent, ReplyPart, Usage } from '../../src/models/reply.ts';
import { emptyPrompt } from '../support/prompts.ts';

/** Text with whatever may break a line, a quote or an event. */
const text = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  fc.constantFrom('\n\n', 'data: [DONE]', '\u2028', '"\\', '\u0000', '</script>', '[DONE]', '\r\n\r\n', '__proto__', '😀'),
);
const name = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_-]{0,15}$/);
const id = fc.uuid().map((one) => `call_${one}`);

const textPart: fc.Arbitrary<TextPart> = text.map((one) => ({ kind: 'text', text: one }));
const toolCall: fc.Arbitrary<ToolCallPart> = fc.record({
  kind: fc.constant('tool-call'),
  id,
  name,
  arguments: fc.dictionary(name, text, { minKeys: 1, maxKeys: 3 }).map((value) => JSON.stringify(value)),
});
const reasoning: fc.Arbitrary<ReasoningPart> = fc.oneof(
  text.map((one): ReasoningPart => ({ kind: 'reasoning', text: one })),
  fc.tuple(text, text).map(([one, signature]): ReasoningPart => ({ kind: 'reasoning', text: one, signature })),
  text.map((redacted): ReasoningPart => ({ kind: 'reasoning', text: '', redacted })),
);

const usage: fc.Arbitrary<Usage> = fc.record({
  input: fc.integer({ min: 2_000, max: 100_000 }),
  output: fc.integer({ min: 1_000, max: 100_000 }),
  cacheRead: fc.nat(1_000),
  cacheWrite: fc.nat(1_000),
  reasoning: fc.nat(1_000),
});

/** Answers that every dialect can say: at most one thought, one text or refusal, then calls. */
export const anyReply: fc.Arbitrary<Reply> = fc
  .record({
    thoughts: fc.array(reasoning, { maxLength: 1 }),
    words: fc.option(
      fc.oneof(
        textPart,
        text.map((one): ReplyPart => ({ kind: 'refusal', text: one })),
      ),
      { nil: undefined },
    ),
    calls: fc.uniqueArray(toolCall, { maxLength: 3, selector: (call) => call.id }),
    isLong: fc.boolean(),
    usage,
  })
  .map(({ thoughts, words, calls, isLong, usage }) => {
    const parts = [...thoughts, ...(words === undefined ? [] : [words]), ...calls];
    return { id: 'x', model: 'm', parts, finish: finishOf(parts, isLong), usage };
  });

function finishOf(parts: readonly ReplyPart[], isLong: boolean): Reply['finish'] {
  if (isLong) return 'length';
  if (parts.some((part) => part.kind === 'tool-call')) return 'tool-calls';
  return parts.some((part) => part.kind === 'refusal') ? 'refusal' : 'stop';
}

/** The same answer as it may come: texts cut anywhere. */
export function eventsOf(reply: Reply, cuts: readonly number[]): readonly ReplyEvent[] {
  const events: ReplyEvent[] = [{ kind: 'start', id: reply.id, model: reply.model }];
  for (const [index, part] of reply.parts.entries()) {
    if (part.kind === 'tool-call') events.push({ kind: 'open', index, part: 'tool-call', id: part.id, name: part.name });
    else events.push({ kind: 'open', index, part: part.kind });
    for (const piece of cut(part.kind === 'tool-call' ? part.arguments : part.text, cuts)) {
      events.push({ kind: 'delta', index, text: piece });
    }
    if ('signature' in part && part.signature !== undefined) events.push({ kind: 'signature', index, signature: part.signature });
    if (part.kind === 'reasoning' && part.redacted !== undefined) events.push({ kind: 'redacted', index, data: part.redacted });
    events.push({ kind: 'close', index });
  }
  events.push({ kind: 'usage', usage: reply.usage }, { kind: 'finish', finish: reply.finish });
  return events;
}

function cut(whole: string, cuts: readonly number[]): readonly string[] {
  const at = [0, ...cuts.map((one) => one % (whole.length + 1)), whole.length].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => whole.slice(at[index], end));
}

/** What a stream of events comes to. Throws where they are in no order that is promised. */
export function replyOf(events: readonly ReplyEvent[]): Reply {
  const parts: { kind: string; [member: string]: unknown }[] = [];
  const reply: Record<string, unknown> = { parts, usage: {} };
  let open = -1;
  for (const event of events) {
    if (event.kind === 'start') Object.assign(reply, { id: event.id, model: event.model });
    else if (event.kind === 'open') {
      if (open !== -1 || event.index !== parts.length) throw new Error(`part ${event.index} opened out of turn`);
      open = event.index;
      parts.push(
        event.part === 'tool-call'
          ? { kind: event.part, id: event.id, name: event.name, arguments: '' }
          : { kind: event.part, text: '' },
      );
    } else if (event.kind === 'usage') Object.assign(reply.usage as object, event.usage);
    else if (event.kind === 'finish') reply.finish = event.finish;
    else if (event.kind === 'failed') throw new Error(event.failure.message);
    else {
      const part = parts[open];
      if (part === undefined || event.index !== open) throw new Error(`${event.kind} for a part that is not open`);
      if (event.kind === 'close') open = -1;
      else if (event.kind === 'signature') part.signature = event.signature;
      else if (event.kind === 'redacted') part.redacted = event.data;
      else if (part.kind === 'tool-call') part.arguments += event.text;
      else part.text += event.text;
    }
  }
  if (open !== -1) throw new Error('a part was left open');
  return reply as unknown as Reply;
}

const media: fc.Arbitrary<Part> = fc.constantFrom<Part>(
  { kind: 'media', mediaType: 'image/png', source: { kind: 'base64', data: 'aGk=' } },
  { kind: 'media', mediaType: 'image/*', source: { kind: 'url', url: 'https://example.com/a.png' }, detail: 'low' },
  { kind: 'media', mediaType: 'audio/wav', source: { kind: 'base64', data: 'aGk=' } },
  { kind: 'media', mediaType: 'application/pdf', source: { kind: 'base64', data: 'aGk=' }, name: 'a.pdf' },
);

const userMessage: fc.Arbitrary<Message> = fc
  .array(fc.oneof(textPart, media), { minLength: 1, maxLength: 3 })
  .map((parts) => ({ role: 'user', parts }));
const assistantMessage: fc.Arbitrary<Message> = fc
  .tuple(fc.array(textPart, { maxLength: 2 }), fc.uniqueArray(toolCall, { maxLength: 2, selector: (call) => call.id }))
  .filter(([texts, calls]) => texts.length + calls.length > 0)
  .map(([texts, calls]) => ({ role: 'assistant', parts: [...texts, ...calls] }));
const resultMessage: fc.Arbitrary<Message> = fc
  .array(fc.tuple(id, fc.array(textPart, { maxLength: 2 })), { minLength: 1, maxLength: 2 })
  .map((results) => ({
    role: 'user',
    parts: results.map(([callId, parts]) => ({ kind: 'tool-result', callId, name: undefined, parts, isError: false })),
  }));

/** Turns as they are: after an assistant's turn comes one of the user's. */
const messages: fc.Arbitrary<readonly Message[]> = fc
  .array(fc.tuple(assistantMessage, fc.oneof(resultMessage, userMessage)), { maxLength: 3 })
  .chain((turns) => userMessage.map((first) => [first, ...turns.flat()]));

const tool = fc.record({
  name,
  description: fc.option(text, { nil: undefined }),
  schema: fc.constant({ type: 'object', properties: {} }),
  isStrict: fc.boolean(),
});

/** Prompts that every OpenAI dialect can say. */
export const anyPrompt: fc.Arbitrary<Prompt> = fc
  .record({
    system: fc.array(textPart, { maxLength: 1 }),
    messages,
    tools: fc.uniqueArray(tool, { minLength: 1, maxLength: 3, selector: (one) => one.name }),
    toolChoice: fc.option(fc.constantFrom('auto', 'none', 'required', 'tool'), { nil: undefined }),
    parallelTools: fc.option(fc.boolean(), { nil: undefined }),
    maxTokens: fc.option(fc.integer({ min: 1, max: 1e6 }), { nil: undefined }),
    temperature: fc.option(fc.double({ min: 0, max: 2, noNaN: true }), { nil: undefined }),
    topP: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
    format: fc.constantFrom<Prompt['format']>(
      { kind: 'text' },
      { kind: 'json' },
      { kind: 'schema', name: 'x', description: undefined, schema: { type: 'object' }, isStrict: true },
    ),
    effort: fc.constantFrom(undefined, 'minimal' as const, 'low' as const, 'high' as const, 'xhigh' as const),
    isStream: fc.boolean(),
    user: fc.option(text, { nil: undefined }),
  })
  .map(({ toolChoice, effort, ...prompt }) => ({
    ...emptyPrompt,
    ...prompt,
    toolChoice:
      toolChoice === undefined
        ? undefined
        : toolChoice === 'tool'
          ? { kind: toolChoice, name: prompt.tools[0]!.name }
          : { kind: toolChoice },
    reasoning: effort === undefined ? undefined : { effort, budgetTokens: undefined },
  }));
