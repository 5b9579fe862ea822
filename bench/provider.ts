/**
 * OpenAI's chat completions with nothing behind them. Usage: node provider.ts; how they answer is changed over IPC, see `Order`.
 * `POST /step/<marker>` lets the next chunk out of a stream that goes step by step.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { machineUs, streamEvents, timedEvent, wholeAnswer } from './completion.ts';

export interface Behaviour {
  /**
   * `flowing`: chunk after chunk, `gapMs` apart; `stepped`: each when it is asked for; `endless`: chunks with their time, `gapMs`
   * apart, until the client goes.
   */
  readonly streams: 'flowing' | 'stepped' | 'endless';
  /** 0: in the next turn of the event loop. */
  readonly gapMs: number;
}

export interface Order {
  readonly id: number;
  readonly behaviour: Partial<Behaviour>;
}

let behaviour: Behaviour = { streams: 'flowing', gapMs: 0 };
const whole = wholeAnswer();
const plain = streamEvents({ hasUsage: false, endsWithUsage: false });
const counted = streamEvents({ hasUsage: true, endsWithUsage: true });
const waiting = new Map<string, () => void>();

/** What OpenAI says besides (platform.openai.com/docs/api-reference/debugging-requests). */
const headers = {
  'access-control-expose-headers': 'X-Request-ID',
  'openai-organization': 'bench',
  'openai-processing-ms': '12',
  'openai-version': '2020-10-01',
  'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
  'x-content-type-options': 'nosniff',
  'x-ratelimit-limit-requests': '30000',
  'x-ratelimit-limit-tokens': '180000000',
  'x-ratelimit-remaining-requests': '29999',
  'x-ratelimit-remaining-tokens': '179999457',
  'x-ratelimit-reset-requests': '2ms',
  'x-ratelimit-reset-tokens': '0s',
};

interface ChatRequest {
  readonly messages: readonly { readonly content: string }[];
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const path = request.url ?? '';
    if (path.startsWith('/step/')) step(path.slice(6), response);
    else if (path !== '/v1/chat/completions') refuse(response, 404, `Invalid URL (${request.method} ${path})`);
    else if (!request.headers.authorization?.startsWith('Bearer ')) refuse(response, 401, 'No API key was given.');
    else answer(response, JSON.parse(Buffer.concat(parts).toString()) as ChatRequest);
  });
}

function answer(response: ServerResponse, { messages, stream, stream_options: options }: ChatRequest): void {
  const { content } = messages.at(-1)!;
  const of = content.slice(0, content.indexOf(' '));
  const identified = { ...headers, 'x-request-id': `req_${of}` };
  if (stream === true) {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...identified });
    if (behaviour.streams === 'endless') goOn(response);
    else pour(response, of, options?.include_usage === true ? counted : plain);
    return;
  }
  const body = Buffer.from(whole(of));
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length, ...identified }).end(body);
}

/** Each chunk is written by itself; what ends a stream follows its last chunk at once. */
function pour(response: ServerResponse, of: string, events: typeof plain): void {
  const { streams, gapMs } = behaviour;
  const last = events.findIndex((event) => event(of).includes('"finish_reason":"stop"'));
  let at = 0;
  const next = () => {
    if (response.destroyed) return;
    if (at === last) {
      const rest = events.slice(at).map((event) => event(of));
      response.end(rest.join(''));
      waiting.delete(of);
      return;
    }
    response.write(events[at++]!(of));
    if (streams === 'flowing') schedule();
  };
  const schedule = () => (gapMs === 0 ? setImmediate(next) : setTimeout(next, gapMs));
  if (streams === 'stepped') waiting.set(of, next);
  next();
}

function step(of: string, response: ServerResponse): void {
  const next = waiting.get(of);
  next?.();
  response.writeHead(next === undefined ? 404 : 204, { 'content-length': 0 }).end();
}

function goOn(response: ServerResponse): void {
  const write = () => response.write(timedEvent(machineUs()));
  const timer = setInterval(write, behaviour.gapMs);
  response.on('close', () => clearInterval(timer));
  write();
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const body = JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code: null } }, null, 2);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
}

const server = createServer(serve);
server.keepAliveTimeout = 120_000;
server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 }, () => {
  process.send!({ ready: true, port: (server.address() as AddressInfo).port });
});
process.on('message', ({ id, behaviour: changes }: Order) => {
  behaviour = { ...behaviour, ...changes };
  process.send!({ id });
});
process.on('disconnect', () => process.exit());
