import { GatewayError } from '../../errors.ts';
import { collectReply, replay, usedFor } from '../../models/cache/kept-reply.ts';
import type { CacheHit, CacheMiss, CacheRequest, CacheScope, ReplyCaches } from '../../models/cache/reply-caches.ts';
import type { ClientDialect, ClientDialectName, StreamReader } from '../../models/dialect.ts';
import { clientDialects, providerDialects } from '../../models/dialects.ts';
import type { Prompt } from '../../models/prompt.ts';
import { noUsage, type Reply, type Usage } from '../../models/reply.ts';
import type { Spent } from '../../models/spent.ts';
import { longestReplyBytes } from '../../store/ports/reply-cache.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { Answer, AnswerStream, UpstreamCall } from '../upstream.ts';
import { EventSplitter, readEvent } from './event-splitter.ts';
import { eventLimitBytes } from './pass-sink.ts';
import { replyFacts } from './reply-facts.ts';

interface CachedCall {
  readonly caches: ReplyCaches;
  readonly scope: CacheScope;
  readonly request: CacheRequest;
  readonly nowMs: number;
  /** For the record: nothing is known of who gave an answer that is given again. */
  readonly version: string;
}

/** Answers from what was answered before, or asks `fresh` and keeps what comes of it. */
export async function answerCached(
  cached: CachedCall,
  call: UpstreamCall,
  fresh: (call: UpstreamCall) => Promise<Answer>,
): Promise<Answer> {
  const { caches, scope, request } = cached;
  const found = caches.find(scope, request, call.cancel);
  const lookup = found instanceof Promise ? await found : found;
  if (lookup.kind === 'hit') {
    const prompt = readAgain(request);
    return prompt === 'unreadable' ? await fresh(call) : await giveAgain(cached, call, lookup, prompt);
  }
  if (lookup.why !== undefined) return await fresh(call);
  return request.dialect === 'embeddings'
    ? await keepDocument(call, lookup, fresh)
    : await keepReply(request.dialect, call, lookup, fresh);
}

function headersOf({ how, ageMs }: CacheHit): Readonly<Record<string, string>> {
  return { 'x-gatehouse-cache': `hit; kind=${how}`, age: String(Math.floor(ageMs / 1000)) };
}

/** A target that speaks its client's dialect takes more than can be read here: what it answered to that cannot be said again. */
function readAgain({ dialect, body }: CacheRequest): Prompt | undefined | 'unreadable' {
  if (dialect === 'embeddings') return undefined;
  try {
    return clientOf(dialect).readPrompt(body);
  } catch (error) {
    if (error instanceof GatewayError) return 'unreadable';
    throw error;
  }
}

async function giveAgain(
  { request, nowMs, version }: CachedCall,
  call: UpstreamCall,
  hit: CacheHit,
  prompt: Prompt | undefined,
): Promise<Answer> {
  const { kept } = hit;
  const [model, finish] = kept.kind === 'reply' ? [kept.reply.model, kept.reply.finish] : ['', undefined];
  // It costs nothing and uses nothing up.
  call.spent?.({
    usage: noUsage,
    isEstimated: false,
    nanoUsd: 0,
    target: '',
    version,
    isCompared: false,
    provider: '',
    model,
    finish,
    firstTokenMs: undefined,
    cache: hit.how,
    spared: usedFor(kept),
    failovers: 0,
  });
  const headers = headersOf(hit);
  if (kept.kind === 'document') return { kind: 'reply', body: Buffer.from(JSON.stringify(kept.body)), headers };
  if (prompt === undefined) throw new Error('a reply was kept for what is no prompt');
  const client = clientOf(request.dialect);
  const facts = replyFacts(prompt, request.body, nowMs);
  const { stream } = call;
  if (stream === undefined)
    return { kind: 'reply', body: Buffer.from(JSON.stringify(client.writeReply(kept.reply, facts))), headers };
  return await streamAgain(client, kept.reply, facts, stream, headers);
}

function clientOf(name: CacheRequest['dialect']): ClientDialect {
  const dialect = name === 'embeddings' ? undefined : clientDialects.get(name);
  if (dialect === undefined) throw new Error(`an answer in ${name} was kept as a reply`);
  return dialect;
}

async function streamAgain(
  client: ClientDialect,
  reply: Reply,
  facts: Parameters<ClientDialect['streamWriter']>[0],
  stream: AnswerStream,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const writer = client.streamWriter(facts);
  stream.begin?.(headers);
  let bytes = 0;
  const write = async (text: string) => {
    if (text === '') return;
    const chunk = Buffer.from(text);
    bytes += chunk.length;
    await stream.write(chunk);
  };
  for (const event of replay(reply)) await write(writer.write(event));
  await write(writer.end());
  return { kind: 'streamed', bytes };
}

async function keepDocument(
  call: UpstreamCall,
  miss: CacheMiss,
  fresh: (call: UpstreamCall) => Promise<Answer>,
): Promise<Answer> {
  const heard = hear(call);
  const answer = await fresh(heard.call);
  if (answer.kind === 'reply') {
    const body: unknown = JSON.parse(answer.body.toString());
    if (isObject(body)) miss.keep({ kind: 'document', body, ...heard.used() });
  }
  return answer;
}

async function keepReply(
  dialect: ClientDialectName,
  call: UpstreamCall,
  miss: CacheMiss,
  fresh: (call: UpstreamCall) => Promise<Answer>,
): Promise<Answer> {
  const reader = providerDialects.get(dialect);
  if (reader === undefined) return await fresh(call);
  const heard = hear(call);
  const tee = call.stream === undefined ? undefined : new Tee(call.stream, reader.streamReader());
  const answer = await fresh(tee === undefined ? heard.call : { ...heard.call, stream: tee });
  try {
    const reply =
      answer.kind === 'streamed' ? tee?.reply() : answer.kind === 'reply' ? reader.readReply(bodyOf(answer.body)) : undefined;
    const { usage, nanoUsd } = heard.used();
    if (reply !== undefined) miss.keep({ kind: 'reply', reply: { ...reply, usage }, nanoUsd });
  } catch {
    // What cannot be read in its client's dialect is not kept; its client has it all the same.
  }
  return answer;
}

function bodyOf(body: Buffer): JsonObject {
  const value: unknown = JSON.parse(body.toString());
  return isObject(value) ? value : {};
}

/** Listens to what a call says that it used up. */
function hear(call: UpstreamCall): { readonly call: UpstreamCall; readonly used: () => Used } {
  let last: Spent | undefined;
  return {
    call: {
      ...call,
      spent(spent) {
        last = spent;
        call.spent?.(spent);
      },
    },
    used: () => ({ usage: last?.usage ?? noUsage, nanoUsd: last?.nanoUsd }),
  };
}

interface Used {
  readonly usage: Usage;
  readonly nanoUsd: number | undefined;
}

/** Passes an answer in parts on, and puts it together on the side. */
class Tee implements AnswerStream {
  readonly #inner: AnswerStream;
  readonly #reader: StreamReader;
  readonly #splitter = new EventSplitter(eventLimitBytes);
  readonly #collected = collectReply(longestReplyBytes);
  #isReadable = true;

  constructor(inner: AnswerStream, reader: StreamReader) {
    this.#inner = inner;
    this.#reader = reader;
  }

  begin(headers: Readonly<Record<string, string>>): void {
    this.#inner.begin?.(headers);
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#isReadable) this.#read(bytes);
    return this.#inner.write(bytes);
  }

  /** Undefined for one that cannot be read, or did not end well. */
  reply(): Reply | undefined {
    return this.#isReadable && this.#reader.isComplete ? this.#collected.reply() : undefined;
  }

  #read(bytes: Uint8Array): void {
    try {
      this.#splitter.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), (event) => {
        const read = readEvent(event);
        if (read === undefined) return;
        for (const said of this.#reader.read(read.type, read.data)) this.#collected.add(said);
      });
    } catch {
      this.#isReadable = false;
    }
  }
}
