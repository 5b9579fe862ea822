import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { ReplyError } from '../../src/models/dialect.ts';
import { clientDialects, providerDialects } from '../../src/models/dialects.ts';
import type { Json, JsonObject } from '../../src/wire/json.ts';

const numRuns = process.env.TEST_LONG === undefined ? 150 : 5_000;
const timeoutMs = 120_000;

const chatBody = { model: 'm', messages: [{ role: 'user', content: 'x' }] };
const responsesBody = { model: 'm', input: 'x' };
const completionsBody = { model: 'm', prompt: 'x' };

describe('a body that is no request names the member that is wrong', () => {
  const user = (content: Json) => ({ messages: [{ role: 'user', content }] });
  test.each<readonly ['chat' | 'responses' | 'completions', JsonObject, string]>([
    ['chat', { model: 7 }, 'model'],
    ['chat', { model: null }, 'model'],
    ['chat', { messages: {} }, 'messages'],
    ['chat', { messages: [] }, 'messages'],
    ['chat', { messages: ['hi'] }, 'messages[0]'],
    ['chat', { messages: [{ role: 'constructor', content: 'x' }] }, 'messages[0].role'],
    ['chat', { messages: [{ role: 'function', name: 'f', content: 'x' }] }, 'messages[0].role'],
    ['chat', { messages: [{ role: 'user' }] }, 'messages[0].content'],
    ['chat', user(7), 'messages[0].content'],
    ['chat', user([{ type: 'text', text: {} }]), 'messages[0].content[0].text'],
    ['chat', user([{ type: '__proto__' }]), 'messages[0].content[0].type'],
    ['chat', user([{ type: 'image_url', image_url: 'https://x' }]), 'messages[0].content[0].image_url'],
    ['chat', user([{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }]), 'messages[0].content[0].image_url.url'],
    ['chat', user([{ type: 'image_url', image_url: { url: 'data:image/png,raw' } }]), 'messages[0].content[0].image_url.url'],
    [
      'chat',
      user([{ type: 'input_audio', input_audio: { data: 'x', format: 'flac' } }]),
      'messages[0].content[0].input_audio.format',
    ],
    ['chat', user([{ type: 'file', file: { file_id: 'file-1' } }]), 'messages[0].content[0].file.file_id'],
    ['chat', { messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
    [
      'chat',
      { messages: [{ role: 'assistant', tool_calls: [{ id: 'a', function: {} }] }] },
      'messages[0].tool_calls[0].function.name',
    ],
    ['chat', { messages: [{ role: 'assistant', tool_calls: [{ id: 'a', type: 'custom' }] }] }, 'messages[0].tool_calls[0].type'],
    ['chat', { messages: [{ role: 'assistant', audio: { id: 'a' } }] }, 'messages[0].audio'],
    ['chat', { tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'tools[0].type'],
    ['chat', { tools: [{ type: 'function', function: { name: 'x', parameters: 'y' } }] }, 'tools[0].function.parameters'],
    ['chat', { tool_choice: 'any' }, 'tool_choice'],
    ['chat', { tool_choice: { type: 'function' } }, 'tool_choice.function'],
    ['chat', { n: 2 }, 'n'],
    ['chat', { max_tokens: 0 }, 'max_tokens'],
    ['chat', { max_completion_tokens: 1.5 }, 'max_completion_tokens'],
    ['chat', { temperature: '1' }, 'temperature'],
    ['chat', { temperature: Number.POSITIVE_INFINITY }, 'temperature'],
    ['chat', { stop: [1] }, 'stop'],
    ['chat', { stream: 'yes' }, 'stream'],
    ['chat', { reasoning_effort: 'toString' }, 'reasoning_effort'],
    ['chat', { response_format: { type: 'xml' } }, 'response_format.type'],
    ['chat', { response_format: { type: 'json_schema', json_schema: {} } }, 'response_format.json_schema.name'],
    ['chat', { modalities: ['text', 'audio'] }, 'modalities'],
    ['chat', { functions: [] }, 'functions'],
    ['chat', { web_search_options: {} }, 'web_search_options'],
    ['responses', { input: undefined as unknown as Json }, 'input'],
    ['responses', { input: [] }, 'input'],
    ['responses', { previous_response_id: 'resp_1' }, 'previous_response_id'],
    ['responses', { conversation: { id: 'conv_1' } }, 'conversation'],
    ['responses', { prompt: { id: 'pmpt_1' } }, 'prompt'],
    ['responses', { background: true }, 'background'],
    ['responses', { tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    ['responses', { tool_choice: { type: 'mcp', server_label: 'x' } }, 'tool_choice.type'],
    ['responses', { input: [{ type: 'item_reference', id: 'msg_1' }] }, 'input[0].type'],
    ['responses', { input: [{ type: 'web_search_call', id: 'ws_1' }] }, 'input[0].type'],
    ['responses', { input: [{ role: 'tool', content: 'x' }] }, 'input[0].role'],
    ['responses', { input: [{ role: 'user' }] }, 'input[0].content'],
    ['responses', { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] }, 'input[0].content[0].file_id'],
    ['responses', { input: [{ type: 'function_call', call_id: 'a' }] }, 'input[0].name'],
    ['responses', { input: [{ type: 'function_call_output', call_id: 'a' }] }, 'input[0].output'],
    ['responses', { text: { format: { type: 'grammar' } } }, 'text.format.type'],
    ['responses', { reasoning: { effort: 'enormous' } }, 'reasoning.effort'],
    ['completions', { prompt: [1, 2] }, 'prompt'],
    ['completions', { prompt: [[1], [2]] }, 'prompt'],
    ['completions', { prompt: ['a', 'b'] }, 'prompt'],
    ['completions', { prompt: null }, 'prompt'],
    ['completions', { echo: true }, 'echo'],
    ['completions', { suffix: 'end' }, 'suffix'],
    ['completions', { best_of: 3 }, 'best_of'],
  ])('%s %j', (name, members, param) => {
    const base = { chat: chatBody, responses: responsesBody, completions: completionsBody }[name];
    const dialect = clientDialects.get(name)!;
    expect(dialect.readPrompt({ ...base }).model).toBe('m');
    const refused = refusalOf(() => dialect.readPrompt({ ...base, ...members }));
    expect(refused).toMatchObject({ code: 'invalid_request', message: expect.stringContaining(`\`${param}\``) });
    expect(dialect.writeError(refused)).toMatchObject({ status: 400, body: { error: { param, type: 'invalid_request_error' } } });
  });
});

function refusalOf(run: () => unknown): GatewayError {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** Names that stand in requests and answers, and those that stand on every object. */
const key = fc.constantFrom(
  ...[
    'model',
    'messages',
    'input',
    'prompt',
    'role',
    'content',
    'type',
    'text',
    'output',
    'choices',
    'message',
    'delta',
    'tool_calls',
  ],
  ...[
    'function',
    'name',
    'arguments',
    'usage',
    'error',
    'item',
    'response',
    'part',
    'summary',
    'output_index',
    'index',
    'id',
    'call_id',
  ],
  ...['__proto__', 'constructor', 'toString', 'tools', 'tool_choice', 'reasoning', 'stop', 'finish_reason', 'refusal', 'stream'],
);
const word = fc.constantFrom(
  ...[
    'user',
    'assistant',
    'tool',
    'message',
    'function',
    'function_call',
    'reasoning',
    'input_text',
    'output_text',
    'allowed_tools',
  ],
  ...['response.output_text.delta', 'response.output_item.added', 'response.completed', 'error', 'x', '', 'constructor'],
);
const { tree } = fc.letrec<{ tree: Json; object: Json; list: Json }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    word,
    fc.constantFrom(null, true, 0, -1, 1e300),
    tie('object'),
    tie('list'),
  ),
  object: fc
    .array(fc.tuple(key, tie('tree')), { maxLength: 4 })
    .map((members) =>
      JSON.parse(`{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`),
    ),
  list: fc.array(tie('tree'), { maxLength: 3 }),
}));
const anyObject = fc
  .array(fc.tuple(key, tree), { maxLength: 5 })
  .map(
    (members): JsonObject =>
      JSON.parse(`{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`),
  );

describe.each(['chat', 'responses', 'completions'] as const)('%s, whatever comes', (name) => {
  const client = clientDialects.get(name)!;
  const provider = providerDialects.get(name)!;

  test(
    'a request is read or refused, and nothing else happens',
    () => {
      fc.assert(
        fc.property(anyObject, (body) => {
          const base = { chat: chatBody, responses: responsesBody, completions: completionsBody }[name];
          for (const request of [body, { ...base, ...body }]) {
            try {
              client.readPrompt(request);
            } catch (error) {
              expect(error).toMatchObject({ code: 'invalid_request' });
            }
          }
        }),
        { numRuns },
      );
      expect(Object.keys(Object.prototype)).toEqual([]);
    },
    timeoutMs,
  );

  test(
    'an answer, a stream and an error are read or are a ReplyError',
    () => {
      fc.assert(
        fc.property(fc.array(anyObject, { maxLength: 4 }), fc.integer({ min: 100, max: 599 }), (documents, status) => {
          const reader = provider.streamReader();
          for (const document of documents) {
            expectReplyError(() => provider.readReply(document));
            expectReplyError(() => reader.read('message', JSON.stringify(document)));
            expect(provider.readFailure(status, document).message).toEqual(expect.any(String));
            const usage = provider.usageOf(document);
            if (usage !== undefined)
              for (const tokens of Object.values(usage)) expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true);
            for (const slot of client.textsOf(document)) slot.replace('gone');
            expect(client.textsOf(document).every(({ text }) => text === 'gone')).toBe(true);
          }
          for (const data of ['', 'null', '[1]', '{', '"x"'])
            expect(() => reader.read('message', data)).toThrow(reader.isComplete ? '' : ReplyError);
        }),
        { numRuns },
      );
    },
    timeoutMs,
  );

  test('a body that is nested without end is not followed', () => {
    let deep: Json = 'x';
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    const base = { chat: chatBody, responses: responsesBody, completions: completionsBody }[name];
    expect(client.readPrompt({ ...base, metadata: { deep }, tools: [] }).model).toBe('m');
  });
});

function expectReplyError(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ReplyError);
  }
}
