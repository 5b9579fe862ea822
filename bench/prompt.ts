/** The requests for models: bytes of a chat completion that need only a marker. */
import { type Address, firstId, type Template } from './messages.ts';

export interface Prompt {
  /** What the target calls it. */
  readonly model: string;
  readonly isStream: boolean;
  /** Whether the client asks for the usage at the end of a stream. */
  readonly asksUsage?: boolean;
  /** Size of what the model is told, about; 1,000 without it. */
  readonly bytes?: number;
  /** Lines that a target wants besides. */
  readonly headers?: readonly string[];
}

export const chatPath = '/v1/chat/completions';

const instructions =
  'You answer the customers of a shop for furniture. Be short and friendly, say what you know from the order, and nothing else. ' +
  'Dates are written as weekdays, prices in euros with a comma. When the customer is angry, say first that you are sorry. ' +
  'Never promise a refund: say that a colleague looks at it, and give the number of the case.';
const question =
  'Hello, I ordered a table and a lamp last week and only heard that the order was received. Can you tell me when both of them ' +
  'arrive, and whether somebody has to be at home? I work until six on most days, so a shop nearby would be better for me. ';
const filler = 'The customer wrote on Tuesday that the table should match the chairs from the last order, which were oak. ';

/** A conversation as small applications have them. ASCII, so that a request's length is its size. */
export function promptTemplate(address: Address, { model, isStream, asksUsage, bytes = 0, headers = [] }: Prompt): Template {
  const history = filler.repeat(Math.max(0, Math.ceil((bytes - 1000) / filler.length)));
  const body = JSON.stringify({
    model,
    messages: [
      { role: 'system', content: instructions + history },
      { role: 'user', content: `m${firstId} ${question}` },
    ],
    temperature: 0.3,
    max_completion_tokens: 512,
    ...(isStream ? { stream: true } : {}),
    ...(asksUsage ? { stream_options: { include_usage: true } } : {}),
  });
  const head = [
    `POST ${address.path} HTTP/1.1`,
    `Host: 127.0.0.1:${address.port}`,
    'Content-Type: application/json',
    'Accept: application/json',
    `Authorization: Bearer ${address.key}`,
    ...headers,
    `Content-Length: ${body.length}`,
    '\r\n',
  ].join('\r\n');
  const [start, end] = body.split(String(firstId)) as [string, string];
  return { fill: (id) => `${head}${start}${id}${end}` };
}
