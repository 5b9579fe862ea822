import { randomBytes } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeChunk, writeLastChunk } from '../../../src/inbound/models/chunks.ts';

let answer: (response: ServerResponse) => void = (response) => response.end();
const server = createServer((request, response) => request.resume().once('end', () => answer(response)));
let port = 0;
beforeAll(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)));
beforeAll(() => {
  port = (server.address() as AddressInfo).port;
});
afterAll(() => new Promise((resolve) => void server.close(resolve)));

/** Everything that comes until the other side closes. */
function exchange(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    socket.on('data', (part) => parts.push(part));
    socket.on('end', () => resolve(Buffer.concat(parts).toString('latin1'))).on('error', reject);
  });
}

const lastRequest = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

describe('chunks of an answer', () => {
  it('come out as they went in, whatever bytes they are', async () => {
    const bytes = fc.oneof(
      { weight: 5, arbitrary: fc.uint8Array({ maxLength: 300 }) },
      { weight: 1, arbitrary: fc.integer({ min: 30_000, max: 100_000 }).map((length) => randomBytes(length)) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(bytes, { maxLength: 8 }), fc.constantFrom('', 'data: "Zoë"\n\n'), async (chunks, last) => {
        answer = (response) => {
          response.writeHead(200);
          for (const chunk of chunks) writeChunk(response, chunk);
          writeLastChunk(response, last);
        };
        const response = await fetch(`http://127.0.0.1:${port}/`);
        const came = Buffer.from(await response.arrayBuffer());
        expect(came.equals(Buffer.concat([...chunks, Buffer.from(last)]))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('are framed so that the connection takes the next request', async () => {
    answer = (response) => {
      response.writeHead(200, { date: 'now' });
      writeChunk(response, Buffer.from('data: ü\n\n'));
      writeLastChunk(response);
    };
    const came = await exchange(`GET / HTTP/1.1\r\nHost: a\r\n\r\n${lastRequest}`);
    const chunk = `${Buffer.from('a\r\ndata: ü\n\n\r\n0\r\n\r\n').toString('latin1')}`;
    expect(
      came
        .split('HTTP/1.1 200 OK')
        .slice(1)
        .map((one) => one.slice(one.indexOf('\r\n\r\n') + 4)),
    ).toEqual([chunk, chunk]);
  });

  it('have no frame for clients of HTTP/1.0', async () => {
    answer = (response) => {
      response.writeHead(200);
      writeChunk(response, Buffer.from('data: 1\n\n'));
      writeLastChunk(response, 'data: 2\n\n');
    };
    const came = await exchange('GET / HTTP/1.0\r\n\r\n');
    expect(came.toLowerCase()).not.toContain('transfer-encoding');
    expect(came).toMatch(/\r\n\r\ndata: 1\n\ndata: 2\n\n$/);
  });

  it('tell whoever writes when the client does not read', async () => {
    const isTaken = Promise.withResolvers<boolean[]>();
    answer = (response) => {
      response.writeHead(200);
      isTaken.resolve(Array.from({ length: 200 }, () => writeChunk(response, Buffer.alloc(30_000))));
      response.destroy();
    };
    const came = exchange(lastRequest).catch(() => '');
    expect((await isTaken.promise).at(-1)).toBe(false);
    await came;
  });
});
