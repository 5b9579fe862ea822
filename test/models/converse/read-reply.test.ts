import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { converse } from '../../../src/models/converse/converse.ts';
import { ReplyError } from '../../../src/models/dialect.ts';
import { gatherReply } from '../../../src/models/gather-reply.ts';
import type { Finish, ReplyEvent } from '../../../src/models/reply.ts';
import type { Json, JsonObject } from '../../../src/wire/json.ts';
import { promptOf, say, weatherTool } from '../../support/prompts.ts';

const usage = { inputTokens: 30, outputTokens: 628, totalTokens: 1_658, cacheReadInputTokens: 900, cacheWriteInputTokens: 100 };

function answer(content: Json[], stopReason = 'end_turn'): JsonObject {
  return { output: { message: { role: 'assistant', content } }, stopReason, usage, metrics: { latencyMs: 1275 } };
}

interface Wire {
  readonly event: string;
  readonly data: JsonObject;
}

/** The same content as ConverseStream sends it. `cut` says into how many characters at most texts are cut. */
function eventsOf(content: readonly JsonObject[], stopReason = 'end_turn', cut = 5): Wire[] {
  const blocks = content.flatMap((block, contentBlockIndex): Wire[] => {
    const delta = (data: JsonObject): Wire => ({ event: 'contentBlockDelta', data: { contentBlockIndex, delta: data } });
    const stop: Wire = { event: 'contentBlockStop', data: { contentBlockIndex } };
    const { toolUse, reasoningContent: thought, text } = block as Record<string, JsonObject | undefined>;
    if (toolUse !== undefined) {
      const { toolUseId, name, input } = toolUse;
      const start = { contentBlockIndex, start: { toolUse: { toolUseId, name } } } as JsonObject;
      const pieces = cutUp(JSON.stringify(input), cut).map((piece) => delta({ toolUse: { input: piece } }));
      return [{ event: 'contentBlockStart', data: start }, ...pieces, stop];
    }
    if (thought !== undefined) {
      const { reasoningText, redactedContent } = thought as Record<string, JsonObject>;
      if (reasoningText === undefined) return [delta({ reasoningContent: { redactedContent: redactedContent ?? '' } }), stop];
      const pieces = cutUp(String(reasoningText.text), cut).map((piece) => delta({ reasoningContent: { text: piece } }));
      return [...pieces, delta({ reasoningContent: { signature: reasoningText.signature ?? '' } }), stop];
    }
    return [...cutUp(String(text), cut).map((piece) => delta({ text: piece })), stop];
  });
  return [
    { event: 'messageStart', data: { role: 'assistant' } },
    ...blocks,
    { event: 'messageStop', data: { stopReason } },
    { event: 'metadata', data: { usage, metrics: { latencyMs: 1 } } },
  ];
}

function cutUp(text: string, most: number): string[] {
  return Array.from({ length: Math.max(1, Math.ceil(text.length / most)) }, (_, index) =>
    text.slice(index * most, (index + 1) * most),
  );
}

function readAll(wires: readonly Wire[]): { readonly events: ReplyEvent[]; readonly isComplete: boolean } {
  const reader = converse.streamReader();
  const events = wires.flatMap(({ event, data }) => reader.read(event, JSON.stringify(data)));
  return { events, isComplete: reader.isComplete };
}

describe('a reply of Converse', () => {
  test('has its texts, thoughts and calls, and counts what is cached with the input', () => {
    const reply = converse.readReply({
      ...answer(
        [
          { reasoningContent: { reasoningText: { text: 'hm', signature: 'ErUB' } } },
          { reasoningContent: { redactedContent: 'AAAA' } },
          { text: 'I look.' },
          { toolUse: { toolUseId: 'tooluse_1', name: 'get_weather', input: { city: 'Oslo' } } },
          { citationsContent: { content: [{ text: 'As ' }, { text: 'it says.' }], citations: [] } },
          { somethingNew: {} },
        ],
        'tool_use',
      ),
      additionalModelResponseFields: { stop_sequence: 'END' },
    });
    expect(reply).toEqual({
      id: '',
      model: '',
      parts: [
        { kind: 'reasoning', text: 'hm', signature: 'ErUB' },
        { kind: 'reasoning', text: '', redacted: 'AAAA' },
        { kind: 'text', text: 'I look.' },
        { kind: 'tool-call', id: 'tooluse_1', name: 'get_weather', arguments: '{"city":"Oslo"}' },
        { kind: 'text', text: 'As it says.' },
      ],
      finish: 'tool-calls',
      stopSequence: 'END',
      usage: { input: 1_030, output: 628, cacheRead: 900, cacheWrite: 100, reasoning: 0 },
    });
  });

  test('whose total says so has what is cached in its input already', () => {
    const whole = { usage: { inputTokens: 1_000, outputTokens: 10, totalTokens: 1_010, cacheReadInputTokens: 900 } };
    expect(converse.usageOf(whole)).toEqual({ input: 1_000, output: 10, cacheRead: 900, cacheWrite: 0, reasoning: 0 });
    expect(converse.usageOf({})).toBeUndefined();
  });

  test.each<[string, Finish]>([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['tool_use', 'tool-calls'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['guardrail_intervened', 'content-filter'],
    ['content_filtered', 'content-filter'],
    ['malformed_model_output', 'other'],
    ['malformed_tool_use', 'other'],
    ['toString', 'other'],
  ])('that ended with %s finishes with %s, whole and in parts', (reason, finish) => {
    expect(converse.readReply(answer([{ text: 'a' }], reason)).finish).toBe(finish);
    expect(gatherReply(readAll(eventsOf([{ text: 'a' }], reason)).events).finish).toBe(finish);
  });
});

const block = fc.oneof(
  fc.record({ text: fc.string() }),
  fc.record({
    toolUse: fc.record({
      toolUseId: fc.uuid(),
      name: fc.constantFrom('f', 'g'),
      input: fc.dictionary(
        fc.string(),
        fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)) as Json),
      ),
    }),
  }),
  fc.record({
    reasoningContent: fc.oneof(
      fc.record({ reasoningText: fc.record({ text: fc.string(), signature: fc.base64String({ minLength: 4 }) }) }),
      fc.record({ redactedContent: fc.base64String({ minLength: 4 }) }),
    ),
  }),
);
const blocks = fc.array(block, { maxLength: 6 }).map((given) => given as unknown as JsonObject[]);

test('a reply is the same whole and in parts', () => {
  fc.assert(
    fc.property(blocks, fc.integer({ min: 1, max: 20 }), (content, cut) => {
      const { events, isComplete } = readAll(eventsOf(content, 'tool_use', cut));
      expect(isComplete).toBe(true);
      expect(gatherReply(events)).toEqual(converse.readReply(answer(content, 'tool_use')));
      const order = events
        .filter((event) => event.kind === 'open' || event.kind === 'close')
        .map(({ kind, index }) => `${kind} ${index}`);
      expect(order).toEqual(content.flatMap((_, index) => [`open ${index}`, `close ${index}`]));
    }),
  );
});

test('what Claude answered goes back to it as it came', () => {
  fc.assert(
    fc.property(blocks, (content) => {
      const { parts } = converse.readReply(answer(content));
      const prompt = promptOf({ messages: [say('?'), { role: 'assistant', parts }, say('!')], tools: [weatherTool] });
      const written = converse.writePrompt(prompt, 'anthropic.claude-sonnet-4-5-v1:0').messages as JsonObject[];
      const kept = content.filter(({ text }) => typeof text !== 'string' || text.trim() !== '');
      expect(written.find(({ role }) => role === 'assistant')?.content ?? []).toEqual(kept);
    }),
  );
});

test('a stream that lacks its last event is not complete, and tells no end', () => {
  const wires = eventsOf([{ text: 'Hello there' }]);
  for (let length = 0; length < wires.length; length++) {
    const { events, isComplete } = readAll(wires.slice(0, length));
    expect(isComplete).toBe(false);
    expect(events.some(({ kind }) => kind === 'finish')).toBe(false);
  }
});

describe('an exception in a stream', () => {
  test.each([
    ['throttlingException', 429, 'rate-limited'],
    ['serviceUnavailableException', 503, 'overloaded'],
    ['internalServerException', 500, 'failed'],
    ['modelStreamErrorException', 424, 'failed'],
    ['modelTimeoutException', 408, 'failed'],
    ['validationException', 400, 'bad-request'],
    ['InternalFailureException', 500, 'failed'],
    ['somethingNewException', 500, 'failed'],
  ])('%s stands for %i', (event, status, kind) => {
    expect(converse.streamReader().read(event, '{"message":"No."}')).toEqual([
      { kind: 'failed', failure: { status, kind, message: 'No.', code: event } },
    ]);
  });

  test('is no event of which nothing is known', () => {
    const reader = converse.streamReader();
    expect(reader.read('messageStart', '{"role":"assistant"}')).toEqual([{ kind: 'start', id: '', model: '' }]);
    expect(reader.read('somethingNew', '{}')).toEqual([]);
  });
});

describe('what is no answer', () => {
  const bad: [string, Wire[]][] = [
    [
      'arguments of no call',
      [{ event: 'contentBlockDelta', data: { contentBlockIndex: 0, delta: { toolUse: { input: '{' } } } }],
    ],
    ['a piece of no block', [{ event: 'contentBlockDelta', data: { delta: { text: 'x' } } }]],
    [
      'a block that comes back',
      [1, 0].map((contentBlockIndex) => ({ event: 'contentBlockDelta', data: { contentBlockIndex, delta: { text: 'x' } } })),
    ],
    [
      'two kinds in one block',
      [{ text: 'x' }, { reasoningContent: { text: 'y' } }].map((delta) => ({
        event: 'contentBlockDelta',
        data: { contentBlockIndex: 0, delta } as JsonObject,
      })),
    ],
    [
      'a call without a name',
      [{ event: 'contentBlockStart', data: { contentBlockIndex: 0, start: { toolUse: { toolUseId: 'x' } } } }],
    ],
    [
      'a block after the end',
      [
        { event: 'messageStop', data: { stopReason: 'end_turn' } },
        { event: 'contentBlockDelta', data: { contentBlockIndex: 0, delta: { text: 'x' } } },
      ],
    ],
  ];
  test.each(bad)('is refused: %s', (_name, wires) => {
    expect(() => readAll(wires)).toThrow(ReplyError);
  });

  test('throws ReplyError at most, whatever it is', () => {
    const junk = fc.oneof(fc.jsonValue(), block, fc.constantFrom(-1, 1e308, 'x', null, []));
    const body = fc.record(
      {
        output: fc.oneof(junk, fc.record({ message: fc.oneof(junk, fc.record({ content: fc.array(junk) })) })),
        stopReason: junk,
        usage: junk,
      },
      { requiredKeys: [] },
    );
    const wire = fc.record({
      event: fc.constantFrom(
        'messageStart',
        'contentBlockStart',
        'contentBlockDelta',
        'contentBlockStop',
        'messageStop',
        'metadata',
        'x',
      ),
      data: fc.record({ contentBlockIndex: junk, delta: junk, start: junk, usage: junk, stopReason: junk }, { requiredKeys: [] }),
    });
    fc.assert(
      fc.property(body, fc.array(wire, { maxLength: 6 }), (given, wires) => {
        const read = JSON.parse(JSON.stringify(given)) as JsonObject;
        expect(Object.values(converse.usageOf(read) ?? {}).every((count) => count >= 0)).toBe(true);
        converse.readFailure(500, read);
        for (const attempt of [() => converse.readReply(read), () => readAll(wires as Wire[])]) {
          try {
            attempt();
          } catch (error) {
            expect(error).toBeInstanceOf(ReplyError);
          }
        }
      }),
    );
    expect(() => converse.streamReader().read('metadata', '<html>')).toThrow(ReplyError);
  });
});

describe('a failure of Bedrock', () => {
  test.each([
    [400, 'ValidationException', 'The provided model identifier is invalid.', 'bad-request'],
    [400, 'ValidationException', 'Input is too long for requested model.', 'too-long'],
    [400, 'ValidationException', 'prompt is too long: 210000 tokens > 200000 maximum', 'too-long'],
    [400, 'ValidationException', 'This request has been blocked by our content filters.', 'content-filter'],
    [400, 'ThrottlingException', 'Too many requests', 'rate-limited'],
    [400, 'com.amazon.coral.service#ExpiredTokenException', 'expired', 'unauthorized'],
    [403, 'AccessDeniedException', 'no', 'unauthorized'],
    [404, 'ResourceNotFoundException', 'no', 'not-found'],
    [408, 'ModelTimeoutException', 'slow', 'failed'],
    [424, 'ModelErrorException', 'no', 'failed'],
    [429, 'ThrottlingException', 'Too many tokens, please wait before trying again.', 'rate-limited'],
    [500, 'InternalServerException', 'no', 'failed'],
    [503, 'ServiceUnavailableException', 'no', 'overloaded'],
  ])('%i %s "%s" is %s', (status, __type, message, kind) => {
    expect(converse.readFailure(status, { message, __type })).toMatchObject({
      status,
      kind,
      message,
      code: __type.split('#').at(-1),
    });
    expect(converse.readFailure(503, undefined)).toEqual({
      status: 503,
      kind: 'overloaded',
      message: 'HTTP 503',
      code: undefined,
    });
  });
});
