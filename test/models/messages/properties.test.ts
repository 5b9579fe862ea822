import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messagesClient, messagesProvider } from '../../../src/models/messages/messages.ts';
import type { Message, Part, Prompt } from '../../../src/models/prompt.ts';
import type { Finish, Reply, ReplyPart, Usage } from '../../../src/models/reply.ts';
import { asked, eventsOf, facts, gather, readStream } from './messages-fixtures.ts';

const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter((text) => text.trim() !== '');
const opaque = fc.base64String({ minLength: 4, maxLength: 40 });
const name = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
const json = fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 }).map((value) => {
  // As it reads back: minus zero is none in JSON, and nothing is inherited.
  return JSON.stringify(JSON.parse(JSON.stringify(value)));
});

const text = fc.record({ kind: fc.constant('text' as const), text: words });
const media = fc.record({
  kind: fc.constant('media' as const),
  mediaType: fc.constantFrom('image/png', 'image/webp', 'application/pdf'),
  source: fc.record({ kind: fc.constant('base64' as const), data: opaque }),
});
const reasoning = fc.oneof(
  fc.record({ kind: fc.constant('reasoning' as const), text: words, signature: opaque }),
  fc.record({ kind: fc.constant('reasoning' as const), text: fc.constant(''), redacted: opaque }),
);
const call = fc.record({ kind: fc.constant('tool-call' as const), id: name, name, arguments: json });
const answered = fc.uniqueArray(fc.oneof(text, reasoning, call), {
  minLength: 1,
  maxLength: 5,
  selector: (part) => (part.kind === 'tool-call' ? part.id : part),
});

/** Turns one after the other; every call is answered in the next one. */
const conversation = fc
  .array(fc.tuple(fc.array(fc.oneof(text, media), { minLength: 1, maxLength: 3 }), answered), { maxLength: 3 })
  .map((turns) => {
    const messages: Message[] = [];
    let open: readonly Part[] = [];
    for (const [at, [user, assistant]] of turns.entries()) {
      messages.push({ role: 'user', parts: [...open, ...user] });
      const calls = assistant.map((part) => (part.kind === 'tool-call' ? { ...part, id: `${part.id}_${at}` } : part));
      messages.push({ role: 'assistant', parts: calls });
      open = calls.flatMap((part) =>
        part.kind === 'tool-call'
          ? [{ kind: 'tool-result', callId: part.id, name: undefined, parts: [{ kind: 'text', text: 'done' }], isError: false }]
          : [],
      );
    }
    return [...messages, { role: 'user' as const, parts: [...open, { kind: 'text' as const, text: 'go on' }] }];
  });

const prompt: fc.Arbitrary<Prompt> = fc
  .record({
    messages: conversation,
    system: fc.array(
      fc.record(
        { kind: fc.constant('text' as const), text: words, isCached: fc.constant(true) },
        { requiredKeys: ['kind', 'text'] },
      ),
      { maxLength: 2 },
    ),
    tools: fc.uniqueArray(
      fc.record({
        name,
        description: fc.option(words, { nil: undefined }),
        schema: fc.constant({ type: 'object' }),
        isStrict: fc.constantFrom(true, undefined),
      }),
      { maxLength: 3, selector: (tool) => tool.name },
    ),
    maxTokens: fc.integer({ min: 1, max: 100_000 }),
    temperature: fc.constantFrom(undefined, 0, 0.5, 1),
    topK: fc.option(fc.nat(500), { nil: undefined }),
    stop: fc.array(words, { maxLength: 3 }),
    isStream: fc.boolean(),
    user: fc.option(words, { nil: undefined }),
  })
  .chain((given) =>
    fc
      .record({
        toolChoice:
          given.tools.length === 0
            ? fc.constant(undefined)
            : fc.constantFrom(
                { kind: 'auto' } as const,
                { kind: 'required' } as const,
                { kind: 'none' } as const,
                {
                  kind: 'tool',
                  name: given.tools[0]?.name ?? '',
                } as const,
              ),
      })
      .map((more) => asked('', { ...given, ...more })),
  );

const count = fc.nat(1_000_000);
const usage: fc.Arbitrary<Usage> = fc
  .record({ uncached: count, output: count, cacheRead: count, cacheWrite: count, reasoning: count })
  .map(({ uncached, ...rest }) => ({ ...rest, input: uncached + rest.cacheRead + rest.cacheWrite }));

const reply: fc.Arbitrary<Reply> = fc
  .record({
    parts: fc.array(fc.oneof(text, reasoning, call), { maxLength: 6 }),
    usage,
    finish: fc.constantFrom<Finish>('stop', 'length', 'refusal', 'pause'),
    stopSequence: fc.option(words, { nil: undefined }),
  })
  .map(({ parts, finish, stopSequence, usage }) => {
    const hasCalls = parts.some(({ kind }) => kind === 'tool-call');
    const said = finish === 'stop' && hasCalls ? 'tool-calls' : finish;
    return { id: 'msg_7f3a', model: 'models/smart', parts, usage, finish: said, ...(said === 'stop' && { stopSequence }) };
  });

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('what is written reads back', () => {
  test('prompts', () => {
    fc.assert(
      fc.property(prompt, (given) => {
        const written = messagesProvider.writePrompt(given, 'claude-sonnet-4-5');
        const read = messagesClient.readPrompt(JSON.parse(JSON.stringify(written)));
        expect(plain({ ...read, model: given.model })).toEqual(plain(given));
      }),
    );
  });

  test('and writing what was read is the same request', () => {
    fc.assert(
      fc.property(prompt, fc.constantFrom('claude-opus-5-5', 'claude-sonnet-4-5', 'claude-3-haiku', 'other'), (given, model) => {
        const written = messagesProvider.writePrompt(given, model);
        expect(messagesProvider.writePrompt(messagesClient.readPrompt(written), model)).toEqual(written);
      }),
    );
  });

  test('replies', () => {
    fc.assert(
      fc.property(reply, (given) => {
        expect(plain(messagesProvider.readReply(messagesClient.writeReply(given, facts)))).toEqual(plain(given));
      }),
    );
  });

  test('streams, with text cut anywhere', () => {
    fc.assert(
      fc.property(reply, fc.integer({ min: 1, max: 9 }), (given, size) => {
        const writer = messagesClient.streamWriter(facts);
        const cut = (whole: string) => whole.match(new RegExp(`[^]{1,${size}}`, 'gu')) ?? [];
        const sent =
          eventsOf(given, cut)
            .map((event) => writer.write(event))
            .join('') + writer.end();
        const { events, isComplete } = readStream(sent);
        expect(isComplete).toBe(true);
        expect(plain(gather(events))).toEqual(plain(given));
      }),
    );
  });

  test('and a reply reads the same, whole or in parts', () => {
    fc.assert(
      fc.property(reply, (given) => {
        const writer = messagesClient.streamWriter(facts);
        const sent =
          eventsOf(given)
            .map((event) => writer.write(event))
            .join('') + writer.end();
        const whole = messagesProvider.readReply(messagesClient.writeReply(given, facts));
        expect(plain(gather(readStream(sent).events))).toEqual(plain(whole));
      }),
    );
  });
});

test('every block that a stream opens is closed before the next one opens, numbered from 0', () => {
  fc.assert(
    fc.property(reply, (given) => {
      const parts: readonly ReplyPart[] = [{ kind: 'text', text: '' }, ...given.parts, { kind: 'reasoning', text: '' }];
      const writer = messagesClient.streamWriter(facts);
      const sent =
        eventsOf({ ...given, parts })
          .map((event) => writer.write(event))
          .join('') + writer.end();
      const steps = [...sent.matchAll(/"type":"content_block_(start|stop)","index":(\d+)/g)].map(
        ([, kind, at]) => `${kind} ${at}`,
      );
      expect(steps).toEqual(Array.from({ length: steps.length / 2 }, (_, at) => [`start ${at}`, `stop ${at}`]).flat());
    }),
  );
});
