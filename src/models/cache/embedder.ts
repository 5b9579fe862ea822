import type { Cancel } from '../../wire/cancel.ts';

/** Makes vectors of texts, as a registered embeddings model does. */
export interface Embedder {
  /** One of each text, in their order, all of one length. May reject. */
  embed(texts: readonly string[], cancel: Cancel): Promise<Float32Array[]>;
}
