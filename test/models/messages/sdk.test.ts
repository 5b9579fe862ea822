import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Anthropic, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  RateLimitError,
} from '@anthropic-ai/sdk';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { messagesClient } from '../../../src/models/messages/messages.ts';
import type { Reply, ReplyPart } from '../../../src/models/reply.ts';
import { eventsOf, facts } from './messages-fixtures.ts';

// The vendor's own client reads what is written for it.

let answer: (response: ServerResponse) => void;
let server: Server;
let client: Anthropic;

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume().on('end', () => answer(response));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  client = new Anthropic({ baseURL: `http://127.0.0.1:${port}`, apiKey: 'key', maxRetries: 0 });
});
afterAll(() => server.close());

const parts: readonly ReplyPart[] = [
  { kind: 'reasoning', text: 'Let me see.', signature: 'c2ln' },
  { kind: 'reasoning', text: '', redacted: 'b3BhcXVl' },
  { kind: 'text', text: 'Grüße, 世界 🌍\n"quoted"' },
  { kind: 'tool-call', id: 'call_1', name: 'look', arguments: '{"city":"Oslo","n":[1,2.5]}' },
  { kind: 'tool-call', id: '', name: 'look', arguments: '' },
];
const reply: Reply = {
  id: 'x',
  model: 'm',
  parts,
  finish: 'tool-calls',
  usage: { input: 100, output: 20, cacheRead: 30, cacheWrite: 5, reasoning: 7 },
};
const content = [
  { type: 'thinking', thinking: 'Let me see.', signature: 'c2ln' },
  { type: 'redacted_thinking', data: 'b3BhcXVl' },
  { type: 'text', text: 'Grüße, 世界 🌍\n"quoted"' },
  { type: 'tool_use', id: 'call_1', name: 'look', input: { city: 'Oslo', n: [1, 2.5] } },
  { type: 'tool_use', id: 'toolu_7f3a_4', name: 'look', input: {} },
];
const usage = {
  input_tokens: 65,
  cache_read_input_tokens: 30,
  cache_creation_input_tokens: 5,
  output_tokens: 20,
  output_tokens_details: { thinking_tokens: 7 },
};
const request = { model: 'models/smart', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hello' }] };

test('the SDK reads a reply', async () => {
  answer = (response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(messagesClient.writeReply(reply, facts)));
  };
  const message = await client.messages.create(request);
  expect(message).toMatchObject({
    id: 'msg_7f3a',
    model: 'models/smart',
    role: 'assistant',
    stop_reason: 'tool_use',
    content,
    usage,
  });
});

type Keys<T> = Readonly<Record<keyof T, unknown>>;
const any = expect.anything();
/** Every member that its types promise. A new one is a type error here. */
const promised = {
  id: any,
  container: null,
  content: any,
  diagnostics: null,
  model: any,
  role: any,
  stop_details: null,
  stop_reason: any,
  stop_sequence: null,
  type: any,
  usage: {
    cache_creation: null,
    cache_creation_input_tokens: 5,
    cache_read_input_tokens: 30,
    inference_geo: null,
    input_tokens: 65,
    output_tokens: 20,
    output_tokens_details: any,
    server_tool_use: null,
    service_tier: null,
    speed: null,
  } satisfies Keys<Anthropic.Usage>,
} satisfies Keys<Anthropic.Message>;

test('nothing is missing that the SDK promises to who uses it, whole or streamed', () => {
  const whole = messagesClient.writeReply(reply, facts);
  expect(whole).toEqual(promised);
  const writer = messagesClient.streamWriter(facts);
  const text =
    eventsOf(reply)
      .map((event) => writer.write(event))
      .join('') + writer.end();
  const events = [...text.matchAll(/^data: (.+)$/gm)].map(([, data = '']) => JSON.parse(data));
  expect(Object.keys(events[0].message).sort()).toEqual(Object.keys(promised).sort());
  expect(Object.keys(events[0].message.usage).sort()).toEqual(Object.keys(promised.usage).sort());
  expect(events.at(-2)).toEqual({
    type: 'message_delta',
    delta: {
      container: null,
      stop_details: null,
      stop_reason: 'tool_use',
      stop_sequence: null,
    } satisfies Keys<Anthropic.RawMessageDeltaEvent.Delta>,
    usage: {
      cache_creation_input_tokens: 5,
      cache_read_input_tokens: 30,
      input_tokens: 65,
      output_tokens: 20,
      output_tokens_details: { thinking_tokens: 7 },
      server_tool_use: null,
    } satisfies Keys<Anthropic.MessageDeltaUsage>,
  });
});

test('the SDK reads the same out of the stream, cut anywhere', async () => {
  answer = (response) => {
    response.setHeader('content-type', 'text/event-stream');
    const writer = messagesClient.streamWriter(facts);
    const events = eventsOf(reply, (text) => Array.from(text));
    const bytes = Buffer.from(events.map((event) => writer.write(event)).join('') + writer.end());
    for (let at = 0; at < bytes.length; at += 37) response.write(bytes.subarray(at, at + 37));
    response.end();
  };
  const message = await client.messages.stream(request).finalMessage();
  expect(message).toMatchObject({
    id: 'msg_7f3a',
    model: 'models/smart',
    role: 'assistant',
    stop_reason: 'tool_use',
    content,
    usage,
  });
});

test.each([
  ['stop', undefined, 'end_turn'],
  ['stop', 'END', 'stop_sequence'],
  ['length', undefined, 'max_tokens'],
  ['refusal', undefined, 'refusal'],
  ['content-filter', undefined, 'refusal'],
  ['pause', undefined, 'pause_turn'],
  ['other', undefined, 'end_turn'],
] as const)('the SDK reads a stream that ended with %s (%s) as %s', async (finish, stopSequence, stopReason) => {
  answer = (response) => {
    response.setHeader('content-type', 'text/event-stream');
    const writer = messagesClient.streamWriter(facts);
    const events = eventsOf({ ...reply, parts: [{ kind: 'refusal', text: 'No.' }], finish, stopSequence });
    response.end(events.map((event) => writer.write(event)).join('') + writer.end());
  };
  const message = await client.messages.stream(request).finalMessage();
  expect(message.content).toMatchObject([{ type: 'text', text: 'No.' }]);
  expect([message.stop_reason, message.stop_sequence ?? undefined]).toEqual([stopReason, stopSequence]);
});

test('the SDK throws for a stream that broke off, and keeps what it had', async () => {
  answer = (response) => {
    response.setHeader('content-type', 'text/event-stream');
    const writer = messagesClient.streamWriter(facts);
    const events = eventsOf({ ...reply, parts: [{ kind: 'text', text: 'half of' }] }).slice(0, 3);
    const error = new GatewayError('upstream_failed', 'The model stopped in the middle of its answer; ask again.');
    response.end(events.map((event) => writer.write(event)).join('') + messagesClient.writeStreamError(error));
  };
  const stream = client.messages.stream(request);
  const texts: string[] = [];
  stream.on('text', (text) => texts.push(text));
  const error = await stream.finalMessage().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(APIError);
  expect(error).toMatchObject({ type: 'api_error', message: expect.stringContaining('in the middle of its answer') });
  expect(texts).toEqual(['half of']);
});

test.each([
  ['unauthenticated', 401, 'authentication_error', AuthenticationError],
  ['not_allowed', 403, 'permission_error', APIError],
  ['unknown_capability', 404, 'not_found_error', APIError],
  ['rate_limited', 429, 'rate_limit_error', RateLimitError],
  ['limit_reached', 429, 'rate_limit_error', RateLimitError],
  ['content_blocked', 400, 'invalid_request_error', BadRequestError],
  ['invalid_request', 400, 'invalid_request_error', BadRequestError],
  ['unsupported_media_type', 415, 'invalid_request_error', APIError],
  ['body_too_large', 413, 'request_too_large', APIError],
  ['upstream_unavailable', 529, 'overloaded_error', APIError],
  ['store_unavailable', 529, 'overloaded_error', APIError],
  ['upstream_timeout', 504, 'timeout_error', APIError],
  ['upstream_failed', 500, 'api_error', InternalServerError],
  ['credentials_failed', 500, 'api_error', InternalServerError],
  ['internal', 500, 'api_error', InternalServerError],
] as const)('the SDK knows the error %s as %d %s', async (code, status, type, kind) => {
  answer = (response) => {
    const written = messagesClient.writeError(new GatewayError(code, 'What happened, and what to do.'));
    response.writeHead(written.status, { 'content-type': 'application/json' }).end(JSON.stringify(written.body));
  };
  const error = await client.messages.create(request).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(kind);
  expect(error).toMatchObject({ status, type, apiMessage: 'What happened, and what to do.' });
});

test('the SDK reads a count', async () => {
  answer = (response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ input_tokens: 2095 }));
  };
  expect(await client.messages.countTokens({ model: 'm', messages: request.messages })).toEqual({ input_tokens: 2095 });
});
