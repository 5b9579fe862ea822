import type { Embedder } from '../models/cache/embedder.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type CallModel, ownAsk, ownCaller } from './own-call.ts';

const comparing = ownCaller('cache');

/** A registered embeddings model, for comparing what was asked. */
export function modelEmbedder(model: string, callModel: CallModel): Embedder {
  return {
    async embed(texts, cancel) {
      const body = { model, input: [...texts], encoding_format: 'float' };
      const outcome = await callModel(comparing, ownAsk(comparing, model, 'embeddings', body, cancel));
      if (outcome.kind !== 'reply') throw new Error(`${model} made no embeddings`);
      const { data } = JSON.parse(outcome.body.toString()) as JsonObject;
      const vectors = Array.isArray(data) ? data.filter(isObject).map(({ embedding }) => toVector(embedding)) : [];
      if (vectors.length !== texts.length) throw new Error(`${model} made ${vectors.length} embeddings of ${texts.length} texts`);
      return vectors;
    },
  };
}

function toVector(embedding: unknown): Float32Array {
  if (!Array.isArray(embedding) || !embedding.every((value) => typeof value === 'number'))
    throw new Error('an embedding is no list of numbers');
  return Float32Array.from(embedding);
}
