import AnthropicSdk from '@anthropic-ai/sdk';
import OpenaiSdk from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ModelGateway,
  openModelGateway,
  type Place,
  type ProviderName,
  providerNames,
  startPlace,
} from '../../support/model-gateway.ts';
import { calls, fails, type ScriptedReply, says } from '../../support/model-providers/script.ts';

// The vendors' own clients, as they are, against a model over every provider.

let places: Record<ProviderName, Place>;
let completing: Place;
let gateway: ModelGateway;
let openai: OpenaiSdk;
let anthropic: AnthropicSdk;

beforeAll(async () => {
  const started = await Promise.all(providerNames.map(async (name) => [name, await startPlace(name)] as const));
  places = Object.fromEntries(started) as Record<ProviderName, Place>;
  completing = await startPlace('openai');
  const can = ['text', 'images', 'tools', 'structured', 'reasoning', 'embeddings'];
  const models = Object.fromEntries(
    providerNames.map((name) => [name, { targets: [places[name].target], can, breaker: { minimumCalls: 1_000 } }]),
  );
  gateway = await openModelGateway({
    models: {
      ...models,
      completing: { targets: [{ ...completing.target, model: 'gpt-3.5-turbo-instruct' }] },
      titan: { targets: [{ ...places.bedrock.target, model: 'amazon.titan-embed-text-v2:0' }], can: ['embeddings'] },
    },
    places: [...Object.values(places), completing],
  });
  openai = gateway.openai();
  anthropic = gateway.anthropic();
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([...Object.values(places ?? {}), completing].map((place) => place?.standIn.close()));
});

const words = 'Grüße aus Bergen, 世界 🌍.';
const usage = { input: 120, output: 40, cacheRead: 20, cacheWrite: 0, reasoning: 0 };
const hello: ScriptedReply = says(words, { usage, chunkLength: 5 });
const look = calls('look', { city: 'Bergen' }, { usage, chunkLength: 4 });
const schema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
} as const;
const png = 'iVBORw0KGgo=';

describe.each(providerNames)('over %s', (name) => {
  const model = `models/${name}`;
  let place: Place;
  beforeAll(() => {
    place = places[name];
  });
  const last = () => place.standIn.journal.findLast(({ operation }) => operation !== 'token');
  const sentText = () => last()?.bytes.toString() ?? '';

  describe('a client of OpenAI has', () => {
    const messages = [{ role: 'user' as const, content: 'Say hello.' }];

    test('an answer, whole and in parts', async () => {
      place.standIn.next(hello, hello, hello);
      const whole = await openai.chat.completions.create({ model, messages });
      expect(whole.choices[0]).toMatchObject({ message: { role: 'assistant', content: words }, finish_reason: 'stop' });
      expect(whole.usage).toMatchObject({ prompt_tokens: 120, completion_tokens: 40, total_tokens: 160 });
      expect(whole._request_id).toMatch(/^[0-9a-f]{24}$/);

      const stream = openai.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
      const final = await stream.finalChatCompletion();
      expect(final.choices[0]).toMatchObject({ message: { content: words }, finish_reason: 'stop' });
      expect(final.usage).toMatchObject({ prompt_tokens: 120, completion_tokens: 40 });

      let chunks = 0;
      let text = '';
      for await (const chunk of await openai.chat.completions.create({ model, messages, stream: true })) {
        chunks++;
        expect(chunk.usage ?? undefined).toBeUndefined();
        expect(chunk.choices).toHaveLength(1);
        text += chunk.choices[0]?.delta.content ?? '';
      }
      expect(text).toBe(words);
      expect(chunks).toBeGreaterThan(3);
    });

    test('the same by Responses', async () => {
      place.standIn.next(hello, hello);
      const whole = await openai.responses.create({ model, input: 'Say hello.', instructions: 'Be brief.' });
      expect(whole.output_text).toBe(words);
      expect(whole).toMatchObject({ status: 'completed', usage: { input_tokens: 120, output_tokens: 40 } });
      const final = await openai.responses.stream({ model, input: 'Say hello.' }).finalResponse();
      expect(final.output_text).toBe(words);
      expect(final.usage).toMatchObject({ input_tokens: 120, output_tokens: 40 });
    });

    test('calls of tools, there and back, whole and in parts', async () => {
      const tools = [{ type: 'function' as const, function: { name: 'look', description: 'Looks', parameters: schema } }];
      place.standIn.next(look, look, hello);
      const { choices } = await openai.chat.completions.create({ model, messages, tools });
      const message = choices[0]!.message;
      expect(choices[0]!.finish_reason).toBe('tool_calls');
      const [call] = message.tool_calls ?? [];
      expect(call).toMatchObject({ type: 'function', function: { name: 'look' } });
      expect(JSON.parse(call?.type === 'function' ? call.function.arguments : '')).toEqual({ city: 'Bergen' });
      const streamed = await openai.chat.completions.stream({ model, messages, tools }).finalChatCompletion();
      expect(streamed.choices[0]).toMatchObject({
        message: { tool_calls: [{ function: { name: 'look', arguments: '{"city":"Bergen"}' } }] },
        finish_reason: 'tool_calls',
      });
      const after = await openai.chat.completions.create({
        model,
        tools,
        messages: [...messages, message, { role: 'tool', tool_call_id: call!.id, content: 'It rains.' }],
      });
      expect(after.choices[0]?.message.content).toBe(words);
      expect(sentText()).toContain('It rains.');
    });

    test('calls of tools by Responses', async () => {
      const tools = [{ type: 'function' as const, name: 'look', description: 'Looks', parameters: schema, strict: true }];
      const input = [{ role: 'user' as const, content: 'How is it in Bergen?' }];
      place.standIn.next(look, look, hello);
      const first = await openai.responses.create({ model, input, tools });
      const call = first.output.find((item) => item.type === 'function_call');
      expect(call).toMatchObject({ name: 'look', arguments: '{"city":"Bergen"}' });
      const streamed = await openai.responses.stream({ model, input, tools }).finalResponse();
      expect(streamed.output.find((item) => item.type === 'function_call')).toMatchObject({ arguments: '{"city":"Bergen"}' });
      const output = [{ type: 'function_call_output' as const, call_id: call!.call_id, output: 'It rains.' }];
      const after = await openai.responses.create({ model, tools, input: [...input, ...first.output, ...output] as never });
      expect(after.output_text).toBe(words);
      expect(sentText()).toContain('It rains.');
    });

    test('pictures in', async () => {
      place.standIn.next(hello, hello);
      const url = `data:image/png;base64,${png}`;
      await openai.chat.completions.create({
        model,
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What is it?' },
              { type: 'image_url', image_url: { url } },
            ],
          },
        ],
      });
      expect(sentText()).toContain(png);
      await openai.responses.create({
        model,
        input: [
          {
            role: 'user',
            content: [
              { type: 'input_text', text: 'What is it?' },
              { type: 'input_image', image_url: url, detail: 'auto' },
            ],
          },
        ],
      });
      expect(sentText()).toContain(png);
    });

    test('structured output, and thoughts where they are shown', async () => {
      place.standIn.next(says('{"city":"Bergen"}'), says('{"city":"Bergen"}'), {
        kind: 'reply',
        parts: [
          { kind: 'reasoning', text: 'Bergen, surely.', signature: 'c2ln' },
          { kind: 'text', text: words },
        ],
      });
      const format = { type: 'json_schema' as const, json_schema: { name: 'place', schema, strict: true } };
      const chat = await openai.chat.completions.parse({ model, messages, response_format: format });
      expect(chat.choices[0]?.message.content).toBe('{"city":"Bergen"}');
      expect(sentText()).toMatch(/city/);
      const responses = await openai.responses.parse({
        model,
        input: 'Where?',
        text: { format: { type: 'json_schema', name: 'place', schema, strict: true } },
      });
      expect(responses.output_text).toBe('{"city":"Bergen"}');
      expect(sentText()).toMatch(/city/);
      const thinking = await openai.chat.completions.create({ model, messages, reasoning_effort: 'low' });
      expect(thinking.choices[0]?.message).toMatchObject({ content: words, reasoning_content: 'Bergen, surely.' });
    });

    test('errors of its own classes', async () => {
      place.standIn.next(fails(400, { message: 'temperature: too hot' }));
      const bad = await openai.chat.completions.create({ model, messages }).catch((error: unknown) => error);
      expect(bad).toBeInstanceOf(OpenaiSdk.BadRequestError);
      expect(bad).toMatchObject({ status: 400, type: 'invalid_request_error' });
      expect(String(bad)).toContain('too hot');
      place.standIn.next(fails(500), fails(500));
      await expect(openai.chat.completions.create({ model, messages })).rejects.toBeInstanceOf(OpenaiSdk.InternalServerError);
      await expect(openai.responses.create({ model, input: 'x' })).rejects.toBeInstanceOf(OpenaiSdk.InternalServerError);
    });
  });

  describe('a client of Anthropic has', () => {
    const messages = [{ role: 'user' as const, content: 'Say hello.' }];
    const max_tokens = 500;

    test('an answer, whole and in parts', async () => {
      place.standIn.next(hello, hello);
      const whole = await anthropic.messages.create({ model, messages, max_tokens, system: 'Be brief.' });
      expect(whole).toMatchObject({
        type: 'message',
        role: 'assistant',
        stop_reason: 'end_turn',
        usage: { input_tokens: 100, cache_read_input_tokens: 20, output_tokens: 40 },
      });
      expect(whole.content).toMatchObject([{ type: 'text', text: words }]);
      expect(sentText()).toContain('Be brief.');
      const final = await anthropic.messages.stream({ model, messages, max_tokens }).finalMessage();
      expect(final.content).toMatchObject([{ type: 'text', text: words }]);
      expect(final.usage.output_tokens).toBe(40);
      expect(final.stop_reason).toBe('end_turn');
    });

    test('calls of tools, there and back, whole and in parts', async () => {
      const tools = [{ name: 'look', description: 'Looks', input_schema: schema as never }];
      place.standIn.next(look, look, hello);
      const first = await anthropic.messages.create({ model, messages, max_tokens, tools });
      expect(first.stop_reason).toBe('tool_use');
      const use = first.content.find((block) => block.type === 'tool_use');
      expect(use).toMatchObject({ name: 'look', input: { city: 'Bergen' } });
      const streamed = await anthropic.messages.stream({ model, messages, max_tokens, tools }).finalMessage();
      expect(streamed.content.find(({ type }) => type === 'tool_use')).toMatchObject({ name: 'look', input: { city: 'Bergen' } });
      const result = { type: 'tool_result' as const, tool_use_id: use!.id, content: 'It rains.' };
      const after = await anthropic.messages.create({
        ...{ model, max_tokens, tools },
        messages: [...messages, { role: 'assistant', content: first.content }, { role: 'user', content: [result] }],
      });
      // What Gemini signs its calls with comes back to it.
      if (name === 'gemini' || name === 'vertex') expect(sentText()).toContain('thoughtSignature');
      expect(after.content).toMatchObject([{ type: 'text', text: words }]);
      expect(sentText()).toContain('It rains.');
    });

    test('pictures in, structured output and thoughts', async () => {
      place.standIn.next(hello, says('{"city":"Bergen"}'), {
        kind: 'reply',
        parts: [
          { kind: 'reasoning', text: 'Bergen, surely.', signature: 'c2ln' },
          { kind: 'text', text: words },
        ],
      });
      const source = { type: 'base64' as const, media_type: 'image/png' as const, data: png };
      const content = [
        { type: 'image' as const, source },
        { type: 'text' as const, text: 'What is it?' },
      ];
      await anthropic.messages.create({ model, max_tokens, messages: [{ role: 'user', content }] });
      expect(sentText()).toContain(png);
      const output_config = { format: { type: 'json_schema' as const, schema: schema as never } };
      const structured = await anthropic.messages.create({ model, max_tokens, messages, output_config });
      expect(structured.content).toMatchObject([{ type: 'text', text: '{"city":"Bergen"}' }]);
      expect(sentText()).toMatch(/city/);
      const thinking = { type: 'enabled' as const, budget_tokens: 1_024 };
      const thought = await anthropic.messages.create({ model, max_tokens: 4_000, messages, thinking });
      expect(thought.content.map(({ type }) => type)).toEqual(['thinking', 'text']);
      expect(thought.content[0]).toMatchObject({ thinking: 'Bergen, surely.' });
    });

    test('its tokens counted', async () => {
      const { input_tokens } = await anthropic.messages.countTokens({ model, messages });
      expect(input_tokens).toBeGreaterThan(2);
      expect(input_tokens).toBeLessThan(60);
    });

    test('errors of its own classes', async () => {
      place.standIn.next(fails(400, { message: 'temperature: too hot' }), fails(500));
      const bad = await anthropic.messages.create({ model, messages, max_tokens }).catch((error: unknown) => error);
      expect(bad).toBeInstanceOf(AnthropicSdk.BadRequestError);
      expect(bad).toMatchObject({ status: 400, error: { type: 'error', error: { type: 'invalid_request_error' } } });
      expect(String(bad)).toContain('too hot');
      await expect(anthropic.messages.create({ model, messages, max_tokens })).rejects.toBeInstanceOf(
        AnthropicSdk.InternalServerError,
      );
    });
  });

  test.runIf(name !== 'anthropic' && name !== 'bedrock')('embeddings, in the form that OpenAI’s client asks for', async () => {
    const { data, usage: used } = await openai.embeddings.create({ model, input: ['one', 'two'] });
    expect(data.map(({ index, embedding }) => [index, embedding.length > 3])).toEqual([
      [0, true],
      [1, true],
    ]);
    expect(data[0]?.embedding).not.toEqual(data[1]?.embedding);
    // AI Studio does not say what it counted.
    if (name !== 'gemini') expect(used.prompt_tokens).toBeGreaterThan(0);
    const plain = await openai.embeddings.create({ model, input: ['one'], encoding_format: 'float' });
    expect(plain.data[0]?.embedding[0]).toBeCloseTo(data[0]!.embedding[0]!, 5);
  });
});

describe('what is the same for every model', () => {
  const messages = [{ role: 'user' as const, content: 'Say hello.' }];

  test('members that nobody here knows survive where the dialect is its own', async () => {
    await openai.chat.completions.create({ model: 'models/openai-compatible', messages, best_guess: { deep: [1] } } as never);
    const sent = places['openai-compatible'].standIn.journal.at(-1);
    expect(sent?.body).toMatchObject({ best_guess: { deep: [1] }, model: 'llama-4' });
  });

  test('the older Completions goes on from a text, whole and in parts', async () => {
    completing.standIn.next(says(words), says(words, { chunkLength: 5 }));
    const model = 'models/completing';
    const whole = await openai.completions.create({ model, prompt: 'Once' });
    expect(whole.choices[0]).toMatchObject({ text: words, finish_reason: 'stop' });
    let text = '';
    for await (const { choices } of await openai.completions.create({ model, prompt: 'Once', stream: true }))
      text += choices[0]?.text ?? '';
    expect(text).toBe(words);
    places.anthropic.standIn.next(says(words));
    expect(
      (await openai.completions.create({ model: 'models/anthropic', prompt: 'Once', max_tokens: 50 })).choices[0]?.text,
    ).toBe(words);
  });

  test('embeddings of Bedrock, and a plain word of a model that makes none', async () => {
    const { data } = await openai.embeddings.create({ model: 'models/titan', input: 'one' });
    expect(data[0]?.embedding.length).toBeGreaterThan(3);
    const none = await openai.embeddings.create({ model: 'models/anthropic', input: 'one' }).catch((error: unknown) => error);
    expect(none).toBeInstanceOf(OpenaiSdk.BadRequestError);
  });

  test('models are listed and described to both', async () => {
    const ids = [...providerNames, 'completing', 'titan'].map((name) => `models/${name}`).sort();
    const listed: string[] = [];
    for await (const { id } of openai.models.list()) listed.push(id);
    expect(listed.sort()).toEqual(ids);
    const theirs: string[] = [];
    for await (const { id, type } of anthropic.models.list()) {
      expect(type).toBe('model');
      theirs.push(id);
    }
    expect(theirs.sort()).toEqual(ids);
    expect(await openai.models.retrieve('models/gemini')).toMatchObject({ id: 'models/gemini', object: 'model' });
    expect(await anthropic.models.retrieve('models/gemini')).toMatchObject({ id: 'models/gemini', type: 'model' });
    await expect(openai.models.retrieve('models/none')).rejects.toBeInstanceOf(OpenaiSdk.NotFoundError);
    await expect(anthropic.models.retrieve('models/none')).rejects.toBeInstanceOf(AnthropicSdk.NotFoundError);
  });

  test('a key works as a bearer’s token and in x-api-key; none, and a wrong one, are refused in the dialect', async () => {
    const byToken = new AnthropicSdk({ authToken: gateway.appKey, apiKey: null, baseURL: gateway.url, maxRetries: 0 });
    const byHeader = gateway.openai('unused', { defaultHeaders: { authorization: null, 'x-api-key': gateway.appKey } });
    expect((await byToken.messages.create({ model: 'models/gemini', messages, max_tokens: 50 })).type).toBe('message');
    expect((await byHeader.chat.completions.create({ model: 'models/gemini', messages })).object).toBe('chat.completion');
    for (const key of ['gh_wrong', gateway.appKey.slice(0, -1)]) {
      const openaiError = await gateway
        .openai(key)
        .chat.completions.create({ model: 'models/gemini', messages })
        .catch((e: unknown) => e);
      expect(openaiError).toBeInstanceOf(OpenaiSdk.AuthenticationError);
      expect(openaiError).toMatchObject({ code: 'invalid_api_key' });
      const anthropicError = await gateway
        .anthropic(key)
        .messages.create({ model: 'models/gemini', messages, max_tokens: 5 })
        .catch((e: unknown) => e);
      expect(anthropicError).toBeInstanceOf(AnthropicSdk.AuthenticationError);
      expect(anthropicError).toMatchObject({ error: { error: { type: 'authentication_error' } } });
    }
  });
});
