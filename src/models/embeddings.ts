import type { Json, JsonObject } from '../wire/json.ts';
import { readChatUsage } from './chat/usage.ts';
import { needText, readChoice, readInteger, refuse } from './members.ts';
import type { Usage } from './reply.ts';

/** What a request to `/v1/embeddings` asks for (platform.openai.com/docs/api-reference/embeddings). */
export interface EmbeddingsRequest {
  readonly model: string;
  /** Vectors that are wanted. */
  readonly count: number;
  /** Inputs that are text; empty where they come as tokens. */
  readonly texts: readonly string[];
  /** Tokens that were counted by the client already. */
  readonly tokens: number;
}

/** Of one request, as OpenAI has it. */
const mostInputs = 2_048;

/** Throws GatewayError `invalid_request` that names the member. */
export function readEmbeddingsRequest(body: JsonObject): EmbeddingsRequest {
  const model = needText(body, 'model');
  readInteger(body, 'dimensions', 1);
  readChoice(body, 'encoding_format', ['float', 'base64']);
  return { model, ...readInput(body.input) };
}

function readInput(input: Json | undefined): Omit<EmbeddingsRequest, 'model'> {
  if (typeof input === 'string') return ofTexts([input]);
  if (!Array.isArray(input) || input.length === 0)
    refuse('input', 'is required and must be a text, an array of texts, or an array of tokens');
  if (isTokens(input)) return { count: 1, texts: [], tokens: input.length };
  if (input.length > mostInputs) refuse('input', `must hold at most ${mostInputs} inputs`);
  return typeof input[0] === 'string' ? ofTexts(input) : ofTokens(input);
}

function ofTexts(input: readonly Json[]): Omit<EmbeddingsRequest, 'model'> {
  const texts = input.map((text, index) =>
    typeof text === 'string' && text !== '' ? text : refuse(`input[${index}]`, 'must be a text that is not empty'),
  );
  return { count: texts.length, texts, tokens: 0 };
}

function ofTokens(input: readonly Json[]): Omit<EmbeddingsRequest, 'model'> {
  let tokens = 0;
  for (const [index, one] of input.entries()) {
    if (!isTokens(one) || one.length === 0) refuse(`input[${index}]`, 'must be an array of tokens that is not empty');
    tokens += one.length;
  }
  return { count: input.length, texts: [], tokens };
}

function isTokens(value: Json): value is number[] {
  return Array.isArray(value) && value.every((token) => typeof token === 'number' && Number.isInteger(token) && token >= 0);
}

/** Of a reply; undefined where it says none. */
export function embeddingsUsageOf(body: JsonObject): Usage | undefined {
  return readChatUsage(body.usage);
}
