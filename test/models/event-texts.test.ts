import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TextSlot } from '../../src/models/dialect.ts';
import { EventTextReader } from '../../src/models/event-texts.ts';
import type { JsonObject } from '../../src/wire/json.ts';

/** All strings under `delta`, the member's name as the channel. */
const dialect = {
  textsOf(document: JsonObject): readonly TextSlot[] {
    const delta = document.delta as Record<string, unknown> | undefined;
    return Object.entries(delta ?? {}).flatMap(([channel, text]) => {
      if (typeof text !== 'string') return [];
      const replace = (other: string) => {
        delta![channel] = other;
      };
      return [{ text, channel, replace }];
    });
  },
};

const textsIn = (reader: EventTextReader, data: string) => reader.read(data).slots.map(({ text, channel }) => [channel, text]);

test('what an event says is the same whatever came before it', () => {
  // Few values, so that texts are those of other members, and events have all the rest of an earlier one.
  const text = fc.constantFrom('a', 'b', ',', ':', 'a","b', 'said', 'delta', '\\', '"', '\u00e9', '\n', '{', 'a"', '');
  const name = fc.constantFrom('said', 'thought', 'id', 'a');
  const member = fc.tuple(name, text).map(([key, value]) => `"${key}":${JSON.stringify(value)}`);
  const escaped = member.map((one) => one.replace('a', '\\u0061'));
  const delta = fc.array(fc.oneof(member, member, escaped), { maxLength: 2 }).map((members) => `"delta":{${members.join(',')}}`);
  const event = fc
    .tuple(fc.array(member, { maxLength: 2 }), delta, fc.array(member, { maxLength: 1 }), fc.constantFrom('', ' '))
    .map(([before, said, behind, blank]) => `${blank}{${[...before, said, ...behind].join(`,${blank}`)}}`);
  fc.assert(
    fc.property(fc.array(event, { maxLength: 12 }), (events) => {
      const reader = new EventTextReader(dialect);
      for (const data of events) expect(textsIn(reader, data)).toEqual(textsIn(new EventTextReader(dialect), data));
    }),
    { numRuns: process.env.TEST_LONG ? 20_000 : 2_000 },
  );
});

test('a text of an event that was not parsed is replaced in the whole of the event', () => {
  const reader = new EventTextReader(dialect);
  reader.read('{"id":"c1","delta":{"said":"one"},"at":12345678901234567890}');
  const { slots, document } = reader.read('{"id":"c1","delta":{"said":"two"},"at":12345678901234567890}');
  expect(slots.map(({ text, channel }) => [channel, text])).toEqual([['said', 'two']]);
  slots[0]!.replace('[redacted]');
  expect(JSON.stringify(document())).toBe('{"id":"c1","delta":{"said":"[redacted]"},"at":12345678901234567890}');
});

test('numbers that a double cannot hold keep their digits wherever they stand', () => {
  const reader = new EventTextReader(dialect);
  for (let pad = 0; pad < 40; pad++) {
    const data = `{"pad":"${'x'.repeat(pad)}","n":1234567890123456789,"delta":{"said":"${pad}\\n"}}`;
    expect(JSON.stringify(reader.read(data).document())).toBe(data);
  }
});

test('an event that is no JSON is refused, also when an earlier one had all the rest of it', () => {
  const reader = new EventTextReader(dialect);
  reader.read('{"id":"c1","delta":{"said":"one"}}');
  for (const said of ['a\tb', 'a"b', 'a\\xb'])
    expect(() => reader.read(`{"id":"c1","delta":{"said":"${said}"}}`)).toThrow('not valid JSON');
  expect(textsIn(reader, '{"id":"c1","delta":{"said":"a b"}}')).toEqual([['said', 'a b']]);
});
