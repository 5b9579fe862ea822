import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { JsonObject } from '../../../src/wire/json.ts';

interface Heard {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: JsonObject;
}

type Script = (heard: Heard, response: ServerResponse, request: IncomingMessage) => void | Promise<void>;

/** A provider that does what a test says, on this machine. */
export interface FarEnd {
  readonly url: string;
  /** Everything that was asked of it. */
  readonly heard: Heard[];
  /** Connections that are open. */
  readonly sockets: ReadonlySet<Socket>;
  does(script: Script): void;
  close(): Promise<void>;
}

export async function startFarEnd(): Promise<FarEnd> {
  const heard: Heard[] = [];
  const sockets = new Set<Socket>();
  let script: Script = (_heard, response) => void response.writeHead(500).end();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const one = {
        path: request.url ?? '',
        headers: request.headers,
        body: JSON.parse(Buffer.concat(chunks).toString() || '{}') as JsonObject,
      };
      heard.push(one);
      void script(one, response, request);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    heard,
    sockets,
    does(next) {
      script = next;
      heard.length = 0;
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

export function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export function openStream(response: ServerResponse): ServerResponse {
  return response.writeHead(200, { 'content-type': 'text/event-stream' });
}

const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

/** A whole answer of Chat Completions. */
export function chatReply(text: string, more: object = {}): object {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-of-theirs',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
    usage,
    ...more,
  };
}

/** One event of Chat Completions. */
export function chatEvent(delta: object, finish: string | null = null, more: object = {}): string {
  const chunk = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'gpt-of-theirs',
    choices: [{ index: 0, delta, finish_reason: finish }],
    usage: null,
    ...more,
  };
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

export const usageEvent = `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'gpt-of-theirs', choices: [], usage })}\n\n`;
export const doneEvent = 'data: [DONE]\n\n';

/** A stream of Chat Completions that says these words. */
export function chatStream(words: readonly string[]): string[] {
  return [
    chatEvent({ role: 'assistant', content: '' }),
    ...words.map((content) => chatEvent({ content })),
    chatEvent({}, 'stop'),
    usageEvent,
    doneEvent,
  ];
}

/** One event of Anthropic's Messages. */
export function messagesEvent(type: string, data: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

/** A stream of Messages that says these words. */
export function messagesStream(words: readonly string[]): string[] {
  return [
    messagesEvent('message_start', {
      message: {
        ...{ id: 'msg_1', type: 'message', role: 'assistant', content: [], model: 'claude-of-theirs' },
        ...{ stop_reason: null, stop_sequence: null, usage: { input_tokens: 11, output_tokens: 1 } },
      },
    }),
    messagesEvent('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    messagesEvent('ping'),
    ...words.map((text) => messagesEvent('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    messagesEvent('content_block_stop', { index: 0 }),
    messagesEvent('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 5 } }),
    messagesEvent('message_stop'),
  ];
}

/** A stream of Responses that says these words. */
export function responsesStream(words: readonly string[]): string[] {
  const response = {
    id: 'resp_1',
    object: 'response',
    created_at: 1,
    model: 'gpt-of-theirs',
    error: null,
    output: [],
    usage: null,
  };
  const part = { item_id: 'msg_1', output_index: 0, content_index: 0 };
  const text = words.join('');
  const item = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    status: 'completed',
    content: [{ type: 'output_text', text, annotations: [] }],
  };
  const done = {
    ...response,
    status: 'completed',
    output: [item],
    usage: { input_tokens: 6, output_tokens: 4, total_tokens: 10 },
  };
  return [
    messagesEvent('response.created', { response: { ...response, status: 'in_progress' } }),
    messagesEvent('response.in_progress', { response: { ...response, status: 'in_progress' } }),
    messagesEvent('response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', content: [] } }),
    messagesEvent('response.content_part.added', { ...part, part: { type: 'output_text', text: '', annotations: [] } }),
    ...words.map((delta) => messagesEvent('response.output_text.delta', { ...part, delta })),
    messagesEvent('response.output_text.done', { ...part, text }),
    messagesEvent('response.content_part.done', { ...part, part: { type: 'output_text', text, annotations: [] } }),
    messagesEvent('response.output_item.done', { output_index: 0, item }),
    messagesEvent('response.completed', { response: done }),
  ];
}
