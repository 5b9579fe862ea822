import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientDialects } from '../../../src/models/dialects.ts';
import { refuseHosted } from '../../../src/upstreams/model/hosted-tools.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { ask, openModel } from './calling.ts';
import { type FarEnd, json, startFarEnd } from './far-end.ts';

type Name = 'chat' | 'responses' | 'messages';
const check = (dialect: Name, body: JsonObject, allowed: readonly string[] = []) =>
  refuseHosted(body, dialect, allowed, 'models/fast');

test.each<[Name, JsonObject, string, string]>([
  ['responses', { tools: [{ type: 'web_search' }] }, 'web_search', 'tools[0].type'],
  [
    'responses',
    { tools: [{ type: 'function', name: 'f' }, { type: 'web_search_preview_2025_03_11' }] },
    'web_search',
    'tools[1].type',
  ],
  ['responses', { tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] }, 'file_search', 'tools[0].type'],
  ['responses', { tools: [{ type: 'code_interpreter', container: { type: 'auto' } }] }, 'code_interpreter', 'tools[0].type'],
  ['responses', { tools: [{ type: 'mcp', server_url: 'https://example.com' }] }, 'mcp', 'tools[0].type'],
  ['responses', { tools: [{ type: 'computer_use_preview' }] }, 'computer_use', 'tools[0].type'],
  ['responses', { tools: [{ type: 'image_generation' }] }, 'image_generation', 'tools[0].type'],
  [
    'responses',
    {
      input: [
        { type: 'message' },
        { type: 'additional_tools', role: 'developer', tools: [{ type: 'mcp', server_url: 'https://x' }] },
      ],
    },
    'mcp',
    'input[1].tools[0].type',
  ],
  [
    'responses',
    {
      input: [
        { type: 'tool_search_output', call_id: 'c', tools: [{ type: 'function', name: 'f' }, { type: 'code_interpreter' }] },
      ],
    },
    'code_interpreter',
    'input[0].tools[1].type',
  ],
  ['messages', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'web_search', 'tools[0].type'],
  ['messages', { tools: [{ type: 'code_execution_20250825', name: 'code_execution' }] }, 'code_execution', 'tools[0].type'],
  ['messages', { mcp_servers: [{ type: 'url', url: 'https://example.com', name: 'x' }] }, 'mcp', 'mcp_servers'],
  ['messages', { tools: [{ type: 'mcp_toolset', mcp_server_name: 'x' }] }, 'mcp', 'tools[0].type'],
  ['chat', { web_search_options: {} }, 'web_search', 'web_search_options'],
  ['chat', { tools: [{ type: 'live_search' }] }, 'live_search', 'tools[0].type'],
])('%s %j is refused, and passes where the model names %s', (dialect, body, name, param) => {
  expect(() => check(dialect, body)).toThrow(
    expect.objectContaining({
      code: 'invalid_request',
      data: { param },
      message: expect.stringContaining(`tool ${name} is run by`),
    }),
  );
  expect(() => check(dialect, body, ['other'])).toThrow('hostedTools');
  expect(check(dialect, body, [name])).toBeUndefined();
});

test.each<[Name, JsonObject]>([
  ['responses', { tools: [{ type: 'function', name: 'f' }, { type: 'custom', name: 'c' }, { type: 'local_shell' }] }],
  [
    'messages',
    {
      tools: [
        { name: 'f', input_schema: {} },
        { type: 'bash_20250124', name: 'bash' },
      ],
      mcp_servers: [],
    },
  ],
  ['chat', { tools: [{ type: 'function', function: { name: 'f' } }], web_search_options: null }],
  ['responses', { tools: [] }],
  ['responses', { input: [{ type: 'additional_tools', role: 'developer', tools: [{ type: 'function', name: 'f' }] }] }],
  ['responses', { input: [{ type: 'mcp_list_tools', server_label: 's', tools: [{ name: 't', input_schema: {} }] }] }],
  ['chat', {}],
])('%s %j passes: the client runs these itself', (dialect, body) => {
  expect(check(dialect, body)).toBeUndefined();
});

test.each<[Name, JsonObject, string]>([
  ['responses', { tools: { type: 'web_search' } }, 'tools'],
  ['responses', { tools: ['web_search'] }, 'tools[0]'],
  ['responses', { tools: [{ type: ['web_search'] }] }, 'tools[0].type'],
  ['responses', { tools: [{}] }, 'tools[0].type'],
  ['responses', { tools: [{ type: 'namespace', tools: [{ type: 'web_search' }] }] }, 'tools[0].tools[0].type'],
])('%s %j says the same in another way, and is refused at %s', (dialect, body, place) => {
  const thrown = (() => {
    try {
      return check(dialect, body, ['namespace']);
    } catch (error) {
      return error as { message: string; data?: unknown };
    }
  })();
  expect(`${thrown?.message} ${JSON.stringify(thrown?.data)}`).toContain(`"${place}"`);
});

test('a prompt that is stored with the provider is refused whatever tools are allowed, and passes where it is named itself', () => {
  const body = { prompt: { id: 'pmpt_1', variables: {} } };
  for (const allowed of [[], ['web_search', 'mcp']])
    expect(() => check('responses', body, allowed)).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        data: { param: 'prompt' },
        message: expect.stringContaining('name "prompt" in "hostedTools"'),
      }),
    );
  expect(check('responses', body, ['prompt'])).toBeUndefined();
  expect(check('responses', { prompt: null })).toBeUndefined();
  // Completions has its text there.
  expect(refuseHosted({ prompt: 'Say hello.' }, 'completions', [], 'models/fast')).toBeUndefined();
});

describe('on the path', () => {
  let end: FarEnd;
  beforeAll(async () => {
    end = await startFarEnd();
  });
  afterAll(() => end.close());

  test('a model passes on what it names, and nothing else leaves', async () => {
    const reply = { id: 'resp_1', object: 'response', model: 'm', status: 'completed', output: [], usage: null };
    end.does((_heard, response) => json(response, 200, reply));
    const { upstream } = await openModel({
      targets: [{ provider: 'openai', model: 'theirs', url: end.url, key: `\${secret:KEY}` }],
      hostedTools: ['web_search'],
    });
    const of = (type: string) => ask('responses', { model: 'models/fast', input: 'Hello.', tools: [{ type }] });
    const { call, spent } = of('mcp');
    const error = await upstream.call(call).then(undefined, (thrown) => thrown);
    expect(clientDialects.get('responses')?.writeError(error)).toMatchObject({
      status: 400,
      body: { error: { type: 'invalid_request_error', param: 'tools[0].type', message: expect.stringContaining('hostedTools') } },
    });
    expect([end.heard.length, spent]).toEqual([0, []]);
    await upstream.call(of('web_search').call);
    expect(end.heard[0]?.body.tools).toEqual([{ type: 'web_search' }]);
    await upstream.close();
  });
});

describe('what would have a provider choose itself', () => {
  let end: FarEnd;
  beforeAll(async () => {
    end = await startFarEnd();
  });
  afterAll(() => end.close());
  const message = { role: 'user', content: 'Hello.' };

  test.each<[string, string, JsonObject, string]>([
    ['chat', 'openai-compatible', { messages: [message] }, 'models'],
    ['chat', 'openai-compatible', { messages: [message] }, 'provider'],
    ['chat', 'openai-compatible', { messages: [message] }, 'api_base'],
    ['completions', 'openai-compatible', { prompt: 'Hello.' }, 'route'],
    ['responses', 'openai', { input: 'Hello.' }, 'fallbacks'],
    ['embeddings', 'openai', { input: 'Hello.' }, 'models'],
    ['messages', 'anthropic', { messages: [message], max_tokens: 5 }, 'fallbacks'],
    ['messages', 'anthropic', { messages: [message], max_tokens: 5 }, 'inference_geo'],
    ['messages', 'anthropic', { messages: [message], max_tokens: 5 }, 'workspace_id'],
    ['count', 'anthropic', { messages: [message] }, 'inference_geo'],
  ])('in %s over %s %j is refused with "%s", which null is not', async (dialect, provider, body, member) => {
    end.does((_heard, response) => json(response, 500, {}));
    const dialects = dialect === 'completions' ? { dialects: ['completions'] } : {};
    const target = { provider, model: 'theirs', url: end.url, key: `\${secret:KEY}`, ...dialects };
    const { upstream } = await openModel({ targets: [target], can: ['text', 'embeddings'] });
    const outcome = (more: object) =>
      upstream.call(ask(dialect, { model: 'models/fast', ...body, ...more } as JsonObject).call).catch((error) => error);
    const before = end.heard.length;
    expect(await outcome({ [member]: ['other'] })).toMatchObject({
      ...{ code: 'invalid_request', data: { param: member } },
      message: expect.stringContaining('Leave it out'),
    });
    expect(end.heard).toHaveLength(before);
    await outcome({ [member]: null });
    expect(end.heard).toHaveLength(before + 1);
    await upstream.close();
  });

  test.each(['Model', 'MODEL', 'STREAM', '\u017ftream', 'Max_Tokens', 'Tools', 'N', 'Messages', 'Models'])(
    'a member that servers of Go would take for another (%s) is refused; any other goes on as it came',
    async (member) => {
      end.does((_heard, response) => json(response, 500, {}));
      const target = { provider: 'openai-compatible', model: 'theirs', url: end.url, key: `\${secret:KEY}` };
      const { upstream } = await openModel({ targets: [target] });
      const outcome = (more: object) =>
        upstream
          .call(ask('chat', { model: 'models/fast', messages: [message], ...more } as JsonObject).call)
          .catch((error) => error);
      const before = end.heard.length;
      expect(await outcome({ [member]: 'other' })).toMatchObject({ code: 'invalid_request', data: { param: member } });
      expect(end.heard).toHaveLength(before);
      await outcome({ safetySettings: [1], Metadata: { Model: 'x' }, 'x-odd': 1 });
      expect(end.heard.at(-1)?.body).toMatchObject({
        ...{ model: 'theirs', safetySettings: [1], Metadata: { Model: 'x' }, 'x-odd': 1 },
      });
      await upstream.close();
    },
  );
});
