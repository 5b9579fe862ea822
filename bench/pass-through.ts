/**
 * The least a gateway in Node can cost: `node:http` in, an undici pool out, nothing parsed, nothing checked.
 * Everything else in the benchmark is measured against it. Usage: node pass-through.ts <port> <upstream port> [connections]
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';

const [port, upstreamPort, connections = 256] = process.argv.slice(2).map(Number);
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, { connections });
// The headers that belong to one connection; the host is set for the next one.
const hopHeaders = new Set(['connection', 'keep-alive', 'transfer-encoding', 'host', 'content-length']);

function forward(req: IncomingMessage, res: ServerResponse, body: Buffer | null): void {
  const headers: string[] = [];
  for (let index = 0; index < req.rawHeaders.length; index += 2) {
    if (!hopHeaders.has(req.rawHeaders[index]!.toLowerCase())) headers.push(req.rawHeaders[index]!, req.rawHeaders[index + 1]!);
  }
  pool.dispatch({ path: req.url!, method: req.method as Dispatcher.HttpMethod, headers, body }, new Answer(res));
}

class Answer implements Dispatcher.DispatchHandler {
  readonly #res: ServerResponse;

  constructor(res: ServerResponse) {
    this.#res = res;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#res.once('close', () => {
      if (!this.#res.writableFinished) controller.abort(new Error('the client is gone'));
    });
    this.#res.on('drain', () => controller.resume());
  }

  onResponseStart(_controller: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    delete headers.connection;
    delete headers['keep-alive'];
    delete headers['transfer-encoding'];
    this.#res.writeHead(status, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#res.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#res.end();
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#res.headersSent) this.#res.destroy();
    else this.#res.writeHead(502, { 'content-type': 'text/plain' }).end(error.message);
  }
}

const server = createServer((req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => forward(req, res, chunks.length === 0 ? null : chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
});
server.listen(port, '127.0.0.1', () => process.send?.({ ready: true }));
process.on('disconnect', () => process.exit());
