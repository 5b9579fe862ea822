import type { Usage } from '../../../src/models/reply.ts';
import { isObject, type Json, type JsonObject } from '../../../src/wire/json.ts';
import { openaiOperation } from './openai.ts';
import {
  brokenSse,
  type FailureDocument,
  type Frame,
  type FullReply,
  type Generation,
  type Lookup,
  listOf,
  must,
  type Operation,
  type ProviderWire,
  presented,
  type Received,
  sse,
  tokensOf,
  vectorOf,
} from './provider-wire.ts';
import type { ScriptedPart } from './script.ts';
import { type StandIn, startStandIn } from './stand-in.ts';

/**
 * Google AI Studio below /v1beta (ai.google.dev/api): generateContent, streamGenerateContent, countTokens, embedContent, and
 * /openai for clients of OpenAI.
 */
export function startGemini({ key, port }: { readonly key: string; readonly port?: number }): Promise<StandIn> {
  const wire: ProviderWire = {
    name: 'gemini',
    headers: () => ({ 'server-timing': 'gfet4t7; dur=7' }),
    authorize: ({ headers, url }) => {
      const given = presented(headers, 'x-goog-api-key') ?? url.searchParams.get('key') ?? presented(headers, 'authorization');
      must(given !== undefined, "Method doesn't allow unregistered callers.", 403);
      must(given === key, 'API key not valid. Please pass a valid API key.', 400, 'API_KEY_INVALID');
      return key;
    },
    operationOf: (request) => {
      const compatible = /^\/v1beta\/openai(\/.*)$/.exec(request.url.pathname)?.[1];
      if (compatible !== undefined) return openaiOperation(compatible, request, undefined);
      const [, model, action] = /^\/v1(?:beta|alpha)?\/((?:models|tunedModels)\/[^/:]+):(\w+)$/.exec(request.url.pathname) ?? [];
      if (model === undefined || action === undefined || request.method !== 'POST') return undefined;
      return googleOperation(action, decodeURIComponent(model).replace(/^models\//, ''), request);
    },
    failure: googleFailure,
  };
  return startStandIn(wire, port);
}

/** What is asked of a model: what stands behind the colon. */
export function googleOperation(action: string, model: string, { body, url }: Received): Operation | undefined {
  must(body !== undefined, 'Invalid JSON payload received.');
  switch (action) {
    case 'generateContent':
      return generation(body, model, false, true);
    case 'streamGenerateContent':
      return generation(body, model, true, url.searchParams.get('alt') === 'sse');
    case 'countTokens':
      return count(body, model);
    case 'embedContent':
      return embed([body], model, ([embedding]) => ({ embedding: embedding ?? null }));
    case 'batchEmbedContents':
      return embed(listOf(body, 'requests'), model, (embeddings) => ({ embeddings: [...embeddings] }));
    case 'predict':
      return predict(body, model);
    default:
      return undefined;
  }
}

const statuses: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

export function googleFailure(
  status: number,
  message: string,
  code: string | undefined,
  retryAfterS: number | undefined,
): FailureDocument {
  const info = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code ?? '', domain: 'googleapis.com' };
  const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${retryAfterS ?? 0}s` };
  const details = [...(code === undefined ? [] : [info]), ...(retryAfterS === undefined ? [] : [retry])];
  const said = { code: status, message, status: statuses[status] ?? 'UNKNOWN' };
  return { status, headers: {}, body: { error: { ...said, ...(details.length > 0 && { details }) } } };
}

const members = [
  'contents',
  'tools',
  'toolConfig',
  'safetySettings',
  'systemInstruction',
  'generationConfig',
  'cachedContent',
  'labels',
  'model',
];

function generation(body: JsonObject, model: string, isStream: boolean, isSse: boolean): Generation {
  for (const name of Object.keys(body))
    must(members.includes(name), `Invalid JSON payload received. Unknown name "${name}": Cannot find field.`);
  checkContents(listOf(body, 'contents'));
  const end = '\r\n';
  return {
    kind: 'generate',
    model,
    isStream,
    streamType: isSse ? 'text/event-stream' : 'application/json',
    whole: (reply) => chunkOf(reply, model, reply.parts.map(partOf), true),
    frames: (reply) => (isSse ? framesOf(reply, model, end) : [arrayFrame(reply, model)]),
    brokenFrame: brokenSse,
    failureFrame: (message) => sse(googleFailure(503, message, undefined, undefined).body, undefined, end),
  };
}

/** Turns of functions fit each other, and every part has content. */
function checkContents(contents: readonly JsonObject[]): void {
  must(contents.length > 0, 'GenerateContentRequest.contents: contents is not specified');
  let calls = 0;
  for (const content of contents) {
    must(
      content.role === undefined || content.role === 'user' || content.role === 'model',
      'Please use a valid role: user, model.',
    );
    const parts = listOf(content, 'parts');
    must(parts.length > 0, 'contents.parts must not be empty.');
    const answers = parts.filter((part) => 'functionResponse' in part).length;
    must(answers === calls, 'the number of function response parts must equal the number of function call parts');
    calls = content.role === 'model' ? parts.filter((part) => 'functionCall' in part).length : 0;
    for (const part of parts)
      must(
        ['text', 'inlineData', 'fileData', 'functionCall', 'functionResponse'].some((name) => name in part),
        'contents.parts: required oneof field "data" must have one initialized field',
      );
  }
}

function usageOf({ input, output, cacheRead, reasoning }: Usage): JsonObject {
  return {
    promptTokenCount: input,
    candidatesTokenCount: output - reasoning,
    totalTokenCount: input + output,
    ...(cacheRead > 0 && { cachedContentTokenCount: cacheRead }),
    ...(reasoning > 0 && { thoughtsTokenCount: reasoning }),
  };
}

const finishes = { stop: 'STOP', length: 'MAX_TOKENS', 'tool-calls': 'STOP', 'content-filter': 'SAFETY' } as const;

function chunkOf(reply: FullReply, model: string, parts: readonly Json[], isLast: boolean): JsonObject {
  const candidate = {
    content: { parts: [...parts], role: 'model' },
    ...(isLast && { finishReason: finishes[reply.finish] }),
    index: 0,
  };
  return {
    candidates: [candidate],
    ...(reply.usage && { usageMetadata: usageOf(reply.usage) }),
    modelVersion: model,
    responseId: reply.id,
  };
}

function partOf(part: ScriptedPart): JsonObject {
  switch (part.kind) {
    case 'tool-call':
      return { functionCall: { id: part.id, name: part.name, args: part.arguments }, thoughtSignature: 'c3RhbmQtaW4=' };
    case 'reasoning':
      return { text: part.text, thought: true, ...(part.signature !== undefined && { thoughtSignature: part.signature }) };
    default:
      return { text: part.text };
  }
}

/** Every event says what has been used up to it; a call of a function comes whole. */
function framesOf(reply: FullReply, model: string, end: string): readonly Frame[] {
  const pieces = reply.parts.flatMap((part) =>
    part.kind === 'tool-call' ? [partOf(part)] : reply.cut(part.text).map((text) => partOf({ ...part, text })),
  );
  const sofar = (at: number): Usage | undefined =>
    reply.usage && { ...reply.usage, output: Math.round((reply.usage.output * at) / pieces.length), reasoning: 0 };
  const frames = pieces.map((piece, at) => {
    const usage = sofar(at + 1);
    return { bytes: sse(chunkOf({ ...reply, usage }, model, [piece], false), undefined, end), isText: true, told: usage };
  });
  const last = { bytes: sse(chunkOf(reply, model, [{ text: '' }], true), undefined, end), isText: false, told: reply.usage };
  return [...frames, last];
}

function arrayFrame(reply: FullReply, model: string): Frame {
  const bytes = Buffer.from(JSON.stringify([chunkOf(reply, model, reply.parts.map(partOf), true)]));
  return { bytes, isText: true, told: reply.usage };
}

function count(body: JsonObject, model: string): Lookup {
  const asked = isObject(body.generateContentRequest) ? body.generateContentRequest : body;
  checkContents(listOf(asked, 'contents'));
  const totalTokens = tokensOf(JSON.stringify(asked.contents));
  return { kind: 'count', model, answer: { totalTokens }, usage: undefined };
}

function embed(requests: readonly JsonObject[], model: string, write: (embeddings: readonly JsonObject[]) => JsonObject): Lookup {
  const texts = requests.map(({ content }) => {
    must(isObject(content), 'content: is required');
    return listOf(content, 'parts')
      .map(({ text }) => String(text))
      .join('');
  });
  const vectors = texts.map((text, at) => ({ values: vectorOf(text, dimensionsOf(requests[at]?.outputDimensionality)) }));
  return { kind: 'embed', model, answer: write(vectors), usage: embedUsage(texts) };
}

/** Embeddings of Vertex. */
function predict(body: JsonObject, model: string): Lookup {
  const texts = listOf(body, 'instances').map(({ content }) => String(content));
  const dimensions = dimensionsOf(isObject(body.parameters) ? body.parameters.outputDimensionality : undefined);
  const predictions = texts.map((text) => ({
    embeddings: { values: vectorOf(text, dimensions), statistics: { truncated: false, token_count: tokensOf(text) } },
  }));
  return { kind: 'embed', model, answer: { predictions }, usage: embedUsage(texts) };
}

function dimensionsOf(value: Json | undefined): number {
  return typeof value === 'number' ? value : 8;
}

function embedUsage(texts: readonly string[]): Usage {
  const input = texts.reduce((sum, text) => sum + tokensOf(text), 0);
  return { input, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
}
