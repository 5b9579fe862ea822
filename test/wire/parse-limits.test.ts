import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scanMessage } from '../../src/wire/json-scan.ts';
import { type MessageError, readMessage } from '../../src/wire/message.ts';
import { maxContainers, maxValues } from '../../src/wire/parse-limits.ts';
import { cpuMs } from '../support/cpu-time.ts';

function counted(value: unknown): { containers: number; commas: number } {
  if (typeof value !== 'object' || value === null) return { containers: 0, commas: 0 };
  const parts = Object.values(value).map(counted);
  return {
    containers: 1 + parts.reduce((sum, { containers }) => sum + containers, 0),
    commas: Math.max(0, parts.length - 1) + parts.reduce((sum, { commas }) => sum + commas, 0),
  };
}

test('lists, objects and commas are counted as they are, in short messages and in long ones', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(0, 1, 400), fc.constantFrom(0, 1), (value, times, indent) => {
      const copies = Array.from({ length: times }, () => value);
      const bytes = Buffer.from(
        JSON.stringify({ jsonrpc: '2.0', other: value, copies, text: ',[{'.repeat(times) }, undefined, indent),
      );
      const wanted = [counted(value), counted(copies)];
      const containers = wanted.reduce((sum, one) => sum + one.containers, 0);
      const commas = wanted.reduce((sum, one) => sum + one.commas, 0);
      expect(scanMessage(bytes)).toMatchObject({ containers, values: containers + commas });
    }),
  );
});

const message = (items: string) => Buffer.from(`{"jsonrpc":"2.0","id":7,"method":"m","params":{"x":[${items}]}}`);
const filled = (item: string, count: number) => Array.from({ length: count }, () => item).join(',');

function refusal(bytes: Buffer): MessageError {
  try {
    readMessage(bytes);
  } catch (error) {
    return error as MessageError;
  }
  throw new Error('it was read');
}

describe('a request that would take long to parse is refused before it is parsed, with its id', () => {
  test.each([
    ['[]', maxContainers - 1, `it has more than ${maxContainers} lists and objects`],
    ['{}', maxContainers - 1, `it has more than ${maxContainers} lists and objects`],
    ['0', maxValues, `it has more than ${maxValues} values`],
    ['""', maxValues, `it has more than ${maxValues} values`],
  ])('%s: as many as there may be are read, and one more is not', (item, most, words) => {
    expect(readMessage(message(filled(item, most)))).toMatchObject({ kind: 'request', id: '7' });
    expect(refusal(message(filled(item, most + 1)))).toMatchObject({ reason: 'invalid', id: '7', message: words });
  });

  test('also where each member is short', () => {
    const members = Array.from({ length: 900 }, (_, at) => `"m${at}":[${filled('[]', 80)}]`).join(',');
    const twice = `{"jsonrpc":"2.0","id":7,"method":"m",${members},"params":{${members}}}`;
    expect(refusal(Buffer.from(twice)).message).toContain('lists and objects');
  });

  test('of 4 MB in a few milliseconds', () => {
    const bytes = message(filled('[]', 1_390_000));
    refusal(bytes);
    const beforeMs = cpuMs();
    refusal(bytes);
    // Half a second, and more, where it is parsed.
    expect(cpuMs() - beforeMs).toBeLessThan(120);
  });

  test('an answer of as much is passed on as bytes, and says so to whoever would read it', () => {
    const bytes = Buffer.from(`{"jsonrpc":"2.0","id":7,"result":{"x":[${filled('[]', maxContainers + 1)}]}}`);
    expect(readMessage(bytes)).toMatchObject({ kind: 'result', excess: expect.stringContaining('lists and objects') });
    expect(readMessage(Buffer.from('{"jsonrpc":"2.0","id":7,"result":{}}'))).toMatchObject({ excess: undefined });
  });
});
