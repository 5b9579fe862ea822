/**
 * Answers what an upstream asks of a model (`sampling/createMessage`) where its client has none and a policy names one. Each answer is
 * a call of that model by the same caller: allowed, limited and on record like any other.
 */
import { modelsPlace } from '../catalog/catalog.ts';
import { GatewayError } from '../errors.ts';
import { type Answer, type Conversation, RpcFailure } from '../upstreams/upstream.ts';
import { Cancel } from '../wire/cancel.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import type { Clearance } from './approve.ts';
import type { Ask } from './ask.ts';
import type { Outcome } from './inspect.ts';

/** Makes one call of a model. */
type CallModel = (ask: Ask) => Promise<Outcome>;

const asked = 'sampling/createMessage';
/** Rounds of one call that ask for models and nothing else. */
const mostRounds = 16;
/** Answers of models in one call, which its caller pays for and its upstream asks for. */
const mostSamples = 64;

/** What answers in the place of a client; undefined where the client does it itself, or nobody does. */
export function samplerFor({ policy }: Clearance, ask: Ask, callModel: CallModel): Sampler | undefined {
  const { sampling } = policy;
  if (sampling === undefined || isObject(ask.client.capabilities.sampling)) return undefined;
  if (ask.method !== 'tools/call' && ask.method !== 'prompts/get') return undefined;
  return new Sampler(sampling.model, sampling.maxTokens, ask, callModel);
}

export class Sampler {
  /** The call as its upstream sees it: of a client that can answer. */
  readonly ask: Ask;
  readonly #model: string;
  readonly #maxTokens: number;
  readonly #callModel: CallModel;
  #samples = 0;

  constructor(model: string, maxTokens: number, ask: Ask, callModel: CallModel) {
    this.#model = model;
    this.#maxTokens = maxTokens;
    this.#callModel = callModel;
    // Servers may send tools only to whoever says that it takes them (MCP 2025-11-25 client/sampling).
    const capabilities = { ...ask.client.capabilities, sampling: { tools: {} } };
    this.ask = {
      ...ask,
      client: { ...ask.client, capabilities },
      conversation: new SampledConversation(ask.conversation, (params) => this.#answer(params)),
    };
  }

  /** The next round of a call whose upstream asks for models and nothing else; undefined where somebody else has to answer. */
  async next(answer: Answer, round: number): Promise<Ask | undefined> {
    if (answer.kind !== 'input-required' || answer.inputRequests === undefined || round >= mostRounds) return undefined;
    const questions = Object.entries(answer.inputRequests);
    if (!questions.every(([, question]) => isObject(question) && question.method === asked)) return undefined;
    const inputResponses: JsonObject = {};
    try {
      for (const [key, question] of questions) inputResponses[key] = await this.#answer(paramsOf(question));
    } catch (error) {
      throw error instanceof GatewayError ? asItsFailure(error) : error;
    }
    return { ...this.ask, retry: { inputResponses, requestState: answer.requestState } };
  }

  async #answer(params: JsonObject): Promise<JsonObject> {
    const { ask } = this;
    if (++this.#samples > mostSamples)
      throw new GatewayError('limit_reached', `The upstream asked for a model more than ${mostSamples} times in one call.`);
    const body = toMessages(this.#model, params, this.#maxTokens);
    // The model's own deadline ends its call and not the one that waits for it.
    const cancel = new Cancel();
    const takeBack = ask.cancel.onCancel((reason) => cancel.cancel(reason));
    try {
      return fromMessages(documentOf(this.#model, await this.#callModel(askFor(ask, this.#model, body, cancel))));
    } finally {
      takeBack();
    }
  }
}

// What its caller can do something about, or has to wait for; all else is between the server and the model.
const forTheCaller: ReadonlySet<string> = new Set([
  'rate_limited',
  'limit_reached',
  'cancelled',
  'approval_pending',
  'approval_denied',
  'content_blocked',
  'judge_unavailable',
  'upstream_busy',
  'upstream_limited',
]);

function asItsFailure(error: GatewayError): GatewayError {
  if (forTheCaller.has(error.code)) return error;
  return new GatewayError('upstream_failed', `The server needs an answer of a model, and got none: ${error.message}`, {
    cause: error,
  });
}

function askFor(ask: Ask, model: string, body: JsonObject, cancel: Cancel): Ask {
  return {
    ...ask,
    toolbox: modelsPlace,
    method: 'models/call',
    params: { name: model, dialect: 'messages', arguments: body },
    meta: undefined,
    retry: undefined,
    // People agreed to the call of the tool: whether they agree to this one is a question of its own.
    approval: undefined,
    stream: undefined,
    cancel,
    bytesIn: JSON.stringify(body).length,
  };
}

function documentOf(model: string, outcome: Outcome): JsonObject {
  if (outcome.kind !== 'reply') throw new GatewayError('upstream_failed', `The model ${model} did not answer.`);
  return JSON.parse(outcome.body.toString('utf8')) as JsonObject;
}

function paramsOf(question: Json | undefined): JsonObject {
  return isObject(question) && isObject(question.params) ? question.params : {};
}

class SampledConversation implements Conversation {
  readonly progress: Conversation['progress'];
  readonly logLevel: string | undefined;
  readonly takesRounds: boolean;
  readonly #inner: Conversation;
  readonly #sample: (params: JsonObject) => Promise<JsonObject>;

  constructor(inner: Conversation, sample: (params: JsonObject) => Promise<JsonObject>) {
    this.#inner = inner;
    this.#sample = sample;
    this.progress = inner.progress;
    this.logLevel = inner.logLevel;
    this.takesRounds = inner.takesRounds;
  }

  log(params: JsonObject): void {
    this.#inner.log(params);
  }

  notify(method: string, params: JsonObject): void {
    this.#inner.notify(method, params);
  }

  async ask(method: string, params: JsonObject): Promise<JsonObject> {
    if (method !== asked) return await this.#inner.ask(method, params);
    try {
      return await this.#sample(params);
    } catch (error) {
      // The upstream learns that there is no answer, and why only as far as its own client would say it.
      if (error instanceof GatewayError) throw new RpcFailure({ code: -1, message: `No model answered: ${error.message}` });
      throw error;
    }
  }
}

/** A request of MCP 2025-11-25 client/sampling in the words of Anthropic's Messages API, which are almost the same. */
function toMessages(model: string, params: JsonObject, mostTokens: number): JsonObject {
  const { systemPrompt, temperature, stopSequences, tools, toolChoice, maxTokens } = params;
  return {
    model,
    max_tokens: Math.min(typeof maxTokens === 'number' && maxTokens >= 1 ? Math.floor(maxTokens) : mostTokens, mostTokens),
    messages: list(params.messages).map(({ role, content }) => ({
      role: role ?? 'user',
      content: (Array.isArray(content) ? content : [content]).flatMap((block) => (isObject(block) ? [toBlock(block)] : [])),
    })),
    ...(typeof systemPrompt === 'string' ? { system: systemPrompt } : {}),
    ...(typeof temperature === 'number' ? { temperature } : {}),
    ...(Array.isArray(stopSequences) ? { stop_sequences: stopSequences } : {}),
    ...(Array.isArray(tools)
      ? {
          tools: list(tools).map(({ name, description, inputSchema }) =>
            withoutUndefined({ name, description, input_schema: inputSchema }),
          ),
        }
      : {}),
    ...(isObject(toolChoice)
      ? { tool_choice: { type: toolChoice.mode === 'required' ? 'any' : (toolChoice.mode ?? 'auto') } }
      : {}),
  };
}

function toBlock(block: JsonObject): JsonObject {
  switch (block.type) {
    case 'image':
      return { type: 'image', source: withoutUndefined({ type: 'base64', media_type: block.mimeType, data: block.data }) };
    case 'tool_use':
      return withoutUndefined({ type: 'tool_use', id: block.id, name: block.name, input: block.input });
    case 'tool_result':
      return withoutUndefined({
        type: 'tool_result',
        tool_use_id: block.toolUseId,
        content: list(block.content).map(toBlock),
        is_error: block.isError,
      });
    default:
      return withoutUndefined({ type: block.type, text: block.text });
  }
}

const stopReasons: Readonly<Record<string, string>> = {
  end_turn: 'endTurn',
  max_tokens: 'maxTokens',
  stop_sequence: 'stopSequence',
  tool_use: 'toolUse',
};

function fromMessages({ model, content, stop_reason: reason }: JsonObject): JsonObject {
  const blocks = list(content).flatMap((block): JsonObject[] => {
    if (block.type === 'text') return [withoutUndefined({ type: 'text', text: block.text })];
    return block.type === 'tool_use'
      ? [withoutUndefined({ type: 'tool_use', id: block.id, name: block.name, input: block.input })]
      : [];
  });
  const [first = { type: 'text', text: '' }] = blocks;
  return withoutUndefined({
    role: 'assistant',
    // Earlier versions take one block only.
    content: blocks.length <= 1 ? first : blocks,
    model: model ?? 'unknown',
    stopReason: typeof reason === 'string' ? (stopReasons[reason] ?? reason) : undefined,
  });
}

function list(value: Json | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function withoutUndefined(object: Record<string, Json | undefined>): JsonObject {
  return Object.fromEntries(Object.entries(object).filter((entry): entry is [string, Json] => entry[1] !== undefined));
}
