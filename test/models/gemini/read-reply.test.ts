import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplyError } from '../../../src/models/dialect.ts';
import { gatherReply } from '../../../src/models/gather-reply.ts';
import { gemini } from '../../../src/models/gemini/gemini.ts';
import type { Finish, Reply, ReplyEvent } from '../../../src/models/reply.ts';
import type { Json, JsonObject } from '../../../src/wire/json.ts';
import { promptOf, say } from '../../support/prompts.ts';

const usageMetadata = {
  promptTokenCount: 100,
  candidatesTokenCount: 20,
  thoughtsTokenCount: 30,
  cachedContentTokenCount: 40,
  toolUsePromptTokenCount: 5,
  totalTokenCount: 155,
};
const usage = { input: 105, output: 50, cacheRead: 40, cacheWrite: 0, reasoning: 30 };

function answer(parts: Json[], finishReason: string | null = 'STOP'): JsonObject {
  const candidate = { content: { parts, role: 'model' }, ...(finishReason !== null && { finishReason }), index: 0 };
  return { candidates: [candidate], usageMetadata, modelVersion: 'gemini-3-flash', responseId: 'r1' };
}

/** The same answer as a stream of these pieces. */
function stream(
  pieces: readonly Json[][],
  finishReason = 'STOP',
): { readonly events: ReplyEvent[]; readonly isComplete: boolean } {
  const reader = gemini.streamReader();
  const events = pieces.flatMap((parts, index) => {
    const whole = answer(parts, index === pieces.length - 1 ? finishReason : null);
    return reader.read('message', JSON.stringify(whole));
  });
  return { events, isComplete: reader.isComplete };
}

describe('a reply of Gemini', () => {
  test('has its texts, thoughts, calls with their signatures, and its tokens', () => {
    const reply = gemini.readReply(
      answer([
        { text: 'Let me see.', thought: true },
        { functionCall: { name: 'get_weather', args: { city: 'Oslo' } }, thoughtSignature: 'c2ln' },
        { functionCall: { name: 'get_weather', args: { city: 'Rome' }, id: 'own' } },
        { text: 'One moment.' },
      ]),
    );
    expect(reply).toEqual({
      id: 'r1',
      model: 'gemini-3-flash',
      parts: [
        { kind: 'reasoning', text: 'Let me see.' },
        {
          kind: 'tool-call',
          id: expect.stringMatching(/^gemini_[A-Za-z0-9_-]{24}$/),
          name: 'get_weather',
          arguments: '{"city":"Oslo"}',
          signature: 'gemini.c2ln',
        },
        { kind: 'tool-call', id: 'own', name: 'get_weather', arguments: '{"city":"Rome"}' },
        { kind: 'text', text: 'One moment.' },
      ],
      finish: 'tool-calls',
      usage,
    });
  });

  test('names the same call the same each time, and two calls differently', () => {
    const call = { functionCall: { name: 'f', args: {} } };
    const ids = (reply: Reply) => reply.parts.map((part) => (part.kind === 'tool-call' ? part.id : ''));
    const [first, second] = ids(gemini.readReply(answer([call, call])));
    expect(ids(gemini.readReply(answer([call, call])))).toEqual([first, second]);
    expect(first).not.toBe(second);
    expect(ids(gemini.readReply({ ...answer([call]), responseId: 'r2' }))).not.toContain(first);
    expect(ids(gatherReply(stream([[call], [call]]).events))).toEqual([first, second]);
  });

  test('in parts keeps the digits of long numbers in arguments', () => {
    const text = JSON.stringify(answer([{ functionCall: { name: 'f', args: { id: 'long' } } }])).replace(
      '"long"',
      '12345678901234567890',
    );
    const [part] = gatherReply(gemini.streamReader().read('message', text)).parts;
    expect(part).toMatchObject({ arguments: '{"id":12345678901234567890}' });
  });

  test.each<[string, Finish]>([
    ['STOP', 'stop'],
    ['MAX_TOKENS', 'length'],
    ['SAFETY', 'content-filter'],
    ['RECITATION', 'content-filter'],
    ['PROHIBITED_CONTENT', 'content-filter'],
    ['SPII', 'content-filter'],
    ['MALFORMED_FUNCTION_CALL', 'other'],
    ['UNEXPECTED_TOOL_CALL', 'other'],
    ['SOMETHING_NEW', 'other'],
  ])('that ended with %s finishes with %s, whole and in parts', (reason, finish) => {
    expect(gemini.readReply(answer([{ text: 'a' }], reason)).finish).toBe(finish);
    const streamed = stream([[{ text: 'a' }], []], reason);
    expect(gatherReply(streamed.events).finish).toBe(finish);
    expect(streamed.isComplete).toBe(true);
  });

  test('to a prompt that was blocked is empty, and says so', () => {
    const blocked = { promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 4 }, modelVersion: 'm' };
    const reply = gemini.readReply(blocked);
    expect(reply).toMatchObject({ parts: [], finish: 'content-filter', usage: { input: 4, output: 0 } });
    const reader = gemini.streamReader();
    expect(gatherReply(reader.read('message', JSON.stringify(blocked)))).toEqual(reply);
    expect(reader.isComplete).toBe(true);
  });

  test('is not complete before its reason to end has come', () => {
    const reader = gemini.streamReader();
    reader.read('message', JSON.stringify(answer([{ text: 'a' }], null)));
    expect(reader.isComplete).toBe(false);
    expect(() => gatherReply(stream([[{ text: 'a' }], []], 'FINISH_REASON_UNSPECIFIED').events)).toThrow(ReplyError);
  });

  test('that fails in the middle says how', () => {
    const reader = gemini.streamReader();
    reader.read('message', JSON.stringify(answer([{ text: 'a' }], null)));
    const failed = reader.read('message', '{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}');
    expect(failed).toEqual([
      {
        kind: 'failed',
        failure: { status: 503, kind: 'overloaded', message: 'The model is overloaded.', code: 'UNAVAILABLE' },
      },
    ]);
    expect(reader.isComplete).toBe(false);
  });
});

const part = fc.oneof(
  fc.record({ text: fc.string({ minLength: 1 }) }),
  fc.record({ text: fc.string({ minLength: 1 }), thought: fc.constant(true) }),
  fc.record({ text: fc.string(), thoughtSignature: fc.base64String({ minLength: 4 }) }),
  fc.record({ functionCall: fc.record({ name: fc.constantFrom('f', 'g'), args: fc.dictionary(fc.string(), fc.jsonValue()) }) }),
  fc.record({
    functionCall: fc.record({ name: fc.constantFrom('f', 'g'), args: fc.constant({}), id: fc.uuid() }),
    thoughtSignature: fc.base64String({ minLength: 4 }),
  }),
);

test('a reply is the same whole and in parts, however it is cut', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (parts, cuts) => {
      const pieces: Json[][] = [[]];
      parts.forEach((one, index) => {
        if (cuts[index]) pieces.push([]);
        pieces.at(-1)?.push(one as Json);
      });
      const { events, isComplete } = stream(pieces);
      expect(isComplete).toBe(true);
      expect(gatherReply(events)).toEqual(gemini.readReply(answer(parts as Json[])));
    }),
  );
});

test('parts open, fill and close one after the other', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      let open = -1;
      let next = 0;
      for (const event of stream([parts as Json[], []]).events) {
        if (event.kind === 'open') {
          expect([open, event.index]).toEqual([-1, next]);
          open = next++;
        } else if ('index' in event) {
          expect(event.index).toBe(open);
          if (event.kind === 'close') open = -1;
        } else if (event.kind === 'finish') expect(open).toBe(-1);
      }
    }),
  );
});

test('signatures and calls go back as they came', () => {
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), (parts) => {
      const reply = gemini.readReply(answer(parts as Json[]));
      const prompt = promptOf({ messages: [say('?'), { role: 'assistant', parts: reply.parts }] });
      const [, turn] = gemini.writePrompt(prompt, 'gemini-2.5-flash').contents as JsonObject[];
      const calls = (given: readonly Json[]) => given.filter((one) => 'functionCall' in (one as JsonObject));
      const signatures = (given: readonly Json[]) => given.flatMap((one) => (one as JsonObject).thoughtSignature ?? []);
      const back = (turn?.parts ?? []) as Json[];
      expect(calls(back)).toEqual(calls(JSON.parse(JSON.stringify(parts)) as Json[]));
      expect(signatures(back)).toEqual(signatures(parts as Json[]));
    }),
  );
});

describe('what is no answer', () => {
  test.each<[string, JsonObject]>([
    ['nothing', {}],
    ['no candidate', { candidates: [], usageMetadata: {} }],
    ['a candidate that is none', { candidates: ['x'] }],
    ['an error', { error: { code: 500, message: 'x' } }],
    ['a call without a name', answer([{ functionCall: { args: {} } }])],
  ])('is refused: %s', (_name, body) => {
    expect(() => gemini.readReply(body)).toThrow(ReplyError);
  });

  test('throws ReplyError at most, whatever it is, and never counts what cannot be', () => {
    const junk = fc.oneof(fc.jsonValue(), part, fc.constantFrom(-1, 1e308, 'x', null, []));
    const body = fc.record(
      {
        candidates: fc.oneof(junk, fc.array(fc.record({ content: fc.record({ parts: fc.array(junk) }), finishReason: junk }))),
        usageMetadata: fc.oneof(junk, fc.dictionary(fc.constantFrom(...Object.keys(usageMetadata)), junk)),
        promptFeedback: fc.oneof(junk, fc.record({ blockReason: junk })),
        error: junk,
        responseId: junk,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(body, (given) => {
        const read = JSON.parse(JSON.stringify(given)) as JsonObject;
        const counted = Object.values(gemini.usageOf(read) ?? {});
        expect(counted.every((count) => Number.isSafeInteger(count) && count >= 0)).toBe(true);
        gemini.readFailure(500, read);
        for (const attempt of [() => gemini.readReply(read), () => gemini.streamReader().read('', JSON.stringify(read))]) {
          try {
            attempt();
          } catch (error) {
            expect(error).toBeInstanceOf(ReplyError);
          }
        }
      }),
    );
    expect(() => gemini.streamReader().read('message', '<html>')).toThrow(ReplyError);
    expect(() => gemini.streamReader().read('message', '[]')).toThrow(ReplyError);
  });
});

describe('a failure of Gemini', () => {
  const failure = (status: number, word: string, message = 'm', details: Json[] = []) =>
    gemini.readFailure(status, { error: { code: status, message, status: word, details } });

  test.each([
    [400, 'INVALID_ARGUMENT', 'bad-request'],
    [400, 'FAILED_PRECONDITION', 'failed'],
    [401, 'UNAUTHENTICATED', 'unauthorized'],
    [403, 'PERMISSION_DENIED', 'unauthorized'],
    [404, 'NOT_FOUND', 'not-found'],
    [429, 'RESOURCE_EXHAUSTED', 'rate-limited'],
    [500, 'INTERNAL', 'failed'],
    [503, 'UNAVAILABLE', 'overloaded'],
    [504, 'DEADLINE_EXCEEDED', 'failed'],
  ])('%i %s is %s', (status, word, kind) => {
    expect(failure(status, word)).toEqual({ status, kind, message: 'm', code: word });
  });

  test('tells a bad key and a long prompt from other bad requests', () => {
    const details = [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' }];
    expect(failure(400, 'INVALID_ARGUMENT', 'API key not valid.', details)).toMatchObject({
      kind: 'unauthorized',
      code: 'API_KEY_INVALID',
    });
    const long = 'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).';
    expect(failure(400, 'INVALID_ARGUMENT', long).kind).toBe('too-long');
  });

  test('says when to come back', () => {
    const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34.5s' }];
    expect(failure(429, 'RESOURCE_EXHAUSTED', 'm', details).retryAfterMs).toBe(34_500);
    expect(failure(429, 'RESOURCE_EXHAUSTED', 'm', [{ retryDelay: '-1s' }]).retryAfterMs).toBeUndefined();
  });

  test('is told by its status where there is nothing to read, and is never long', () => {
    expect(gemini.readFailure(502, undefined)).toEqual({ status: 502, kind: 'failed', message: 'HTTP 502', code: undefined });
    expect(failure(400, 'X', 'y'.repeat(100_000)).message).toHaveLength(2_000);
  });
});
