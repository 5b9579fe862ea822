import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../../../src/upstreams/upstream.ts';
import { Cancel } from '../../../src/wire/cancel.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { encodeAwsEvent } from '../../support/aws-event-stream.ts';
import { textOf, toolCall } from '../../support/upstreams/harness.ts';
import { ask, type Opened, openModel, question } from './calling.ts';
import {
  chatEvent,
  chatReply,
  chatStream,
  doneEvent,
  type FarEnd,
  json,
  messagesEvent,
  messagesStream,
  openStream,
  responsesStream,
  startFarEnd,
  usageEvent,
} from './far-end.ts';

const key = `\${secret:KEY}`;
const ourKey = 'key-of-ours-0123456789';
let one: FarEnd;
let two: FarEnd;
let open: Opened | undefined;

beforeAll(async () => {
  [one, two] = await Promise.all([startFarEnd(), startFarEnd()]);
});
afterEach(async () => {
  await open?.upstream.close();
  open = undefined;
  for (const end of [one, two]) end.does((_heard, response) => void response.writeHead(500).end());
});
afterAll(() => Promise.all([one.close(), two.close()]));

const chat = (end: FarEnd, more: object = {}) => ({ provider: 'openai-compatible', model: 'theirs', url: end.url, key, ...more });
const messages = (end: FarEnd, more: object = {}) => ({
  provider: 'anthropic',
  model: 'claude-of-theirs',
  url: end.url,
  key,
  ...more,
});

async function model(
  targets: readonly object[],
  more: object = {},
  options: Parameters<typeof openModel>[1] = {},
): Promise<Opened> {
  open = await openModel({ targets, ...more }, options);
  return open;
}

function bodyOf(answer: Answer): JsonObject {
  if (answer.kind !== 'reply') throw new Error(`a ${answer.kind}`);
  return JSON.parse(answer.body.toString()) as JsonObject;
}

async function failure(call: Promise<Answer>): Promise<{ code: string; message: string; retryAfterMs?: number }> {
  return await call.then(
    (answer) => Promise.reject(new Error(`it answered: ${answer.kind}`)),
    (error: unknown) => error as never,
  );
}

describe('a provider that never says anything', () => {
  test.each(['chat', 'messages'])('is not listened to for longer than a stream may hold, by a client of %s', async (dialect) => {
    const { upstream } = await model([messages(one)]);
    const ping = messagesEvent('ping', { filler: 'x'.repeat(64 * 1024) });
    let sent = 0;
    one.does(async (_heard, response) => {
      openStream(response).write(messagesStream([])[0] ?? '');
      while (!response.destroyed && sent < 64 * 1024 * 1024) {
        sent += ping.length;
        if (response.write(ping)) continue;
        await new Promise<void>((resolve) => {
          const go = () => {
            response.off('drain', go).off('close', go);
            resolve();
          };
          response.on('drain', go).on('close', go);
        });
      }
      response.end();
    });
    const { call, received } = ask(dialect, { ...question, max_tokens: 5, stream: true });
    let held = 0;
    received.wait = () => {
      held ||= sent;
      return undefined;
    };
    await failure(upstream.call(call));
    if (dialect === 'messages') expect(held).toBeLessThan(16 * 1024 * 1024);
  });
});

describe('a provider that tells of more tokens than there can be', () => {
  const lie = { prompt_tokens: Number.MAX_SAFE_INTEGER, completion_tokens: 9e8 };
  const honest = { prompt_tokens: 60, completion_tokens: 40 };
  const told = (usage: object) => one.does((_heard, response) => json(response, 200, chatReply('hello', { usage })));

  test('is believed as far as it is possible; the record says so, and the log once', async () => {
    const { upstream, logged } = await model([chat(one, { price: { input: 1, output: 1 } })]);
    for (let time = 0; time < 2; time++) {
      told(lie);
      const { call, spent } = ask('chat', { ...question, max_tokens: 10 });
      await upstream.call(call);
      const { usage, nanoUsd, isCorrected, isEstimated } = spent.at(-1) ?? expect.fail('nothing was spent');
      expect([isCorrected, isEstimated]).toEqual([true, false]);
      expect(usage.input).toBeLessThan(5_000);
      expect(usage.output).toBeLessThan(3_000);
      expect(nanoUsd).toBe((usage.input + usage.output) * 1_000);
    }
    const warned = logged.filter((line) => line.includes('more tokens than can be'));
    expect(warned.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, model: 'models/fast', target: 'openai-compatible', told: { input: lie.prompt_tokens }, counted: {} },
    ]);
  });

  test('and one that does not are told apart in streams too', async () => {
    const { upstream, logged } = await model([chat(one)]);
    const stream = async (usage: object) => {
      const last = `data: ${JSON.stringify({ choices: [], usage })}\n\n`;
      const events = chatStream(['hello']).filter((event) => event !== usageEvent && event !== doneEvent);
      one.does((_heard, response) => void openStream(response).end([...events, last, doneEvent].join('')));
      const { call, spent } = ask('chat', { ...question, max_tokens: 10, stream: true });
      await upstream.call(call);
      return spent.at(-1);
    };
    expect(await stream(honest)).toMatchObject({ usage: { input: 60, output: 40 } });
    expect((await stream(honest))?.isCorrected).toBeUndefined();
    expect(logged.join('')).not.toContain('more tokens than can be');
    const spent = await stream(lie);
    expect(spent?.isCorrected).toBe(true);
    expect((spent?.usage.input ?? 1e9) + (spent?.usage.output ?? 1e9)).toBeLessThan(8_000);
  });

  test('counts towards what its own limits let it have as what is believed', async () => {
    const { upstream } = await model([chat(one, { limits: { tpm: 20_000 } })]);
    told(lie);
    await upstream.call(ask('chat', { ...question, max_tokens: 10 }).call);
    told(honest);
    await upstream.call(ask('chat', { ...question, max_tokens: 10 }).call);
  });
});

describe('a whole answer that says nothing of its tokens', () => {
  test.each([
    ['chat', () => chat(one), 'chat'],
    ['messages', () => chat(one), 'messages'],
  ] as const)('is counted by its length, for a client of %s', async (_name, target, dialect) => {
    const { upstream } = await model([target()]);
    one.does((_heard, response) => json(response, 200, chatReply('four'.repeat(100), { usage: undefined })));
    const { call, spent } = ask(dialect, { ...question, max_tokens: 500 });
    await upstream.call(call);
    expect(spent.at(-1)).toMatchObject({ isEstimated: true, usage: { output: 100 } });
    expect(spent.at(-1)?.usage.input).toBeGreaterThan(0);
  });

  test('is counted as told where it tells', async () => {
    const { upstream } = await model([chat(one)]);
    one.does((_heard, response) => json(response, 200, chatReply('four'.repeat(100))));
    const { call, spent } = ask('chat', question);
    await upstream.call(call);
    expect(spent).toMatchObject([{ isEstimated: false, usage: { input: 7, output: 3 } }]);
  });
});

describe('an event that is half of one', () => {
  const half = 'data: {"half": "of an ev\n\n';

  test('does not reach a client that would choke on it: the answer ends as one that broke off', async () => {
    const { upstream } = await model([chat(one)]);
    one.does(async (_heard, response) => {
      openStream(response).write(chatEvent({ content: 'Hello' }));
      await received.until('Hello');
      response.end(half);
    });
    const { call, received } = ask('chat', { ...question, stream: true });
    expect(await failure(upstream.call(call))).toMatchObject({ code: 'upstream_failed' });
    expect(received.text).toContain('Hello');
    expect(received.text).not.toContain('half');
  });

  test('before anything was said leaves the answer to the next target', async () => {
    const { upstream } = await model([chat(one), chat(two)]);
    one.does((_heard, response) => void openStream(response).end(half + chatStream(['No']).join('')));
    two.does((_heard, response) => void openStream(response).end(chatStream(['Yes']).join('')));
    const { call, received } = ask('chat', { ...question, stream: true });
    await upstream.call(call);
    expect(received.text).toContain('Yes');
    expect(received.text).not.toMatch(/half|No/);
  });

  test('is not what a comment is, or data that was never meant as an object: they pass byte for byte', async () => {
    const { upstream } = await model([chat(one)]);
    const odd = ': still there\n\ndata: ping\n\ndata: {"choices":[],\ndata: "x":1}\nid: 5\n\n';
    const all = odd + chatStream(['Hello']).join('');
    one.does((_heard, response) => void openStream(response).end(all));
    const { call, received } = ask('chat', { ...question, stream: true, stream_options: { include_usage: true } });
    await upstream.call(call);
    expect(received.text).toBe(all);
  });
});

describe('a stream that does not end as it should', () => {
  const said = [chatEvent({ role: 'assistant', content: '' }), chatEvent({ content: 'Hello' })].join('');
  const whole = said + chatEvent({}, 'stop') + usageEvent;
  const streams = async (body: string, isCut: boolean, dialect: 'chat' | 'messages') => {
    const { upstream } = await model([chat(one)]);
    one.does((_heard, response) => {
      if (isCut) openStream(response).write(body, () => response.destroy());
      else openStream(response).end(body);
    });
    const asked = ask(dialect, { ...question, max_tokens: 50, stream: true });
    return { ...asked, done: upstream.call(asked.call) };
  };

  test.each([
    ['without its last event', whole, false],
    ['without the empty line behind it', `${whole}data: [DONE]`, false],
    ['without the line behind it', `${whole}data: [DONE]\n`, false],
    ['with an event that is empty', `data:\n\n${whole}${doneEvent}`, false],
    ['with a connection that breaks when all is said', whole + doneEvent, true],
  ])('is whole %s, in either dialect', async (_, body, isCut) => {
    for (const dialect of ['chat', 'messages'] as const) {
      const { done, spent, received } = await streams(body, isCut, dialect);
      expect(await done).toMatchObject({ kind: 'streamed' });
      expect(received.text).toContain('Hello');
      expect(spent.at(-1)).toMatchObject({ isEstimated: false, finish: 'stop', usage: { input: 7, output: 3 } });
      if (dialect === 'messages') expect(received.text).toContain('message_stop');
    }
  });

  test.each([
    ['nobody said why it ended', said, false],
    ['half of its last event is missing', `${whole}data: {"choi`, false],
    ['the connection breaks before all is said', said, true],
  ])('is broken where %s, in either dialect', async (_, body, isCut) => {
    for (const dialect of ['chat', 'messages'] as const) {
      const { done, received } = await streams(body, isCut, dialect);
      expect(await failure(done)).toMatchObject({ code: 'upstream_failed' });
      expect(received.text).not.toMatch(/\[DONE\]|message_stop/);
    }
  });
});

describe('a limit of tokens of a target', () => {
  test('is not undone by a client that asks for an answer of any length', async () => {
    const { upstream, clock } = await model([chat(one, { limits: { tpm: 1000 } })]);
    one.does((_heard, response) => json(response, 200, chatReply('hello')));
    await upstream.call(ask('chat', { ...question, max_tokens: 1e300 }).call);
    await upstream.call(ask('chat', { ...question, max_tokens: 10.5 }).call);
    expect(await failure(upstream.call(ask('chat', { ...question, max_tokens: 2000 }).call))).toMatchObject({
      code: 'upstream_busy',
    });
    clock.ms += 30_000;
    await upstream.call(ask('chat', { ...question, max_tokens: 5 }).call);
    expect(upstream.estimate({ dialect: 'chat', arguments: { ...question, max_tokens: 1e300 } })).toMatchObject({
      tokens: expect.toSatisfy((tokens: number) => Number.isSafeInteger(tokens) && tokens < 1e10),
    });
  });
});

test('a model whose targets are over their own limits says when one has room again, which is then so, and shows them as full', async () => {
  const { upstream, clock } = await model([chat(one, { limits: { rpm: 2 } })]);
  one.does((_heard, response) => json(response, 200, chatReply('hello')));
  clock.ms = 60_000 * Math.ceil(clock.ms / 60_000);
  for (let at = 0; at < 2; at++) await upstream.call(ask('chat', question).call);
  expect(upstream.state.targets).toMatchObject([{ state: 'full' }]);
  clock.ms += 20_000;
  const busy = await failure(upstream.call(ask('chat', question).call));
  expect(busy).toMatchObject({
    code: 'upstream_busy',
    message: expect.stringContaining('try again in 45 s'),
    retryAfterMs: 45_000,
  });
  clock.ms += 44_000;
  await failure(upstream.call(ask('chat', question).call));
  clock.ms += 1_000;
  await upstream.call(ask('chat', question).call);
  expect(upstream.state.targets).toMatchObject([{ state: 'in' }]);
});

describe('a target that speaks as its client does', () => {
  test('gets the request as it came but for the model, and its answer is passed on byte for byte', async () => {
    const { upstream } = await model([chat(one)]);
    const raw = JSON.stringify(chatReply('hello', { of_tomorrow: { deep: [1, 2] } }), undefined, 1);
    one.does((_heard, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(raw));
    const { call, spent } = ask('chat', { ...question, top_k: 5, of_tomorrow: true, temperature: 0.5 });
    const answer = await upstream.call(call);
    expect(answer.kind === 'reply' && answer.body.toString()).toBe(raw);
    const [heard] = one.heard;
    expect(heard?.path).toBe('/v1/chat/completions');
    expect(heard?.headers.authorization).toBe(`Bearer ${ourKey}`);
    expect(heard?.body).toEqual({ ...question, model: 'theirs', top_k: 5, of_tomorrow: true, temperature: 0.5 });
    expect(spent).toEqual([
      expect.objectContaining({
        usage: { input: 7, output: 3, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
        ...{ isEstimated: false, target: 'openai-compatible', model: 'gpt-of-theirs', finish: 'stop', failovers: 0 },
      }),
    ]);
  });

  test('streams as it comes; the usage that only we asked for stays here', async () => {
    const { upstream } = await model([chat(one, { price: { input: 1, output: 10 } })]);
    const events = chatStream(['he', 'llo "usage" \\"usage\\"', '\u2028!']);
    one.does((_heard, response) => void openStream(response).end(events.join('')));
    const { call, spent, received } = ask('chat', { ...question, stream: true });
    expect(await upstream.call(call)).toMatchObject({ kind: 'streamed' });
    expect(received.text).toBe(events.filter((event) => event !== usageEvent).join(''));
    expect(one.heard[0]?.body.stream_options).toEqual({ include_usage: true });
    expect(spent.at(-1)).toMatchObject({ isEstimated: false, finish: 'stop', nanoUsd: 7 * 1_000 + 3 * 10_000 });
    expect(spent.at(-1)?.usage).toMatchObject({ input: 7, output: 3 });
  });

  test('the usage that a client asks for is passed on', async () => {
    const { upstream } = await model([chat(one)]);
    const events = chatStream(['hello']);
    one.does((_heard, response) => void openStream(response).end(events.join('')));
    const { call, received } = ask('chat', { ...question, stream: true, stream_options: { include_usage: true, more: 1 } });
    await upstream.call(call);
    expect(received.text).toBe(events.join(''));
    expect(one.heard[0]?.body.stream_options).toEqual({ include_usage: true, more: 1 });
  });

  test('each event goes out as soon as it is whole, however it is cut', async () => {
    const { upstream } = await model([chat(one)]);
    const go = Promise.withResolvers<void>();
    const first = chatEvent({ content: 'first' });
    one.does(async (_heard, response) => {
      openStream(response).write(`${first}data: {"choi`);
      await go.promise;
      for (const byte of `ces":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\r\n\r\n${doneEvent}`)
        response.write(byte);
      response.end();
    });
    const { call, received } = ask('chat', { ...question, stream: true });
    const done = upstream.call(call);
    await received.until('first');
    expect(received.text).toBe(first);
    go.resolve();
    await done;
    expect(received.text.endsWith(`"stop"}]}\r\n\r\n${doneEvent}`)).toBe(true);
  });

  test('while the client takes nothing, nothing more is written to it', async () => {
    const { upstream } = await model([chat(one)]);
    const go = Promise.withResolvers<void>();
    one.does(async (_heard, response) => {
      openStream(response).write(chatEvent({ content: 'first' }));
      await received.until('first');
      response.end(chatEvent({ content: 'second' }) + chatEvent({}, 'stop') + doneEvent);
    });
    const { call, received } = ask('chat', { ...question, stream: true });
    received.wait = () => (received.chunks.length === 1 ? go.promise : undefined);
    let isOver = false;
    const done = upstream.call(call).then(() => {
      isOver = true;
    });
    await received.until('first');
    await new Promise((resolve) => setImmediate(resolve));
    expect([isOver, received.text.includes('second')]).toEqual([false, false]);
    go.resolve();
    await done;
    expect(received.text).toContain('second');
  });

  test('Anthropic to Anthropic keeps every event, and counts what both of its usages say', async () => {
    const { upstream } = await model([messages(one)]);
    const events = messagesStream(['hel', 'lo']);
    one.does((_heard, response) => void openStream(response).end(events.join('')));
    const { call, spent, received } = ask('messages', { ...question, max_tokens: 50, stream: true });
    await upstream.call(call);
    expect(received.text).toBe(events.join(''));
    expect(one.heard[0]).toMatchObject({ path: '/v1/messages', headers: { 'x-api-key': ourKey } });
    expect(spent.at(-1)).toMatchObject({ isEstimated: false, finish: 'stop', model: 'claude-of-theirs' });
    expect(spent.at(-1)?.usage).toMatchObject({ input: 11, output: 5 });
  });
});

test('Responses to Responses keeps every event, and reads what the last one says', async () => {
  const { upstream } = await model([chat(one, { dialects: ['responses'] })]);
  const events = responsesStream(['hel', 'lo']);
  one.does((_heard, response) => void openStream(response).end(events.join('')));
  const { call, spent, received } = ask('responses', { model: 'models/fast', input: 'Say hello.', stream: true });
  await upstream.call(call);
  // All but the ids, which are for its consumer.
  expect(received.text.replaceAll(/(resp|msg)_gh[0-9a-f]{40}_/g, '')).toBe(events.join(''));
  expect(one.heard[0]).toMatchObject({ path: '/v1/responses', body: { model: 'theirs', input: 'Say hello.', stream: true } });
  expect(spent.at(-1)).toMatchObject({
    isEstimated: false,
    finish: 'stop',
    model: 'gpt-of-theirs',
    usage: { input: 6, output: 4 },
  });
});

describe('a target that speaks otherwise', () => {
  test("is spoken to in its dialect, and answers in the client's", async () => {
    const { upstream } = await model([messages(one)], { defaults: { maxTokens: 77 } });
    one.does((_heard, response) =>
      json(response, 200, {
        ...{ id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-of-theirs', stop_reason: 'end_turn' },
        ...{ stop_sequence: null, content: [{ type: 'text', text: 'hello' }], usage: { input_tokens: 9, output_tokens: 2 } },
      }),
    );
    const { call, spent } = ask('chat', question);
    const body = bodyOf(await upstream.call(call));
    expect(body).toMatchObject({ object: 'chat.completion', model: 'models/fast', choices: [{ message: { content: 'hello' } }] });
    expect(one.heard[0]?.body).toMatchObject({ model: 'claude-of-theirs', max_tokens: 77 });
    expect(spent.at(-1)).toMatchObject({ usage: { input: 9, output: 2 }, finish: 'stop' });
  });

  test("streams in the client's dialect", async () => {
    const { upstream } = await model([messages(one)]);
    one.does((_heard, response) => void openStream(response).end(messagesStream(['hel', 'lo']).join('')));
    const { call, spent, received } = ask('chat', { ...question, stream: true });
    expect(await upstream.call(call)).toMatchObject({ kind: 'streamed' });
    const texts = received.text
      .split('\n\n')
      .filter((event) => event.startsWith('data: {'))
      .map(
        (event) => (JSON.parse(event.slice(6)) as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content ?? '',
      );
    expect(texts.join('')).toBe('hello');
    expect(received.text.endsWith(doneEvent)).toBe(true);
    expect(spent.at(-1)?.usage).toMatchObject({ input: 11, output: 5 });
  });
});

describe('each provider', () => {
  const geminiAnswer = (text: string, more: object = {}) => ({
    candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0, ...more }],
    usageMetadata: { promptTokenCount: 8, candidatesTokenCount: 2, totalTokenCount: 10 },
    modelVersion: 'gemini-of-theirs',
  });
  const converseAnswer = {
    output: { message: { role: 'assistant', content: [{ text: 'hello' }] } },
    stopReason: 'end_turn',
    usage: { inputTokens: 8, outputTokens: 2, totalTokens: 10 },
  };

  test.each([
    ['gemini', { key }, '/v1/models/theirs:generateContent', geminiAnswer('hello', { finishReason: 'STOP' })],
    [
      'bedrock',
      { accessKeyId: 'AKIAEXAMPLEEXAMPLE00', secretAccessKey: key, location: 'us-east-1' },
      '/v1/model/theirs/converse',
      converseAnswer,
    ],
    ['azure', { key }, '/v1/openai/v1/chat/completions', chatReply('hello')],
    ['openai', { key }, '/v1/chat/completions', chatReply('hello')],
  ])('%s answers a client of Chat Completions', async (provider, credential, path, answer) => {
    const { upstream } = await model([{ provider, model: 'theirs', url: one.url, ...credential }]);
    one.does((_heard, response) => json(response, 200, answer));
    const { call, spent } = ask('chat', question);
    expect(bodyOf(await upstream.call(call))).toMatchObject({ choices: [{ message: { content: 'hello' } }] });
    expect(one.heard[0]?.path).toBe(path);
    expect(spent.at(-1)).toMatchObject({ isEstimated: false, finish: 'stop', provider });
    expect(JSON.stringify(one.heard[0]?.headers)).toMatch(provider === 'bedrock' ? /AWS4-HMAC-SHA256/ : new RegExp(ourKey));
  });

  test('gemini streams to a client of Messages', async () => {
    const { upstream } = await model([{ provider: 'gemini', model: 'theirs', url: one.url, key }]);
    const events = [geminiAnswer('hel'), geminiAnswer('lo', { finishReason: 'STOP' })];
    one.does(
      (_heard, response) =>
        void openStream(response).end(events.map((event) => `data: ${JSON.stringify(event)}\r\n\r\n`).join('')),
    );
    const { call, spent, received } = ask('messages', { ...question, max_tokens: 9, stream: true });
    await upstream.call(call);
    expect(one.heard[0]?.path).toBe('/v1/models/theirs:streamGenerateContent?alt=sse');
    expect(received.text).toContain('"hel"');
    expect(received.text).toContain('event: message_stop');
    expect(spent.at(-1)).toMatchObject({ isEstimated: false, usage: { input: 8, output: 2 }, model: 'gemini-of-theirs' });
  });

  test('bedrock streams its own frames to a client of Chat Completions, and one that breaks off is no end', async () => {
    const target = { provider: 'bedrock', model: 'theirs', url: one.url, location: 'us-east-1', key };
    const { upstream } = await model([target]);
    const frames = [
      encodeAwsEvent('messageStart', { role: 'assistant' }),
      encodeAwsEvent('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'hello' } }),
      encodeAwsEvent('contentBlockStop', { contentBlockIndex: 0 }),
      encodeAwsEvent('messageStop', { stopReason: 'end_turn' }),
      encodeAwsEvent('metadata', { usage: { inputTokens: 8, outputTokens: 2, totalTokens: 10 }, metrics: { latencyMs: 1 } }),
    ];
    const answer = (some: readonly Buffer[]) =>
      one.does((_heard, response) => {
        response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' });
        response.end(Buffer.concat(some));
      });
    answer(frames);
    const good = ask('chat', { ...question, stream: true });
    await upstream.call(good.call);
    expect(good.received.text).toContain('"hello"');
    expect(good.received.text.endsWith(doneEvent)).toBe(true);
    expect(good.spent.at(-1)).toMatchObject({ isEstimated: false, usage: { input: 8, output: 2 } });
    answer(frames.slice(0, 2));
    const broken = ask('chat', { ...question, stream: true });
    expect(await failure(upstream.call(broken.call))).toMatchObject({ code: 'upstream_failed' });
    expect(broken.received.text).not.toContain('[DONE]');
    expect(broken.spent.at(-1)).toMatchObject({ isEstimated: true });
  });

  test('gemini makes embeddings for a client of OpenAI', async () => {
    const { upstream } = await model([{ provider: 'gemini', model: 'theirs', url: one.url, key }], { can: ['embeddings'] });
    one.does((_heard, response) => json(response, 200, { embeddings: [{ values: [1, 2] }] }));
    expect(bodyOf(await upstream.call(ask('embeddings', { model: 'models/fast', input: 'x' }).call))).toMatchObject({
      data: [{ embedding: [1, 2] }],
    });
  });
});

describe('failover', () => {
  const good = (end: FarEnd) => end.does((_heard, response) => json(response, 200, chatReply('from the second')));

  test.each([
    ['an error of the server', 500],
    ['no room', 429],
    ['too much to do', 529],
    ['not there right now', 503],
  ])('%s: the next target answers, and it is told', async (_what, status) => {
    const { upstream, events } = await model([chat(one, { name: 'a' }), chat(two, { name: 'b' })]);
    one.does((_heard, response) => json(response, status, { error: { message: 'no' } }));
    good(two);
    const { call, spent } = ask('chat', question);
    expect(bodyOf(await upstream.call(call))).toMatchObject({ choices: [{ message: { content: 'from the second' } }] });
    expect(spent.at(-1)).toMatchObject({ target: 'b', failovers: 1 });
    expect(events.find(({ kind }) => kind === 'failover')).toMatchObject({
      from: 'a',
      to: 'b',
      reason: expect.stringContaining(`HTTP ${status}`),
    });
    expect(upstream.state.events).toEqual(events);
  });

  test.each([
    ['a connection that breaks', (end: FarEnd) => end.does((_heard, _response, request) => void request.socket.destroy())],
    [
      'a page of HTML',
      (end: FarEnd) =>
        end.does((_heard, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')),
    ],
    [
      'an error with status 200',
      (end: FarEnd) => end.does((_heard, response) => json(response, 200, { error: { message: 'x', code: 502 } })),
    ],
    [
      'an answer cut in the middle',
      (end: FarEnd) =>
        end.does(
          (_heard, response) => void response.writeHead(200, { 'content-length': '900' }).write('{"a', () => response.destroy()),
        ),
    ],
  ])('%s: the next target answers', async (_what, fail) => {
    const { upstream } = await model([chat(one), chat(two)]);
    fail(one);
    good(two);
    expect(bodyOf(await upstream.call(ask('chat', question).call))).toMatchObject({ model: 'gpt-of-theirs' });
    expect([one.heard.length, two.heard.length]).toEqual([1, 1]);
  });

  test.each<[string, number, (end: FarEnd) => void]>([
    ['a server error', 500, (end) => end.does((_heard, response) => json(response, 500, {}))],
    ['an answer of a proxy', 502, (end) => end.does((_heard, response) => json(response, 502, {}))],
    ['no answer in time', 0, (end) => end.does(() => {})],
    ['a connection that breaks', 0, (end) => end.does((_heard, _response, request) => void request.socket.destroy())],
  ])('%s (%i): what its provider may bill is counted for that target', async (_what, _status, fail) => {
    const { upstream } = await model([chat(one, { name: 'a', price: { input: 1, output: 9 } }), chat(two, { name: 'b' })], {
      routing: { failover: { firstByteMs: 300 } },
    });
    fail(one);
    good(two);
    const { call, spent } = ask('chat', question);
    await upstream.call(call);
    expect(spent.at(-1)).toMatchObject({ target: 'b', usage: { input: 7, output: 3 } });
    const [lost, ...more] = spent.at(-1)?.lost ?? [];
    expect([lost?.target, lost?.isEstimated, lost?.usage.output, more]).toEqual(['a', true, 0, []]);
    expect(lost?.usage.input).toBeGreaterThan(3);
    expect(lost?.nanoUsd).toBe((lost?.usage.input ?? 0) * 1_000);
  });

  test('what refuses a request, or never heard of it, bills nothing', async () => {
    const closed = await startFarEnd();
    await closed.close();
    for (const status of [429, 503, 529, 0]) {
      const { upstream } = await model([chat(status === 0 ? closed : one, { name: 'a' }), chat(two, { name: 'b' })]);
      one.does((_heard, response) => json(response, status, { error: { message: 'no' } }));
      good(two);
      const { call, spent } = ask('chat', question);
      await upstream.call(call);
      expect([status, spent.at(-1)?.failovers, spent.at(-1)?.lost]).toEqual([status, 1, undefined]);
    }
  });

  test('what a provider reported before it failed is counted as it says', async () => {
    const { upstream } = await model([messages(one, { name: 'a' }), messages(two, { name: 'b' })]);
    const error = { error: { type: 'overloaded_error', message: 'Overloaded' } };
    const [start = ''] = messagesStream([]);
    one.does((_heard, response) => void openStream(response).end(start + messagesEvent('error', error)));
    two.does((_heard, response) => void openStream(response).end(messagesStream(['hello']).join('')));
    const { call, spent } = ask('messages', { ...question, max_tokens: 5, stream: true });
    await upstream.call(call);
    expect(spent.at(-1)?.lost).toMatchObject([{ target: 'a', isEstimated: false, usage: { input: 11 } }]);
  });

  test.each([
    [400, 'invalid_request', { error: { message: 'messages[0].content is wrong', type: 'invalid_request_error' } }],
    [422, 'invalid_request', { error: { message: 'no such parameter' } }],
    [400, 'prompt_too_long', { error: { message: 'too long', code: 'context_length_exceeded' } }],
    [400, 'content_blocked', { error: { message: 'filtered', code: 'content_filter' } }],
    [401, 'credentials_failed', { error: { message: 'Incorrect API key provided: key-of-*****6789' } }],
    [404, 'upstream_failed', { error: { message: 'The model does not exist' } }],
  ])('HTTP %i (%s) goes to nobody else, and ejects nobody', async (status, code, body) => {
    const { upstream, events } = await model([chat(one), chat(two)]);
    one.does((_heard, response) => json(response, status, body));
    for (let time = 0; time < 4; time++) {
      const { call } = ask('chat', question);
      const error = await failure(upstream.call(call));
      expect(error.code).toBe(code);
      expect(error.message).not.toContain('6789');
    }
    expect([one.heard.length, two.heard.length]).toEqual([4, 0]);
    expect(events.map(({ kind }) => kind)).toEqual(status === 401 || status === 404 ? Array(4).fill('refused') : []);
  });

  test('what all of them refuse for want of room is told as that, and the next call as busy, with the time that the provider says', async () => {
    const { upstream } = await model([chat(one)]);
    one.does((_heard, response) => json(response, 429, { error: { message: 'slow down' } }, { 'retry-after': '7' }));
    expect(await failure(upstream.call(ask('chat', question).call))).toMatchObject({
      code: 'upstream_limited',
      retryAfterMs: 7_000,
    });
    expect(await failure(upstream.call(ask('chat', question).call))).toMatchObject({ code: 'upstream_busy' });
    expect(one.heard).toHaveLength(1);
  });

  test('a request that its provider has no room for at any time keeps nobody else from it; one that has to wait does', async () => {
    const { upstream } = await model([chat(one)]);
    const refuses = (message: string) =>
      one.does((_heard, response) => json(response, 429, { error: { message, code: 'rate_limit_exceeded' } }));
    refuses('Request too large for gpt-5 on tokens per min (TPM): Limit 30000, Requested 90000.');
    expect(await failure(upstream.call(ask('chat', question).call))).toMatchObject({ code: 'prompt_too_long' });
    one.does((_heard, response) => json(response, 200, chatReply('hello')));
    expect((await upstream.call(ask('chat', question).call)).kind).toBe('reply');
    refuses('Rate limit reached.');
    const before = one.heard.length;
    expect(await failure(upstream.call(ask('chat', question).call))).toMatchObject({ code: 'upstream_limited' });
    expect(upstream.state.targets).toMatchObject([{ state: 'out' }]);
    expect(one.heard).toHaveLength(before + 1);
  });

  test('a request that is too large for one account goes on to the next, and keeps nobody from the first; what no model reads does not', async () => {
    const { upstream } = await model([chat(one, { name: 'a' }), chat(two, { name: 'b' })]);
    two.does((_heard, response) => json(response, 200, chatReply('hello')));
    const message = 'Request too large for gpt-5 on tokens per min (TPM): Limit 30000, Requested 90000.';
    for (const status of [429, 413]) {
      one.does((_heard, response) => json(response, status, { error: { message, code: 'rate_limit_exceeded' } }));
      const { call, spent } = ask('chat', question);
      expect((await upstream.call(call)).kind).toBe('reply');
      expect(spent.at(-1)).toMatchObject({ target: 'b', failovers: 1 });
    }
    expect(upstream.state.targets).toMatchObject([{ state: 'in' }, { state: 'in' }]);
    one.does((_heard, response) => json(response, 400, { error: { message: 'long', code: 'context_length_exceeded' } }));
    const heard = two.heard.length;
    expect(await failure(upstream.call(ask('chat', question).call))).toMatchObject({ code: 'prompt_too_long' });
    expect(two.heard).toHaveLength(heard);
  });

  test('a stream that fails before it says anything is begun by the next target', async () => {
    const { upstream } = await model([messages(one, { name: 'a' }), messages(two, { name: 'b' })]);
    const error = { error: { type: 'overloaded_error', message: 'Overloaded' } };
    const [start = ''] = messagesStream([]);
    one.does((_heard, response) => void openStream(response).end(start + messagesEvent('error', error)));
    const events = messagesStream(['hello']);
    two.does((_heard, response) => void openStream(response).end(events.join('')));
    const { call, spent, received } = ask('messages', { ...question, max_tokens: 5, stream: true });
    await upstream.call(call);
    expect(received.text).toBe(events.join(''));
    expect(spent.at(-1)).toMatchObject({ target: 'b', failovers: 1 });
  });

  test.each([
    ['the connection breaks', (_heard: unknown, response: { destroy(): void }) => response.destroy()],
    ['it ends without an end', (_heard: unknown, response: { end(): void }) => response.end()],
    [
      'it says that it failed',
      (_heard: unknown, response: { end(text: string): void }) =>
        response.end('data: {"error":{"message":"secret trouble"}}\n\n'),
    ],
    ['it never ends an event', (_heard: unknown, response: { end(text: string): void }) => response.end('data: {"cho')],
  ])('after the first token nobody else answers: %s', async (_what, end) => {
    const { upstream } = await model([chat(one), chat(two)]);
    const { call, spent, received } = ask('chat', { ...question, stream: true });
    one.does(async (heard, response) => {
      openStream(response).write(chatEvent({ content: 'The beginning of something' }));
      await received.until('beginning');
      end(heard, response);
    });
    const error = await failure(upstream.call(call));
    expect(error).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('in the middle of its answer') });
    expect(received.text).not.toContain('[DONE]');
    expect(received.text).not.toContain('trouble');
    expect(two.heard).toHaveLength(0);
    expect(spent.at(-1)).toMatchObject({ isEstimated: true });
    expect(spent.at(-1)?.usage.input).toBeGreaterThan(0);
    expect(spent.at(-1)?.usage.output).toBeGreaterThanOrEqual(6);
  });

  test('a target that does not begin in time is left for the next', async () => {
    const { upstream } = await model([chat(one), chat(two)], { routing: { failover: { firstByteMs: 30 } } });
    one.does(() => {});
    good(two);
    expect(bodyOf(await upstream.call(ask('chat', question).call))).toMatchObject({ model: 'gpt-of-theirs' });
  });

  test('a rule keeps its calls where it says, and a call that it cannot be asked of goes nowhere', async () => {
    const { upstream } = await model(
      [chat(one, { name: 'a' }), chat(two, { name: 'b' })],
      {
        routing: { rules: [{ when: 'caller.consumer == "billing" || args.metadata.region == "eu"', targets: ['b'] }] },
      },
      { caller: { consumer: 'sales' } },
    );
    good(one);
    good(two);
    await upstream.call(ask('chat', { ...question, metadata: { region: 'us' } }).call);
    await upstream.call(ask('chat', { ...question, metadata: { region: 'eu' } }).call);
    expect([one.heard.length, two.heard.length]).toEqual([1, 1]);
    two.does((_heard, response) => json(response, 500, {}));
    expect(await failure(upstream.call(ask('chat', { ...question, metadata: { region: 'eu' } }).call))).toMatchObject({
      code: 'upstream_failed',
    });
    expect(await failure(upstream.call(ask('chat', question).call))).toMatchObject({ code: 'not_allowed' });
    expect(one.heard).toHaveLength(1);
  });
});

describe('a client that gives up', () => {
  test('before anything came: the provider is left, and what it read is counted', async () => {
    const { upstream, events } = await model([chat(one), chat(two)]);
    const cancel = new Cancel();
    one.does(() => cancel.cancel('the client went away'));
    const { call, spent } = ask('chat', { ...question, stream: true }, { cancel });
    expect(await failure(upstream.call(call))).toMatchObject({ code: 'cancelled' });
    expect(spent.at(-1)).toMatchObject({ isEstimated: true, usage: { output: 0 } });
    expect(spent.at(-1)?.usage.input).toBeGreaterThan(0);
    expect([two.heard.length, events.length]).toEqual([0, 0]);
  });

  test('in the middle: what was said is counted', async () => {
    const { upstream } = await model([chat(one)]);
    const cancel = new Cancel();
    one.does((_heard, response) => void openStream(response).write(chatEvent({ content: 'Twelve bytes' })));
    const { call, spent, received } = ask('chat', { ...question, stream: true }, { cancel });
    const done = failure(upstream.call(call));
    await received.until('Twelve');
    cancel.cancel('the client went away');
    expect(await done).toMatchObject({ code: 'cancelled' });
    expect(spent.at(-1)).toMatchObject({ isEstimated: true, usage: { output: 3 } });
  });
});

describe('secrets', () => {
  test('SK-03: a provider that echoes our key in an answer, a stream or an error shows stars', async () => {
    const { upstream, logged } = await model([chat(one)]);
    one.does((_heard, response) => json(response, 200, chatReply(`your key is ${ourKey}`)));
    const answer = await upstream.call(ask('chat', question).call);
    expect(JSON.stringify(bodyOf(answer))).not.toContain(ourKey);
    one.does((_heard, response) => void openStream(response).end(chatStream([`key ${ourKey}`]).join('')));
    const { call, received } = ask('chat', { ...question, stream: true });
    await upstream.call(call);
    expect(received.text).toContain(`key ${'*'.repeat(ourKey.length)}`);
    one.does((_heard, response) =>
      json(response, 400, { error: { message: `bad ${ourKey} and sk-ant-api03-${'x'.repeat(30)} and\nmore` } }),
    );
    const error = await failure(upstream.call(ask('chat', question).call));
    expect(error.message).toMatch(/bad \*+ and \*\*\* and more$/);
    expect(logged.join('')).not.toContain(ourKey);
  });
});

describe('as a tool', () => {
  test('offers one that is called as the model is', async () => {
    const { upstream } = await model([chat(one)], { title: 'Fast', description: 'A fast one.' });
    const [tool] = upstream.offer().tools;
    expect(tool).toMatchObject({ name: 'fast', title: 'Fast', annotations: { openWorldHint: true, readOnlyHint: true } });
    expect(upstream.health()).toMatchObject({ state: 'healthy', server: 'openai-compatible' });
  });

  test('answers with text and with what it used', async () => {
    const { upstream } = await model([chat(one)]);
    one.does((_heard, response) => json(response, 200, chatReply('hello')));
    const answer = await upstream.call(
      toolCall('fast', { prompt: 'Say hello.', system: 'Be brief.', maxTokens: 9, temperature: 0 }),
    );
    expect(textOf(answer)).toBe('hello');
    expect(answer.kind === 'result' && answer.result.value.structuredContent).toEqual({
      ...{ text: 'hello', model: 'gpt-of-theirs', finish: 'stop', usage: { input: 7, output: 3 } },
    });
    expect(one.heard[0]?.body).toMatchObject({ model: 'theirs', temperature: 0 });
    expect(JSON.stringify(one.heard[0]?.body.messages)).toContain('Be brief.');
  });

  test('what the provider does not take comes back as a result that the caller can act on; wrong arguments do not go out', async () => {
    const { upstream } = await model([chat(one)]);
    one.does((_heard, response) => json(response, 400, { error: { message: 'temperature is too high' } }));
    expect(textOf(await upstream.call(toolCall('fast', { prompt: 'x' })))).toContain('temperature is too high');
    one.does((_heard, response) => json(response, 200, chatReply('hello')));
    expect(await failure(upstream.call(toolCall('fast', { prompt: 'x', messages: [] })))).toMatchObject({
      code: 'bad_arguments',
    });
    expect(one.heard).toHaveLength(0);
  });
});

describe('beside answers', () => {
  test('embeddings are passed on, and counted', async () => {
    const { upstream } = await model([chat(one)], { can: ['embeddings'] });
    const reply = {
      object: 'list',
      model: 'e',
      data: [{ object: 'embedding', index: 0, embedding: [0.5, -1] }],
      usage: { prompt_tokens: 4, total_tokens: 4 },
    };
    one.does((_heard, response) => json(response, 200, reply));
    const { call, spent } = ask('embeddings', { model: 'models/fast', input: 'hello' });
    expect(bodyOf(await upstream.call(call))).toEqual(reply);
    expect(one.heard[0]).toMatchObject({ path: '/v1/embeddings', body: { model: 'theirs', input: 'hello' } });
    expect(spent.at(-1)).toMatchObject({ isEstimated: false, usage: { input: 4, output: 0 } });
    const answer = await upstream.call(toolCall('fast', { input: ['hello'] }));
    expect(answer.kind === 'result' && answer.result.value.structuredContent).toMatchObject({ embeddings: [[0.5, -1]] });
  });

  test('tokens are counted by a provider that can, and estimated elsewhere; neither costs anything', async () => {
    const { upstream } = await model([messages(one)]);
    one.does((_heard, response) => json(response, 200, { input_tokens: 42 }));
    const counted = ask('count', question);
    expect(bodyOf(await upstream.call(counted.call))).toEqual({ input_tokens: 42 });
    expect(counted.spent.at(-1)?.usage).toMatchObject({ input: 0, output: 0 });
    one.does((_heard, response) => json(response, 500, {}));
    const failed = ask('count', question);
    await failure(upstream.call(failed.call));
    expect(failed.spent.at(-1)?.usage).toMatchObject({ input: 0, output: 0 });
    await open?.upstream.close();
    const other = await model([chat(two)]);
    const estimated = ask('count', question);
    expect(bodyOf(await other.upstream.call(estimated.call)).input_tokens).toBeGreaterThan(2);
    expect([two.heard.length, estimated.spent.length]).toEqual([0, 0]);
  });

  test('what a call may use is estimated from its words and the longest answer that it allows', async () => {
    const { upstream } = await model([chat(one, { price: { input: 1, output: 2 } })], { maxOutputTokens: 500 });
    const estimate = (body: JsonObject) => upstream.estimate({ name: 'models/fast', dialect: 'chat', arguments: body });
    const short = await estimate({ ...question, max_tokens: 10 });
    const long = await estimate({ ...question, max_tokens: 100 });
    const most = await estimate({ ...question, max_tokens: 100_000 });
    expect(long.tokens - short.tokens).toBe(90);
    expect(long.nanoUsd - short.nanoUsd).toBe(90 * 2_000);
    expect(most.tokens - short.tokens).toBe(490);
  });
});

describe('targets that cannot be used', () => {
  test('are left out and named; without any the model is down and says why', async () => {
    const { upstream } = await model([
      chat(one, { name: 'a' }),
      { provider: 'vertex', model: 'gemini', location: 'europe-west4', serviceAccount: key, name: 'b' },
    ]);
    expect(upstream.offer().problems).toEqual([{ subject: 'b', message: expect.stringContaining('service account') }]);
    one.does((_heard, response) => json(response, 200, chatReply('hello')));
    await upstream.call(ask('chat', question).call);
    await open?.upstream.close();
    const down = await model([{ provider: 'vertex', model: 'gemini', location: 'europe-west4', serviceAccount: key }]);
    expect(down.upstream.health()).toMatchObject({ state: 'down' });
    expect(await failure(down.upstream.call(ask('chat', question).call))).toMatchObject({ code: 'model_not_ready' });
  });
});
