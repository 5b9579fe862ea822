import { GatewayError } from '../errors.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { ReplyError } from './dialect.ts';

/** How a provider that is not OpenAI-shaped is asked for embeddings: OpenAI's request becomes requests of its own, and their answers OpenAI's. */
export interface EmbeddingDialect {
  /** In order; some providers take few texts at once. Throws GatewayError `invalid_request`. */
  writeRequests(body: JsonObject, model: string): readonly JsonObject[];
  /** `answers` are those of the requests, in their order. Throws ReplyError. */
  readReplies(answers: readonly JsonObject[], body: JsonObject, model: string): EmbeddingReply;
}

interface EmbeddingReply {
  readonly body: JsonObject;
  /** Undefined where the provider does not say. */
  readonly inputTokens: number | undefined;
}

interface EmbeddingWish {
  readonly texts: readonly string[];
  readonly dimensions: number | undefined;
}

const mostTexts = 2_048;

/** What OpenAI's request asks for (platform.openai.com/docs/api-reference/embeddings). */
export function readWish(body: JsonObject): EmbeddingWish {
  const { input, dimensions } = body;
  const texts = typeof input === 'string' ? [input] : input;
  if (!Array.isArray(texts) || texts.length === 0 || !texts.every(isText)) {
    throw invalid('input must be a text or a list of texts, none of them empty; this model does not take tokens');
  }
  if (texts.length > mostTexts) throw invalid(`input may hold ${mostTexts} texts at most`);
  if (dimensions !== undefined && dimensions !== null && !(Number.isInteger(dimensions) && Number(dimensions) > 0)) {
    throw invalid('dimensions must be a whole number above 0');
  }
  return { texts, dimensions: typeof dimensions === 'number' ? dimensions : undefined };
}

function isText(value: Json): value is string {
  return typeof value === 'string' && value !== '';
}

function invalid(what: string): GatewayError {
  return new GatewayError('invalid_request', `The embeddings request cannot be read: ${what}.`);
}

/** OpenAI's answer. Its own clients ask for base64 and read nothing else then. */
export function writeReply(
  vectors: readonly Json[],
  body: JsonObject,
  model: string,
  inputTokens: number | undefined,
): EmbeddingReply {
  const { texts } = readWish(body);
  if (vectors.length !== texts.length) throw new ReplyError(`there are ${vectors.length} embeddings for ${texts.length} texts`);
  const isBase64 = body.encoding_format === 'base64';
  const data = vectors.map((vector, index) => {
    const numbers = readVector(vector);
    return { object: 'embedding', index, embedding: isBase64 ? packVector(numbers) : [...numbers] };
  });
  const tokens = inputTokens ?? 0;
  return { body: { object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } }, inputTokens };
}

function readVector(vector: Json): readonly number[] {
  if (!Array.isArray(vector) || vector.length === 0 || !vector.every((value) => typeof value === 'number')) {
    throw new ReplyError('an embedding is not a list of numbers');
  }
  return vector;
}

/** 32-bit floats, little-endian. */
function packVector(numbers: readonly number[]): string {
  const bytes = Buffer.alloc(numbers.length * 4);
  numbers.forEach((number, index) => {
    bytes.writeFloatLE(number, index * 4);
  });
  return bytes.toString('base64');
}

/** The one answer that there is. */
export function onlyAnswer(answers: readonly JsonObject[]): JsonObject {
  const [answer] = answers;
  if (!isObject(answer) || answers.length !== 1) throw new ReplyError('one answer was expected');
  return answer;
}
