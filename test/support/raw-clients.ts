import { Agent, request } from 'undici';
import { EventReader, parseMessages, type WireMessage } from './wire.ts';

/** One answer of an MCP door as it is on the wire. */
export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** All of the body. */
  readonly text: string;
  /** Undefined for a body that is none. */
  readonly message: WireMessage | undefined;
}

/** A stream that its server ends, or the test does. */
export interface OpenStream {
  readonly status: number;
  readonly messages: WireMessage[];
  readonly ended: Promise<void>;
  close(): void;
}

/** A client without a mind of its own: it shows status and headers, repeats nothing and keeps what it is told to keep. */
export interface RawClient {
  readonly era: 'legacy' | 'modern';
  send(method: string, params?: object, more?: More): Promise<Answered>;
  /** `tools/call`. */
  call(name: string, args?: object, more?: More): Promise<Answered>;
  /** What changes are told on: the GET stream of a session, or `subscriptions/listen`. */
  stream(): Promise<OpenStream>;
}

interface More {
  readonly headers?: Readonly<Record<string, string>>;
  readonly meta?: object;
}

interface RawDoor {
  readonly url: string;
  readonly key: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const rawEras = ['modern', 'legacy'] as const;

let pool: Agent | undefined;

/** For the end of a file. */
export async function closeRawClients(): Promise<void> {
  await pool?.destroy();
  pool = undefined;
}

export async function connectRaw(era: RawClient['era'], door: RawDoor): Promise<RawClient> {
  return era === 'modern' ? connectModern(door) : await connectLegacy(door);
}

const accept = 'application/json, text/event-stream';

export async function post(url: string, headers: Readonly<Record<string, string>>, body: object): Promise<Answered> {
  const answer = await open(url, headers, body);
  const text = await answer.body.text();
  const isStream = String(answer.headers['content-type']).startsWith('text/event-stream');
  const messages = isStream ? eventsOf(text) : parseMessages(text);
  const { id } = body as { id?: unknown };
  const message = messages.find((candidate) => candidate.method === undefined && (candidate.id === id || !isStream));
  return { status: answer.statusCode, headers: answer.headers, text, message };
}

function open(url: string, headers: Readonly<Record<string, string>>, body: object | undefined, signal?: AbortSignal) {
  pool ??= new Agent({ headersTimeout: 60_000, bodyTimeout: 0, keepAliveTimeout: 1_000 });
  return request(url, {
    dispatcher: pool,
    method: body === undefined ? 'GET' : 'POST',
    headers: { accept, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
}

function eventsOf(text: string): WireMessage[] {
  const messages: WireMessage[] = [];
  const reader = new EventReader(({ data }) => messages.push(...parseMessages(data ?? '')));
  reader.push(text);
  return messages;
}

export async function openStream(url: string, headers: Readonly<Record<string, string>>, body?: object): Promise<OpenStream> {
  const ending = new AbortController();
  const answer = await open(url, headers, body, ending.signal);
  const messages: WireMessage[] = [];
  const reader = new EventReader(({ data }) => messages.push(...parseMessages(data ?? '')));
  const read = async () => {
    for await (const chunk of answer.body) reader.push(String(chunk));
  };
  return { status: answer.statusCode, messages, ended: read().catch(() => {}), close: () => ending.abort() };
}

const modernMeta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw-client', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

function connectModern({ url, key, headers: always }: RawDoor): RawClient {
  let lastId = 0;
  const requestOf = (method: string, params: Record<string, unknown>, { headers, meta }: More) => {
    const name = params.name ?? params.uri;
    return {
      headers: {
        authorization: `Bearer ${key}`,
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
        ...always,
        ...headers,
      },
      body: { jsonrpc: '2.0', id: ++lastId, method, params: { ...params, _meta: { ...modernMeta, ...meta } } },
    };
  };
  const send: RawClient['send'] = (method, params = {}, more = {}) => {
    const asked = requestOf(method, { ...params }, more);
    return post(url, asked.headers, asked.body);
  };
  return {
    era: 'modern',
    send,
    call: (name, args = {}, more = {}) => send('tools/call', { name, arguments: args }, more),
    stream: () => {
      const asked = requestOf('subscriptions/listen', { notifications: { toolsListChanged: true } }, {});
      return openStream(url, asked.headers, asked.body);
    },
  };
}

async function connectLegacy({ url, key, headers: always }: RawDoor): Promise<RawClient> {
  let lastId = 0;
  const own: Record<string, string> = { authorization: `Bearer ${key}`, ...always };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw-client', version: '1' } };
  const opened = await post(url, own, { jsonrpc: '2.0', id: 0, method: 'initialize', params });
  if (opened.status !== 200) throw new Error(`initialize was answered with ${opened.status}: ${opened.text}`);
  own['mcp-session-id'] = String(opened.headers['mcp-session-id']);
  own['mcp-protocol-version'] = '2025-11-25';
  await post(url, own, { jsonrpc: '2.0', method: 'notifications/initialized' });
  const send: RawClient['send'] = (method, params = {}, { headers, meta } = {}) => {
    const given = meta === undefined ? params : { ...params, _meta: meta };
    return post(url, { ...own, ...headers }, { jsonrpc: '2.0', id: ++lastId, method, params: given });
  };
  return {
    era: 'legacy',
    send,
    call: (name, args = {}, more = {}) => send('tools/call', { name, arguments: args }, more),
    stream: () => openStream(url, own),
  };
}

/** What a model would read of a tool's answer. */
export function toolText({ message, text }: Answered): string {
  const content = message?.result?.content as { text?: string }[] | undefined;
  return content?.map((block) => block.text ?? '').join('\n') ?? text;
}

/** Gatehouse's own code of a refusal: of a result that says no, or by the integer of an error. */
export function codeOf({ message }: Answered): string | number | undefined {
  return message?.result?._meta?.['dev.gatehouse/error']?.code ?? message?.error?.code;
}
