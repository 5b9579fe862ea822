import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { clientDialects } from '../../src/models/dialects.ts';
import type { Reply } from '../../src/models/reply.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { anyReply, eventsOf } from './arbitrary.ts';
import { goldenFacts } from './golden.ts';

// The official client of another maker reads what we say.

const chat = clientDialects.get('chat')!;
const responses = clientDialects.get('responses')!;
const completions = clientDialects.get('completions')!;

let answer: { status: number; type: string; body: string } = { status: 200, type: 'application/json', body: '{}' };
const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.writeHead(answer.status, { 'content-type': answer.type });
    const bytes = Buffer.from(answer.body);
    for (let at = 0; at < bytes.length; at += 97) response.write(bytes.subarray(at, at + 97));
    response.end();
  });
});
let client: OpenAI;

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  client = new OpenAI({ apiKey: 'key', baseURL: `http://127.0.0.1:${port}/v1`, maxRetries: 0 });
});
afterAll(() => server.close());
beforeEach(() => {
  answer = { status: 200, type: 'application/json', body: '{}' };
});

const usage = { input: 12, output: 7, cacheRead: 4, cacheWrite: 1, reasoning: 3 };
const replies: readonly Reply[] = [
  { id: 'x', model: 'm', parts: [{ kind: 'text', text: 'Hello "you"\n' }], finish: 'stop', usage },
  { id: 'x', model: 'm', parts: [{ kind: 'text', text: 'Once upon' }], finish: 'length', usage },
  { id: 'x', model: 'm', parts: [{ kind: 'refusal', text: 'I will not.' }], finish: 'refusal', usage },
  {
    id: 'x',
    model: 'm',
    parts: [
      { kind: 'reasoning', text: 'Two cities.', signature: 'c2ln' },
      { kind: 'text', text: 'Let me look.' },
      { kind: 'tool-call', id: 'call_1', name: 'weather', arguments: '{"city":"Boston"}' },
      { kind: 'tool-call', id: 'call_2', name: 'weather', arguments: '{"city":"Paris"}' },
    ],
    finish: 'tool-calls',
    usage,
  },
  ...fc.sample(anyReply, { numRuns: 15, seed: 5 }),
];

function streamOf(dialect: typeof chat, reply: Reply): string {
  const writer = dialect.streamWriter(goldenFacts);
  return [...eventsOf(reply, [3, 5]).map((event) => writer.write(event)), writer.end()].join('');
}

function say(body: string, type = 'text/event-stream', status = 200): void {
  answer = { status, type, body };
}

describe.each(replies.map((reply, index) => [index, reply] as const))('reply %i', (_, reply) => {
  test('Chat Completions: what is put together from a stream is what is said at once', async () => {
    say(streamOf(chat, reply));
    const stream = client.chat.completions.stream({
      model: 'models/fast',
      messages: [],
      stream_options: { include_usage: true },
    });
    let chunks = 0;
    for await (const chunk of stream) {
      expect(chunk.object).toBe('chat.completion.chunk');
      chunks++;
    }
    expect(chunks).toBeGreaterThan(2);
    const whole = chat.writeReply(reply, goldenFacts);
    const completion = await accumulated(reply, () => stream.finalChatCompletion());
    if (completion === undefined) return;
    expect(completion).toMatchObject(withoutExtras(whole));
    say(JSON.stringify(whole), 'application/json');
    expect(await client.chat.completions.create({ model: 'models/fast', messages: [] })).toMatchObject(whole);
  });

  test('Responses: what is put together from a stream is what is said at once', async () => {
    const sent = streamOf(responses, reply);
    say(sent);
    const stream = client.responses.stream({ model: 'models/fast', input: 'x' });
    const numbers: number[] = [];
    for await (const event of stream) numbers.push(event.sequence_number);
    expect(numbers).toEqual(numbers.map((_, index) => index));
    const { output, ...whole } = responses.writeReply(reply, goldenFacts);
    const response = await stream.finalResponse();
    expect(response).toMatchObject(whole);
    expect(response.output).toMatchObject(withoutStatus(output));
    say(JSON.stringify({ ...whole, output }), 'application/json');
    const created = await client.responses.create({ model: 'models/fast', input: 'x' });
    expect(created).toMatchObject({ ...whole, output });
    expect(created.output_text).toBe(reply.parts.map((part) => (part.kind === 'text' ? part.text : '')).join(''));
  });

  test('Completions: the words come through', async () => {
    say(streamOf(completions, reply));
    let text = '';
    const stream = await client.completions.create({ model: 'models/fast', prompt: 'x', stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
    say(JSON.stringify(completions.writeReply(reply, goldenFacts)), 'application/json');
    const whole = await client.completions.create({ model: 'models/fast', prompt: 'x' });
    expect(text).toBe(whole.choices[0]?.text);
    expect(text).toBe(reply.parts.map((part) => (part.kind === 'text' || part.kind === 'refusal' ? part.text : '')).join(''));
  });
});

/** The client makes an error of an answer that was cut short, as it does with OpenAI's own. */
async function accumulated<Value>(reply: Reply, read: () => Promise<Value>): Promise<Value | undefined> {
  if (reply.finish !== 'length') return read();
  return read().catch((error: unknown) => {
    expect(String(error)).toContain('length limit');
    return undefined;
  });
}

/** What the client does not put together: members that are not OpenAI's own. */
function withoutExtras(whole: JsonObject): JsonObject {
  return JSON.parse(
    JSON.stringify(whole, (key, value) =>
      ['reasoning_content', 'reasoning_details', 'annotations'].includes(key) || (key === 'content' && value === null)
        ? undefined
        : value,
    ),
  );
}

/** An item that is done cannot say yet that the response will end too early. */
function withoutStatus(output: unknown) {
  return JSON.parse(JSON.stringify(output, (key, value) => (key === 'status' ? undefined : value)));
}

describe('errors, as the client has them', () => {
  test.each([
    ['unauthenticated', AuthenticationError, 401, 'invalid_api_key'],
    ['rate_limited', RateLimitError, 429, 'rate_limit_exceeded'],
    ['limit_reached', RateLimitError, 429, 'rate_limit_exceeded'],
    ['unknown_capability', NotFoundError, 404, 'model_not_found'],
    ['content_blocked', BadRequestError, 400, 'content_policy_violation'],
    ['invalid_request', BadRequestError, 400, null],
  ] as const)('%s', async (code, type, status, word) => {
    for (const dialect of [chat, responses, completions]) {
      const { status: sent, body } = dialect.writeError(new GatewayError(code, 'What happened.', { data: { param: 'model' } }));
      say(JSON.stringify(body), 'application/json', sent);
      const error = await client.chat.completions.create({ model: 'x', messages: [] }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject({ status, code: word, param: 'model', message: expect.stringContaining('What happened.') });
    }
  });

  test('a stream that broke is an error, never a short answer', async () => {
    const broke = new GatewayError('upstream_failed', 'The provider left.');
    const [first] = replies;
    for (const [dialect, read] of [
      [chat, () => client.chat.completions.stream({ model: 'x', messages: [] }).finalChatCompletion()],
      [responses, () => client.responses.stream({ model: 'x', input: 'x' }).finalResponse()],
      [completions, () => readAll(client.completions.create({ model: 'x', prompt: 'x', stream: true }))],
    ] as const) {
      const writer = dialect.streamWriter(goldenFacts);
      const begun = eventsOf(first!, [])
        .slice(0, 3)
        .map((event) => writer.write(event))
        .join('');
      for (const last of [dialect.writeStreamError(broke), writer.fail?.(broke) ?? dialect.writeStreamError(broke)]) {
        expect(last).not.toContain('[DONE]');
        say(begun + last);
        const error = await read().catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(APIError);
        expect(error).toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('The provider left.') });
      }
    }
  });
});

async function readAll(stream: PromiseLike<AsyncIterable<unknown>>): Promise<void> {
  for await (const _ of await stream);
}
