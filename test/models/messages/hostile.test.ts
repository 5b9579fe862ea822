import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { ReplyError } from '../../../src/models/dialect.ts';
import { messagesClient, messagesProvider } from '../../../src/models/messages/messages.ts';
import { isObject, type Json, type JsonObject } from '../../../src/wire/json.ts';
import { golden, readStream } from './messages-fixtures.ts';

const numRuns = process.env.TEST_LONG === undefined ? 200 : 5_000;

const fixture = (name: string): JsonObject => JSON.parse(golden(name));
const base = { model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'hi' }] };
const user = (block: Json): JsonObject => ({ ...base, messages: [{ role: 'user', content: [block] }] });

test.each<[string, JsonObject, RegExp]>([
  ['no model', { messages: base.messages }, /^model: must be a string/],
  ['an empty model', { ...base, model: '' }, /^model: must be the name/],
  ['no messages', { model: 'm' }, /^messages: must be an array of at least one/],
  ['messages that are text', { ...base, messages: 'hi' }, /^messages: must be an array/],
  ['a message that is none', { ...base, messages: [null] }, /^messages\[0\]: must be an object/],
  ['a role that is none', { ...base, messages: [{ role: 'tool', content: '' }] }, /^messages\[0\]\.role: must be "user"/],
  ['no content', { ...base, messages: [{ role: 'user' }] }, /^messages\[0\]\.content: must be a string or an array/],
  ['a block that is text', user('hi'), /^messages\[0\]\.content\[0\]: must be an object/],
  ['text that is a number', user({ type: 'text', text: 1 }), /^messages\[0\]\.content\[0\]\.text: must be a string/],
  ['a block of no type', user({ text: 'a' }), /without a type/],
  ['a block only Anthropic knows', user({ type: 'container_upload', file_id: 'f' }), /container_upload.*Anthropic's own API/],
  [
    'a file kept at Anthropic',
    user({ type: 'image', source: { type: 'file', file_id: 'f' } }),
    /source: a file kept at Anthropic/,
  ],
  ['a source that is none', user({ type: 'image', source: { type: 'x' } }), /source\.type: must be "base64" or "url"/],
  ['a call of the user', user({ type: 'tool_use', id: 'a', name: 'b', input: {} }), /message of the assistant/],
  [
    'input that is a list',
    { ...base, messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'b', input: [] }] }] },
    /\.input: must be an object/,
  ],
  ['system that is a number', { ...base, system: 1 }, /^system: must be a string or an array/],
  ['system with an image', { ...base, system: [{ type: 'image' }] }, /^system\[0\]\.type: must be "text"/],
  ['max_tokens below 0', { ...base, max_tokens: -1 }, /^max_tokens: must be a whole number/],
  ['max_tokens that is text', { ...base, max_tokens: '5' }, /^max_tokens: must be a whole number/],
  ['temperature above 1', { ...base, temperature: 1.1 }, /^temperature: must be a number from 0 to 1/],
  ['stop_sequences that are text', { ...base, stop_sequences: 'END' }, /^stop_sequences: must be an array/],
  ['a stop sequence that is a number', { ...base, stop_sequences: [1] }, /^stop_sequences\[0\]: must be a string/],
  ['stream that is text', { ...base, stream: 'yes' }, /^stream: must be true or false/],
  ['a tool without schema', { ...base, tools: [{ name: 'x' }] }, /^tools\[0\]\.input_schema: must be an object/],
  [
    "Anthropic's own tool",
    { ...base, tools: [{ type: 'bash_20250124', name: 'bash' }] },
    /^tools\[0\]: the tool "bash".*Anthropic's own API/,
  ],
  ['a choice that is none', { ...base, tool_choice: { type: 'all' } }, /^tool_choice\.type/],
  ['thinking that is none', { ...base, thinking: {} }, /^thinking\.type/],
  ['an effort that is none', { ...base, output_config: { effort: 'toString' } }, /^output_config\.effort/],
  ['a format that is none', { ...base, output_config: { format: { type: 'xml' } } }, /^output_config\.format\.type/],
])('%s is refused by name', (_, body, message) => {
  expect(() => messagesClient.readPrompt(body)).toThrow(
    expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(message) }),
  );
});

test('null is what is not given', () => {
  const nulls = {
    system: null,
    tools: null,
    tool_choice: null,
    temperature: null,
    thinking: null,
    output_config: null,
    metadata: null,
  };
  expect(messagesClient.readPrompt({ ...base, ...nulls })).toEqual(messagesClient.readPrompt(base));
});

test('members that are inherited are none', () => {
  const body: JsonObject = JSON.parse(
    '{"__proto__":{"stream":true,"system":"evil"},"model":"m","messages":[{"role":"user","content":"hi"}]}',
  );
  expect(messagesClient.readPrompt(body)).toMatchObject({ isStream: false, system: [] });
});

/** The document with one of its values, anywhere, replaced by another. */
const broken = (document: JsonObject) => {
  const places: [Json[] | JsonObject, string][] = [];
  const walk = (value: Json) => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      places.push([value, key]);
      walk(inner);
    }
  };
  walk(document);
  return fc.tuple(fc.nat(places.length - 1), fc.jsonValue({ maxDepth: 2 })).map(([at, value]) => {
    const place = places[at];
    if (place === undefined) return document;
    const [holder, key] = place;
    const before = Reflect.get(holder, key);
    Reflect.set(holder, key, value);
    const copy: JsonObject = JSON.parse(JSON.stringify(document));
    Reflect.set(holder, key, before);
    return copy;
  });
};

test('a request broken in any place is read or refused, and what was read can be written', () => {
  fc.assert(
    fc.property(broken(fixture('request.json')), (body) => {
      try {
        messagesProvider.writePrompt(messagesClient.readPrompt(body), 'claude-opus-5-5');
      } catch (error) {
        expect(error).toBeInstanceOf(GatewayError);
        expect(error).toMatchObject({ code: 'invalid_request' });
      }
    }),
    { numRuns },
  );
});

test('a reply broken in any place is read or refused', () => {
  fc.assert(
    fc.property(broken(fixture('message.json')), (body) => {
      messagesProvider.usageOf(body);
      messagesClient.textsOf(body);
      try {
        const { usage } = messagesProvider.readReply(body);
        for (const tokens of Object.values(usage)) expect(tokens).toBeGreaterThanOrEqual(0);
      } catch (error) {
        expect(error).toBeInstanceOf(ReplyError);
      }
    }),
    { numRuns },
  );
});

test('a stream with an event lost, twice, moved or broken is read or refused', () => {
  const events = golden('stream.sse')
    .split('\n\n')
    .filter((event) => event !== '');
  const at = fc.nat(events.length - 1);
  fc.assert(
    fc.property(
      at,
      at,
      fc.constantFrom('lost', 'twice', 'moved', 'broken'),
      fc.string({ maxLength: 30 }),
      (from, to, how, text) => {
        const changed = [...events];
        const [event = ''] = changed.splice(from, how === 'twice' ? 0 : 1);
        if (how === 'twice' || how === 'moved') changed.splice(to, 0, changed[from] ?? event);
        if (how === 'broken') changed.splice(from, 0, `event: content_block_delta\ndata: ${text.replaceAll(/[\r\n]/g, ' ')}`);
        try {
          readStream(`${changed.join('\n\n')}\n\n`);
        } catch (error) {
          expect(error).toBeInstanceOf(ReplyError);
        }
      },
    ),
    { numRuns },
  );
});

test.each([
  ['data that is no JSON', 'event: ping\ndata: oops\n\n'],
  ['data that is no object', 'data: [1]\n\n'],
  ['a delta before the start', 'data: {"type":"content_block_delta","index":0,"delta":{}}\n\n'],
  ['a start that comes twice', `${golden('stream.sse').split('\n\n')[0]}\n\n`.repeat(2)],
  [
    'a delta of no block',
    `${golden('stream.sse').split('\n\n')[0]}\n\ndata: {"type":"content_block_delta","index":7,"delta":{}}\n\n`,
  ],
  ['an end with a block open', golden('stream.sse').replace(/event: content_block_stop\n.*"index":4.*\n\n/, '')],
])('%s is a ReplyError', (_, text) => {
  expect(() => readStream(text)).toThrow(ReplyError);
});

test.each([
  ['overloaded_error', { status: 529, kind: 'overloaded', code: 'overloaded_error' }],
  ['rate_limit_error', { status: 429, kind: 'rate-limited' }],
  ['api_error', { status: 500, kind: 'failed' }],
  ['authentication_error', { status: 401, kind: 'unauthorized' }],
  ['toString', { status: 500, kind: 'failed' }],
])('an error event of type %s is a failure: %j', (type, failure) => {
  const event = `event: error\ndata: ${JSON.stringify({ type: 'error', error: { type, message: 'Oh.' } })}\n\n`;
  expect(readStream(event)).toMatchObject({
    events: [{ kind: 'failed', failure: { ...failure, message: 'Oh.' } }],
    isComplete: false,
  });
});

test.each([
  [400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum', 'too-long'],
  [400, 'invalid_request_error', 'max_tokens: must be positive', 'bad-request'],
  [400, 'invalid_request_error', 'Your credit balance is too low to access the API.', 'unauthorized'],
  [400, 'invalid_request_error', 'Output blocked by content filtering policy', 'content-filter'],
  [401, 'authentication_error', 'invalid x-api-key', 'unauthorized'],
  [403, 'permission_error', 'no', 'unauthorized'],
  [404, 'not_found_error', 'model: x', 'not-found'],
  [413, 'request_too_large', 'too large', 'too-long'],
  [429, 'rate_limit_error', 'slow down', 'rate-limited'],
  [500, 'api_error', 'oh', 'failed'],
  [529, 'overloaded_error', 'Overloaded', 'overloaded'],
])('%d %s "%s" is a failure of kind %s', (status, type, message, kind) => {
  const failure = messagesProvider.readFailure(status, { type: 'error', error: { type, message } });
  expect(failure).toEqual({ status, kind, message, code: type });
});

test('a failure without a document, or with a huge one, is told by its status', () => {
  expect(messagesProvider.readFailure(502, undefined)).toMatchObject({ status: 502, kind: 'failed', code: undefined });
  expect(messagesProvider.readFailure(503, { error: 'text' }).kind).toBe('overloaded');
  expect(messagesProvider.readFailure(500, { error: { type: 'x', message: 'y'.repeat(100_000) } }).message).toHaveLength(2000);
});

test('every text of a message and of an event is found, in order, and can be replaced', () => {
  const message = fixture('message.json');
  expect(messagesClient.textsOf(message).map(({ channel, text }) => [channel, text])).toEqual([
    ['thinking', 'Two cities.'],
    ['text', 'I ask for both.'],
    ['tool/4', 'Oslo'],
  ]);
  for (const slot of messagesClient.textsOf(message)) slot.replace(slot.text.toUpperCase());
  expect(messagesClient.textsOf(message).map(({ text }) => text)).toEqual(['TWO CITIES.', 'I ASK FOR BOTH.', 'OSLO']);
  const found = golden('stream.sse')
    .split('\n\n')
    .flatMap((event) => messagesClient.textsOf(JSON.parse(event.split('data: ')[1] ?? '{}')))
    .map(({ channel, text }) => `${channel}: ${text}`);
  expect(found).toEqual([
    'thinking: One ',
    'thinking: city.',
    'tool/2: {}',
    'text: I look',
    'text:  it up.',
    'tool/4: {"city":',
    'tool/4:  "Oslo"}',
  ]);
});

test('strings in what a tool is called with are found however deep, and under any name', () => {
  let input: Json = 'deep';
  for (let depth = 0; depth < 20_000; depth++) input = [input];
  const message: JsonObject = { type: 'message', content: [{ type: 'tool_use', id: 'a', name: 'b', input: { x: input } }] };
  expect(messagesClient.textsOf(message).map(({ text }) => text)).toEqual(['deep']);
  const named: JsonObject = JSON.parse(
    '{"type":"message","content":[{"type":"tool_use","input":{"__proto__":"secret","a":["b"]}}]}',
  );
  for (const slot of messagesClient.textsOf(named)) slot.replace('*');
  expect(JSON.stringify(named)).toContain('{"__proto__":"*","a":["*"]}');
  expect(isObject(named)).toBe(true);
});
