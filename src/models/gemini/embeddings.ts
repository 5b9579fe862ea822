import { type EmbeddingDialect, onlyAnswer, readWish, writeReply } from '../embedding-dialect.ts';
import { countAt, objectAt, objectsAt } from '../read-members.ts';

/** batchEmbedContents of AI Studio (ai.google.dev/api/embeddings). */
export const geminiEmbeddings: EmbeddingDialect = {
  writeRequests(body, model) {
    const { texts, dimensions } = readWish(body);
    const name = /^(?:models|tunedModels)\//.test(model) ? model : `models/${model}`;
    const requests = texts.map((text) => ({
      model: name,
      content: { parts: [{ text }] },
      ...(dimensions !== undefined && { outputDimensionality: dimensions }),
    }));
    return [{ requests }];
  },
  readReplies(answers, body, model) {
    const answer = onlyAnswer(answers);
    const vectors = objectsAt(answer, 'embeddings').map(({ values }) => values ?? null);
    return writeReply(vectors, body, model, countAt(objectAt(answer, 'usageMetadata'), 'promptTokenCount'));
  },
};

/** predict of Vertex AI (cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api). */
export const vertexEmbeddings: EmbeddingDialect = {
  writeRequests(body, model) {
    const { texts, dimensions } = readWish(body);
    const parameters = dimensions === undefined ? {} : { parameters: { outputDimensionality: dimensions } };
    // Its own first model takes one text at a time.
    const most = model.startsWith('gemini-embedding') ? 1 : 250;
    return chunk(texts, most).map((some) => ({ instances: some.map((content) => ({ content })), ...parameters }));
  },
  readReplies(answers, body, model) {
    const predictions = answers
      .flatMap((answer) => objectsAt(answer, 'predictions'))
      .map((found) => objectAt(found, 'embeddings'));
    const counts = predictions.map((found) => countAt(objectAt(found, 'statistics'), 'token_count'));
    return writeReply(
      predictions.map((found) => found?.values ?? null),
      body,
      model,
      counts.reduce((sum, count) => (sum === undefined || count === undefined ? undefined : sum + count), 0),
    );
  },
};

function chunk(texts: readonly string[], most: number): string[][] {
  return Array.from({ length: Math.ceil(texts.length / most) }, (_, index) => texts.slice(index * most, (index + 1) * most));
}
