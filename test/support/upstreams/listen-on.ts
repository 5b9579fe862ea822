import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TestServer {
  readonly port: number;
  readonly url: string;
  close(): Promise<void>;
}

/** On a busy machine, the five seconds that are usual end connections just as a client uses them once more. */
export const keepAliveTimeout = 75_000;

/** Starts a server on loopback; `close` ends its connections too. */
export async function listenOn(server: Server, port = 0, path = '/mcp'): Promise<TestServer> {
  server.keepAliveTimeout = keepAliveTimeout;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    port: address.port,
    url: `http://127.0.0.1:${address.port}${path}`,
    close: async () => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
