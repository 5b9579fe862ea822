import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { chatClient, chatProvider } from '../../../src/models/chat/chat.ts';
import { wantsStreamUsage } from '../../../src/models/chat/usage.ts';
import { ReplyError } from '../../../src/models/dialect.ts';
import type { Json, JsonObject } from '../../../src/wire/json.ts';
import { emptyPrompt } from '../../support/prompts.ts';
import { goldenFacts } from '../golden.ts';

function chunk(delta: JsonObject, finish: string | null = null): string {
  return JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] });
}

function callChunk(piece: JsonObject): string {
  return chunk({ tool_calls: [piece] });
}

function readAll(...data: readonly string[]) {
  const reader = chatProvider.streamReader();
  const events = data.flatMap((one) => reader.read('message', one));
  return { events: events.filter(({ kind }) => kind !== 'start'), isComplete: reader.isComplete };
}

describe('streams of servers that differ', () => {
  const opened = (index: number, id: string, name: string) => ({ kind: 'open', index, part: 'tool-call', id, name });

  test('calls that all have index 0 are told apart by their ids', () => {
    const { events } = readAll(
      callChunk({ index: 0, id: 'a', function: { name: 'f', arguments: '{"x":1}' } }),
      callChunk({ index: 0, id: 'b', function: { name: 'f', arguments: '{}' } }),
      '[DONE]',
    );
    expect(events).toEqual([
      opened(0, 'a', 'f'),
      { kind: 'delta', index: 0, text: '{"x":1}' },
      { kind: 'close', index: 0 },
      opened(1, 'b', 'f'),
      { kind: 'delta', index: 1, text: '{}' },
      { kind: 'close', index: 1 },
      { kind: 'finish', finish: 'tool-calls' },
    ]);
  });

  test('a call gets an id where the server gives none, and arguments that are an object become text', () => {
    const [open, delta] = readAll(callChunk({ function: { name: 'f', arguments: { x: 1 } } }), '[DONE]').events;
    expect(open).toMatchObject({ part: 'tool-call', name: 'f', id: expect.stringMatching(/^call_[0-9a-f]{32}$/) });
    expect(delta).toEqual({ kind: 'delta', index: 0, text: '{"x":1}' });
  });

  test('arguments that come before the name wait for it', () => {
    const { events } = readAll(
      callChunk({ index: 0, id: 'a', function: { arguments: '{' } }),
      callChunk({ index: 0, function: { name: 'f', arguments: '}' } }),
      '[DONE]',
    );
    expect(events.slice(0, 2)).toEqual([opened(0, 'a', 'f'), { kind: 'delta', index: 0, text: '{}' }]);
    expect(() => readAll(callChunk({ index: 0, id: 'a', function: { arguments: '{' } }), '[DONE]')).toThrow(ReplyError);
  });

  test('calls of custom tools are calls', () => {
    const { events } = readAll(callChunk({ index: 0, id: 'a', type: 'custom', custom: { name: 'run', input: 'ls' } }), '[DONE]');
    expect(events.slice(0, 2)).toEqual([opened(0, 'a', 'run'), { kind: 'delta', index: 0, text: 'ls' }]);
  });

  test('a piece of a call that another has followed is an error, one that goes on is not', () => {
    const first = callChunk({ index: 0, id: 'a', function: { name: 'f', arguments: '{' } });
    const second = callChunk({ index: 1, id: 'b', function: { name: 'f', arguments: '{' } });
    const late = callChunk({ index: 0, function: { arguments: '}' } });
    expect(() => readAll(first, second, late)).toThrow(ReplyError);
    expect(() => readAll(first, chunk({ content: 'x' }), late)).toThrow(ReplyError);
    expect(readAll(first, late).events).toHaveLength(3);
  });

  test('thoughts come as reasoning, as a list of details, or as pieces of the content', () => {
    const thought = [
      { kind: 'open', index: 0, part: 'reasoning' },
      { kind: 'delta', index: 0, text: 'hm' },
    ];
    expect(readAll(chunk({ reasoning: 'hm' })).events).toEqual(thought);
    expect(readAll(chunk({ content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] }] })).events).toEqual(thought);
    const details = [{ type: 'reasoning.text', text: 'hm', signature: 's' }];
    const signed = [...thought, { kind: 'signature', index: 0, signature: 's' }];
    expect(readAll(chunk({ reasoning_details: details })).events).toEqual(signed);
    expect(readAll(chunk({ reasoning: 'hm', reasoning_details: details })).events).toEqual(signed);
    expect(readAll(chunk({ reasoning_details: details }), chunk({ reasoning: 'more' })).events.slice(3)).toEqual([
      { kind: 'close', index: 0 },
      { kind: 'open', index: 1, part: 'reasoning' },
      { kind: 'delta', index: 1, text: 'more' },
    ]);
  });

  test('other choices than the first are left alone', () => {
    const other = JSON.stringify({ id: 'c', choices: [{ index: 1, delta: { content: 'other' } }] });
    expect(readAll(other, chunk({ content: 'x' })).events).toHaveLength(2);
  });

  test('usage is read wherever it comes, and reasoning that is counted beside the answer is added', () => {
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 22,
      completion_tokens_details: { reasoning_tokens: 7 },
    };
    const { events } = readAll(chunk({ content: 'x' }, 'stop'), JSON.stringify({ choices: [], x_groq: { usage } }), '[DONE]');
    expect(events).toContainEqual({ kind: 'usage', usage: { input: 10, output: 12, cacheRead: 0, cacheWrite: 0, reasoning: 7 } });
    const none = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
    expect(chatProvider.usageOf({ usage: { prompt_tokens: -1, completion_tokens: '7', prompt_cache_hit_tokens: 3 } })).toEqual(
      none,
    );
    const cached = { prompt_tokens: 10, prompt_tokens_details: { cached_tokens: 7, cache_write_tokens: 9 } };
    expect(chatProvider.usageOf({ usage: cached })).toEqual({ ...none, input: 10, cacheRead: 7, cacheWrite: 3 });
    expect(chatProvider.usageOf({ usage: null })).toBeUndefined();
  });

  test('a stream is complete with [DONE], and nothing after it counts', () => {
    expect(readAll(chunk({ content: 'x' }, 'stop')).isComplete).toBe(false);
    expect(readAll(chunk({ content: 'x' }, 'stop'), '[DONE]').isComplete).toBe(true);
    expect(readAll(chunk({ content: 'x' }, 'stop'), '[DONE]', chunk({ content: 'y' })).events).toHaveLength(4);
    expect(() => readAll('[DONE]')).toThrow(ReplyError);
  });

  test.each<readonly [Json, string, number]>([
    [{ message: 'Overloaded', type: 'overloaded_error' }, 'overloaded', 503],
    [{ message: 'Slow down', code: 'rate_limit_exceeded' }, 'rate-limited', 429],
    [{ message: 'Bad gateway', code: 502 }, 'failed', 502],
    [{ message: 'The server had an error', type: 'server_error', code: null }, 'failed', 500],
    ['it broke', 'failed', 500],
  ])('%j in the middle of a stream is a failure', (error, kind, status) => {
    const { events, isComplete } = readAll(chunk({ content: 'x' }), JSON.stringify({ error }));
    expect(events.at(-1)).toMatchObject({ kind: 'failed', failure: { kind, status } });
    expect(isComplete).toBe(false);
  });
});

test.each([
  ['stop', 'stop'],
  ['length', 'length'],
  ['content_filter', 'content-filter'],
  ['tool_calls', 'tool-calls'],
  ['eos', 'stop'],
  ['__proto__', 'other'],
])('finish_reason %s is %s', (reason, finish) => {
  const body = { choices: [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: reason }] };
  expect(chatProvider.readReply(body).finish).toBe(finish);
});

test('a refusal that only the finish tells is content_filter, one in words is stop', () => {
  const reply = {
    id: '',
    model: '',
    finish: 'refusal',
    usage: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
  } as const;
  const finishOf = (body: JsonObject) => (body.choices as JsonObject[])[0]?.finish_reason;
  expect(finishOf(chatClient.writeReply({ ...reply, parts: [] }, goldenFacts))).toBe('content_filter');
  expect(finishOf(chatClient.writeReply({ ...reply, parts: [{ kind: 'refusal', text: 'No.' }] }, goldenFacts))).toBe('stop');
});

describe('requests to servers that differ', () => {
  const prompt = {
    ...emptyPrompt,
    messages: [{ role: 'user' as const, parts: [{ kind: 'text' as const, text: 'x' }] }],
    maxTokens: 5,
  };

  test('the limit of an answer has the name that the server knows', () => {
    expect(chatProvider.writePrompt(prompt, 'm')).toMatchObject({ max_completion_tokens: 5 });
    const old = chatProvider.writePrompt(prompt, 'm', { maxTokensMember: 'max_tokens' });
    expect(old).toMatchObject({ max_tokens: 5 });
    expect(old).not.toHaveProperty('max_completion_tokens');
  });

  test.each([
    [0, 'none'],
    [1_024, 'low'],
    [8_000, 'medium'],
    [32_000, 'high'],
  ])('a budget of %i tokens is %s effort', (budgetTokens, effort) => {
    const written = chatProvider.writePrompt({ ...prompt, reasoning: { effort: undefined, budgetTokens } }, 'm');
    expect(written.reasoning_effort).toBe(effort);
  });

  test('without tools nothing is said of them', () => {
    const written = chatProvider.writePrompt({ ...prompt, toolChoice: { kind: 'auto' }, parallelTools: true }, 'm');
    expect(Object.keys(written)).toEqual(['model', 'messages', 'max_completion_tokens']);
  });

  test('pictures in the result of a tool follow it in the words of the user', () => {
    const image = { kind: 'media', mediaType: 'image/png', source: { kind: 'base64', data: 'aGk=' } } as const;
    const results = ['a', 'b'].map(
      (callId) => ({ kind: 'tool-result', callId, name: undefined, parts: [image], isError: false }) as const,
    );
    const { messages } = chatProvider.writePrompt({ ...prompt, messages: [{ role: 'user', parts: results }] }, 'm');
    expect(messages).toMatchObject([
      { role: 'tool' },
      { role: 'tool' },
      { role: 'user', content: [{ type: 'image_url' }, { type: 'image_url' }] },
    ]);
  });

  test.each(['video/mp4', 'audio/flac'])('%s by URL cannot be said, an image can', (mediaType) => {
    const withMedia = (type: string) => ({
      ...prompt,
      messages: [
        {
          role: 'user' as const,
          parts: [{ kind: 'media' as const, mediaType: type, source: { kind: 'url' as const, url: 'https://x' } }],
        },
      ],
    });
    expect(() => chatProvider.writePrompt(withMedia(mediaType), 'm')).toThrow(GatewayError);
    expect(() => chatProvider.writePrompt(withMedia('image/*'), 'm')).not.toThrow();
  });
});

describe('texts', () => {
  test('of a whole answer: words, refusals, thoughts and arguments, each in its channel', () => {
    const body = {
      choices: [
        {
          index: 0,
          message: {
            content: 'words',
            refusal: 'no',
            reasoning_content: 'hm',
            reasoning_details: [{ type: 'reasoning.text', text: 'hm' }],
            tool_calls: [
              { id: 'a', function: { name: 'f', arguments: '{"a":1}' } },
              { id: 'b', custom: { name: 'g', input: 'ls' } },
            ],
          },
          logprobs: { content: [{ token: 'words' }] },
        },
        { index: 1, message: { content: 'second' } },
      ],
    };
    const slots = chatClient.textsOf(body);
    expect(slots.map(({ channel, text }) => [channel, text])).toEqual([
      ['0/reasoning_content', 'hm'],
      ['0/reasoning_details', 'hm'],
      ['0/content', 'words'],
      ['0/refusal', 'no'],
      ['0/tool/0', '{"a":1}'],
      ['0/tool/1', 'ls'],
      ['1/content', 'second'],
    ]);
    for (const slot of slots) slot.replace('-');
    expect(JSON.stringify(body)).not.toMatch(/words|hm|"ls"|second|"no"/);
  });

  test('of a choice that has a message and a delta: those of both', () => {
    const words = (content: string) => ({ role: 'assistant', content });
    const slots = chatClient.textsOf({ choices: [{ index: 0, delta: words('one'), message: words('two') }] });
    expect(slots.map(({ text }) => text)).toEqual(['one', 'two']);
    expect(new Set(slots.map(({ channel }) => channel)).size).toBe(2);
  });

  test('of the events of one stream: what belongs together has one channel', () => {
    const data = [
      chunk({ content: 'a' }),
      chunk({ content: 'b' }),
      callChunk({ index: 1, function: { arguments: '{' } }),
      '{"choices":[]}',
    ];
    const slots = data.flatMap((one) => chatClient.textsOf(JSON.parse(one)));
    expect(slots.map(({ channel, text }) => [channel, text])).toEqual([
      ['0/content', 'a'],
      ['0/content', 'b'],
      ['0/tool/1', '{'],
    ]);
  });
});

test('usage at the end of a stream comes only where it was asked for', () => {
  expect(wantsStreamUsage({ stream_options: { include_usage: true } })).toBe(true);
  expect(wantsStreamUsage({ stream_options: null })).toBe(false);
  const writer = chatClient.streamWriter({ ...goldenFacts, streamsUsage: false });
  const sent = writer.write({ kind: 'start', id: 'x', model: 'm' }) + writer.end();
  expect(sent).not.toContain('usage');
  expect(sent.endsWith('data: [DONE]\n\n')).toBe(true);
});
