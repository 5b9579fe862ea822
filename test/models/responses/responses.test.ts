import { describe, expect, test } from 'vitest';
import { chatClient, chatProvider } from '../../../src/models/chat/chat.ts';
import { ReplyError } from '../../../src/models/dialect.ts';
import { responsesClient, responsesProvider } from '../../../src/models/responses/responses.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { emptyPrompt } from '../../support/prompts.ts';
import { goldenFacts } from '../golden.ts';

function readAll(...events: readonly JsonObject[]) {
  const reader = responsesProvider.streamReader();
  return events.flatMap((event) => reader.read(String(event.type), JSON.stringify(event))).filter(({ kind }) => kind !== 'start');
}

const textDelta = (item: number, delta: string, place = 0) => ({
  type: 'response.output_text.delta',
  output_index: item,
  content_index: place,
  delta,
});

describe('streams', () => {
  test('a text that comes without deltas is read when it is done', () => {
    const done = { type: 'response.output_text.done', output_index: 0, content_index: 0, text: 'Hi' };
    expect(readAll(done)).toEqual([
      { kind: 'open', index: 0, part: 'text' },
      { kind: 'delta', index: 0, text: 'Hi' },
    ]);
    expect(readAll(textDelta(0, 'Hi'), done)).toHaveLength(2);
  });

  test('a piece of a part that another has followed is an error, one that goes on is not', () => {
    expect(() => readAll(textDelta(0, 'a'), textDelta(1, 'b'), textDelta(0, 'c'))).toThrow(ReplyError);
    expect(readAll(textDelta(0, 'a'), textDelta(1, 'b'), textDelta(1, 'c'))).toHaveLength(6);
    expect(() => readAll({ type: 'response.function_call_arguments.delta', output_index: 0, delta: '{' })).toThrow(ReplyError);
  });

  test('thoughts that are shown themselves, and sealed ones that say nothing', () => {
    const item = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'sealed' };
    expect(readAll({ type: 'response.output_item.done', output_index: 0, item })).toEqual([
      { kind: 'open', index: 0, part: 'reasoning' },
      { kind: 'redacted', index: 0, data: 'sealed' },
      { kind: 'close', index: 0 },
    ]);
    const shown = { type: 'response.reasoning_text.delta', output_index: 0, content_index: 0, delta: 'hm' };
    expect(readAll(shown)).toMatchObject([{ part: 'reasoning' }, { text: 'hm' }]);
  });

  test('tools that run at the provider pass by', () => {
    const search = { type: 'web_search_call', id: 'ws_1', status: 'completed' };
    expect(
      readAll(
        { type: 'response.output_item.added', output_index: 0, item: search },
        { type: 'response.web_search_call.searching', output_index: 0, item_id: 'ws_1' },
        { type: 'response.output_item.done', output_index: 0, item: search },
        textDelta(1, 'x'),
      ),
    ).toHaveLength(2);
  });

  test.each([
    [
      { type: 'response.failed', response: { status: 'failed', error: { code: 'rate_limit_exceeded', message: 'Slow' } } },
      'rate-limited',
      429,
    ],
    [{ type: 'response.failed', response: { status: 'failed', error: { code: 'server_error', message: 'Oh' } } }, 'failed', 500],
    [{ type: 'error', code: 'context_length_exceeded', message: 'Too long', param: null }, 'too-long', 400],
    [{ type: 'error', error: { type: 'invalid_request_error', code: 'model_not_found', message: 'No' } }, 'not-found', 404],
  ])('%j is a failure, and nothing is complete', (event, kind, status) => {
    const reader = responsesProvider.streamReader();
    expect(reader.read(event.type, JSON.stringify(event))).toMatchObject([{ kind: 'failed', failure: { kind, status } }]);
    expect(reader.isComplete).toBe(false);
  });

  test('a response that failed as a whole is no answer', () => {
    expect(() => responsesProvider.readReply({ status: 'failed', output: [], error: { code: 'server_error' } })).toThrow(
      /server_error/,
    );
  });
});

describe('requests', () => {
  const prompt = { ...emptyPrompt, messages: [{ role: 'user' as const, parts: [{ kind: 'text' as const, text: 'x' }] }] };

  test('stop sequences cannot be said here, everything else can', () => {
    expect(() => responsesProvider.writePrompt({ ...prompt, stop: ['a'] }, 'm')).toThrow(/`stop`/);
    expect(responsesProvider.writePrompt({ ...prompt, seed: 1, topK: 3 }, 'm')).toMatchObject({ model: 'm', store: false });
  });

  test('sealed thoughts are asked for where thinking is, and shown where the client wants to read them', () => {
    const asked = (reasoning: typeof emptyPrompt.reasoning) => responsesProvider.writePrompt({ ...prompt, reasoning }, 'm');
    expect(asked(undefined)).not.toHaveProperty('include');
    expect(asked({ effort: 'none', budgetTokens: undefined })).not.toHaveProperty('include');
    expect(asked({ effort: 'low', budgetTokens: undefined })).toMatchObject({
      reasoning: { effort: 'low' },
      include: ['reasoning.encrypted_content'],
    });
    expect(asked({ effort: undefined, budgetTokens: 1_000 })).toMatchObject({ reasoning: { effort: 'low', summary: 'auto' } });
    expect(asked({ effort: 'high', budgetTokens: undefined, isShown: true })).toMatchObject({ reasoning: { summary: 'auto' } });
  });

  test('what other dialects leave open is not strict', () => {
    const tool = { name: 'f', description: undefined, schema: { type: 'object' }, isStrict: undefined };
    expect(responsesProvider.writePrompt({ ...prompt, tools: [tool] }, 'm')).toMatchObject({
      tools: [{ name: 'f', strict: false }],
    });
    expect(responsesProvider.writePrompt({ ...prompt, tools: [{ ...tool, isStrict: true }] }, 'm')).toMatchObject({
      tools: [{ strict: true }],
    });
  });

  test('a turn of Chat Completions with thoughts and calls is the same turn here, and comes back', () => {
    const request = {
      model: 'm',
      messages: [
        { role: 'user', content: 'x' },
        {
          role: 'assistant',
          content: null,
          reasoning_details: [
            { type: 'reasoning.encrypted', data: 'gAAAAsealed' },
            { type: 'reasoning.text', text: 'of another maker', signature: 'ErUB' },
            { type: 'reasoning.encrypted', data: 'EmwK' },
          ],
          tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'call_1', content: 'y' },
      ],
    };
    const written = responsesProvider.writePrompt(chatClient.readPrompt(request), 'm');
    expect(written.input).toEqual([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'x' }] },
      { type: 'reasoning', summary: [], encrypted_content: 'gAAAAsealed' },
      { type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'call_1', output: 'y' },
    ]);
    const back = chatProvider.writePrompt(responsesClient.readPrompt(written), 'm');
    expect(back.messages).toMatchObject([
      { role: 'user' },
      { role: 'assistant', tool_calls: [{ id: 'call_1' }] },
      { role: 'tool', content: 'y' },
    ]);
  });

  test('a thought that is signed but says nothing stays signed, and is not taken for a sealed one', () => {
    const part = { kind: 'reasoning', text: '', signature: 's' } as const;
    const reply = {
      id: 'x',
      model: 'm',
      parts: [part],
      finish: 'stop',
      usage: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
    } as const;
    expect(responsesProvider.readReply(responsesClient.writeReply(reply, goldenFacts)).parts).toEqual([part]);
  });
});

describe('texts', () => {
  const item = {
    type: 'message',
    content: [
      { type: 'output_text', text: 'words', logprobs: [{ token: 'words' }] },
      { type: 'refusal', refusal: 'no' },
    ],
  };
  const thought = {
    type: 'reasoning',
    summary: [{ type: 'summary_text', text: 'hm' }],
    content: [{ type: 'reasoning_text', text: 'raw' }],
  };
  const call = { type: 'function_call', name: 'f', arguments: '{"a":1}' };

  test('of a whole response', () => {
    const body = structuredClone({ instructions: 'mine', output: [thought, item, call] });
    const slots = responsesClient.textsOf(body);
    expect(slots.map(({ channel, text }) => [channel, text])).toEqual([
      ['response 0/summary/0', 'hm'],
      ['response 0/0', 'raw'],
      ['response 1/0', 'words'],
      ['response 1/1', 'no'],
      ['response 2', '{"a":1}'],
    ]);
    for (const slot of slots) slot.replace('-');
    expect(JSON.stringify(body)).not.toMatch(/words|hm|raw|"no"/);
    expect(body.instructions).toBe('mine');
  });

  test('of events: deltas of a part are one channel, and what repeats them stands alone', () => {
    const events: readonly JsonObject[] = [
      textDelta(0, 'a'),
      textDelta(0, 'b'),
      textDelta(0, 'c', 1),
      { type: 'response.reasoning_summary_text.delta', output_index: 1, summary_index: 2, delta: 'd' },
      { type: 'response.function_call_arguments.delta', output_index: 2, delta: 'e' },
      { type: 'response.mcp_call_arguments.delta', output_index: 2, delta: 'f' },
      { type: 'response.audio.delta', delta: 'AAAA' },
      { type: 'response.output_text.done', output_index: 0, content_index: 0, text: 'ab' },
      { type: 'response.content_part.done', output_index: 0, content_index: 0, part: { type: 'output_text', text: 'ab' } },
      {
        type: 'response.output_item.done',
        output_index: 0,
        item: { type: 'message', content: [{ type: 'output_text', text: 'ab' }] },
      },
      { type: 'response.completed', response: { output: [{ type: 'message', content: [{ type: 'output_text', text: 'ab' }] }] } },
      { type: 'response.created', response: { output: [], instructions: 'mine' } },
    ];
    expect(events.flatMap((event) => responsesClient.textsOf(event)).map(({ channel, text }) => [channel, text])).toEqual([
      ['output_text 0/0', 'a'],
      ['output_text 0/0', 'b'],
      ['output_text 0/1', 'c'],
      ['reasoning_summary_text 1/2', 'd'],
      ['function_call_arguments 2/0', 'e'],
      ['mcp_call_arguments 2/0', 'f'],
      ['response.output_text.done 0/0', 'ab'],
      ['response.content_part.done 0/0', 'ab'],
      ['response.output_item.done 0/0/0', 'ab'],
      ['response.completed 0/0', 'ab'],
    ]);
  });
});
