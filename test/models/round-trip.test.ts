import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clientDialects, providerDialects } from '../../src/models/dialects.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { SseReader } from '../../src/wire/sse.ts';
import { anyPrompt, anyReply, eventsOf, replyOf } from './arbitrary.ts';
import { goldenFacts } from './golden.ts';

const numRuns = process.env.TEST_LONG === undefined ? 100 : 5_000;
const timeoutMs = 120_000;

describe.each(['chat', 'responses'] as const)('%s', (name) => {
  const client = clientDialects.get(name)!;
  const provider = providerDialects.get(name)!;

  test(
    'a prompt that is said to a provider is the same prompt to whoever reads it',
    () => {
      fc.assert(
        fc.property(anyPrompt, (prompt) => {
          const body = asSent(provider.writePrompt(prompt, prompt.model));
          expect(client.readPrompt(body)).toEqual(prompt);
          expect(client.isStream(body)).toBe(prompt.isStream);
        }),
        { numRuns },
      );
    },
    timeoutMs,
  );

  test(
    'a reply that is said to a client is the same reply to whoever reads it',
    () => {
      fc.assert(
        fc.property(anyReply, (reply) => {
          expect(provider.readReply(asSent(client.writeReply(reply, goldenFacts)))).toMatchObject(contentOf(reply));
        }),
        { numRuns },
      );
    },
    timeoutMs,
  );

  test(
    'a reply that is said in parts is the same reply, however it was cut',
    () => {
      fc.assert(
        fc.property(anyReply, fc.array(fc.nat(50), { maxLength: 3 }), (reply, cuts) => {
          const writer = client.streamWriter(goldenFacts);
          const sent = [...eventsOf(reply, cuts).map((event) => writer.write(event)), writer.end()].join('');
          const reader = provider.streamReader();
          const events = readSse(sent).flatMap(({ type, data }) => reader.read(type, data));
          expect(reader.isComplete).toBe(true);
          expect(replyOf(events)).toMatchObject(contentOf(reply));
        }),
        { numRuns },
      );
    },
    timeoutMs,
  );
});

function asSent(body: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(body));
}

function contentOf({ parts, finish, usage }: { parts: unknown; finish: unknown; usage: unknown }) {
  return { parts, finish, usage };
}

function readSse(sent: string): { type: string; data: string }[] {
  const events: { type: string; data: string }[] = [];
  const reader = new SseReader({ onEvent: ({ type, data }) => events.push({ type, data: data.toString() }) }, 1_000_000);
  reader.push(Buffer.from(sent));
  return events;
}
