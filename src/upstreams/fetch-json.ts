import type { IncomingHttpHeaders } from 'node:http';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { EgressGuard } from './egress.ts';

/** One small request to an address that may have come from anywhere. */
interface JsonRequest {
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Origins that the operator wrote down; all others must be public or allowed. */
  readonly named: ReadonlySet<string>;
  /** At most what such a request may take anyway. */
  readonly deadlineMs?: number;
}

export interface JsonAnswer {
  readonly status: number;
  /** Undefined where the body is not a JSON object. */
  readonly body: JsonObject | undefined;
}

/** The way to addresses that came from outside our own settings. */
export interface Reach {
  /** Rejects with FetchFailed. */
  fetchJson(request: JsonRequest): Promise<JsonAnswer>;
  /** Whether this is an http or https address that may be reached at all; a name is looked up only when it is connected to. */
  mayReach(url: string, named: ReadonlySet<string>): Promise<boolean>;
}

/** There is no answer. The message is for the log: nobody else may learn from it what is behind an address. */
export class FetchFailed extends Error {
  readonly reason: 'refused' | 'unreachable' | 'timeout' | 'too-large' | 'redirect';
  constructor(reason: FetchFailed['reason'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'FetchFailed';
    this.reason = reason;
  }
}

const limitBytes = 256 * 1024;
const timeoutMs = 10_000;
const maxRedirects = 3;

/**
 * Fetches JSON through the guard: bytes and time are capped, and a redirect is followed for a GET within its own origin only, so
 * that neither a credential nor a request goes where nobody sent it.
 */
export function openReach(egress: Pick<EgressGuard, 'dispatcherFor'>): Reach {
  return {
    async fetchJson(request) {
      // One deadline for everything, redirects included.
      const signal = AbortSignal.timeout(Math.min(timeoutMs, request.deadlineMs ?? timeoutMs));
      let url = parseHttpUrl(request.url);
      if (url === undefined) throw new FetchFailed('refused', 'the address is not an http or https URL');
      for (let hops = 0; ; hops++) {
        const { status, headers, bytes } = await send(egress, url, request, signal);
        if (status < 300 || status >= 400) return { status, body: parseObject(bytes) };
        url = redirected(url, headers.location, hops, request.method ?? 'GET');
      }
    },
    async mayReach(text, named) {
      const url = parseHttpUrl(text);
      return url !== undefined && (await egress.dispatcherFor(url, named)) !== undefined;
    },
  };
}

interface Received {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
}

async function send(
  egress: Pick<EgressGuard, 'dispatcherFor'>,
  url: URL,
  { method = 'GET', headers = {}, body, named }: JsonRequest,
  signal: AbortSignal,
): Promise<Received> {
  const dispatcher = await egress.dispatcherFor(url, named);
  if (dispatcher === undefined) throw new FetchFailed('refused', `${url.origin} may not be reached`);
  try {
    const answer = await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers: { accept: 'application/json', ...headers },
      body: body ?? null,
      signal,
    });
    return { status: answer.statusCode, headers: answer.headers, bytes: await readAll(answer.body) };
  } catch (error) {
    if (error instanceof FetchFailed) throw error;
    if (signal.aborted) throw new FetchFailed('timeout', `${url.origin} did not answer in time`, error);
    const code = (error as NodeJS.ErrnoException).code ?? (error as Error).name;
    throw new FetchFailed('unreachable', `${url.origin} cannot be reached (${code})`, error);
  }
}

async function readAll(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop early ends the connection.
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw new FetchFailed('too-large', `the answer is larger than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function redirected(from: URL, location: string | undefined, hops: number, method: string): URL {
  if (method !== 'GET') throw new FetchFailed('redirect', `${from.origin} redirects a ${method}`);
  if (hops >= maxRedirects) throw new FetchFailed('redirect', `${from.origin} redirects more than ${maxRedirects} times`);
  const to = URL.parse(location ?? '', from.href);
  if (to === null || to.origin !== from.origin) throw new FetchFailed('redirect', `${from.origin} redirects to another origin`);
  return to;
}

function parseHttpUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined;
  return url.username === '' && url.password === '' ? url : undefined;
}

function parseObject(bytes: Buffer): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
