import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { letGoOfStalled } from '../../src/inbound/let-go.ts';
import { SseStream, writeJson } from '../../src/inbound/mcp/stream.ts';
import { ReplyStream } from '../../src/inbound/models/stream.ts';
import { listenOn } from '../support/upstreams/listen-on.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

// More than the system keeps for a client that does not read.
const much = Buffer.alloc(32 * 1024 * 1024, 0x61);

/** A client of a server that answers with this; it has read nothing yet. */
async function visit(answer: (response: ServerResponse) => void): Promise<{ client: Socket; response: ServerResponse }> {
  const server = createServer((_request, response) => answer(response));
  const arrived = once(server, 'request');
  const far = await listenOn(server);
  const client = connect(far.port, '127.0.0.1').pause();
  closing.push(far.close, () => void client.destroy());
  client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [, response] = (await arrived) as [unknown, ServerResponse];
  return { client, response };
}

test('RE-01: a client that stops reading is let go of, with all that waited for it', async () => {
  const { response } = await visit((answer) => {
    letGoOfStalled(answer, 50);
    answer.end(much);
  });
  await once(response, 'close');
  expect([response.destroyed, response.writableFinished]).toEqual([true, false]);
});

test('RE-01: one that reads slowly gets all of it', async () => {
  const { client, response } = await visit((answer) => {
    letGoOfStalled(answer, 750);
    answer.end(much);
  });
  let bytes = 0;
  client.on('data', (piece: Buffer) => {
    bytes += piece.length;
    client.pause();
    setTimeout(() => client.resume(), 4);
  });
  const gone = once(client, 'close');
  response.once('close', () => client.end());
  client.resume();
  await gone;
  expect([response.writableFinished, bytes > much.length]).toEqual([true, true]);
});

test('RE-01: one that nothing waits for is not let go of', async () => {
  const { client, response } = await visit((answer) => {
    letGoOfStalled(answer, 20);
    answer.write('first');
  });
  client.resume();
  await once(response, 'timeout');
  response.end('last');
  await once(response, 'finish');
  expect(response.writableFinished).toBe(true);
});

test.each<[string, (response: ServerResponse) => void]>([
  ['a large answer', (response) => writeJson(response, 200, [much])],
  ['a stream of events', (response) => void new SseStream(response)],
  ["a model's answer in parts", (response) => void new ReplyStream(response, {}).write(much)],
])('RE-01: %s lets go of clients that stop reading', async (_what, answer) => {
  const { response } = await visit(answer);
  expect(response.socket?.timeout).toBe(30_000);
});
