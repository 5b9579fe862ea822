import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClientDialectName } from '../../../src/models/dialect.ts';
import { fitItems, refuseHeld } from '../../../src/upstreams/model/held-ids.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { ask, openModel } from './calling.ts';
import { chatReply, type FarEnd, json, startFarEnd } from './far-end.ts';

// What lies under the account of a provider belongs to somebody, and its id does not say to whom.

const check = (dialect: ClientDialectName, body: JsonObject, allowed: readonly string[] = []) =>
  refuseHeld(body, dialect, allowed, 'models/fast');
const user = (...content: JsonObject[]): JsonObject => ({ messages: [{ role: 'user', content }] });
const input = (...items: JsonObject[]): JsonObject => ({ input: items });
const fileOf = (...content: JsonObject[]): JsonObject => input({ role: 'user', content });

test.each<[ClientDialectName, string, string, JsonObject]>([
  ['chat', 'file:file-1', 'messages[0].content[0].file.file_id', user({ type: 'file', file: { file_id: 'file-1' } })],
  ['chat', 'audio:audio_1', 'messages[0].audio', { messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] }],
  ['chat', 'audio:voice_1', 'audio.voice', { audio: { voice: { id: 'voice_1' }, format: 'wav' } }],
  ['chat', 'response:resp_1', 'previous_response_id', { previous_response_id: 'resp_1' }],
  [
    'chat',
    'cached_content:cachedContents/1',
    'extra_body.google.cached_content',
    { extra_body: { google: { cached_content: 'cachedContents/1' } } },
  ],
  ['chat', 'file:gs://b/x', 'messages[0].content[0].image_url.url', user({ type: 'image_url', image_url: { url: 'gs://b/x' } })],
  ['responses', 'conversation:conv_1', 'conversation', { conversation: 'conv_1' }],
  ['responses', 'conversation:conv_1', 'conversation', { conversation: { id: 'conv_1' } }],
  ['responses', 'file:file-1', 'input[0].content[0].file_id', fileOf({ type: 'input_file', file_id: 'file-1' })],
  ['responses', 'file:file-1', 'input[0].content[0].file_id', fileOf({ type: 'input_image', file_id: 'file-1' })],
  [
    'responses',
    'file:file-1',
    'input[0].output[0].file_id',
    input({ type: 'function_call_output', call_id: 'c', output: [{ type: 'input_file', file_id: 'file-1' }] }),
  ],
  [
    'responses',
    'file:file-1',
    'prompt.variables.page.file_id',
    { prompt: { id: 'pmpt_1', variables: { page: { type: 'input_file', file_id: 'file-1' } } } },
  ],
  ['responses', 'item:msg_1', 'input[0]', input({ type: 'item_reference', id: 'msg_1' })],
  ['responses', 'item:msg_1', 'input[0]', input({ id: 'msg_1' })],
  ['responses', 'item:msg_1', 'input[0]', input({ id: 'msg_1', type: null })],
  ['responses', 'item:ig_1', 'input[0]', input({ type: 'image_generation_call', id: 'ig_1' })],
  [
    'responses',
    'vector_store:vs_1',
    'tools[0].vector_store_ids',
    { tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] },
  ],
  ['responses', 'container:cntr_1', 'tools[0].container', { tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }],
  [
    'responses',
    'file:file-1',
    'tools[0].container.file_ids',
    { tools: [{ type: 'code_interpreter', container: { type: 'auto', file_ids: ['file-1'] } }] },
  ],
  [
    'responses',
    'container:cntr_1',
    'tools[0].environment.container_id',
    { tools: [{ type: 'shell', environment: { type: 'container_reference', container_id: 'cntr_1' } }] },
  ],
  [
    'responses',
    'skill:skill_1',
    'tools[0].environment.skills[0].skill_id',
    { tools: [{ type: 'shell', environment: { skills: [{ type: 'skill_reference', skill_id: 'skill_1' }] } }] },
  ],
  [
    'responses',
    'file:file-1',
    'tools[0].input_image_mask.file_id',
    { tools: [{ type: 'image_generation', input_image_mask: { file_id: 'file-1' } }] },
  ],
  ['responses', 'tunnel:t_1', 'tools[0].tunnel_id', { tools: [{ type: 'mcp', server_label: 'x', tunnel_id: 't_1' }] }],
  [
    'responses',
    'response:resp_1',
    'prompt_cache_options.comparison_response_id',
    { prompt_cache_options: { comparison_response_id: 'resp_1' } },
  ],
  [
    'messages',
    'file:file_1',
    'messages[0].content[0].source.file_id',
    user({ type: 'document', source: { type: 'file', file_id: 'file_1' } }),
  ],
  ['messages', 'file:file_1', 'messages[0].content[0].file_id', user({ type: 'container_upload', file_id: 'file_1' })],
  ['messages', 'container:c_1', 'container', { container: 'c_1' }],
  ['messages', 'container:c_1', 'container', { container: { id: 'c_1', skills: [] } }],
  [
    'messages',
    'skill:skill_1',
    'container.skills[0].skill_id',
    { container: { skills: [{ type: 'custom', skill_id: 'skill_1', version: 'latest' }] } },
  ],
  ['messages', 'response:msg_1', 'thread.previous_message_id', { thread: { type: 'continue', previous_message_id: 'msg_1' } }],
  [
    'messages',
    'file:s3://b/x',
    'messages[0].content[0].source.url',
    user({ type: 'image', source: { type: 'url', url: 's3://b/x' } }),
  ],
])('%s: %s is refused at %s, and passes where the entry names it, or its kind', (dialect, name, param, body) => {
  expect(() => check(dialect, body)).toThrow(
    expect.objectContaining({
      code: 'invalid_request',
      data: { param },
      message: expect.stringContaining(`this one as "${name}" in "heldIds"`),
    }),
  );
  const [kind = '', ...rest] = name.split(':');
  expect(() => check(dialect, body, [`${kind}:another`, 'unknown'])).toThrow('heldIds');
  expect(check(dialect, body, [name])).toEqual([]);
  expect(check(dialect, body, [kind])).toEqual([]);
  expect(rest).not.toEqual([]);
});

test.each<[ClientDialectName, JsonObject]>([
  ['chat', user({ type: 'file', file: { file_data: 'data:application/pdf;base64,AA==' } }, { type: 'text', text: 'file_id' })],
  ['chat', { conversation: 'of-mine', audio: { voice: 'alloy', format: 'wav' }, metadata: { file_id: 'mine' } }],
  ['chat', user({ type: 'image_url', image_url: { url: 'https://example.com/x.png' } })],
  ['chat', user({ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } })],
  [
    'chat',
    { tools: [{ type: 'function', function: { name: 'f', parameters: { properties: { file_id: { type: 'string' } } } } }] },
  ],
  ['chat', { messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{"file_id":"mine"}' } }] }] }],
  ['responses', { previous_response_id: 'resp_1', conversation: null, input: 'Hello' }],
  ['responses', fileOf({ type: 'input_file', file_id: null, file_data: 'AA==' })],
  [
    'responses',
    input({ type: 'message', role: 'assistant', id: 'msg_1', content: [] }, { role: 'user', id: 'x', content: 'Hi' }),
  ],
  [
    'responses',
    { tools: [{ type: 'code_interpreter', container: { type: 'auto' } }], text: { format: { schema: { file_id: 1 } } } },
  ],
  [
    'responses',
    input({
      role: 'assistant',
      content: [{ type: 'output_text', text: 'x', annotations: [{ type: 'file_citation', file_id: 'f' }] }],
    }),
  ],
  [
    'messages',
    { messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'f', input: { file_id: 'mine' } }] }] },
  ],
  ['messages', { tools: [{ name: 'f', input_schema: { properties: { container_id: {} } } }], container: null }],
  ['messages', { container: { skills: [{ type: 'anthropic', skill_id: 'pptx' }] }, thread: { type: 'create' } }],
  ['messages', user({ type: 'document', source: { type: 'url', url: 'https://example.com/x.pdf' } })],
])('%s: %j names nothing of anybody and passes', (dialect, body) => {
  expect(check(dialect, body)).toEqual([]);
});

test.each([
  'GS://b/x',
  ' g\ts://b/x',
  'file:///etc/passwd',
  'https://generativelanguage.googleapis.com/v1beta/files/abc',
  'https://user@generativelanguage.googleapis.com/v1beta/files/abc',
  'HTTPS:\\\\generativelanguage.googleapis.com/v1beta/files/abc',
])('an address that a provider opens with its credential is a file of its: %j', (url) => {
  for (const body of [user({ type: 'image_url', image_url: { url } }), fileOf({ type: 'input_image', image_url: url })])
    expect(() => check('responses', body)).toThrow('"file"');
});

test('whatever is no id is refused where an id stands, and a request of any depth is looked through', () => {
  for (const id of [7, true, {}, { id: 'x' }, [['file-1']], ''])
    if (JSON.stringify(id) !== '{}') expect(() => check('chat', { file_id: id })).toThrow('heldIds');
  let deep: JsonObject = { file_id: 'file-1' };
  for (let at = 0; at < 20_000; at++) deep = { content: [deep] };
  expect(() => check('chat', { messages: [deep] })).toThrow('heldIds');
});

test('a refusal repeats no more of an id than a line holds', () => {
  const long = 'x'.repeat(5_000);
  for (const id of [long, 'a\nb', { id: long }]) {
    const thrown = (() => {
      try {
        check('responses', { conversation: id });
        return undefined;
      } catch (error) {
        return error as Error;
      }
    })();
    expect(thrown?.message.length).toBeLessThan(600);
    expect(thrown?.message).toMatch(/^[ -~]+$/);
  }
});

const nobody = () => undefined;

describe('items that come back', () => {
  const items = [
    { type: 'reasoning', id: 'rs_1', summary: [] },
    { type: 'reasoning', id: 'rs_2', summary: [], encrypted_content: 'gAAA' },
    { type: 'message', id: 'msg_1', role: 'assistant', content: [{ type: 'output_text', text: 'Hi', annotations: [] }] },
    { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'f', arguments: '{}' },
    { type: 'function_call_output', call_id: 'call_1', output: '1' },
  ];
  const bare = [
    { type: 'reasoning', summary: [], encrypted_content: 'gAAA' },
    { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi', annotations: [] }] },
    { type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{}' },
    { type: 'function_call_output', call_id: 'call_1', output: '1' },
  ];

  test('are sent without the ids by which they would be looked up, and what is only kept elsewhere is left out', () => {
    expect(fitItems({ input: items }, [], nobody)).toEqual(bare);
    expect(fitItems({ input: items }, ['item:rs_1', 'item:msg_1'], nobody)).toMatchObject([
      items[0] as object,
      bare[0] as object,
      items[2] as object,
      bare[2] as object,
      bare[3] as object,
    ]);
  });

  test('stay as they are where they may be named, or name nothing', () => {
    for (const [given, allowed] of [
      [items, ['item']],
      [bare, []],
      ['Hello', []],
      [undefined, []],
    ] as const)
      expect(fitItems({ ...(given === undefined ? {} : { input: given as never }) }, allowed, nobody) ?? given).toEqual(given);
  });
});

describe('on the path', () => {
  let end: FarEnd;
  beforeAll(async () => {
    end = await startFarEnd();
  });
  afterAll(() => end.close());
  const target = () => ({ provider: 'openai', model: 'theirs', url: end.url, key: `\${secret:KEY}` });
  const reply = { id: 'resp_1', object: 'response', model: 'm', status: 'completed', output: [], usage: null };

  test('nothing leaves that names what is not allowed; what the entry names goes out as it came', async () => {
    end.does((_heard, response) => json(response, 200, reply));
    const { upstream } = await openModel({ targets: [target()], heldIds: ['file:file-ours', 'conversation'] });
    const send = (more: JsonObject) => upstream.call(ask('responses', { model: 'models/fast', input: 'Hi', ...more }).call);
    await expect(send(fileOf({ type: 'input_file', file_id: 'file-theirs' }))).rejects.toMatchObject({ code: 'invalid_request' });
    expect(end.heard).toHaveLength(0);
    const ours = fileOf({ type: 'input_file', file_id: 'file-ours' });
    await send({ ...ours, conversation: 'conv_1' });
    expect(end.heard.at(-1)?.body).toMatchObject({ ...ours, conversation: 'conv_1' });
    await send(input({ type: 'message', role: 'assistant', id: 'msg_9', content: 'Hi' }, { role: 'user', content: 'Go on' }));
    expect(end.heard.at(-1)?.body.input).toEqual([
      { type: 'message', role: 'assistant', content: 'Hi' },
      { role: 'user', content: 'Go on' },
    ]);
    await upstream.close();
  });

  test('a count of tokens and a target that is spoken to in other words are asked nothing either', async () => {
    end.heard.length = 0;
    end.does((_heard, response) => json(response, 200, chatReply('hello')));
    const anthropic = { ...target(), provider: 'anthropic' };
    const bedrock = {
      ...target(),
      provider: 'bedrock',
      key: undefined,
      location: 'eu-central-1',
      accessKeyId: 'AKID',
      secretAccessKey: `\${secret:KEY}`,
    };
    for (const [dialect, one] of [
      ['count', anthropic],
      ['messages', bedrock],
    ] as const) {
      const { upstream } = await openModel({ targets: [one] });
      for (const source of [
        { type: 'file', file_id: 'file_1' },
        { type: 'url', url: 's3://bucket/theirs.pdf' },
      ]) {
        const { call } = ask(dialect, { model: 'models/fast', max_tokens: 9, ...user({ type: 'document', source }) });
        await expect(upstream.call(call)).rejects.toMatchObject({
          code: 'invalid_request',
          message: expect.stringContaining('heldIds'),
        });
      }
      await upstream.close();
    }
    expect(end.heard).toHaveLength(0);
  });
});
