import { GatewayError } from '../../errors.ts';
import type { Json, JsonObject } from '../../wire/json.ts';
import { type EmbeddingDialect, readWish, writeReply } from '../embedding-dialect.ts';
import { countAt, listAt, objectAt } from '../read-members.ts';

/**
 * InvokeModel with the embedding models of Amazon and Cohere (docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
 * and model-parameters-embed.html): Titan takes one text at a time, Cohere 96.
 */
export const bedrockEmbeddings: EmbeddingDialect = {
  writeRequests(body, model) {
    const { texts, dimensions } = readWish(body);
    if (isCohere(model)) return chunk(texts).map((some) => writeForCohere(some, dimensions));
    if (!/\btitan-embed/.test(model)) {
      throw new GatewayError(
        'invalid_request',
        'This model makes no embeddings that Gatehouse can ask for: name one of Amazon Titan or Cohere.',
      );
    }
    return texts.map((inputText) => ({ inputText, ...(dimensions !== undefined && { dimensions }) }));
  },
  readReplies(answers, body, model) {
    if (isCohere(model)) return writeReply(answers.flatMap(readFromCohere), body, model, undefined);
    const counts = answers.map((answer) => countAt(answer, 'inputTextTokenCount'));
    return writeReply(
      answers.map(({ embedding }) => embedding ?? null),
      body,
      model,
      counts.reduce((sum, count) => (sum === undefined || count === undefined ? undefined : sum + count), 0),
    );
  },
};

function isCohere(model: string): boolean {
  return /\bcohere\.embed/.test(model);
}

const mostTexts = 96;

function chunk(texts: readonly string[]): string[][] {
  return Array.from({ length: Math.ceil(texts.length / mostTexts) }, (_, index) =>
    texts.slice(index * mostTexts, (index + 1) * mostTexts),
  );
}

function writeForCohere(texts: readonly string[], dimensions: number | undefined): JsonObject {
  return {
    texts: [...texts],
    input_type: 'search_document',
    embedding_types: ['float'],
    ...(dimensions !== undefined && { output_dimension: dimensions }),
  };
}

/** A list of vectors, or one such list by type. */
function readFromCohere(answer: JsonObject): readonly Json[] {
  const byType = objectAt(answer, 'embeddings');
  return byType === undefined ? listAt(answer, 'embeddings') : listAt(byType, 'float');
}
