import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { keepAliveTimeout } from './upstreams/listen-on.ts';
import { EventReader, parseMessages, type WireMessage } from './wire.ts';

/** One HTTP request through the tap and everything that came back on it. */
export interface Exchange {
  readonly number: number;
  readonly method: string;
  readonly path: string;
  readonly requestHeaders: IncomingHttpHeaders;
  readonly body: string;
  status: number | undefined;
  responseHeaders: IncomingHttpHeaders;
  /** How it ended: completely, by the client's hang-up, or by the server's. */
  ending: 'open' | 'complete' | 'client-closed' | 'server-closed';
}

/** One message, in the order the tap saw it. */
export interface Sighting {
  readonly exchange: Exchange;
  readonly to: 'server' | 'client';
  readonly message: WireMessage;
}

export interface WireTap {
  /** Where to send what should be recorded. */
  readonly url: string;
  readonly exchanges: readonly Exchange[];
  readonly sightings: readonly Sighting[];
  /** What was seen since the given length of `sightings`, messages only. */
  messages(to: 'server' | 'client', since?: number): WireMessage[];
  stop(): Promise<void>;
}

/** A proxy that changes nothing and forgets nothing. `target` is the full address of an MCP endpoint. */
export async function startWireTap(target: string): Promise<WireTap> {
  const destination = new URL(target);
  const exchanges: Exchange[] = [];
  const sightings: Sighting[] = [];

  async function relay(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const exchange: Exchange = {
      number: exchanges.length,
      method: request.method ?? '',
      path: request.url ?? '',
      requestHeaders: request.headers,
      body: body.toString(),
      status: undefined,
      responseHeaders: {},
      ending: 'open',
    };
    exchanges.push(exchange);
    const see = (to: Sighting['to'], text: string): void => {
      for (const message of parseMessages(text)) sightings.push({ exchange, to, message });
    };
    see('server', exchange.body);
    const outgoing = send({
      host: destination.hostname,
      port: destination.port,
      path: destination.pathname + destination.search,
      method: request.method,
      headers: { ...request.headers, host: destination.host },
    });
    response.once('close', () => {
      if (exchange.ending === 'open') exchange.ending = 'client-closed';
      outgoing.destroy();
    });
    outgoing.on('error', () => {
      if (exchange.ending === 'open') exchange.ending = 'server-closed';
      response.destroy();
    });
    outgoing.on('response', (answer) => {
      exchange.status = answer.statusCode;
      exchange.responseHeaders = answer.headers;
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      response.flushHeaders();
      const isStream = answer.headers['content-type']?.startsWith('text/event-stream') === true;
      const events = new EventReader(({ data }) => see('client', data ?? ''));
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        if (isStream) events.push(chunk);
        else text += chunk;
        response.write(chunk);
      });
      answer.on('end', () => {
        if (!isStream) see('client', text);
        if (exchange.ending === 'open') exchange.ending = 'complete';
        response.end();
      });
      answer.on('error', () => {
        if (exchange.ending === 'open') exchange.ending = 'server-closed';
        response.destroy();
      });
    });
    outgoing.end(body);
  }

  const server = createServer({ keepAliveTimeout }, (request, response) => {
    relay(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${destination.pathname}`,
    exchanges,
    sightings,
    messages: (to, since = 0) => sightings.slice(since).flatMap((seen) => (seen.to === to ? [seen.message] : [])),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
