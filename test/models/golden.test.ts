import { describe, expect, test } from 'vitest';
import { clientDialects, providerDialects } from '../../src/models/dialects.ts';
import { isObject, type JsonObject } from '../../src/wire/json.ts';
import { goldenFacts, goldenFiles } from './golden.ts';

describe.each(['chat', 'responses', 'completions'] as const)('%s, as its documentation has it', (name) => {
  const client = clientDialects.get(name)!;
  const provider = providerDialects.get(name)!;

  test.each(goldenFiles(name, 'prompt'))('%s: a request is read, and said again to a provider', (_, golden) => {
    const prompt = client.readPrompt(objectOf(golden.request));
    expect(prompt).toEqual(golden.prompt);
    if (golden.written !== undefined) expect(provider.writePrompt(prompt, 'gpt-5-mini')).toEqual(golden.written);
  });

  test.each(goldenFiles(name, 'reply'))('%s: an answer is read, and said again to a client', (_, golden) => {
    const reply = provider.readReply(objectOf(golden.body));
    expect(reply).toEqual(golden.reply);
    expect(client.writeReply(reply, goldenFacts)).toEqual(golden.written);
    expect(provider.usageOf(objectOf(golden.body))).toEqual(reply.usage);
  });

  test.each(goldenFiles(name, 'stream'))('%s: an answer in parts is read, and said again to a client', (_, golden) => {
    const reader = provider.streamReader();
    const events = listOf(golden.events).flatMap((data) => {
      expect(reader.isComplete).toBe(false);
      return reader.read(eventName(data), typeof data === 'string' ? data : JSON.stringify(data));
    });
    expect(events).toEqual(golden.read);
    expect(reader.isComplete).toBe(true);
    const writer = client.streamWriter(goldenFacts);
    const written = [...events.map((event) => writer.write(event)), writer.end()].join('');
    expect(written.split('\n\n').filter((event) => event !== '')).toEqual(golden.written);
  });
});

function eventName(data: unknown): string {
  return typeof data === 'object' && data !== null && 'type' in data ? String(data.type) : 'message';
}

function objectOf(value: unknown): JsonObject {
  if (!isObject(value)) throw new Error('a golden file lacks an object');
  return value;
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error('a golden file lacks a list');
  return value;
}
