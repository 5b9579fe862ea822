import type { Usage } from '../../../src/models/reply.ts';
import { isObject, type JsonObject } from '../../../src/wire/json.ts';
import { type AwsKeys, checkSigV4 } from './check-sigv4.ts';
import { encodeEvent } from './event-stream.ts';
import {
  type FailureDocument,
  type Frame,
  type FullReply,
  type Generation,
  type Lookup,
  listOf,
  must,
  type ProviderWire,
  presented,
  tokensOf,
  vectorOf,
} from './provider-wire.ts';
import type { ScriptedPart } from './script.ts';
import { type StandIn, startStandIn } from './stand-in.ts';

interface BedrockOptions extends AwsKeys {
  /** Bedrock's own API key, taken as a bearer's token. */
  readonly key?: string;
  readonly port?: number;
}

/** Amazon Bedrock's runtime (docs.aws.amazon.com/bedrock/latest/APIReference): Converse, ConverseStream, and Titan's embeddings. */
export function startBedrock(options: BedrockOptions): Promise<StandIn> {
  const wire: ProviderWire = {
    name: 'bedrock',
    headers: (id) => ({ 'x-amzn-requestid': id }),
    authorize: (request) => {
      const bearer = presented(request.headers, 'authorization');
      if (bearer === undefined) checkSigV4(request, options);
      else must(bearer === options.key, 'Invalid API Key format', 403, 'AccessDeniedException');
      return bearer ?? String(request.headers.authorization);
    },
    operationOf: ({ method, rawPath, body }) => {
      const [, name, action] = /^\/model\/([^/]+)\/(converse|converse-stream|invoke)$/.exec(rawPath) ?? [];
      if (name === undefined || method !== 'POST') return undefined;
      must(body !== undefined, 'The body is not valid JSON.', 400, 'SerializationException');
      const model = decodeURIComponent(name);
      return action === 'invoke' ? titan(body, model) : converse(body, model, action === 'converse-stream');
    },
    failure,
  };
  return startStandIn(wire, options.port);
}

const exceptions: Readonly<Record<number, string>> = {
  400: 'ValidationException',
  403: 'AccessDeniedException',
  404: 'ResourceNotFoundException',
  408: 'ModelTimeoutException',
  424: 'ModelErrorException',
  429: 'ThrottlingException',
  500: 'InternalServerException',
  503: 'ServiceUnavailableException',
};

function failure(status: number, message: string, code: string | undefined): FailureDocument {
  return { status, headers: { 'x-amzn-errortype': code ?? exceptions[status] ?? 'InternalServerException' }, body: { message } };
}

const members = ['messages', 'system', 'inferenceConfig', 'toolConfig', 'guardrailConfig', 'additionalModelRequestFields']
  .concat(['additionalModelResponseFieldPaths', 'promptVariables', 'requestMetadata', 'performanceConfig', 'serviceTier'])
  .concat(['outputConfig']);

function converse(body: JsonObject, model: string, isStream: boolean): Generation {
  for (const name of Object.keys(body)) must(members.includes(name), `${name}: extraneous key is not permitted`);
  checkMessages(listOf(body, 'messages'));
  return {
    kind: 'generate',
    model,
    isStream,
    streamType: 'application/vnd.amazon.eventstream',
    whole: (reply) => ({
      output: { message: { role: 'assistant', content: reply.parts.map(blockOf) } },
      stopReason: stopOf(reply),
      ...(reply.usage && { usage: usageOf(reply.usage) }),
      metrics: { latencyMs: 7 },
    }),
    frames: framesOf,
    brokenFrame: brokenEvent(),
    failureFrame: (message) =>
      encodeEvent(
        { ':exception-type': 'modelStreamErrorException', ':content-type': 'application/json', ':message-type': 'exception' },
        Buffer.from(JSON.stringify({ message, originalStatusCode: 500 })),
      ),
  };
}

/** Turns alternate and begin with the user's, and every use of a tool has its result in the next one. */
function checkMessages(messages: readonly JsonObject[]): void {
  must(messages.length > 0 && messages[0]?.role === 'user', 'A conversation must start with a user message.');
  let open: unknown[] = [];
  for (const [at, message] of messages.entries()) {
    must(
      message.role === (at % 2 === 0 ? 'user' : 'assistant'),
      'A conversation must alternate between user and assistant roles.',
    );
    const blocks = listOf(message, 'content');
    must(blocks.length > 0, 'The content field is empty.');
    for (const { text } of blocks)
      must(text === undefined || String(text).trim() !== '', 'The text field in the ContentBlock object is blank.');
    const idsOf = (name: string) =>
      blocks
        .map((block) => block[name])
        .filter(isObject)
        .map(({ toolUseId }) => toolUseId);
    const results = idsOf('toolResult');
    must(
      results.length === open.length && open.every((id) => results.includes(String(id))),
      'toolResult blocks must match the toolUse blocks of the previous turn.',
    );
    open = idsOf('toolUse');
    for (const id of open) must(/^[a-zA-Z0-9_-]{1,64}$/.test(String(id)), 'toolUseId: must match [a-zA-Z0-9_-]+');
  }
}

const stops = { stop: 'end_turn', length: 'max_tokens', 'tool-calls': 'tool_use', 'content-filter': 'content_filtered' } as const;

function stopOf({ finish, stopSequence }: FullReply): string {
  return stopSequence === undefined ? stops[finish] : 'stop_sequence';
}

function usageOf({ input, output, cacheRead, cacheWrite }: Usage): JsonObject {
  const inputTokens = input - cacheRead - cacheWrite;
  return {
    inputTokens,
    outputTokens: output,
    totalTokens: input + output,
    cacheReadInputTokens: cacheRead,
    cacheWriteInputTokens: cacheWrite,
  };
}

function blockOf(part: ScriptedPart): JsonObject {
  switch (part.kind) {
    case 'tool-call':
      return { toolUse: { toolUseId: part.id, name: part.name, input: part.arguments } };
    case 'reasoning': {
      const { text, signature = 'c3RhbmQtaW4=' } = part;
      return { reasoningContent: { reasoningText: { text, signature } } };
    }
    default:
      return { text: part.text };
  }
}

function event(type: string, data: JsonObject): Buffer {
  const headers = { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' };
  // Bedrock pads its events, so that their lengths say nothing about the words.
  return encodeEvent(headers, Buffer.from(JSON.stringify({ ...data, p: 'abcdefghij' })));
}

/** One whose checksum is wrong. */
function brokenEvent(): Buffer {
  const bytes = event('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'broken' } });
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 0xff, bytes.length - 1);
  return bytes;
}

function framesOf(reply: FullReply): readonly Frame[] {
  const { usage } = reply;
  return [
    { bytes: event('messageStart', { role: 'assistant' }), isText: false },
    ...reply.parts.flatMap((part, index) => blockFrames(part, index, reply)),
    { bytes: event('messageStop', { stopReason: stopOf(reply) }), isText: false },
    {
      bytes: event('metadata', { ...(usage && { usage: usageOf(usage) }), metrics: { latencyMs: 7 } }),
      isText: false,
      told: usage,
    },
  ];
}

/** Text and reasoning have no event that opens them. */
function blockFrames(part: ScriptedPart, contentBlockIndex: number, reply: FullReply): readonly Frame[] {
  const delta = (data: JsonObject, isText = true): Frame => ({
    bytes: event('contentBlockDelta', { contentBlockIndex, delta: data }),
    isText,
  });
  const stop = { bytes: event('contentBlockStop', { contentBlockIndex }), isText: false };
  switch (part.kind) {
    case 'tool-call': {
      const start = { toolUse: { toolUseId: part.id, name: part.name } };
      const input = reply.cut(JSON.stringify(part.arguments)).map((text) => delta({ toolUse: { input: text } }));
      return [{ bytes: event('contentBlockStart', { contentBlockIndex, start }), isText: false }, ...input, stop];
    }
    case 'reasoning': {
      const { signature = 'c3RhbmQtaW4=' } = part;
      const thoughts = reply.cut(part.text).map((text) => delta({ reasoningContent: { text } }));
      return [...thoughts, delta({ reasoningContent: { signature } }, false), stop];
    }
    default:
      return [...reply.cut(part.text).map((text) => delta({ text })), stop];
  }
}

function titan(body: JsonObject, model: string): Lookup {
  must(typeof body.inputText === 'string', 'required key [inputText] not found');
  const text = String(body.inputText);
  const input = tokensOf(text);
  const embedding = vectorOf(text, typeof body.dimensions === 'number' ? body.dimensions : 8);
  return {
    kind: 'embed',
    model,
    answer: { embedding, inputTextTokenCount: input },
    usage: { input, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
  };
}
