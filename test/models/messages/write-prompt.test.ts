import { expect, test } from 'vitest';
import { messagesClient, messagesProvider } from '../../../src/models/messages/messages.ts';
import type { Message, OfferedTool, Part, Prompt } from '../../../src/models/prompt.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { emptyPrompt } from '../../support/prompts.ts';
import { asked } from './messages-fixtures.ts';

const write = (prompt: Partial<Prompt>, model = 'claude-opus-5-5') =>
  messagesProvider.writePrompt({ ...asked('hello'), ...prompt }, model);
const says = (role: Message['role'], ...parts: readonly (string | Part)[]): Message => ({
  role,
  parts: parts.map((part) => (typeof part === 'string' ? { kind: 'text', text: part } : part)),
});
const call = (id: string, text = '{}'): Part => ({ kind: 'tool-call', id, name: 'look', arguments: text });
const result = (callId: string, text: string): Part => ({
  kind: 'tool-result',
  callId,
  name: undefined,
  parts: [{ kind: 'text', text }],
  isError: false,
});
const tool: OfferedTool = { name: 'look', description: undefined, schema: {}, isStrict: true };
const refusal = (message: RegExp) =>
  expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(message) });

test('max_tokens is always there: as asked, else what the model can write at least', () => {
  expect(write({ maxTokens: 5 })).toMatchObject({ max_tokens: 5 });
  expect(write({}, 'claude-3-haiku-20240307')).toMatchObject({ max_tokens: 4096 });
  expect(write({}, 'claude-sonnet-4-20250514')).toMatchObject({ max_tokens: 16_384 });
  expect(write({}, 'claude-mythos-preview')).toMatchObject({ max_tokens: 32_000 });
  expect(write({}, 'some-other-model')).toMatchObject({ max_tokens: 4096 });
});

test('messages of one role are one turn, empty text is none, results of tools stand first, the user begins', () => {
  const messages = [
    says('assistant', 'Welcome.', '  '),
    says('user', ''),
    says('assistant', call('a')),
    says('user', 'also'),
    says('user', result('a', 'seen'), ' \n'),
  ];
  expect(write({ messages }).messages).toEqual([
    { role: 'user', content: [{ type: 'text', text: '(The conversation starts.)' }] },
    {
      role: 'assistant',
      content: [
        { type: 'text', text: 'Welcome.' },
        { type: 'tool_use', id: 'a', name: 'look', input: {} },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: 'seen' }] },
        { type: 'text', text: 'also' },
      ],
    },
  ]);
});

test('an answer to go on with does not end in white space', () => {
  expect(write({ messages: [says('user', 'go on'), says('assistant', 'The answer is ')] }).messages).toMatchObject([
    { role: 'user' },
    { role: 'assistant', content: [{ text: 'The answer is' }] },
  ]);
});

test('instructions alone are asked as a message; nothing at all is refused', () => {
  const system = [{ kind: 'text', text: 'Say hello.' }] as const;
  expect(write({ system, messages: [] })).toMatchObject({ messages: [{ role: 'user', content: [{ text: 'Say hello.' }] }] });
  expect(write({ system, messages: [] }).system).toBeUndefined();
  expect(() => write({ messages: [says('user', ' ')] })).toThrow(refusal(/nothing to answer/));
});

test('ids of tool calls are made legal and single, and results follow them', () => {
  const messages = [
    says('user', 'go'),
    says('assistant', call('functions.look:0'), call('call_0')),
    says('user', result('functions.look:0', '1'), result('call_0', '2')),
    says('assistant', call('call_0'), call('')),
    says('user', result('call_0', '3'), result('', '4')),
  ];
  const blocks = JSON.stringify(write({ messages }).messages);
  const ids = [...blocks.matchAll(/"type":"tool_use","id":"([^"]*)"/g)].map(([, id]) => id);
  const results = [...blocks.matchAll(/"tool_use_id":"([^"]*)"/g)].map(([, id]) => id);
  expect(results).toEqual(ids);
  expect(new Set(ids).size).toBe(4);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{1,128}$/);
  expect(ids[1]).toBe('call_0');
});

test('arguments that are no object are told as they are', () => {
  const messages = [says('user', 'go'), says('assistant', call('a', '{"half'), call('b', '[1]'), call('c', ' '))];
  expect(write({ messages }).messages).toMatchObject([
    {},
    { content: [{ input: { arguments: '{"half' } }, { input: { arguments: '[1]' } }, { input: {} }] },
  ]);
});

test('reasoning is returned where it is signed, and left out where nobody signed it', () => {
  const reasoning = (more: object): Part => ({ kind: 'reasoning', text: 'hm', ...more });
  const messages = [
    says('user', 'go'),
    says(
      'assistant',
      reasoning({}),
      reasoning({ signature: 's' }),
      reasoning({ redacted: 'r' }),
      reasoning({ signature: 'gemini.s' }),
      reasoning({ signature: 'gAAAAs' }),
      reasoning({ redacted: 'gAAAAr' }),
    ),
  ];
  expect(write({ messages }).messages).toMatchObject([
    {},
    {
      content: [
        { type: 'thinking', thinking: 'hm', signature: 's' },
        { type: 'redacted_thinking', data: 'r' },
      ],
    },
  ]);
});

test('media goes as images, documents and text; what Anthropic cannot read is refused', () => {
  const media = (mediaType: string, data = 'aGk=', name?: string): Part => ({
    kind: 'media',
    mediaType,
    source: { kind: 'base64', data },
    name,
  });
  const url = (mediaType: string): Part => ({ kind: 'media', mediaType, source: { kind: 'url', url: 'https://example.test/x' } });
  const parts = [media('image/jpg'), media('text/csv', 'YSxi', 'table'), url('image/*'), url('application/pdf')];
  expect(write({ messages: [says('user', ...parts)] }).messages).toMatchObject([
    {
      content: [
        { type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: 'aGk=' } },
        { type: 'document', title: 'table', source: { type: 'text', media_type: 'text/plain', data: 'a,b' } },
        { type: 'image', source: { type: 'url', url: 'https://example.test/x' } },
        { type: 'document', source: { type: 'url', url: 'https://example.test/x' } },
      ],
    },
  ]);
  for (const part of [media('audio/wav'), media('image/svg+xml'), media('constructor'), url('audio/mpeg')])
    expect(() => write({ messages: [says('user', part)] })).toThrow(refusal(/takes images/));
});

test.each([
  [{ kind: 'auto' }, undefined, { type: 'auto' }],
  [undefined, false, { type: 'auto', disable_parallel_tool_use: true }],
  [{ kind: 'required' }, true, { type: 'any', disable_parallel_tool_use: false }],
  [{ kind: 'tool', name: 'look' }, undefined, { type: 'tool', name: 'look' }],
  [{ kind: 'none' }, false, { type: 'none' }],
  [undefined, undefined, undefined],
] as const)('the choice %j with parallel %j is %j', (toolChoice, parallelTools, written) => {
  expect(write({ tools: [tool], toolChoice, parallelTools }).tool_choice).toEqual(written);
  expect(write({ toolChoice, parallelTools }).tool_choice).toBeUndefined();
});

test('a schema is taken as output_config where the model has it, closed and without what is refused, else asked for in words', () => {
  const schema = {
    type: 'object',
    properties: {
      n: { type: 'integer', minimum: 1, description: 'How many' },
      list: { type: 'array', minItems: 3, items: { oneOf: [{ type: 'object', properties: {} }, { type: 'null' }] } },
    },
    required: ['n'],
  };
  const format = { kind: 'schema', name: 'x', description: undefined, schema, isStrict: true } as const;
  expect(write({ format }).output_config).toEqual({
    format: {
      type: 'json_schema',
      schema: {
        type: 'object',
        properties: {
          n: { type: 'integer', description: 'How many (minimum: 1)' },
          list: {
            type: 'array',
            items: { anyOf: [{ type: 'object', properties: {}, additionalProperties: false }, { type: 'null' }] },
            description: '(minItems: 3)',
          },
        },
        required: ['n'],
        additionalProperties: false,
      },
    },
  });
  const old = write({ format, tools: [tool] }, 'claude-opus-4-1');
  expect(old.output_config).toBeUndefined();
  expect(JSON.stringify(old.system)).toContain('minimum');
  expect(old.tools).toEqual([{ name: 'look', input_schema: { type: 'object' } }]);
  expect(JSON.stringify(write({ format: { kind: 'json' } }).system)).toContain('one JSON object');
});

test('a schema of members with any name is asked for in words, one of members with names is not', () => {
  const dictionary = { type: 'object', additionalProperties: { type: 'number' } };
  const asked = (schema: JsonObject) =>
    write({ format: { kind: 'schema', name: 'x', description: undefined, schema, isStrict: undefined } });
  for (const schema of [
    dictionary,
    { type: 'object', properties: { a: dictionary } },
    { type: 'array', items: { anyOf: [dictionary] } },
  ]) {
    expect(asked(schema).output_config).toBeUndefined();
    expect(JSON.stringify(asked(schema).system)).toContain('additionalProperties');
  }
  expect(asked({ type: 'object', properties: { additionalProperties: { type: 'string' } } })).toHaveProperty('output_config');
});

test('a schema that never ends is refused', () => {
  let schema = {};
  for (let depth = 0; depth < 5000; depth++) schema = { type: 'array', items: schema };
  const format = { kind: 'schema', name: 'x', description: undefined, schema, isStrict: true } as const;
  expect(() => write({ format })).toThrow(refusal(/nested/));
});

test.each([
  ['claude-opus-5-5', 'high', { thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'high' } }],
  ['claude-opus-4-6', 'minimal', { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } }],
  [
    'claude-opus-4-5-20251101',
    'medium',
    { thinking: { type: 'enabled', budget_tokens: 8192 }, output_config: { effort: 'medium' } },
  ],
  ['claude-3-7-sonnet-20250219', 'high', { thinking: { type: 'enabled', budget_tokens: 13_107 } }],
  ['claude-3-5-haiku-20241022', 'high', {}],
  ['anthropic/claude-opus-4.5', 'low', { thinking: { type: 'enabled', budget_tokens: 2048 }, output_config: { effort: 'low' } }],
  ['claude-opus-4-8', 'xhigh', { thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'xhigh' } }],
  ['claude-opus-4-6', 'xhigh', { thinking: { type: 'adaptive' }, output_config: { effort: 'high' } }],
  ['claude-opus-4-6', 'max', { thinking: { type: 'adaptive' }, output_config: { effort: 'max' } }],
  ['claude-opus-4-10', 'low', { thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'low' } }],
  ['claude-sonnet-4@20250514', 'low', { thinking: { type: 'enabled', budget_tokens: 2048 } }],
  ['claude-2.1', 'low', {}],
  ['claude-opus-5', 'none', { output_config: { effort: 'low' } }],
  ['claude-sonnet-4-6', 'none', {}],
] as const)('%s asked for reasoning "%s" is asked for %j', (model, effort, written) => {
  const { thinking, output_config } = write({ reasoning: { effort, budgetTokens: undefined } }, model);
  expect({ ...(thinking && { thinking }), ...(output_config && { output_config }) }).toEqual(written);
});

test.each(['low', 'xhigh', 'max'])(
  'the effort %s of a client is the same at the provider, and so is whether thoughts are shown',
  (effort) => {
    const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }], output_config: { effort } };
    for (const display of ['summarized', 'omitted']) {
      const prompt = messagesClient.readPrompt({ ...body, thinking: { type: 'adaptive', display } });
      const shown = display === 'omitted' ? {} : { display };
      expect(write(prompt)).toMatchObject({ thinking: { type: 'adaptive', ...shown }, output_config: { effort } });
      expect('display' in Object(write(prompt).thinking)).toBe(display !== 'omitted');
    }
  },
);

test('thinking gives way to what excludes it: a forced tool, a short answer, a tool turn that began without it', () => {
  const reasoning = { effort: undefined, budgetTokens: 4000 };
  const thinks = (prompt: Partial<Prompt>) => 'thinking' in write({ reasoning, ...prompt }, 'claude-sonnet-4-5');
  const turn = (...parts: readonly Part[]) => [says('user', 'go'), says('assistant', ...parts), says('user', result('a', 'x'))];
  expect(thinks({})).toBe(true);
  expect(thinks({ tools: [tool], toolChoice: { kind: 'required' } })).toBe(false);
  expect(thinks({ maxTokens: 1000 })).toBe(false);
  expect(thinks({ messages: turn(call('a')) })).toBe(false);
  expect(thinks({ messages: turn({ kind: 'reasoning', text: '', signature: 's' }, call('a')) })).toBe(true);
});

test('sampling is said where the model takes it, and within its bounds', () => {
  const sampling = { temperature: 1.7, topP: 0.5, topK: 3 };
  expect(write(sampling, 'claude-3-5-sonnet-20241022')).toMatchObject({ temperature: 1, top_p: 0.5, top_k: 3 });
  const newer = write(sampling, 'anthropic.claude-sonnet-4-5-20250929-v1:0');
  expect(newer).toMatchObject({ temperature: 1, top_k: 3 });
  expect(newer).not.toHaveProperty('top_p');
  expect(write({ topP: 0.5 }, 'claude-sonnet-4-5')).toMatchObject({ top_p: 0.5 });
  for (const name of ['temperature', 'top_p', 'top_k']) expect(write(sampling, 'claude-opus-4-7')).not.toHaveProperty(name);
});

test('a signature of a tool call survives a client that knows nothing of it', () => {
  const signed = { kind: 'tool-call', id: 'a', name: 'look', arguments: '{}', signature: 'sig==' } as const;
  const facts = { model: 'm', id: '1', createdAtMs: 0, streamsUsage: false, prompt: emptyPrompt };
  const usage = { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
  const { content = [] } = messagesClient.writeReply({ id: '', model: '', parts: [signed], finish: 'tool-calls', usage }, facts);
  const back = messagesClient.readPrompt({
    model: 'm',
    messages: [
      { role: 'user', content: 'go' },
      { role: 'assistant', content },
    ],
  });
  expect(back.messages[1]?.parts).toEqual([signed]);
});
