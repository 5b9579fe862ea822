import type { Usage } from '../../../src/models/reply.ts';
import { isObject, type JsonObject } from '../../../src/wire/json.ts';
import {
  brokenSse,
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
} from './provider-wire.ts';
import type { ScriptedPart } from './script.ts';
import { type StandIn, startStandIn } from './stand-in.ts';

/** Anthropic's API: messages and count_tokens (platform.claude.com/docs/en/api). */
export function startAnthropic({ key, port }: { readonly key: string; readonly port?: number }): Promise<StandIn> {
  return startStandIn(anthropicWire(key), port);
}

function anthropicWire(key: string): ProviderWire {
  return {
    name: 'anthropic',
    headers: (id) => ({
      'request-id': `req_${id}`,
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-requests-remaining': '49',
      'anthropic-ratelimit-tokens-limit': '40000',
      'anthropic-ratelimit-tokens-remaining': '39000',
    }),
    authorize: ({ headers }) => {
      const given = presented(headers, 'x-api-key') ?? presented(headers, 'authorization');
      must(given === key, 'invalid x-api-key', 401);
      return key;
    },
    operationOf: (request) => {
      const version = String(request.headers['anthropic-version']);
      must(versions.includes(version), 'anthropic-version: header is required');
      checkVersion(version, request.body ?? {});
      return operationOf(request);
    },
    failure: (status, message, code) => ({
      status,
      headers: {},
      body: { type: 'error', error: { type: code ?? typeOf(status), message }, request_id: 'req_stand_in' },
    }),
  };
}

const versions = ['2023-06-01', '2026-10-21'];

/** The newer version takes no sampling, whatever the model; its answers differ by members that are null, which both have here. */
function checkVersion(version: string, body: JsonObject): void {
  if (version === '2023-06-01') return;
  for (const name of ['temperature', 'top_p', 'top_k']) must(!(name in body), `${name}: Extra inputs are not permitted`);
}

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

function typeOf(status: number): string {
  return types[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
}

function operationOf({ method, url, body }: Received): Operation | undefined {
  if (method !== 'POST') return undefined;
  if (url.pathname === '/v1/messages') {
    checkPrompt(body);
    must(Number.isSafeInteger(body.max_tokens), 'max_tokens: Field required');
    return generation(body);
  }
  if (url.pathname !== '/v1/messages/count_tokens') return undefined;
  checkPrompt(body);
  for (const name of ['max_tokens', 'stream', 'temperature', 'stop_sequences', 'metadata'])
    must(!(name in body), `${name}: Extra inputs are not permitted`);
  return count(body);
}

const members = [
  'model',
  'messages',
  'max_tokens',
  'system',
  'metadata',
  'stop_sequences',
  'stream',
  'temperature',
  'top_p',
  'top_k',
]
  .concat(['tools', 'tool_choice', 'thinking', 'output_config', 'service_tier', 'cache_control', 'container'])
  .concat(['inference_geo', 'speed', 'diagnostics']);

function checkPrompt(body: JsonObject | undefined): asserts body is JsonObject {
  must(body !== undefined, 'the body is not valid JSON');
  for (const name of Object.keys(body)) must(members.includes(name), `${name}: Extra inputs are not permitted`);
  must(typeof body.model === 'string', 'model: Field required');
  const messages = listOf(body, 'messages');
  must(messages.length > 0, 'messages: at least one message is required');
  must(messages[0]?.role === 'user', 'messages: first message must use the "user" role');
  const calls = new Set<unknown>();
  let open = new Set<unknown>();
  for (const message of messages) {
    must(message.role === 'user' || message.role === 'assistant', `messages: unexpected role "${message.role}"`);
    const blocks = blocksOf(message);
    if (message.role === 'user') {
      const results = blocks.filter(({ type }) => type === 'tool_result').map(({ tool_use_id }) => tool_use_id);
      for (const id of results) must(open.has(id), `unexpected tool_use_id found in tool_result blocks: ${id}`);
      for (const id of open) must(results.includes(String(id)), `tool_use ids were found without tool_result blocks: ${id}`);
      open = new Set();
    }
    for (const block of blocks) {
      if (block.type === 'text')
        must(typeof block.text === 'string' && block.text.trim() !== '', 'messages: text content blocks must be non-empty');
      if (block.type === 'thinking') must(typeof block.signature === 'string', 'thinking.signature: Field required');
      if (block.type !== 'tool_use') continue;
      must(typeof block.id === 'string' && /^[a-zA-Z0-9_-]+$/.test(block.id), 'tool_use.id: must match ^[a-zA-Z0-9_-]+$');
      must(!calls.has(block.id), 'tool_use ids must be unique');
      must(isObject(block.input), 'tool_use.input: Input should be a valid dictionary');
      calls.add(block.id);
      open.add(block.id);
    }
  }
}

function blocksOf({ content }: JsonObject): readonly JsonObject[] {
  if (typeof content === 'string') {
    must(content !== '', 'messages: all messages must have non-empty content');
    return [{ type: 'text', text: content }];
  }
  must(Array.isArray(content) && content.every(isObject), 'messages.content: must be a string or an array');
  return content.filter(isObject);
}

function count(body: JsonObject): Lookup {
  const tokens = tokensOf(JSON.stringify([body.system ?? '', body.messages ?? [], body.tools ?? []]));
  return { kind: 'count', model: String(body.model), answer: { input_tokens: tokens }, usage: undefined };
}

function generation(body: JsonObject): Generation {
  const model = String(body.model);
  return {
    kind: 'generate',
    model,
    isStream: body.stream === true,
    streamType: 'text/event-stream; charset=utf-8',
    whole: (reply) => ({
      ...envelope(reply, model),
      content: reply.parts.map(blockOf),
      ...stopOf(reply),
      usage: reply.usage === undefined ? null : usageOf(reply.usage),
    }),
    frames: (reply) => framesOf(reply, model),
    brokenFrame: brokenSse,
    failureFrame: (message) => event('error', { error: { type: 'overloaded_error', message } }),
  };
}

function envelope({ id }: FullReply, model: string): JsonObject {
  return { id: `msg_${id}`, type: 'message', role: 'assistant', model, container: null, diagnostics: null };
}

const stopReasons = { stop: 'end_turn', length: 'max_tokens', 'tool-calls': 'tool_use', 'content-filter': 'refusal' } as const;

function stopOf({ finish, stopSequence }: FullReply): JsonObject {
  const reason = stopSequence === undefined ? stopReasons[finish] : 'stop_sequence';
  return { stop_reason: reason, stop_sequence: stopSequence ?? null, stop_details: null };
}

function usageOf({ input, output, cacheRead, cacheWrite, reasoning }: Usage): JsonObject {
  return {
    input_tokens: input - cacheRead - cacheWrite,
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cacheRead,
    output_tokens: output,
    output_tokens_details: { thinking_tokens: reasoning },
    server_tool_use: null,
    service_tier: 'standard',
  };
}

function blockOf(part: ScriptedPart): JsonObject {
  switch (part.kind) {
    case 'reasoning':
      return { type: 'thinking', thinking: part.text, signature: part.signature ?? 'c3RhbmQtaW4=' };
    case 'tool-call':
      return { type: 'tool_use', id: part.id, name: part.name, input: part.arguments, caller: { type: 'direct' } };
    default:
      return { type: 'text', text: part.text, citations: null };
  }
}

function event(type: string, data: JsonObject): Buffer {
  return sse({ type, ...data }, type);
}

function framesOf(reply: FullReply, model: string): readonly Frame[] {
  const { usage } = reply;
  const early = usage && { ...usage, output: 1, reasoning: 0 };
  const message = {
    ...envelope(reply, model),
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: early ? usageOf(early) : null,
  };
  const end = { delta: stopOf(reply), ...(usage && { usage: usageOf(usage) }) };
  return [
    { bytes: event('message_start', { message }), isText: false, told: early },
    { bytes: event('ping', {}), isText: false },
    ...reply.parts.flatMap((part, index) => blockFrames(part, index, reply)),
    { bytes: event('message_delta', end), isText: false, told: usage },
    { bytes: event('message_stop', {}), isText: false },
  ];
}

function blockFrames(part: ScriptedPart, index: number, reply: FullReply): readonly Frame[] {
  const frame = (type: string, data: JsonObject, isText = false): Frame => ({ bytes: event(type, { index, ...data }), isText });
  const delta = (data: JsonObject, isText = true) => frame('content_block_delta', { delta: data }, isText);
  const texts = reply.cut(part.kind === 'tool-call' ? JSON.stringify(part.arguments) : part.text);
  const open = (block: JsonObject) => frame('content_block_start', { content_block: block });
  const stop = frame('content_block_stop', {});
  switch (part.kind) {
    case 'reasoning': {
      const thoughts = texts.map((thinking) => delta({ type: 'thinking_delta', thinking }));
      const { signature = 'c3RhbmQtaW4=' } = part;
      const signed = delta({ type: 'signature_delta', signature }, false);
      return [open({ type: 'thinking', thinking: '', signature: '' }), ...thoughts, signed, stop];
    }
    case 'tool-call': {
      const input = texts.map((partial_json) => delta({ type: 'input_json_delta', partial_json }));
      const empty = delta({ type: 'input_json_delta', partial_json: '' }, false);
      return [open({ ...blockOf(part), input: {} }), empty, ...input, stop];
    }
    default:
      return [open({ type: 'text', text: '' }), ...texts.map((text) => delta({ type: 'text_delta', text })), stop];
  }
}
