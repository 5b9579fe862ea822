import type { Json, JsonObject } from '../../../src/wire/json.ts';
import { chat, completions } from './openai-chat.ts';
import { responses } from './openai-responses.ts';
import {
  type Lookup,
  must,
  type Operation,
  type ProviderWire,
  presented,
  type Received,
  Refusal,
  tokensOf,
  vectorOf,
} from './provider-wire.ts';
import { type StandIn, startStandIn } from './stand-in.ts';

interface OpenaiOptions {
  readonly key: string;
  /** Models that it has; any, where it is not said. */
  readonly models?: readonly string[];
  /** Members that OpenAI does not document are refused, as it does itself; others take them. */
  readonly isStrict?: boolean;
  readonly port?: number;
}

/** OpenAI's API below /v1: chat, responses, completions, embeddings, models. Servers that are compatible with it answer the same. */
export function startOpenai({ key, models, isStrict, port }: OpenaiOptions): Promise<StandIn> {
  const wire: ProviderWire = {
    name: 'openai',
    headers: (id) => ({
      'x-request-id': `req_${id}`,
      'openai-processing-ms': '7',
      'openai-version': '2020-10-01',
      'x-ratelimit-limit-requests': '500',
      'x-ratelimit-remaining-requests': '499',
      'x-ratelimit-limit-tokens': '30000',
      'x-ratelimit-remaining-tokens': '29000',
    }),
    authorize: ({ headers }) => {
      const given = presented(headers, 'authorization');
      must(given !== undefined, "You didn't provide an API key.", 401);
      must(given === key, `Incorrect API key provided: ${given}.`, 401, 'invalid_api_key');
      return key;
    },
    operationOf: (request) => {
      const path = /^\/v1(\/.*)$/.exec(request.url.pathname)?.[1];
      if (path === undefined) return undefined;
      if (request.method === 'GET') return modelsOf(path, models ?? ['gpt-stand-in']);
      if (isStrict) checkMembers(path, request.body ?? {});
      const operation = openaiOperation(path, request, undefined);
      const model = operation?.model;
      if (model !== undefined && models !== undefined && !models.includes(model))
        throw new Refusal(404, `The model \`${model}\` does not exist or you do not have access to it.`, 'model_not_found');
      return operation;
    },
    failure: openaiFailure,
  };
  return startStandIn(wire, port);
}

/** Source: the reference of each operation. */
const sampling = [
  'temperature',
  'top_p',
  'stream',
  'stream_options',
  'user',
  'metadata',
  'service_tier',
  'store',
  'safety_identifier',
];
const members: Readonly<Record<string, readonly string[]>> = {
  '/chat/completions': [
    'model',
    'messages',
    ...sampling,
    'max_completion_tokens',
    'max_tokens',
    'n',
    'stop',
    'seed',
    'presence_penalty',
  ]
    .concat(['frequency_penalty', 'logit_bias', 'logprobs', 'top_logprobs', 'tools', 'tool_choice', 'parallel_tool_calls'])
    .concat(['response_format', 'reasoning_effort', 'verbosity', 'modalities', 'audio', 'prediction', 'web_search_options'])
    .concat(['prompt_cache_key', 'prompt_cache_retention', 'functions', 'function_call']),
  '/responses': ['model', 'input', 'instructions', ...sampling, 'max_output_tokens', 'max_tool_calls', 'tools', 'tool_choice']
    .concat([
      'parallel_tool_calls',
      'text',
      'reasoning',
      'include',
      'previous_response_id',
      'conversation',
      'truncation',
      'background',
    ])
    .concat(['prompt', 'prompt_cache_key', 'prompt_cache_retention', 'top_logprobs', 'context_management']),
  '/completions': [
    'model',
    'prompt',
    ...sampling,
    'max_tokens',
    'n',
    'stop',
    'seed',
    'suffix',
    'echo',
    'best_of',
    'logprobs',
  ].concat(['presence_penalty', 'frequency_penalty', 'logit_bias']),
  '/embeddings': ['model', 'input', 'dimensions', 'encoding_format', 'user'],
};

function checkMembers(path: string, body: JsonObject): void {
  const known = members[path];
  for (const name of Object.keys(body))
    must(known === undefined || known.includes(name), `Unrecognized request argument supplied: ${name}`);
}

interface AzureOptions {
  readonly key: string;
  readonly deployments?: readonly string[];
  readonly port?: number;
}

/** Azure OpenAI: /openai/v1, and /openai/deployments/{name} with an api-version. */
export function startAzure({ key, deployments, port }: AzureOptions): Promise<StandIn> {
  const denied = 'Access denied due to invalid subscription key or wrong API endpoint.';
  const wire: ProviderWire = {
    name: 'azure',
    headers: (id) => ({ 'apim-request-id': id, 'x-ms-region': 'Sweden Central' }),
    authorize: ({ headers }) => {
      must((presented(headers, 'api-key') ?? presented(headers, 'authorization')) === key, denied, 401, '401');
      return key;
    },
    operationOf: (request) => {
      const { pathname, searchParams } = request.url;
      const v1 = /^\/openai\/v1(\/.*)$/.exec(pathname)?.[1];
      const [, deployment, path] = /^\/openai\/deployments\/([^/]+)(\/.*)$/.exec(pathname) ?? [];
      if (v1 === undefined) must(searchParams.has('api-version'), 'Resource not found', 404, '404');
      const operation = openaiOperation(v1 ?? path ?? pathname.replace(/^\/openai/, ''), request, deployment);
      const model = operation?.model;
      if (model !== undefined && deployments !== undefined && !deployments.includes(model))
        throw new Refusal(404, 'The API deployment for this resource does not exist.', 'DeploymentNotFound');
      return operation;
    },
    failure: (status, message, code, retryAfterS) => {
      const usual = openaiFailure(status, message, code, retryAfterS);
      if (status === 401 || status === 404 || status === 429)
        return { ...usual, body: { error: { code: code ?? String(status), message } } };
      return usual;
    },
  };
  return startStandIn(wire, port);
}

/** What is asked below `/v1`. */
export function openaiOperation(path: string, { method, body }: Received, deployment: string | undefined): Operation | undefined {
  if (method !== 'POST' || !['/chat/completions', '/completions', '/responses', '/embeddings'].includes(path)) return undefined;
  must(body !== undefined, 'We could not parse the JSON body of your request.');
  const model = deployment === undefined ? body.model : decodeURIComponent(deployment);
  must(typeof model === 'string' && model !== '', 'you must provide a model parameter');
  if (path === '/chat/completions') return chat(body, model);
  if (path === '/completions') return completions(body, model);
  return path === '/responses' ? responses(body, model) : embeddings(body, model);
}

const types: Readonly<Record<number, string>> = { 429: 'requests', 401: 'invalid_request_error', 404: 'invalid_request_error' };
const codes: Readonly<Record<number, string>> = { 401: 'invalid_api_key', 404: 'model_not_found', 429: 'rate_limit_exceeded' };

function openaiFailure(status: number, message: string, code: string | undefined, retryAfterS: number | undefined) {
  const type = types[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
  const limits = {
    'x-ratelimit-limit-requests': '500',
    'x-ratelimit-remaining-requests': '0',
    'x-ratelimit-reset-requests': `${retryAfterS ?? 1}s`,
  };
  return {
    status,
    headers: status === 429 ? limits : {},
    body: { error: { message, type, param: null, code: code ?? codes[status] ?? null } },
  };
}

function embeddings(body: JsonObject, model: string): Lookup {
  const inputs = inputsOf(body.input);
  must(inputs.length > 0, "'$.input' is invalid.");
  const dimensions = typeof body.dimensions === 'number' ? body.dimensions : 8;
  const data = inputs.map((text, index) => {
    const vector = vectorOf(text, dimensions);
    const base64 = Buffer.from(Float32Array.from(vector).buffer).toString('base64');
    return { object: 'embedding', index, embedding: body.encoding_format === 'base64' ? base64 : vector };
  });
  const input = inputs.reduce((sum, text) => sum + tokensOf(text), 0);
  return {
    kind: 'embed',
    model,
    answer: { object: 'list', data, model, usage: { prompt_tokens: input, total_tokens: input } },
    usage: { input, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
  };
}

/** Text, texts, tokens, or lists of tokens. */
function inputsOf(input: Json | undefined): readonly string[] {
  if (typeof input === 'string') return [input];
  if (!Array.isArray(input)) return [];
  if (input.every((one) => typeof one === 'number')) return [input.join(' ')];
  return input.map((one) => (Array.isArray(one) ? one.join(' ') : String(one)));
}

function modelsOf(path: string, models: readonly string[]): Lookup | undefined {
  const describe = (id: string): JsonObject => ({ id, object: 'model', created: 1_760_000_000, owned_by: 'stand-in' });
  const base = { kind: 'models', model: undefined, usage: undefined } as const;
  if (path === '/models') return { ...base, answer: { object: 'list', data: models.map(describe) } };
  const id = decodeURIComponent(/^\/models\/(.+)$/.exec(path)?.[1] ?? '');
  return models.includes(id) ? { ...base, answer: describe(id) } : undefined;
}
