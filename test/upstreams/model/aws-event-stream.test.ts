import { BedrockRuntimeClient, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplyError } from '../../../src/models/dialect.ts';
import { AwsEventStreamReader } from '../../../src/upstreams/model/aws-event-stream.ts';
import { encodeAwsEvent, encodeAwsException, encodeAwsMessage, frameAwsMessage } from '../../support/aws-event-stream.ts';
import { listenHttp2 } from '../../support/upstreams/listen-http2.ts';

function readAll(chunks: readonly Buffer[], limitBytes = 1_000_000) {
  const events: { type: string; data: string }[] = [];
  const reader = new AwsEventStreamReader(
    { onEvent: ({ type, data }) => events.push({ type, data: data.toString() }) },
    limitBytes,
  );
  for (const chunk of chunks) reader.push(chunk);
  return { events, isInside: reader.isInside };
}

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
}

describe('an AWS event stream', () => {
  test('reads the same however it is cut', () => {
    const event = fc.record({ type: fc.stringMatching(/^[a-zA-Z]{1,20}$/), data: fc.jsonValue() });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 5 }), fc.array(fc.nat(600), { maxLength: 8 }), (given, cuts) => {
        const bytes = Buffer.concat(given.map(({ type, data }) => encodeAwsEvent(type, data)));
        const expected = given.map(({ type, data }) => ({ type, data: JSON.stringify(data) }));
        expect(readAll(cutAt(bytes, cuts))).toEqual({ events: expected, isInside: false });
      }),
    );
  });

  test('byte by byte is read as well', () => {
    const bytes = Buffer.concat([encodeAwsEvent('a', { b: 1 }), encodeAwsEvent('c', {})]);
    expect(readAll(Array.from(bytes, (byte) => Buffer.of(byte))).events).toHaveLength(2);
  });

  test('that ends within a message says so', () => {
    const bytes = encodeAwsEvent('a', { b: 1 });
    for (let length = 1; length < bytes.length; length++) {
      expect(readAll([bytes.subarray(0, length)])).toEqual({ events: [], isInside: true });
    }
  });

  test('names exceptions by their type, and errors by their code with their message as data', () => {
    const error = encodeAwsMessage(
      { ':message-type': 'error', ':error-code': 'InternalFailure', ':error-message': 'Oh "no".' },
      '',
    );
    expect(readAll([encodeAwsException('throttlingException', 'Slow down.'), error]).events).toEqual([
      { type: 'throttlingException', data: '{"message":"Slow down."}' },
      { type: 'InternalFailureException', data: '{"message":"Oh \\"no\\"."}' },
    ]);
  });

  test('may hold headers of every type', () => {
    const values = [
      [0],
      [1],
      [2, 7],
      [3, 0, 7],
      [4, 0, 0, 0, 7],
      [5, ...Array<number>(8).fill(1)],
      [6, 0, 2, 9, 9],
      [8, ...Array<number>(8).fill(1)],
      [9, ...Array<number>(16).fill(1)],
    ];
    const others = values.map((value, index) => Buffer.of(2, 0x68, 0x30 + index, ...value));
    const own = encodeAwsMessage({ ':message-type': 'event', ':event-type': 'a' }, '');
    const head = Buffer.concat([...others, own.subarray(12, -4)]);
    expect(readAll([frameAwsMessage(head, Buffer.from('{}'))]).events).toEqual([{ type: 'a', data: '{}' }]);
  });

  test('with any bit changed is refused, and nothing of the changed message is read', () => {
    const good = encodeAwsEvent('first', {});
    const bytes = encodeAwsEvent('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Hello' } });
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const events: string[] = [];
      const reader = new AwsEventStreamReader({ onEvent: ({ type }) => events.push(type) }, 1_000_000);
      expect(() => reader.push(Buffer.concat([good, changed]))).toThrow(ReplyError);
      expect(events).toEqual(['first']);
    }
  });

  test('with lengths or headers that do not fit is refused, though its sums are right', () => {
    const damaged = [
      frameAwsMessage(Buffer.of(0, 7), Buffer.alloc(0)),
      frameAwsMessage(Buffer.of(1), Buffer.alloc(0)),
      frameAwsMessage(Buffer.of(1, 0x61, 7, 0), Buffer.alloc(0)),
      frameAwsMessage(Buffer.of(1, 0x61, 7, 0, 9, 0x62), Buffer.alloc(0)),
      frameAwsMessage(Buffer.of(1, 0x61, 10), Buffer.alloc(0)),
      frameAwsMessage(Buffer.of(1, 0x61, 9, 1), Buffer.alloc(0)),
      frameAwsMessage(Buffer.alloc(128 * 1024 + 1), Buffer.alloc(0)),
      encodeAwsMessage({ ':message-type': 'gossip' }, ''),
      encodeAwsMessage({}, ''),
    ];
    for (const bytes of damaged) expect(() => readAll([bytes])).toThrow(ReplyError);
  });

  test('never gathers more than the limit: the length alone is enough to refuse', () => {
    const large = encodeAwsEvent('a', 'x'.repeat(2_000));
    expect(() => readAll([large.subarray(0, 12)], 1_000)).toThrow(RangeError);
    expect(readAll([large], large.length).events).toHaveLength(1);
  });

  test('anything else is refused or waited for, and nothing else is thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          expect(readAll([Buffer.from(bytes)], 500).events).toEqual([]);
        } catch (error) {
          expect(error instanceof ReplyError || error instanceof RangeError).toBe(true);
        }
      }),
    );
  });
});

test("what these tests write, Amazon's own client reads", async () => {
  const stream = Buffer.concat([
    encodeAwsEvent('messageStart', { role: 'assistant' }),
    encodeAwsEvent('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Grüße' } }),
    encodeAwsEvent('contentBlockStop', { contentBlockIndex: 0 }),
    encodeAwsEvent('messageStop', { stopReason: 'end_turn' }),
    encodeAwsEvent('metadata', { usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 }, metrics: { latencyMs: 1 } }),
    encodeAwsException('throttlingException', 'Slow down.'),
  ]);
  const server = await listenHttp2((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' }).end(stream);
  });
  const client = new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: server.url,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
  });
  const seen: string[] = [];
  const read = async (): Promise<void> => {
    const answer = await client.send(
      new ConverseStreamCommand({ modelId: 'm', messages: [{ role: 'user', content: [{ text: 'Hi' }] }] }),
    );
    for await (const event of answer.stream ?? []) seen.push(event.contentBlockDelta?.delta?.text ?? Object.keys(event).join());
  };
  try {
    await expect(read()).rejects.toMatchObject({ name: 'ThrottlingException', message: 'Slow down.' });
    expect(seen).toEqual(['messageStart', 'Grüße', 'contentBlockStop', 'messageStop', 'metadata']);
  } finally {
    client.destroy();
    await server.close();
  }
});
