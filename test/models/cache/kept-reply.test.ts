import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  collectReply,
  isWorthKeeping,
  type KeptReply,
  readKept,
  replay,
  writeKept,
} from '../../../src/models/cache/kept-reply.ts';
import { type Finish, noUsage, type Reply, type ReplyEvent, type ReplyPart } from '../../../src/models/reply.ts';

const text: ReplyPart = { kind: 'text', text: 'Hello.' };
const reply = (changes: Partial<Reply> = {}): Reply => ({
  id: 'r1',
  model: 'm',
  parts: [text],
  finish: 'stop',
  stopSequence: undefined,
  usage: { ...noUsage, input: 3, output: 2 },
  ...changes,
});
const kept = (changes: Partial<Reply> = {}): KeptReply => ({ kind: 'reply', reply: reply(changes) });

function collected(events: Iterable<ReplyEvent>, limitChars = 1_000_000): Reply | undefined {
  const collector = collectReply(limitChars);
  for (const event of events) collector.add(event);
  return collector.reply();
}

describe('an answer that is kept', () => {
  it('comes back as it was, in parts too', () => {
    const string = fc.string({ unit: 'binary', maxLength: 700 });
    const part: fc.Arbitrary<ReplyPart> = fc.oneof(
      fc.record({ kind: fc.constant('text' as const), text: string }),
      fc.record({ kind: fc.constant('reasoning' as const), text: string, signature: fc.string({ minLength: 1 }) }),
      fc.record({ kind: fc.constant('refusal' as const), text: string }),
      fc.record({ kind: fc.constant('tool-call' as const), id: fc.string(), name: fc.string(), arguments: string }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), fc.constantFrom<Finish>('stop', 'length', 'tool-calls'), (parts, finish) => {
        const whole = reply({ parts, finish });
        expect(collected(replay(whole))).toEqual(whole);
        expect(readKept(writeKept({ kind: 'reply', reply: whole }, 5))).toEqual(
          JSON.parse(JSON.stringify({ kept: { kind: 'reply', reply: whole }, atMs: 5 })),
        );
      }),
    );
  });

  it('never has a character cut in two', () => {
    const whole = reply({ parts: [{ kind: 'text', text: 'x😀'.repeat(500) }] });
    for (const event of replay(whole)) if (event.kind === 'delta') expect(event.text.isWellFormed()).toBe(true);
  });

  it.each([
    ['it broke off', (events: ReplyEvent[]) => events.filter(({ kind }) => kind !== 'finish')],
    ['a part was never closed', (events: ReplyEvent[]) => events.filter(({ kind }) => kind !== 'close')],
    ['a part was never opened', (events: ReplyEvent[]) => events.filter(({ kind }) => kind !== 'open')],
    [
      'the provider said that it failed',
      (events: ReplyEvent[]) => [
        ...events,
        { kind: 'failed', failure: { status: 500, kind: 'failed', message: '', code: undefined } } as const,
      ],
    ],
  ])('is none where %s', (_, change) => {
    const events = [...replay(reply())];
    expect(collected(events)).toBeDefined();
    expect(collected(change(events))).toBeUndefined();
  });

  it('is none beyond a length', () => {
    const whole = reply({ parts: [{ kind: 'text', text: 'x'.repeat(1_000) }] });
    expect(collected(replay(whole), 1_000)).toBeDefined();
    expect(collected(replay(whole), 999)).toBeUndefined();
  });

  it.each([
    ['text', kept(), true, true],
    ['text that reached its length', kept({ finish: 'length' }), true, true],
    ['nothing', kept({ parts: [] }), false, false],
    ['no text', kept({ parts: [{ kind: 'text', text: '' }] }), false, false],
    ['a refusal', kept({ parts: [{ kind: 'refusal', text: 'No.' }] }), false, false],
    ['a finish by a filter', kept({ finish: 'content-filter' }), false, false],
    ['a pause', kept({ finish: 'pause' }), false, false],
    [
      'a call of a tool',
      kept({ parts: [{ kind: 'tool-call', id: 'c', name: 't', arguments: '{}' }], finish: 'tool-calls' }),
      false,
      true,
    ],
    ['vectors', { kind: 'document', body: { data: [] }, usage: noUsage } as KeptReply, true, true],
    ['an error', { kind: 'document', body: { error: {} }, usage: noUsage } as KeptReply, false, false],
  ])('%s', (_, answer, isKept, isKeptWithTools) => {
    expect(isWorthKeeping(answer, false)).toBe(isKept);
    expect(isWorthKeeping(answer, true)).toBe(isKeptWithTools);
  });

  it.each(['', '{}', 'null', '{"v":2,"atMs":1,"kept":{}}', '{"v":1,"kept":{}}'])('is not read from %s', (bytes) => {
    expect(readKept(Buffer.from(bytes))).toBeUndefined();
  });
});
