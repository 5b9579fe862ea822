import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { HttpReply } from '../../../src/inbound/mcp/stream.ts';

/** What a client hears of a reply with which this is done. */
async function answered(serve: (response: ServerResponse, reply: HttpReply) => void): Promise<Response> {
  const server = createServer((_, response) => serve(response, new HttpReply(response, true)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

/** Long after a proxy would have dropped it. */
const later = () => performance.now() + 60_000;

test('a reply that its door answered waits no longer, and is not turned into a stream when its time comes', async () => {
  let place: number | undefined;
  const { status, headers } = await answered((response, reply) => {
    response.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope"' }).end();
    reply.keepAlive(later());
    place = reply.place;
  });
  expect([status, headers.get('www-authenticate'), place]).toEqual([403, 'Bearer error="insufficient_scope"', -1]);
});

test('a reply that nobody has answered becomes a stream when its time comes, and not before', async () => {
  const sent: boolean[] = [];
  const answer = await answered((response, reply) => {
    for (const nowMs of [performance.now(), later()]) {
      reply.keepAlive(nowMs);
      sent.push(response.headersSent);
    }
    reply.finish([Buffer.from('{"id":1}')]);
  });
  expect([answer.headers.get('content-type'), await answer.text()]).toEqual(['text/event-stream', 'data: {"id":1}\n\n']);
  expect(sent).toEqual([false, true]);
});
