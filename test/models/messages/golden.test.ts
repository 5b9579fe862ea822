import { expect, test } from 'vitest';
import { messagesClient, messagesProvider } from '../../../src/models/messages/messages.ts';
import { isObject, type JsonObject } from '../../../src/wire/json.ts';
import { facts, golden, readStream } from './messages-fixtures.ts';

const parse = (name: string): JsonObject => {
  const value: unknown = JSON.parse(golden(name));
  if (!isObject(value)) throw new Error(`${name} is no object`);
  return value;
};

test('a request with everything documented reads as the prompt it is, and what nobody knows is passed over', () => {
  expect(JSON.parse(JSON.stringify(messagesClient.readPrompt(parse('request.json'))))).toEqual(parse('prompt.json'));
});

test('the prompt is written as the request that Anthropic documents', () => {
  const prompt = messagesClient.readPrompt(parse('request.json'));
  expect(messagesProvider.writePrompt(prompt, 'claude-sonnet-4-5')).toEqual(parse('written-claude-sonnet-4-5.json'));
});

test('a message reads as the reply it is: cached input counts as input, tools that Anthropic ran itself are left out', () => {
  expect(messagesProvider.readReply(parse('message.json'))).toEqual(parse('reply.json'));
  expect(messagesProvider.usageOf(parse('message.json'))).toEqual(parse('reply.json').usage);
});

test('a reply is written as a message under the name that the client asked for', () => {
  const written = messagesClient.writeReply(messagesProvider.readReply(parse('message.json')), facts);
  const { content, usage } = parse('message.json');
  expect(written).toMatchObject({
    id: 'msg_7f3a',
    type: 'message',
    role: 'assistant',
    model: 'models/smart',
    stop_reason: 'tool_use',
  });
  const known = Array.isArray(content) ? content.filter((block) => isObject(block) && block.type !== 'server_tool_use') : [];
  expect(written.content).toMatchObject(known);
  expect(written.usage).toMatchObject(isObject(usage) ? without(usage, 'cache_creation', 'service_tier') : {});
});

test('a stream reads as the events it is: pings and what is new are passed over', () => {
  const { events, isComplete } = readStream(golden('stream.sse'));
  expect(events).toEqual(JSON.parse(golden('stream-events.json')));
  expect(isComplete).toBe(true);
});

test('a stream without its last event is not complete', () => {
  const cut = golden('stream.sse').replace(/event: message_stop\n.*\n\n/, '');
  expect(readStream(cut).isComplete).toBe(false);
});

test('a stream is written so that it reads the same', () => {
  const { events } = readStream(golden('stream.sse'));
  const writer = messagesClient.streamWriter(facts);
  const text = events.map((event) => writer.write(event)).join('') + writer.end();
  const last = { kind: 'usage', usage: { input: 4420, output: 75, cacheRead: 4100, cacheWrite: 300, reasoning: 30 } };
  const kept = events.filter(({ kind }) => kind !== 'usage' && kind !== 'start' && kind !== 'finish');
  const again = readStream(text);
  expect(again.isComplete).toBe(true);
  expect(again.events.slice(2)).toEqual([...kept, last, { kind: 'finish', finish: 'tool-calls' }]);
  expect(again.events[0]).toEqual({ kind: 'start', id: 'msg_7f3a', model: 'models/smart' });
});

function without(object: JsonObject, ...names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}
