import { type StreamShape, streamEvents, wholeAnswer } from './completion.ts';
import type { Answer } from './connection.ts';
import { marker } from './messages.ts';

/** What the answers of a load have to look like. */
export type Expectation =
  /** The text of each call comes back from the right tool, around at least this many bytes. */
  | { readonly kind: 'echo'; readonly answerBytes: number }
  /** The same as the answer of a converted operation: as JSON, and as structured content. */
  | { readonly kind: 'converted' }
  | { readonly kind: 'list'; readonly tools: number }
  /** A success, whatever it says. */
  | { readonly kind: 'result' }
  /** A model's whole answer, byte for byte as the provider sends it; or the same words, from a gateway that writes it anew. */
  | { readonly kind: 'whole'; readonly isRewritten?: boolean }
  /** The same of its answer in parts. */
  | { readonly kind: 'stream'; readonly shape: StreamShape }
  /** A refusal with this status. */
  | { readonly kind: 'refusal'; readonly status: number }
  /** Any HTTP answer, refusals too: for callers of an upstream that is down. */
  | { readonly kind: 'anything' };

export interface Reply {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly error?: { readonly code?: unknown; readonly message?: unknown };
  readonly result?: {
    readonly isError?: unknown;
    readonly resultType?: unknown;
    readonly content?: readonly { readonly text?: unknown }[];
    readonly structuredContent?: { readonly text?: unknown };
    readonly tools?: readonly { readonly name?: unknown }[];
  };
}

const largeBytes = 16_384;
/** Of the large answers, one in this many is parsed whole. */
const parseEvery = 16;

/** The reason why this is not the answer to that call, or undefined. `tool` is the upstream's own name of the called tool. */
export function findFault(answer: Answer, expected: Expectation, id: number, tool: string): string | undefined {
  if (expected.kind === 'anything') return undefined;
  if (expected.kind === 'refusal') {
    return answer.status === expected.status ? undefined : `HTTP ${answer.status} instead of ${expected.status}`;
  }
  if (answer.status !== 200) return `HTTP ${answer.status}: ${excerpt(answer.body.toString())}`;
  if (expected.kind === 'whole' || expected.kind === 'stream') return findChange(answer.body, expected, id);
  if (answer.body.length > largeBytes && id % parseEvery !== 0 && looksRight(answer.body, expected, id, tool)) return undefined;
  const reply = readReply(answer, id);
  if (typeof reply === 'string') return reply;
  const { result } = reply;
  if (result === undefined) return `an error: ${excerpt(JSON.stringify(reply.error))}`;
  if (result.isError === true) return `an error result: ${excerpt(JSON.stringify(result.content))}`;
  if (expected.kind === 'list') {
    const count = result.tools?.length;
    return count === expected.tools ? undefined : `${count} tools instead of ${expected.tools}`;
  }
  if (expected.kind === 'result') return undefined;
  if (expected.kind === 'converted') return findWrongStructure(result, `${tool} ${marker(id)}`);
  if (answer.body.length < expected.answerBytes) return `an answer of ${answer.body.length} bytes`;
  const wanted = `${tool} ${marker(id)}`;
  const first = result.content?.[0]?.text;
  const last = result.content?.at(-1)?.text;
  if (typeof first !== 'string' || typeof last !== 'string') return `no text: ${excerpt(JSON.stringify(result))}`;
  const isRight = expected.answerBytes === 0 ? first === wanted : first.startsWith(wanted) && last.endsWith(wanted);
  return isRight ? undefined : `"${excerpt(first)}" instead of "${wanted}"`;
}

const whole = wholeAnswer();
const streams = new Map<string, (of: string) => string>();

function findChange(body: Buffer, expected: Expectation & { readonly kind: 'whole' | 'stream' }, id: number): string | undefined {
  const wanted = expected.kind === 'whole' ? whole(marker(id)) : streamOf(expected.shape)(marker(id));
  if (body.equals(Buffer.from(wanted))) return undefined;
  const came = body.toString();
  if (expected.kind === 'whole' && expected.isRewritten && wordsOf(came) === wordsOf(wanted)) return undefined;
  const at = Array.from(wanted).findIndex((sign, index) => came[index] !== sign);
  return `other bytes from ${at}: "${excerpt(came.slice(at))}" instead of "${excerpt(wanted.slice(at))}"`;
}

function wordsOf(answer: string): unknown {
  return JSON.parse(answer).choices?.[0]?.message?.content;
}

function streamOf(shape: StreamShape): (of: string) => string {
  const key = JSON.stringify(shape);
  let stream = streams.get(key);
  if (stream === undefined) {
    const events = streamEvents(shape);
    stream = (of) => events.map((event) => event(of)).join('');
    streams.set(key, stream);
  }
  return stream;
}

function findWrongStructure({ content, structuredContent }: NonNullable<Reply['result']>, wanted: string): string | undefined {
  const text = content?.[0]?.text;
  if (text !== JSON.stringify({ text: wanted })) return `"${excerpt(String(text))}" instead of "${wanted}" as JSON`;
  return structuredContent?.text === wanted ? undefined : `no structured content: ${excerpt(JSON.stringify(structuredContent))}`;
}

/** Without parsing: the length, the id, and the marker at both ends. Saying no only means that the answer gets parsed. */
function looksRight(body: Buffer, expected: Expectation, id: number, tool: string): boolean {
  if (!body.includes(`"id":${id}`)) return false;
  if (expected.kind === 'list') return body.includes('"tools":[');
  if (expected.kind !== 'echo' || body.length < expected.answerBytes) return false;
  const wanted = `${tool} ${marker(id)}`;
  const first = body.indexOf(wanted);
  return first >= 0 && body.lastIndexOf(wanted) - first > expected.answerBytes * 0.9 && !body.includes('"isError":true');
}

export function readReply(answer: Answer, id: number): Reply | string {
  try {
    const text = answer.body.toString();
    for (const data of answer.isEventStream ? eventData(text) : [text]) {
      const reply = JSON.parse(data) as Reply;
      if (reply.id === id && reply.jsonrpc === '2.0') return reply;
      // An event stream may bring notifications before the answer.
      if (!answer.isEventStream) return `an answer to another request: ${excerpt(data)}`;
    }
    return `no answer to request ${id} in the stream: ${excerpt(text)}`;
  } catch (error) {
    return `not JSON: ${(error as Error).message}`;
  }
}

function* eventData(text: string): Generator<string> {
  for (const event of text.split(/\r?\n\r?\n/u)) {
    const data = event
      .split(/\r?\n/u)
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(5).trimStart());
    if (data.length > 0) yield data.join('\n');
  }
}

function excerpt(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
