import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ModelTransport } from '../../../src/catalog/config.ts';
import { noUsage, type Usage } from '../../../src/models/reply.ts';
import { believed } from '../../../src/upstreams/model/believed-usage.ts';
import type { ModelAsk } from '../../../src/upstreams/model/model-calls.ts';
import type { JsonObject } from '../../../src/wire/json.ts';

const plain = {
  contextWindow: undefined,
  maxOutputTokens: undefined,
  defaults: { maxTokens: undefined },
  can: ['text'],
  hostedTools: [],
} as unknown as ModelTransport;

interface Case {
  readonly dialect?: ModelAsk['dialect'] | 'embeddings';
  readonly body?: JsonObject;
  readonly model?: object;
  readonly spoken?: number;
  readonly sent?: number;
}

function judge(told: Partial<Usage>, { dialect = 'chat', body = {}, model = {}, spoken = 0, sent }: Case = {}): Usage {
  const asked = { messages: [{ role: 'user', content: 'hi' }], ...body };
  return believed(
    { ...noUsage, ...told },
    {
      ask: { dialect, body: asked } as ModelAsk,
      transport: { ...plain, ...model } as ModelTransport,
      sentBytes: sent ?? Buffer.byteLength(JSON.stringify(asked)),
      spokenBytes: () => spoken,
    },
  );
}
const lie = { input: 1e9, output: 1e9 };

describe('what is read', () => {
  test('is no more than the bytes that were sent, whatever tokens a provider makes of them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_000_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (sent, share) => {
        const honest = { ...noUsage, input: Math.floor(sent * share), output: 1 };
        expect(judge(honest, { sent, body: { max_tokens: 1 } })).toEqual(honest);
        const counted = judge({ ...honest, input: 1e9 }, { sent });
        expect(counted.input).toBeGreaterThanOrEqual(sent);
        expect(counted.input).toBeLessThanOrEqual(sent + 4_000);
      }),
    );
  });

  test('is no more than the window of the model, where that is known', () => {
    expect(judge(lie, { sent: 500_000, model: { contextWindow: 128_000 } }).input).toBe(128_000);
    expect(judge({ input: 120_000 }, { sent: 500_000, model: { contextWindow: 128_000 } }).input).toBe(120_000);
  });

  test.each<[string, JsonObject]>([
    [
      'an image',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://x.example/a.png' } }] }] },
    ],
    [
      'a document',
      { messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'url', url: 'https://x.example' } }] }] },
    ],
    ['a file by its id', { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }] }],
    ['a picture as vLLM takes it', { messages: [{ role: 'user', content: [{ image_url: 'https://x.example/a.png' }] }] }],
    [
      'sound by its address',
      { messages: [{ role: 'user', content: [{ type: 'audio_url', audio_url: { url: 'https://x.example' } }] }] },
    ],
    ['pictures as Ollama takes them', { messages: [{ role: 'user', content: 'hi', images: ['iVBORw0KGgo='] }] }],
    [
      'what a screen shows',
      {
        input: [{ type: 'computer_call_output', output: { type: 'computer_screenshot', image_url: 'https://x.example/a.png' } }],
      },
    ],
    ['thoughts by their id', { input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] }],
    ['an earlier answer', { previous_response_id: 'resp_1' }],
    ['a prompt that lies elsewhere', { prompt: { id: 'p' } }],
  ])('may be as much as the window with %s, whose tokens nobody sees here', (_what, body) => {
    expect(judge({ input: 150_000 }, { body, model: { contextWindow: 200_000 } }).input).toBe(150_000);
    expect(judge(lie, { body, model: { contextWindow: 200_000 } }).input).toBe(200_000);
    expect(judge(lie, { body }).input).toBe(2_000_000);
  });

  test('may be several windows where the provider runs tools, and is not where it is asked for none', () => {
    const model = { contextWindow: 200_000, hostedTools: ['web_search'] };
    expect(judge({ input: 900_000 }, { model, body: { tools: [{ type: 'web_search' }] } }).input).toBe(900_000);
    expect(judge({ input: 900_000 }, { model }).input).toBeLessThan(5_000);
  });

  test('of several pictures is as much as a window for each', () => {
    const body = { input: [{ image: 'https://x.example/a.png' }, { image: 'https://x.example/b.png' }] };
    const model = { contextWindow: 8_000 };
    expect(judge({ input: 15_000 }, { dialect: 'embeddings', body, model }).input).toBe(15_000);
    expect(judge(lie, { dialect: 'embeddings', body, model }).input).toBe(16_000);
  });

  test('of several texts is as much as they are, and nothing is written', () => {
    const body = { input: ['a', 'b'] };
    expect(
      judge({ input: 900_000, output: 0 }, { dialect: 'embeddings', body, sent: 1_000_000, model: { contextWindow: 8_000 } }),
    ).toMatchObject({ input: 900_000 });
    expect(judge(lie, { dialect: 'embeddings', body, sent: 1_000_000 })).toMatchObject({ input: 1_004_000, output: 0 });
  });
});

describe('what is written', () => {
  test('is no more than about twice what was asked for, for each answer', () => {
    expect(judge(lie, { body: { max_tokens: 100 } }).output).toBe(2_200);
    expect(judge(lie, { body: { max_completion_tokens: 100, n: 3 } }).output).toBe(6_600);
    expect(judge({ output: 150 }, { body: { max_tokens: 100 } }).output).toBe(150);
    for (const [prompt, times] of [
      [['a', 'b'], 2],
      [[[1, 2], [3]], 2],
      [[1, 2, 3], 1],
      ['a', 1],
    ] as const)
      expect(judge(lie, { dialect: 'completions', body: { prompt, max_tokens: 100 } as never }).output).toBe(2_200 * times);
    expect(judge(lie, { model: { defaults: { maxTokens: 500 } } }).output).toBe(3_000);
  });

  test('leaves room for thoughts beside the answer, where a model has them or says that it had some', () => {
    const model = { can: ['text', 'reasoning'] };
    expect(judge({ output: 20_000, reasoning: 19_950 }, { body: { max_tokens: 100 }, model })).toMatchObject({ output: 20_000 });
    expect(judge({ output: 20_000, reasoning: 19_950 }, { body: { max_tokens: 100 } })).toMatchObject({ output: 20_000 });
    expect(judge({ ...lie, reasoning: 1e9 }, { body: { max_tokens: 100 } })).toMatchObject({ output: 32_200, reasoning: 32_200 });
    expect(judge({ output: 20_000 }, { body: { max_tokens: 100 } }).output).toBe(2_200);
    const thinking = { type: 'enabled', budget_tokens: 60_000 };
    expect(judge({ output: 70_000, reasoning: 60_000 }, { body: { max_tokens: 100, thinking } }).output).toBe(70_000);
  });

  test('is as much as the longer of two lengths that a client says, and what it predicted, which is billed', () => {
    expect(judge({ output: 50_000 }, { body: { max_completion_tokens: 1, max_tokens: 50_000 } }).output).toBe(50_000);
    const prediction = { type: 'content', content: 'code' };
    expect(judge({ output: 10_000 }, { body: { max_tokens: 100, prediction }, sent: 12_000 }).output).toBe(10_000);
    expect(judge(lie, { body: { max_tokens: 100, prediction }, sent: 12_000 }).output).toBe(14_200);
  });

  test('is no more than the model can, whatever a client asks for', () => {
    expect(judge(lie, { model: { maxOutputTokens: 64_000 } }).output).toBe(64_000);
    expect(judge(lie, { body: { max_tokens: 1e300 }, model: { maxOutputTokens: 64_000 } }).output).toBe(64_000);
    expect(judge(lie).output).toBe(256_000);
  });

  test('is never less than came: who asks for little and is sent much pays for it', () => {
    expect(judge(lie, { body: { max_tokens: 1 }, spoken: 90_000 }).output).toBe(90_000);
    expect(judge({ output: 25_000 }, { body: { max_tokens: 1 }, spoken: 90_000 }).output).toBe(25_000);
  });
});

test('parts are never more than the whole that is left, and nothing is made more than it was told', () => {
  fc.assert(
    fc.property(
      fc.record({
        input: fc.nat(1e9),
        output: fc.nat(1e9),
        cacheRead: fc.nat(1e9),
        cacheWrite: fc.nat(1e9),
        reasoning: fc.nat(1e9),
      }),
      (told) => {
        const counted = judge(told, { body: { max_tokens: 50 } });
        expect(counted.input).toBeLessThanOrEqual(told.input);
        expect(counted.output).toBeLessThanOrEqual(told.output);
        if (counted.input === told.input && counted.output === told.output) return;
        expect(counted.cacheRead + counted.cacheWrite).toBeLessThanOrEqual(counted.input);
        expect(counted.reasoning).toBeLessThanOrEqual(counted.output);
      },
    ),
  );
});

test('a request of any depth and width is looked through without being in the way', () => {
  let deep: JsonObject = {};
  for (let at = 0; at < 50_000; at++) deep = { deep };
  expect(judge(lie, { body: { deep }, sent: 10 }).input).toBe(4_010);
});
