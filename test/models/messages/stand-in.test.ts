import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { messagesProvider } from '../../../src/models/messages/messages.ts';
import type { Message, Part, Prompt } from '../../../src/models/prompt.ts';
import { isObject, type JsonObject } from '../../../src/wire/json.ts';
import { startAnthropic } from '../../support/model-providers/anthropic.ts';
import { fails, says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';
import { asked, gather, readStream } from './messages-fixtures.ts';

// A stand-in that refuses what Anthropic refuses takes what is written for it.

let standIn: StandIn;
beforeAll(async () => {
  standIn = await startAnthropic({ key: 'key' });
});
afterAll(() => standIn.close());

function post(body: JsonObject): Promise<Response> {
  const headers = { 'x-api-key': 'key', 'anthropic-version': '2023-06-01', 'content-type': 'application/json' };
  return fetch(`${standIn.url}/v1/messages`, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function bodyOf(response: Response): Promise<JsonObject> {
  const body: unknown = await response.json();
  return isObject(body) ? body : {};
}

const text = fc.constantFrom('', ' ', '\n', 'hello', 'Grüße ').map((said): Part => ({ kind: 'text', text: said }));
const id = fc.constantFrom('', 'a', 'call_0', 'functions.look:0', 'é', 'x'.repeat(200));
const thought = fc.constantFrom<Part>({ kind: 'reasoning', text: 'hm' }, { kind: 'reasoning', text: '', signature: 's' });

/** As clients of other dialects send them: roles in any order, empty text, ids of any kind; only every call has its result. */
const messages = fc
  .array(
    fc.oneof(
      fc.record({ role: fc.constant('user' as const), parts: fc.array(text, { maxLength: 3 }) }),
      fc.record({ role: fc.constant('assistant' as const), parts: fc.array(fc.oneof(text, thought), { maxLength: 3 }) }),
      fc.uniqueArray(id, { minLength: 1, maxLength: 3 }),
    ),
    { maxLength: 6 },
  )
  .map((turns) => turns.flatMap((turn) => (Array.isArray(turn) ? toolTurn(turn) : [turn])));

function toolTurn(ids: readonly string[]): Message[] {
  const results = ids.map((callId): Message => {
    const result: Part = { kind: 'tool-result', callId, name: undefined, parts: [{ kind: 'text', text: '' }], isError: true };
    return { role: 'user', parts: [result] };
  });
  const calls = ids.map((one): Part => ({ kind: 'tool-call', id: one, name: 'look', arguments: 'no JSON' }));
  return [{ role: 'assistant', parts: calls }, ...results];
}

const prompt: fc.Arbitrary<Prompt> = fc
  .record({
    messages: messages.map((given) => [...given, { role: 'user' as const, parts: [{ kind: 'text' as const, text: 'go on' }] }]),
    system: fc.array(
      fc.constantFrom('', 'Be brief.').map((said) => ({ kind: 'text' as const, text: said })),
      { maxLength: 2 },
    ),
    temperature: fc.constantFrom(undefined, 2),
    stop: fc.array(fc.constantFrom('', 'END')),
    isStream: fc.boolean(),
  })
  .map((given) => asked('', given));

test('whatever a conversation looks like, it is written so that it is taken', async () => {
  await fc.assert(
    fc.asyncProperty(prompt, async (given) => {
      const response = await post(messagesProvider.writePrompt(given, 'claude-sonnet-4-5'));
      expect([response.status, await response.text()]).toEqual([200, expect.anything()]);
    }),
    { numRuns: 60 },
  );
});

test('an answer reads the same whole and streamed, and its usage is what the provider bills', async () => {
  const usage = { input: 500, output: 60, cacheRead: 300, cacheWrite: 100, reasoning: 20 };
  standIn.next(says('Grüße, 世界.', { usage }), says('Grüße, 世界.', { usage, chunkLength: 1 }));
  const whole = messagesProvider.readReply(await bodyOf(await post(messagesProvider.writePrompt(asked('hello'), 'claude'))));
  const { events, isComplete } = readStream(
    await (await post(messagesProvider.writePrompt(asked('hello', { isStream: true }), 'claude'))).text(),
  );
  expect(isComplete).toBe(true);
  expect(whole.usage).toEqual(usage);
  expect({ ...gather(events), id: whole.id, stopSequence: undefined }).toEqual({ ...whole, stopSequence: undefined });
});

test('what is told of a stream that is cut is what went out', async () => {
  standIn.next(says('abcdef', { chunkLength: 1, fault: { after: 3, kind: 'error' } }));
  const { events, isComplete } = readStream(
    await (await post(messagesProvider.writePrompt(asked('hello', { isStream: true }), 'claude'))).text(),
  );
  expect(isComplete).toBe(false);
  expect(gather(events).parts).toEqual([{ kind: 'text', text: 'abc' }]);
  expect(gather(events).usage).toMatchObject(standIn.journal.at(-1)?.told ?? {});
  expect(events.at(-1)).toMatchObject({ kind: 'failed', failure: { kind: 'overloaded', status: 529 } });
});

test.each([
  [400, 'bad-request'],
  [401, 'unauthorized'],
  [404, 'not-found'],
  [413, 'too-long'],
  [429, 'rate-limited'],
  [500, 'failed'],
  [529, 'overloaded'],
])('a refusal with %d is a failure of kind %s', async (status, kind) => {
  standIn.next(fails(status));
  const response = await post(messagesProvider.writePrompt(asked('hello'), 'claude'));
  expect(messagesProvider.readFailure(response.status, await bodyOf(response))).toMatchObject({ status, kind });
});
