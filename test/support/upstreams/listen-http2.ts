import { once } from 'node:events';
import { createServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TestServer } from './listen-on.ts';

/** HTTP/2 without TLS on loopback: all that Amazon's own client speaks to Bedrock. `close` ends its connections too. */
export async function listenHttp2(
  answer: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
): Promise<TestServer> {
  const server = createServer(answer);
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}
