import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http';
import { commandAgent, version } from '../version.ts';

/** One request of a command. */
export interface Sent {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** JSON text. */
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface Reply {
  readonly status: number;
  readonly text: string;
}

interface ExchangeLimits {
  /** Longest silence. */
  readonly idleMs: number;
  /** Longest in all, also for a far end that sends a byte now and then. */
  readonly totalMs: number;
  readonly bytes: number;
}

export const answerLimitBytes = 64 * 1024 * 1024;

/** Sends one request to a socket or an address, and reads the answer as text. Follows no redirect. Rejects with what the system says. */
export async function exchange(
  to: { readonly socketPath: string } | { readonly url: URL },
  { method, path, body, headers }: Sent,
  limits: ExchangeLimits,
): Promise<Reply> {
  const options: RequestOptions = {
    method,
    path,
    agent: false,
    timeout: limits.idleMs,
    signal: AbortSignal.timeout(limits.totalMs),
    headers: {
      accept: 'application/json',
      'user-agent': `${commandAgent}/${version}`,
      ...headers,
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    },
  };
  const isHttps = 'url' in to && to.url.protocol === 'https:';
  const request = isHttps ? (await import('node:https')).request : requestHttp;
  return new Promise((resolve, reject) => {
    const receive = (response: IncomingMessage): void => {
      readAll(response, limits.bytes).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    };
    const asking = 'url' in to ? request(to.url, options, receive) : request({ ...options, socketPath: to.socketPath }, receive);
    asking.on('timeout', () => asking.destroy(new Error(`nothing came for ${Math.round(limits.idleMs / 1000)} s`)));
    asking.on('error', reject);
    asking.end(body);
  });
}

async function readAll(response: IncomingMessage, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limitBytes) throw new Error(`the answer is larger than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
