import { describe, expect, test } from 'vitest';
import { converse } from '../../../src/models/converse/converse.ts';
import type { Message, Part, Prompt } from '../../../src/models/prompt.ts';
import { promptOf, say, weatherTool } from '../../support/prompts.ts';

const sonnet = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0';
const write = (given: Partial<Prompt>, model = sonnet) => converse.writePrompt(promptOf(given), model);
const messages = (given: readonly Message[], more: Partial<Prompt> = {}) => write({ messages: given, ...more }).messages;
const user = (...parts: Part[]): Message => ({ role: 'user', parts });
const assistant = (...parts: Part[]): Message => ({ role: 'assistant', parts });

test('a plain prompt is nothing but its messages', () => {
  expect(write({})).toEqual({ messages: [{ role: 'user', content: [{ text: 'Hello' }] }] });
});

test('everything that can be said is said in the words of the API reference', () => {
  const written = write({
    system: [
      { kind: 'text', text: 'Be brief.', isCached: true },
      { kind: 'text', text: ' ' },
    ],
    tools: [weatherTool, { name: 'now', description: '', schema: {}, isStrict: true }],
    toolChoice: { kind: 'required' },
    maxTokens: 100,
    temperature: 1.5,
    topP: 0.9,
    topK: 40,
    stop: ['END'],
    seed: 7,
    format: { kind: 'schema', name: 'out', description: 'An answer', schema: { type: 'object' }, isStrict: true },
  });
  expect(written).toEqual({
    messages: [{ role: 'user', content: [{ text: 'Hello' }] }],
    system: [{ text: 'Be brief.' }, { cachePoint: { type: 'default' } }],
    inferenceConfig: { maxTokens: 100, temperature: 1, topP: 0.9, stopSequences: ['END'] },
    toolConfig: {
      tools: [
        { toolSpec: { name: 'get_weather', description: 'Weather of a city', inputSchema: { json: weatherTool.schema } } },
        { toolSpec: { name: 'now', inputSchema: { json: { type: 'object' } }, strict: true } },
      ],
      toolChoice: { any: {} },
    },
    additionalModelRequestFields: { top_k: 40 },
    additionalModelResponseFieldPaths: ['/stop_sequence'],
    outputConfig: {
      textFormat: {
        type: 'json_schema',
        structure: { jsonSchema: { schema: '{"type":"object"}', name: 'out', description: 'An answer' } },
      },
    },
  });
});

test('JSON without a schema is asked for in words', () => {
  expect(write({ format: { kind: 'json' } }).system).toEqual([{ text: 'Answer with one JSON object and nothing else.' }]);
});

test.each([
  [{ kind: 'auto' }, { auto: {} }],
  [{ kind: 'tool', name: 'get_weather' }, { tool: { name: 'get_weather' } }],
] as const)('the tool choice %j has its name', (toolChoice, expected) => {
  expect(write({ tools: [weatherTool], toolChoice }).toolConfig).toMatchObject({ toolChoice: expected });
});

describe('reasoning', () => {
  const effort = (value: 'none' | 'minimal' | 'low' | 'medium' | 'high') => ({ effort: value, budgetTokens: undefined });

  test.each([
    [sonnet, { thinking: { type: 'enabled', budget_tokens: 8_192 } }],
    ['anthropic.claude-opus-4-20250514-v1:0', { thinking: { type: 'enabled', budget_tokens: 8_192 } }],
    ['anthropic.claude-3-7-sonnet-20250219-v1:0', { thinking: { type: 'enabled', budget_tokens: 8_192 } }],
    ['amazon.nova-2-lite-v1:0', { reasoningConfig: { type: 'enabled', maxReasoningEffort: 'medium' } }],
    ['openai.gpt-oss-120b-1:0', { reasoning_effort: 'medium' }],
    ['meta.llama4-maverick-17b-instruct-v1:0', undefined],
  ])('is asked of %s in the words of its maker', (model, fields) => {
    const written = write({ reasoning: effort('medium') }, model);
    expect(written.additionalModelRequestFields).toEqual(fields);
    expect(written.outputConfig).toBeUndefined();
    expect(write({ reasoning: effort('none') }, model)).toEqual(write({}, model));
  });

  test.each(['anthropic.claude-opus-4-6-v1', 'eu.anthropic.claude-opus-5', 'anthropic.claude-sonnet-4-10-v1:0'])(
    'is left to %s, with an effort',
    (model) => {
      const written = write({ reasoning: effort('low'), temperature: 0.5, topK: 3 }, model);
      expect(written).toMatchObject({
        additionalModelRequestFields: { thinking: { type: 'adaptive' } },
        outputConfig: { effort: 'low' },
      });
      expect(written.inferenceConfig).toBeUndefined();
    },
  );

  test('takes no more than there is room for, and no temperature with it', () => {
    const budget = { effort: undefined, budgetTokens: 5_000 };
    expect(write({ reasoning: budget, maxTokens: 3_000, temperature: 0.2, topP: 0.9, topK: 5 })).toMatchObject({
      inferenceConfig: { maxTokens: 3_000 },
      additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 2_999 } },
    });
    const small = write({ reasoning: budget, maxTokens: 1_000, temperature: 0.2 });
    expect(small).toEqual(write({ maxTokens: 1_000, temperature: 0.2 }));
  });

  test('is left out where a tool must be called', () => {
    const given = { tools: [weatherTool], toolChoice: { kind: 'required' } } as const;
    expect(write({ ...given, reasoning: effort('high') })).toEqual(write(given));
  });

  test('topK has a place of its own with Nova', () => {
    expect(write({ topK: 9 }, 'amazon.nova-pro-v1:0').additionalModelRequestFields).toEqual({ inferenceConfig: { topK: 9 } });
  });
});

describe('messages', () => {
  const png: Part = { kind: 'media', mediaType: 'image/png', source: { kind: 'base64', data: 'AAAA' } };
  const pdf = (name?: string): Part => ({
    kind: 'media',
    mediaType: 'application/pdf',
    source: { kind: 'base64', data: 'AAAA' },
    name,
  });

  test('hold images, sounds and documents, these under names that may be', () => {
    const wav: Part = { kind: 'media', mediaType: 'audio/wav; rate=16000', source: { kind: 'base64', data: 'AAAA' } };
    const source = { bytes: 'AAAA' };
    expect(messages([user(png, wav, pdf('my_report.pdf'), pdf('my report!pdf'), pdf())])).toEqual([
      {
        role: 'user',
        content: [
          { image: { format: 'png', source } },
          { audio: { format: 'wav', source } },
          { document: { format: 'pdf', name: 'my report pdf', source } },
          { document: { format: 'pdf', name: 'my report pdf 2', source } },
          { document: { format: 'pdf', name: 'document', source } },
        ],
      },
    ]);
  });

  test('name what lies in S3, and nothing on the web', () => {
    const at = (url: string): Part => ({ kind: 'media', mediaType: 'image/*', source: { kind: 'url', url } });
    expect(messages([user(at('s3://bucket/a.png'))])).toEqual([
      { role: 'user', content: [{ image: { format: 'png', source: { s3Location: { uri: 's3://bucket/a.png' } } } }] },
    ]);
    expect(() => messages([user(at('https://example.com/a.png'))])).toThrow(/send the data itself/);
    const odd: Part = { kind: 'media', mediaType: 'model/stl', source: { kind: 'base64', data: 'AAAA' } };
    expect(() => messages([user(odd)])).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  test('of one role become one, cache points stand behind their text, and blank texts nowhere', () => {
    expect(
      messages([
        say('a'),
        user({ kind: 'text', text: 'b', isCached: true }),
        assistant({ kind: 'refusal', text: 'No.' }),
        say(' \n'),
      ]),
    ).toEqual([
      { role: 'user', content: [{ text: 'a' }, { text: 'b' }, { cachePoint: { type: 'default' } }] },
      { role: 'assistant', content: [{ text: 'No.' }] },
    ]);
    expect(() => messages([say(' ')])).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  const call: Part = { kind: 'tool-call', id: 'fc.1/2', name: 'get_weather', arguments: '{"city":"Oslo"}' };
  const result = (isError: boolean, ...parts: readonly Part[]): Part => ({
    kind: 'tool-result',
    callId: 'fc.1/2',
    name: undefined,
    parts: parts as never,
    isError,
  });

  test('hold calls and results, under ids that may be', () => {
    const written = messages([assistant(call), user(result(true, { kind: 'text', text: 'cold' }, png), result(false))], {
      tools: [weatherTool],
    });
    const toolUseId = expect.stringMatching(/^call_[A-Za-z0-9_-]{32}$/);
    const image = { image: { format: 'png', source: { bytes: 'AAAA' } } };
    expect(written).toEqual([
      { role: 'assistant', content: [{ toolUse: { toolUseId, name: 'get_weather', input: { city: 'Oslo' } } }] },
      {
        role: 'user',
        content: [
          { toolResult: { toolUseId, content: [{ text: 'cold' }, image], status: 'error' } },
          { toolResult: { toolUseId, content: [{ text: '(empty)' }] } },
        ],
      },
    ]);
    expect(
      JSON.stringify(written)
        .match(/call_[A-Za-z0-9_-]{32}/g)
        ?.every((id, _, ids) => id === ids[0]),
    ).toBe(true);
    const odd: Part = { kind: 'tool-call', id: 'c1', name: 'f', arguments: 'null' };
    expect(messages([assistant(odd)], { tools: [weatherTool] })).toEqual([
      { role: 'assistant', content: [{ toolUse: { toolUseId: 'c1', name: 'f', input: { unreadable: 'null' } } }] },
    ]);
  });

  test('keep the digits of long numbers in arguments', () => {
    const long: Part = { kind: 'tool-call', id: 'c1', name: 'f', arguments: '{"id":12345678901234567890}' };
    expect(JSON.stringify(messages([assistant(long)], { tools: [weatherTool] }))).toContain('{"id":12345678901234567890}');
  });

  test('tell of calls in words where no tools are to be called', () => {
    const given = [assistant(call), user(result(false, { kind: 'text', text: 'cold' }, png))];
    const told = [
      { role: 'assistant', content: [{ text: 'Called get_weather with {"city":"Oslo"}' }] },
      { role: 'user', content: [{ text: 'It answered: cold' }, { image: { format: 'png', source: { bytes: 'AAAA' } } }] },
    ];
    expect(messages(given)).toEqual(told);
    const none = write({ messages: given, tools: [weatherTool], toolChoice: { kind: 'none' } });
    expect(none).toEqual({ messages: told });
  });

  test('hold thoughts that are signed or hidden, and no others', () => {
    const parts: Part[] = [
      { kind: 'reasoning', text: 'hm', signature: 'ErUB' },
      { kind: 'reasoning', text: '', redacted: 'AAAA' },
      { kind: 'reasoning', text: 'unsigned' },
      { kind: 'reasoning', text: 'of another', signature: 'gemini.AAAA' },
      { kind: 'reasoning', text: '', redacted: 'not base64!' },
    ];
    expect(messages([assistant(...parts)])).toEqual([
      {
        role: 'assistant',
        content: [
          { reasoningContent: { reasoningText: { text: 'hm', signature: 'ErUB' } } },
          { reasoningContent: { redactedContent: 'AAAA' } },
        ],
      },
    ]);
  });
});
