import { randomInt } from 'node:crypto';
import { Agent, request } from 'undici';
import { EventReader, parseMessages, type WireMessage } from './wire.ts';

/**
 * Clients of both eras that cost almost nothing, for many at once. All of them count their ids and progress tokens from 1, so that a
 * gateway which mixed two of them up would show it.
 */
export interface LightClient {
  readonly era: 'legacy' | 'modern';
  /** Resolves with the answer; every other message of the response goes to `hear`. Rejects when aborted. */
  send(method: string, params: Values, hear?: (message: WireMessage) => void, signal?: AbortSignal): Promise<WireMessage>;
  /** Ends a call as this era does. `call` is what `send` was given. */
  cancel(controller: AbortController): Promise<void>;
  /** What arrived outside of any call. */
  readonly unasked: WireMessage[];
  close(): Promise<void>;
}

type Values = Record<string, unknown>;
type Headers = Record<string, string>;

const accept = 'application/json, text/event-stream';
const modernMeta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'light-client', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** One connection pool for a crowd of clients. */
export function createPool(): Agent {
  return new Agent({ headersTimeout: 60_000, bodyTimeout: 0, keepAliveTimeout: 60_000 });
}

/** Reads a whole response, JSON or event stream, message by message. */
async function readMessages(body: AsyncIterable<Buffer>, isStream: boolean, hear: (message: WireMessage) => void): Promise<void> {
  const decoder = new TextDecoder();
  const events = new EventReader(({ data }) => parseMessages(data ?? '').forEach(hear));
  let text = '';
  for await (const chunk of body) {
    const part = decoder.decode(chunk, { stream: true });
    if (isStream) events.push(part);
    else text += part;
  }
  if (!isStream) parseMessages(text).forEach(hear);
}

async function exchange(
  pool: Agent,
  url: string,
  headers: Headers,
  message: object,
  hear: (message: WireMessage) => void,
  signal?: AbortSignal,
): Promise<{ status: number; headers: Record<string, string | string[] | undefined> }> {
  const response = await request(url, {
    dispatcher: pool,
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, ...headers },
    body: JSON.stringify(message),
    ...(signal === undefined ? {} : { signal }),
  });
  const isStream = String(response.headers['content-type']).startsWith('text/event-stream');
  await readMessages(response.body, isStream, hear);
  return { status: response.statusCode, headers: response.headers };
}

export function connectLightModern(pool: Agent, url: string, key: string): LightClient {
  let lastId = 0;
  return {
    era: 'modern',
    unasked: [],
    send: async (method, params, hear = () => {}, signal) => {
      const id = ++lastId;
      const message = { jsonrpc: '2.0', id, method, params: { ...params, _meta: { ...modernMeta, progressToken: id } } };
      const name = params.name ?? params.uri;
      const headers = {
        authorization: `Bearer ${key}`,
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
      };
      return await answerOf(id, (take) => exchange(pool, url, headers, message, take, signal), hear);
    },
    cancel: async (controller) => controller.abort(),
    close: async () => {},
  };
}

export async function connectLightLegacy(pool: Agent, url: string, key: string): Promise<LightClient> {
  let lastId = 0;
  const unasked: WireMessage[] = [];
  const headers: Headers = { authorization: `Bearer ${key}` };
  const post = (message: object, hear: (message: WireMessage) => void, signal?: AbortSignal) =>
    exchange(pool, url, headers, message, hear, signal);
  const running = new WeakMap<AbortSignal, number>();

  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'light-client', version: '1' } };
  const opened = await post({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, () => {});
  headers['mcp-session-id'] = String(opened.headers['mcp-session-id']);
  headers['mcp-protocol-version'] = '2025-11-25';
  await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, () => {});

  const listening = new AbortController();
  const stream = request(url, { dispatcher: pool, method: 'GET', headers: { ...headers, accept }, signal: listening.signal })
    .then(({ body }) => readMessages(body, true, (message) => unasked.push(message)))
    .catch(() => {});

  return {
    era: 'legacy',
    unasked,
    send: async (method, given, hear = () => {}, signal) => {
      const id = ++lastId;
      if (signal !== undefined) running.set(signal, id);
      const message = { jsonrpc: '2.0', id, method, params: { ...given, _meta: { progressToken: id } } };
      return await answerOf(id, (take) => post(message, take, signal), hear);
    },
    cancel: async (controller) => {
      const requestId = running.get(controller.signal);
      await post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }, () => {});
      controller.abort();
    },
    close: async () => {
      listening.abort();
      await stream;
      const { body } = await request(url, { dispatcher: pool, method: 'DELETE', headers });
      await body.dump();
    },
  };
}

async function answerOf(
  id: number,
  run: (take: (message: WireMessage) => void) => Promise<{ status: number }>,
  hear: (message: WireMessage) => void,
): Promise<WireMessage> {
  let answer: WireMessage | undefined;
  const { status } = await run((message) => {
    if (message.method === undefined && message.id === id && answer === undefined) answer = message;
    else hear(message);
  });
  if (answer === undefined) throw new Error(`no answer to ${id}, HTTP ${status}`);
  return answer;
}

/** Picks by weight; the choice decides only what is tried next, never what is expected. */
export function pick<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
  let left = randomInt(choices.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, choice] of choices) {
    left -= weight;
    if (left < 0) return choice;
  }
  throw new Error('nothing to choose from');
}
