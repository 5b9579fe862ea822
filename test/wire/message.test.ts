import { JSONRPCMessageSchema } from '@modelcontextprotocol/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageError, memberBytes, RawResult, readMessage } from '../../src/wire/message.ts';

const read = (value: unknown) => readMessage(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));

test('requests, notifications, results and errors are told apart', () => {
  expect(read({ jsonrpc: '2.0', id: 1, method: 'ping' })).toEqual({ kind: 'request', id: '1', method: 'ping', params: {} });
  expect(read({ jsonrpc: '2.0', method: 'x', params: { a: 1 } })).toEqual({
    kind: 'notification',
    method: 'x',
    params: { a: 1 },
  });
  expect(read({ jsonrpc: '2.0', id: 'q', result: {} }).kind).toBe('result');
  expect(read({ jsonrpc: '2.0', id: null, error: { code: -32700, message: 'no' } })).toEqual({
    kind: 'error',
    id: undefined,
    error: { code: -32700, message: 'no' },
  });
});

test('PR-05: an id is kept byte for byte or refused', () => {
  for (const id of ['5', '0', '-7', '9223372036854775808', '""', '"a\\u0041"', '"__proto__"', '-0']) {
    expect(read(`{"jsonrpc":"2.0","id":${id},"method":"x"}`)).toMatchObject({ id });
  }
  for (const id of ['1.5', '1e3', 'true', '{}', '[]', 'null', `"${'x'.repeat(1000)}"`]) {
    expect(() => read(`{"jsonrpc":"2.0","id":${id},"method":"x"}`), id).toThrow(MessageError);
  }
});

test('what is no message says why', () => {
  expect(() => read('{"jsonrpc":"2.0"')).toThrow(expect.objectContaining({ reason: 'parse' }));
  expect(() => read(Buffer.from([0x7b, 0xff, 0x7d]).toString('latin1'))).toThrow(MessageError);
  expect(() => readMessage(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toThrow(/UTF-8/);
  expect(() => read([{ jsonrpc: '2.0', id: 1, method: 'x' }])).toThrow(/batches/);
  expect(() => read({ jsonrpc: '1.0', id: 1, method: 'x' })).toThrow(expect.objectContaining({ reason: 'invalid', id: '1' }));
  expect(() => read({ jsonrpc: '2.0', id: 1, method: 'x', params: [] })).toThrow(/params/);
  expect(() => read({ jsonrpc: '2.0', id: 1 })).toThrow(/neither/);
});

// The SDK's schema is the judge of shapes; ours may only be stricter, and only about ids (above) and about one message per body.
test('our guards and the schema of the specification agree on generated messages', () => {
  const json = fc.jsonValue({ maxDepth: 2 });
  const envelope = { jsonrpc: fc.constantFrom('2.0', '1.0', 2), id: fc.oneof(fc.integer(), fc.string({ maxLength: 20 })) };
  const object = fc.oneof(fc.dictionary(fc.constantFrom('a', 'b', 'c'), json), json);
  const method = fc.oneof(fc.constantFrom('tools/call', 'ping'), json);
  const error = fc.oneof(fc.record({ code: fc.integer(), message: fc.string() }), json);
  // Members of another kind of message beside these are refused there and ignored here, as JSON-RPC leaves it open.
  const message = fc.oneof(
    fc.record({ ...envelope, method, params: object }, { requiredKeys: [] }),
    fc.record({ ...envelope, result: object }, { requiredKeys: [] }),
    fc.record({ ...envelope, error }, { requiredKeys: [] }),
  );
  fc.assert(
    fc.property(message, (value) => {
      const text = JSON.stringify(value);
      let ours = true;
      try {
        read(text);
      } catch (error) {
        expect(error).toBeInstanceOf(MessageError);
        ours = false;
      }
      if (ours) expect(JSONRPCMessageSchema.safeParse(JSON.parse(text)).success, text).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('garbage is refused with a MessageError, never with anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        readMessage(Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(MessageError);
      }
    }),
    { numRuns: 5000 },
  );
});

test('a result is edited without being rebuilt', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', '_meta'), fc.jsonValue()),
      fc.constantFrom('a', 'c', '_meta', 'z'),
      (value, key) => {
        const expected = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
        const result = RawResult.from(expected as never);
        const edited = (removed: string[], ...added: Buffer[]) =>
          JSON.parse(Buffer.concat(result.edit(removed, added)).toString());
        const { [key]: _, ...without } = expected;
        expect(edited([key])).toEqual(without);
        expect(edited([key], memberBytes(key, '"new"'))).toEqual({ ...without, [key]: 'new' });
        expect(edited([])).toEqual(expected);
      },
    ),
  );
});
