import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenOn } from './listen-on.ts';

/** One request as it arrived, byte for byte. */
export interface Arrived {
  readonly method: string;
  /** As it stood on the request line. */
  readonly target: string;
  /** Name, value, name, value. */
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

type Respond = (arrived: Arrived, response: ServerResponse, request: IncomingMessage) => void;

export interface ApiServer {
  readonly url: string;
  readonly port: number;
  readonly arrived: readonly Arrived[];
  /** What it answers from now on; `{}` as JSON by default. */
  respond(next: Respond): void;
  /** Answers with this status, these headers and this body. */
  answer(status: number, headers: Readonly<Record<string, string>>, body?: string | Buffer): void;
  close(): Promise<void>;
}

/** An HTTP server that records every request. */
export async function startApiServer(): Promise<ApiServer> {
  const arrived: Arrived[] = [];
  const json: Respond = (_arrived, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  };
  let respond = json;
  const server = await listenOn(
    createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', rawHeaders, headers } = request;
        const one = { method, target: url, rawHeaders, headers, body: Buffer.concat(chunks) };
        arrived.push(one);
        respond(one, response, request);
      });
    }),
  );
  return {
    url: `http://127.0.0.1:${server.port}`,
    port: server.port,
    arrived,
    respond(next) {
      respond = next;
    },
    answer(status, headers, body = '') {
      respond = (_arrived, response) => {
        response.writeHead(status, headers).end(body);
      };
    },
    close: () => server.close(),
  };
}
