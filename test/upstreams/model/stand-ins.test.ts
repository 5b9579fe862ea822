import { once } from 'node:events';
import { type IncomingMessage, request as send } from 'node:http';
import Anthropic, { APIError as AnthropicError } from '@anthropic-ai/sdk';
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  ThrottlingException,
} from '@aws-sdk/client-bedrock-runtime';
import { FunctionCallingConfigMode, GoogleGenAI } from '@google/genai';
import { importPKCS8, SignJWT } from 'jose';
import OpenAI, { AzureOpenAI, APIError as OpenaiError } from 'openai';
import { afterEach, describe, expect, test } from 'vitest';
import type { Usage } from '../../../src/models/reply.ts';
import { startAnthropic } from '../../support/model-providers/anthropic.ts';
import { startBedrock } from '../../support/model-providers/bedrock.ts';
import { startGemini } from '../../support/model-providers/gemini.ts';
import { startAzure, startOpenai } from '../../support/model-providers/openai.ts';
import { calls, fails, gate, type ScriptedReply, says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';
import { startVertex } from '../../support/model-providers/vertex.ts';

// Each stand-in answers its vendor's own client as the provider does, or it proves nothing about us.

const open: StandIn[] = [];
async function started<T extends StandIn>(starting: Promise<T>): Promise<T> {
  const standIn = await starting;
  open.push(standIn);
  return standIn;
}
afterEach(async () => {
  for (const standIn of open.splice(0)) await standIn.close();
});

const key = 'sk-stand-in-key';
const usage: Usage = { input: 120, output: 40, cacheRead: 20, cacheWrite: 0, reasoning: 10 };
const told: Partial<ScriptedReply> = { usage, chunkLength: 5 };
const words = 'Grüße aus Bergen, 世界 🌍.';
const everything: ScriptedReply = {
  kind: 'reply',
  parts: [
    { kind: 'reasoning', text: 'It rains.', signature: 'c2ln' },
    { kind: 'text', text: words },
    { kind: 'tool-call', id: 'call_1', name: 'look', arguments: { city: 'Bergen' } },
  ],
  ...told,
};
const thrown = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

describe('openai', () => {
  const start = async () => {
    const standIn = await started(startOpenai({ key, models: ['gpt-5-mini', 'embed'] }));
    return { standIn, client: new OpenAI({ apiKey: key, baseURL: `${standIn.url}/v1`, maxRetries: 0 }) };
  };
  const model = 'gpt-5-mini';
  const messages = [{ role: 'user' as const, content: 'hello' }];

  test('chat: whole', async () => {
    const { standIn, client } = await start();
    standIn.next(everything);
    const answer = await client.chat.completions.create({ model, messages });
    expect(answer.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { content: words, tool_calls: [{ id: 'call_1', function: { name: 'look', arguments: '{"city":"Bergen"}' } }] },
    });
    expect(answer.usage).toMatchObject({
      prompt_tokens: 120,
      completion_tokens: 40,
      total_tokens: 160,
      prompt_tokens_details: { cached_tokens: 20 },
      completion_tokens_details: { reasoning_tokens: 10 },
    });
    expect(standIn.journal).toMatchObject([{ operation: 'generate', model, isStream: false, status: 200, usage, told: usage }]);
  });

  test('chat: streamed, with usage where it is asked for', async () => {
    const { standIn, client } = await start();
    standIn.always(everything);
    const asked = { model, messages };
    const runner = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
    expect((await runner.finalChatCompletion()).choices[0]?.message).toMatchObject({
      content: words,
      tool_calls: [{ id: 'call_1', function: { name: 'look', arguments: '{"city":"Bergen"}' } }],
    });
    expect(await runner.totalUsage()).toMatchObject({ prompt_tokens: 120, completion_tokens: 40 });
    const chunks = await collect(await client.chat.completions.create({ ...asked, stream: true }));
    expect(chunks.some((chunk) => chunk.usage)).toBe(false);
    expect(standIn.journal.map((entry) => [entry.usage, entry.told])).toEqual([
      [usage, usage],
      [usage, undefined],
    ]);
  });

  test('responses: whole and streamed', async () => {
    const { standIn, client } = await start();
    standIn.always(everything);
    const whole = await client.responses.create({ model, input: 'hello' });
    const stream = client.responses.stream({ model, input: 'hello' });
    const streamed = await stream.finalResponse();
    for (const response of [whole, streamed]) {
      expect(response.output_text).toBe(words);
      expect(response.status).toBe('completed');
      expect(response.output).toMatchObject([
        { type: 'reasoning', summary: [{ text: 'It rains.' }], encrypted_content: 'c2ln' },
        { type: 'message' },
        { type: 'function_call', call_id: 'call_1', name: 'look', arguments: '{"city":"Bergen"}' },
      ]);
      expect(response.usage).toMatchObject({
        input_tokens: 120,
        output_tokens: 40,
        output_tokens_details: { reasoning_tokens: 10 },
      });
    }
  });

  test('completions: whole and streamed', async () => {
    const { standIn, client } = await start();
    standIn.always(says(words, told));
    const whole = await client.completions.create({ model, prompt: 'hello' });
    expect(whole.choices[0]).toMatchObject({ text: words, finish_reason: 'stop' });
    const chunks = await collect(
      await client.completions.create({ model, prompt: 'hello', stream: true, stream_options: { include_usage: true } }),
    );
    expect(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('')).toBe(words);
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 120 });
  });

  test('embeddings: as numbers and as base64, the same', async () => {
    const { client } = await start();
    const input = ['one', 'two'];
    const floats = await client.embeddings.create({ model: 'embed', input, encoding_format: 'float', dimensions: 4 });
    const base64 = await client.embeddings.create({ model: 'embed', input, dimensions: 4 });
    expect(base64.data.map(({ embedding }) => embedding)).toEqual(floats.data.map(({ embedding }) => embedding));
    expect(floats.data.map(({ embedding }) => embedding.length)).toEqual([4, 4]);
    expect(floats.usage).toEqual({ prompt_tokens: 2, total_tokens: 2 });
  });

  test('models', async () => {
    const { client } = await start();
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['gpt-5-mini', 'embed']);
    expect(await client.models.retrieve('embed')).toMatchObject({ id: 'embed', object: 'model' });
  });

  test('errors', async () => {
    const { standIn, client } = await start();
    const ask = (model: string, by = client) => thrown(by.chat.completions.create({ model, messages }));
    const wrong = new OpenAI({ apiKey: 'sk-wrong', baseURL: `${standIn.url}/v1`, maxRetries: 0 });
    expect(await ask(model, wrong)).toMatchObject({
      status: 401,
      code: 'invalid_api_key',
      message: expect.stringContaining('sk-wrong'),
    });
    expect(await ask('gpt-9')).toMatchObject({ status: 404, code: 'model_not_found' });
    standIn.next(fails(429, { retryAfterS: 7 }), fails(500), fails(529), { kind: 'page' }, { kind: 'drop' }, { kind: 'garbage' });
    const limited = await ask(model);
    expect(limited).toBeInstanceOf(OpenaiError);
    expect(limited).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
    expect(limited instanceof OpenaiError && limited.headers?.get('retry-after')).toBe('7');
    expect(await ask(model)).toMatchObject({ status: 500, type: 'server_error' });
    expect(await ask(model)).toMatchObject({ status: 529 });
    expect(await ask(model)).toMatchObject({ status: 502, message: expect.stringContaining('<html>') });
    expect(await ask(model)).toMatchObject({ status: undefined, message: 'Connection error.' });
    expect(await ask(model)).toBeInstanceOf(SyntaxError);
    expect(standIn.journal.map(({ ending }) => ending)).toEqual([...Array(6).fill('complete'), 'cut', 'complete']);
    expect(standIn.journal.every((entry) => entry.status === 200 || entry.usage === undefined)).toBe(true);
  });

  test('members that OpenAI does not know are refused by a strict one, and pass where a compatible server takes them', async () => {
    const strict = await started(startOpenai({ key, isStrict: true }));
    const body = { model, messages, top_k: 5 };
    for (const [standIn, status] of [
      [strict, 400],
      [(await start()).standIn, undefined],
    ] as const) {
      const client = new OpenAI({ apiKey: key, baseURL: `${standIn.url}/v1`, maxRetries: 0 });
      const error = await thrown(client.chat.completions.create(body));
      expect(error instanceof OpenaiError ? error.status : error).toBe(status);
      expect(
        await thrown(client.chat.completions.create({ model, messages, max_completion_tokens: 5, seed: 1 })),
      ).toBeUndefined();
      expect(await thrown(client.responses.create({ model, input: 'a', max_output_tokens: 5 }))).toBeUndefined();
    }
  });

  test('what no call was made for is refused', async () => {
    const { client } = await start();
    const result = { role: 'tool' as const, tool_call_id: 'x', content: 'y' };
    expect(await thrown(client.chat.completions.create({ model, messages: [...messages, result] }))).toMatchObject({
      status: 400,
    });
    const input = [{ type: 'function_call_output' as const, call_id: 'x', output: 'y' }];
    expect(await thrown(client.responses.create({ model, input }))).toMatchObject({ status: 400 });
  });
});

test('azure: deployments and v1', async () => {
  const standIn = await started(startAzure({ key, deployments: ['mini'] }));
  standIn.always(says(words, told));
  const options = { apiKey: key, maxRetries: 0 };
  const classic = new AzureOpenAI({ ...options, endpoint: standIn.url, apiVersion: '2024-10-21', deployment: 'mini' });
  const v1 = new OpenAI({ ...options, baseURL: `${standIn.url}/openai/v1` });
  const asked = { model: 'mini', messages: [{ role: 'user' as const, content: 'hello' }] };
  for (const client of [classic, v1])
    expect((await client.chat.completions.create(asked)).choices[0]?.message.content).toBe(words);
  expect((await classic.embeddings.create({ model: 'mini', input: 'a' })).data).toHaveLength(1);
  expect((await v1.responses.create({ model: 'mini', input: 'a' })).output_text).toBe(words);
  expect(await thrown(v1.chat.completions.create({ ...asked, model: 'other' }))).toMatchObject({
    status: 404,
    code: 'DeploymentNotFound',
  });
  const wrong = new AzureOpenAI({ ...options, apiKey: 'x', endpoint: standIn.url, apiVersion: '2024-10-21' });
  expect(await thrown(wrong.chat.completions.create(asked))).toMatchObject({ status: 401, code: '401' });
});

describe('anthropic', () => {
  const start = async () => {
    const standIn = await started(startAnthropic({ key }));
    return { standIn, client: new Anthropic({ apiKey: key, baseURL: standIn.url, maxRetries: 0 }) };
  };
  const asked = { model: 'claude-opus-5-5', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hello' }] };

  test('messages: whole and streamed', async () => {
    const { standIn, client } = await start();
    standIn.always(everything);
    for (const message of [await client.messages.create(asked), await client.messages.stream(asked).finalMessage()]) {
      expect(message.content).toMatchObject([
        { type: 'thinking', thinking: 'It rains.', signature: 'c2ln' },
        { type: 'text', text: words },
        { type: 'tool_use', id: 'call_1', name: 'look', input: { city: 'Bergen' } },
      ]);
      expect(message.stop_reason).toBe('tool_use');
      expect(message.usage).toMatchObject({ input_tokens: 100, cache_read_input_tokens: 20, output_tokens: 40 });
    }
    expect(standIn.journal).toMatchObject([
      { usage, told: usage },
      { usage, told: usage, isStream: true, ending: 'complete' },
    ]);
  });

  test('sampling is refused in the newer version of the API, and taken in the older one', async () => {
    const { standIn, client } = await start();
    const sampled = { ...asked, temperature: 1 };
    expect(await thrown(client.messages.create(sampled))).toMatchObject({ status: 400, type: 'invalid_request_error' });
    const older = { 'anthropic-version': '2023-06-01' };
    const before = new Anthropic({ apiKey: key, baseURL: standIn.url, maxRetries: 0, defaultHeaders: older });
    expect(await thrown(before.messages.create(sampled))).toBeUndefined();
  });

  test('count_tokens', async () => {
    const { client } = await start();
    const { input_tokens } = await client.messages.countTokens({ model: asked.model, messages: asked.messages });
    expect(input_tokens).toBeGreaterThan(0);
  });

  test('errors', async () => {
    const { standIn, client } = await start();
    const wrong = new Anthropic({ apiKey: 'sk-wrong', baseURL: standIn.url, maxRetries: 0 });
    expect(await thrown(wrong.messages.create(asked))).toMatchObject({ status: 401, type: 'authentication_error' });
    for (const [status, type] of [
      [400, 'invalid_request_error'],
      [404, 'not_found_error'],
      [429, 'rate_limit_error'],
      [500, 'api_error'],
      [529, 'overloaded_error'],
    ] as const) {
      standIn.next(fails(status));
      const error = await thrown(client.messages.create(asked));
      expect(error).toBeInstanceOf(AnthropicError);
      expect(error).toMatchObject({ status, type });
    }
  });

  test('requests that Anthropic refuses are refused, their right twins are not', async () => {
    const { client } = await start();
    const ask = (messages: Anthropic.MessageParam[]) => thrown(client.messages.create({ ...asked, messages }));
    const use = (id: string): Anthropic.MessageParam => ({
      role: 'assistant',
      content: [{ type: 'tool_use', id, name: 'look', input: {} }],
    });
    const result = (id: string): Anthropic.MessageParam => ({
      role: 'user',
      content: [{ type: 'tool_result', tool_use_id: id, content: 'x' }],
    });
    const hello: Anthropic.MessageParam = { role: 'user', content: 'hello' };
    expect(await ask([hello, use('a'), result('a')])).toBeUndefined();
    for (const messages of [
      [hello, use('a'), result('b')],
      [hello, use('a:b'), result('a:b')],
      [hello, use('a'), hello],
      [use('a')],
      [{ ...hello, content: ' ' }].map((one) => ({ ...one, content: [{ type: 'text' as const, text: ' ' }] })),
    ])
      expect(await ask(messages)).toMatchObject({ status: 400, type: 'invalid_request_error' });
  });
});

describe('gemini', () => {
  const start = async () => {
    const standIn = await started(startGemini({ key }));
    return { standIn, client: new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: standIn.url } }) };
  };
  const asked = { model: 'gemini-3-flash', contents: 'hello' };

  test('generateContent and streamGenerateContent', async () => {
    const { standIn, client } = await start();
    standIn.always(everything);
    const config = { toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.AUTO } } };
    const whole = await client.models.generateContent({ ...asked, config });
    expect(whole.candidates?.[0]).toMatchObject({
      finishReason: 'STOP',
      content: { role: 'model', parts: [{ thought: true, thoughtSignature: 'c2ln' }, { text: words }, {}] },
    });
    expect(whole.functionCalls).toMatchObject([{ id: 'call_1', name: 'look', args: { city: 'Bergen' } }]);
    expect(whole.usageMetadata).toMatchObject({
      promptTokenCount: 120,
      candidatesTokenCount: 30,
      thoughtsTokenCount: 10,
      cachedContentTokenCount: 20,
      totalTokenCount: 160,
    });
    const chunks = await collect(await client.models.generateContentStream(asked));
    const parts = chunks.flatMap((chunk) => chunk.candidates?.[0]?.content?.parts ?? []);
    expect(parts.map((part) => (part.thought ? '' : (part.text ?? ''))).join('')).toBe(words);
    expect(chunks.flatMap((chunk) => chunk.functionCalls ?? [])).toMatchObject([{ name: 'look' }]);
    expect(chunks.at(-1)?.usageMetadata).toMatchObject({ totalTokenCount: 160 });
    expect(chunks.at(-1)?.candidates?.[0]?.finishReason).toBe('STOP');
    expect(standIn.journal).toMatchObject([
      { usage, told: usage },
      { usage, told: usage, model: 'gemini-3-flash' },
    ]);
  });

  test('countTokens and embedContent', async () => {
    const { client } = await start();
    expect((await client.models.countTokens(asked)).totalTokens).toBeGreaterThan(0);
    const { embeddings } = await client.models.embedContent({
      model: 'gemini-embedding-001',
      contents: ['a', 'b'],
      config: { outputDimensionality: 4 },
    });
    expect(embeddings?.map(({ values }) => values?.length)).toEqual([4, 4]);
  });

  test("OpenAI's client at its address for OpenAI's clients", async () => {
    const { standIn } = await start();
    standIn.always(says(words, told));
    const client = new OpenAI({ apiKey: key, baseURL: `${standIn.url}/v1beta/openai`, maxRetries: 0 });
    const answer = await client.chat.completions.create({ model: asked.model, messages: [{ role: 'user', content: 'hello' }] });
    expect(answer.choices[0]?.message.content).toBe(words);
  });

  test('errors', async () => {
    const { standIn, client } = await start();
    const wrong = new GoogleGenAI({ apiKey: 'wrong', httpOptions: { baseUrl: standIn.url } });
    expect(await thrown(wrong.models.generateContent(asked))).toMatchObject({
      status: 400,
      message: expect.stringContaining('API_KEY_INVALID'),
    });
    standIn.next(fails(429, { retryAfterS: 3 }));
    expect(await thrown(client.models.generateContent(asked))).toMatchObject({
      status: 429,
      message: expect.stringContaining('RESOURCE_EXHAUSTED'),
    });
    const unanswered = { role: 'user', parts: [{ functionResponse: { name: 'look', response: {} } }] };
    expect(await thrown(client.models.generateContent({ ...asked, contents: [unanswered] }))).toMatchObject({ status: 400 });
  });
});

describe('vertex', () => {
  const [project, location] = ['p-1', 'europe-west4'];
  const asked = { model: 'gemini-3-flash', contents: 'hello' };
  // Google's client asks Google for tokens, whatever the key file says: it gets one that was asked for here.
  const clientWith = (standIn: StandIn, token: string) =>
    new GoogleGenAI({
      vertexai: true,
      project,
      location,
      httpOptions: { baseUrl: standIn.url, apiVersion: 'v1' },
      googleAuthOptions: {
        authClient: { getRequestHeaders: async () => new Headers({ authorization: `Bearer ${token}` }) } as never,
      },
    });
  const askToken = async (
    account: { client_email: string; private_key: string; token_uri: string },
    email = account.client_email,
  ) => {
    const assertion = await new SignJWT({ scope: 'https://www.googleapis.com/auth/cloud-platform' })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(email)
      .setAudience(account.token_uri)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(await importPKCS8(account.private_key, 'RS256'));
    const body = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
    const answer = await fetch(account.token_uri, { method: 'POST', body });
    return { status: answer.status, token: String(Object(await answer.json()).access_token) };
  };

  test('a service account gets a token, and with it the same as from Google AI Studio', async () => {
    const standIn = await started(startVertex({ project, location }));
    standIn.always(says(words, told));
    const { token } = await askToken(JSON.parse(standIn.account));
    const client = clientWith(standIn, token);
    expect((await client.models.generateContent(asked)).text).toBe(words);
    const chunks = await collect(await client.models.generateContentStream(asked));
    expect(chunks.map(({ text = '' }) => text).join('')).toBe(words);
    const { embeddings } = await client.models.embedContent({ model: 'text-embedding-005', contents: ['a', 'b'] });
    expect(embeddings?.map(({ values, statistics }) => [values?.length, statistics?.tokenCount])).toEqual([
      [8, 1],
      [8, 1],
    ]);
    expect(standIn.journal.map(({ operation }) => operation)).toEqual(['token', 'generate', 'generate', 'embed']);
  });

  test("OpenAI's client with a key at its address for OpenAI's clients", async () => {
    const standIn = await started(startVertex({ project, location, key }));
    standIn.always(says(words, told));
    const baseURL = `${standIn.url}/v1/projects/${project}/locations/${location}/endpoints/openapi`;
    const headers = { 'x-goog-api-key': key };
    const client = new OpenAI({ apiKey: 'unused', baseURL, maxRetries: 0, defaultHeaders: headers });
    const answer = await client.chat.completions.create({ model: asked.model, messages: [{ role: 'user', content: 'hello' }] });
    expect(answer.choices[0]?.message.content).toBe(words);
  });

  test('another account gets none, and another token gets nothing', async () => {
    const standIn = await started(startVertex({ project, location }));
    expect(await askToken(JSON.parse(standIn.account), 'other@example.test')).toMatchObject({ status: 400 });
    expect(await thrown(clientWith(standIn, 'other').models.generateContent(asked))).toMatchObject({ status: 401 });
  });
});

describe('bedrock', () => {
  const credentials = { accessKeyId: 'AKIDSTANDIN', secretAccessKey: 'c2VjcmV0/+=', sessionToken: 'session' };
  const region = 'eu-central-1';
  const modelId = 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0';
  const messages = [{ role: 'user' as const, content: [{ text: 'hello' }] }];
  const start = async (more: object = {}) => {
    const standIn = await started(startBedrock({ ...credentials, region, key: 'bedrock-api-key' }));
    const client = new BedrockRuntimeClient({
      region,
      credentials,
      endpoint: standIn.url,
      maxAttempts: 1,
      requestHandler: { handle },
      ...more,
    });
    return { standIn, client };
  };

  test('Converse', async () => {
    const { standIn, client } = await start();
    standIn.next(everything);
    const answer = await client.send(new ConverseCommand({ modelId, messages }));
    expect(answer.output?.message?.content).toMatchObject([
      { reasoningContent: { reasoningText: { text: 'It rains.', signature: 'c2ln' } } },
      { text: words },
      { toolUse: { toolUseId: 'call_1', name: 'look', input: { city: 'Bergen' } } },
    ]);
    expect(answer.stopReason).toBe('tool_use');
    expect(answer.usage).toMatchObject({ inputTokens: 100, cacheReadInputTokens: 20, outputTokens: 40, totalTokens: 160 });
    expect(standIn.journal).toMatchObject([{ model: modelId, usage, told: usage }]);
  });

  test('ConverseStream', async () => {
    const { standIn, client } = await start();
    standIn.next(everything);
    const { stream = [] } = await client.send(new ConverseStreamCommand({ modelId, messages }));
    const events = await collect(stream as AsyncIterable<Record<string, unknown>>);
    const of = (type: string) => events.flatMap((event) => (type in event ? [event[type]] : []));
    const deltas = of('contentBlockDelta') as { delta: { text?: string; toolUse?: { input: string } } }[];
    expect(deltas.map(({ delta }) => delta.text ?? '').join('')).toBe(words);
    expect(deltas.map(({ delta }) => delta.toolUse?.input ?? '').join('')).toBe('{"city":"Bergen"}');
    expect(of('messageStop')).toMatchObject([{ stopReason: 'tool_use' }]);
    expect(of('metadata')).toMatchObject([{ usage: { inputTokens: 100, outputTokens: 40 } }]);
  });

  test('InvokeModel of an embedding', async () => {
    const { client } = await start();
    const body = JSON.stringify({ inputText: 'hello', dimensions: 4 });
    const answer = await client.send(new InvokeModelCommand({ modelId: 'amazon.titan-embed-text-v2:0', body }));
    expect(JSON.parse(Buffer.from(answer.body).toString())).toMatchObject({
      embedding: expect.any(Array),
      inputTextTokenCount: 2,
    });
  });

  test('a signature of another key, another region or another secret is refused; its own API key is not', async () => {
    const ask = async (more: object) => {
      const { client } = await start(more);
      return thrown(client.send(new ConverseCommand({ modelId, messages })));
    };
    expect(await ask({})).toBeUndefined();
    expect(await ask({ credentials: { ...credentials, accessKeyId: 'AKIDOTHER' } })).toMatchObject({
      name: 'UnrecognizedClientException',
    });
    expect(await ask({ credentials: { ...credentials, secretAccessKey: 'x' } })).toMatchObject({
      name: 'InvalidSignatureException',
    });
    expect(await ask({ region: 'us-east-1' })).toMatchObject({ name: 'InvalidSignatureException' });
    const bearer = { authSchemePreference: ['httpBearerAuth'], credentials: undefined };
    expect(await ask({ ...bearer, token: { token: 'bedrock-api-key' } })).toBeUndefined();
    expect(await ask({ ...bearer, token: { token: 'other' } })).toMatchObject({ name: 'AccessDeniedException' });
  });

  test('errors, before and in a stream', async () => {
    const { standIn, client } = await start();
    standIn.next(
      fails(429),
      says(words, { fault: { after: 1, kind: 'error' } }),
      says(words, { fault: { after: 1, kind: 'broken' } }),
    );
    const ask = async () => {
      const { stream = [] } = await client.send(new ConverseStreamCommand({ modelId, messages }));
      await collect(stream as AsyncIterable<unknown>);
    };
    expect(await thrown(ask())).toBeInstanceOf(ThrottlingException);
    expect(await thrown(ask())).toMatchObject({ name: 'ModelStreamErrorException' });
    expect(await thrown(ask())).toMatchObject({ message: expect.stringMatching(/checksum/i) });
  });
});

describe('the script', () => {
  const start = async () => {
    const standIn = await started(startOpenai({ key }));
    const client = new OpenAI({ apiKey: key, baseURL: `${standIn.url}/v1`, maxRetries: 0, logLevel: 'off' });
    const ask = (signal?: AbortSignal) =>
      client.chat.completions.create(
        { model: 'm', messages: [{ role: 'user', content: 'hello' }], stream: true },
        signal === undefined ? {} : { signal },
      );
    return { standIn, ask };
  };

  test('answers stand in a line, then comes what is usual', async () => {
    const { standIn, ask } = await start();
    standIn.next(says('first'), calls('look', {}));
    standIn.always(says('usual'));
    for (const [text, finish] of [
      ['first', 'stop'],
      ['', 'tool_calls'],
      ['usual', 'stop'],
      ['usual', 'stop'],
    ]) {
      const choices = (await collect(await ask())).map(({ choices }) => choices[0]);
      expect(choices.map((choice) => choice?.delta.content ?? '').join('')).toBe(text);
      expect(choices.at(-1)?.finish_reason).toBe(finish);
    }
  });

  test('nothing comes before its gate is open, and a stream stops where it is held', async () => {
    const { standIn, ask } = await start();
    const [first, second] = [gate(), gate()];
    standIn.next(says('abcd', { chunkLength: 1, before: first, holds: [{ after: 2, gate: second }] }));
    const asking = ask();
    first.open();
    const chunks: string[] = [];
    for await (const { choices } of await asking) {
      chunks.push(choices[0]?.delta.content ?? '');
      if (chunks.join('') !== 'ab') continue;
      expect(standIn.journal[0]).toMatchObject({ pieces: 2, ending: 'open' });
      second.open();
    }
    expect(chunks.join('')).toBe('abcd');
  });

  test('a stream that is cut is billed as far as it went', async () => {
    const { standIn, ask } = await start();
    standIn.next(says('abcdefgh', { chunkLength: 1, usage: { ...usage, output: 80 }, fault: { after: 2, kind: 'cut' } }));
    expect(await thrown(ask().then(collect))).toBeInstanceOf(Error);
    await standIn.journal[0]?.ended;
    expect(standIn.journal).toMatchObject([{ pieces: 2, ending: 'cut', told: undefined, usage: { input: 120, output: 20 } }]);
  });

  test('a stream can end as if it were whole, without what comes last', async () => {
    const { standIn, ask } = await start();
    standIn.next(says('abcd', { chunkLength: 1, fault: { after: 3, kind: 'end' } }));
    const choices = (await collect(await ask())).map(({ choices }) => choices[0]);
    expect(choices.map((choice) => choice?.delta.content ?? '').join('')).toBe('abc');
    expect(choices.at(-1)?.finish_reason).toBeNull();
    expect(standIn.journal).toMatchObject([{ pieces: 3, told: undefined }]);
  });

  test('a client that goes away is seen, and so is what it had', async () => {
    const { standIn, ask } = await start();
    standIn.next(says('abcd', { chunkLength: 1, holds: [{ after: 3, gate: gate() }] }), { kind: 'hang' });
    const leaving = new AbortController();
    const stream = await ask(leaving.signal);
    let text = '';
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? '';
      if (text === 'abc') break;
    }
    leaving.abort();
    await standIn.journal[0]?.ended;
    expect(standIn.journal).toMatchObject([{ pieces: 3, ending: 'client-closed' }]);
    const impatient = new AbortController();
    const hanging = ask(impatient.signal);
    impatient.abort();
    expect(await thrown(hanging)).toMatchObject({ message: 'Request was aborted.' });
  });

  test.each(['broken', 'error'] as const)('a stream that goes "%s" throws at the client', async (kind) => {
    const { standIn, ask } = await start();
    standIn.next(says('abcd', { fault: { after: 0, kind } }));
    expect(await thrown(ask().then(collect))).toBeInstanceOf(Error);
  });

  test('a credential comes back where it is told to', async () => {
    const { standIn, ask } = await start();
    standIn.next(says('Hi. ', { echoes: true }), fails(500, { echoes: true }));
    const chunks = await collect(await ask());
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toContain(key);
    expect(await thrown(ask())).toMatchObject({ message: expect.stringContaining(key) });
  });

  test('usage that is told need not be what is billed', async () => {
    const { standIn, ask } = await start();
    standIn.next(says('Hi.', { usage, told: 'nothing' }));
    await collect(await ask());
    expect(standIn.journal).toMatchObject([{ usage, told: undefined }]);
  });
});

interface AwsRequest {
  readonly method: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** The client speaks HTTP/2 by itself, which no stand-in does; all of the rest is its own. */
async function handle({ method, hostname, port, path, headers, body }: AwsRequest) {
  const sent = send({ method, hostname, port, path, headers });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return { response: { statusCode: answer.statusCode ?? 0, headers: answer.headers, body: answer } };
}
