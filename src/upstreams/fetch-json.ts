import type { Dispatcher } from 'undici';
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
  /** The status of an answer whose body, whatever it is, says nothing; no redirect is followed. Rejects with FetchFailed. */
  fetchStatus(request: JsonRequest): Promise<number>;
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
        const answer = await send(egress, url, request, signal);
        const { statusCode: status, headers } = answer;
        const bytes = await readWhole(url, answer, signal);
        if (status < 300 || status >= 400) return { status, body: parseObject(bytes) };
        url = redirected(url, headers.location, hops, request.method ?? 'GET');
      }
    },
    async fetchStatus(request) {
      const signal = AbortSignal.timeout(Math.min(timeoutMs, request.deadlineMs ?? timeoutMs));
      const url = parseHttpUrl(request.url);
      if (url === undefined) throw new FetchFailed('refused', 'the address is not an http or https URL');
      const { statusCode, body } = await send(egress, url, request, signal);
      // A short one is read, so that the connection can be used again; nobody waits for it.
      void body.dump({ limit: limitBytes, signal }).catch(() => {});
      return statusCode;
    },
    async mayReach(text, named) {
      const url = parseHttpUrl(text);
      return url !== undefined && (await egress.dispatcherFor(url, named)) !== undefined;
    },
  };
}

async function send(
  egress: Pick<EgressGuard, 'dispatcherFor'>,
  url: URL,
  { method = 'GET', headers = {}, body, named }: JsonRequest,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const dispatcher = await egress.dispatcherFor(url, named);
  if (dispatcher === undefined) throw new FetchFailed('refused', `${url.origin} may not be reached`);
  try {
    return await dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers: { accept: 'application/json', ...headers },
      body: body ?? null,
      signal,
    });
  } catch (error) {
    throw explain(url, error, signal);
  }
}

async function readWhole(url: URL, { body }: Dispatcher.ResponseData, signal: AbortSignal): Promise<Buffer> {
  try {
    return await readAll(body);
  } catch (error) {
    throw explain(url, error, signal);
  }
}

function explain(url: URL, error: unknown, signal: AbortSignal): FetchFailed {
  if (error instanceof FetchFailed) return error;
  if (signal.aborted) return new FetchFailed('timeout', `${url.origin} did not answer in time`, error);
  const code = (error as NodeJS.ErrnoException).code ?? (error as Error).name;
  return new FetchFailed('unreachable', `${url.origin} cannot be reached (${code})`, error);
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

function redirected(from: URL, location: string | string[] | undefined, hops: number, method: string): URL {
  if (method !== 'GET') throw new FetchFailed('redirect', `${from.origin} redirects a ${method}`);
  if (hops >= maxRedirects) throw new FetchFailed('redirect', `${from.origin} redirects more than ${maxRedirects} times`);
  const to = typeof location === 'string' ? URL.parse(location, from.href) : null;
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
