import type { UpstreamConfig } from '../../catalog/config.ts';
import { GatewayError } from '../../errors.ts';
import type { Message, Prompt } from '../../models/prompt.ts';
import type { Reply } from '../../models/reply.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { RawResult } from '../../wire/message.ts';
import type { Answer, ToolDefinition } from '../upstream.ts';

// A model as a tool: for agents that ask another model something in the middle of their work.

const usage = {
  type: 'object',
  description: 'Tokens.',
  properties: { input: { type: 'integer' }, output: { type: 'integer' } },
  required: ['input', 'output'],
};

const annotations = { readOnlyHint: true, destructiveHint: false, idempotentHint: false, openWorldHint: true };

/** The only tool that a model offers. */
export function modelTool({ name, title, description, transport }: UpstreamConfig): ToolDefinition {
  const can = transport.type === 'model' ? transport.can : [];
  const isText = can.length === 0 || can.some((ability) => ability !== 'embeddings');
  const what = description ?? title ?? name;
  const about = isText
    ? `${what}\n\nAsks this model, which knows nothing of the conversation but what it is told here.`
    : `${what}\n\nMakes embeddings of texts.`;
  return {
    name,
    ...(title === undefined ? {} : { title }),
    description: about,
    inputSchema: isText ? askSchema : embedSchema,
    outputSchema: isText ? answerSchema : vectorsSchema,
    annotations: { ...(title === undefined ? {} : { title }), ...annotations },
  };
}

const askSchema: JsonObject = {
  type: 'object',
  properties: {
    prompt: { type: 'string', minLength: 1, description: 'What to ask. Either this or "messages".' },
    messages: {
      type: 'array',
      minItems: 1,
      description: 'A conversation to go on with. Either this or "prompt".',
      items: {
        type: 'object',
        properties: {
          role: { type: 'string', enum: ['user', 'assistant'] },
          content: { type: 'string', description: 'What was said.' },
        },
        required: ['role', 'content'],
        additionalProperties: false,
      },
    },
    system: { type: 'string', description: 'How it should behave.' },
    maxTokens: { type: 'integer', minimum: 1, description: 'Most tokens of the answer.' },
    temperature: { type: 'number', minimum: 0, maximum: 2, description: '0: always the likeliest word; higher: more variety.' },
  },
  additionalProperties: false,
};

const answerSchema: JsonObject = {
  type: 'object',
  properties: {
    text: { type: 'string' },
    model: { type: 'string', description: "The provider's name of the model that answered." },
    finish: { type: 'string', description: 'Why it ended: stop, length, content-filter, refusal, ...' },
    usage,
  },
  required: ['text', 'model', 'finish', 'usage'],
};

const embedSchema: JsonObject = {
  type: 'object',
  properties: {
    input: {
      type: 'array',
      minItems: 1,
      maxItems: 2048,
      items: { type: 'string', minLength: 1 },
      description: 'Texts, each of which gets a vector.',
    },
    dimensions: { type: 'integer', minimum: 1, description: 'Length of the vectors, where the model can choose.' },
  },
  required: ['input'],
  additionalProperties: false,
};

const vectorsSchema: JsonObject = {
  type: 'object',
  properties: {
    model: { type: 'string' },
    embeddings: { type: 'array', items: { type: 'array', items: { type: 'number' } } },
    usage,
  },
  required: ['model', 'embeddings'],
};

/** Throws GatewayError `bad_arguments`. */
export function promptOf(model: string, args: JsonObject): Prompt {
  const { prompt, messages, system, maxTokens, temperature } = args;
  if ((prompt === undefined) === (messages === undefined)) throw bad('Give either "prompt" or "messages".');
  return {
    model,
    system: typeof system === 'string' && system !== '' ? [{ kind: 'text', text: system }] : [],
    messages: typeof prompt === 'string' ? [said('user', prompt)] : messagesOf(messages),
    tools: [],
    toolChoice: undefined,
    parallelTools: undefined,
    maxTokens: numberOr(maxTokens),
    temperature: numberOr(temperature),
    topP: undefined,
    topK: undefined,
    stop: [],
    seed: undefined,
    presencePenalty: undefined,
    frequencyPenalty: undefined,
    format: { kind: 'text' },
    reasoning: undefined,
    isStream: false,
    user: undefined,
  };
}

/** The same as a request in a dialect, for what counts tokens and knows conversations again. */
export function bodyOf({ prompt, messages, system, maxTokens }: JsonObject): JsonObject {
  return {
    system: system ?? '',
    messages: typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : (messages ?? []),
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
  };
}

function messagesOf(messages: Json | undefined): readonly Message[] {
  if (!Array.isArray(messages) || messages.length === 0) throw bad('"messages" is a list of what was said.');
  return messages.map((message) => {
    if (!isObject(message) || typeof message.content !== 'string' || (message.role !== 'user' && message.role !== 'assistant'))
      throw bad('Each of "messages" has a "role" (user or assistant) and a "content" that is text.');
    return said(message.role, message.content);
  });
}

function said(role: Message['role'], text: string): Message {
  return { role, parts: [{ kind: 'text', text }] };
}

function numberOr(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function bad(message: string): GatewayError {
  return new GatewayError('bad_arguments', message);
}

/** What a caller gets of a whole answer. */
export function resultOf({ parts, model, finish, usage: { input, output } }: Reply, providersModel: string): Answer {
  const words = parts.flatMap((part) => (part.kind === 'text' || part.kind === 'refusal' ? [part.text] : []));
  const text = words.join('');
  const structuredContent = { text, model: model === '' ? providersModel : model, finish, usage: { input, output } };
  return { kind: 'result', result: RawResult.from({ content: [{ type: 'text', text }], structuredContent }) };
}

/** A request that its caller has to mend, or do without. */
export function failedResult(message: string): Answer {
  return { kind: 'result', result: RawResult.from({ content: [{ type: 'text', text: message }], isError: true }) };
}

export function vectorsOf(body: JsonObject, providersModel: string): Answer {
  const data = Array.isArray(body.data) ? body.data : [];
  const embeddings = data.flatMap((one) => (isObject(one) && one.embedding !== undefined ? [one.embedding] : []));
  const { prompt_tokens: input } = isObject(body.usage) ? body.usage : {};
  const structuredContent: JsonObject = {
    model: typeof body.model === 'string' ? body.model : providersModel,
    embeddings,
    ...(typeof input === 'number' ? { usage: { input, output: 0 } } : {}),
  };
  const text = `${embeddings.length} ${embeddings.length === 1 ? 'vector' : 'vectors'}, in the structured content`;
  return { kind: 'result', result: RawResult.from({ content: [{ type: 'text', text }], structuredContent }) };
}
