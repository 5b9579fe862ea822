/** What may be answered from the cache of one model: the `cache` of its entry. That it has one is the wish to have answers again. */
export interface CachePolicy {
  /** How old an answer may be. */
  readonly ttlMs: number;
  /** Whose answers somebody may get: those of the same consumer, or of everybody who may call the model. */
  readonly share: 'consumer' | 'all';
  /** Answers to questions that mean the same, by the registered embeddings model of this name. Undefined: the same request only. */
  readonly semantic: { readonly model: string /** Least cosine, 0 to 1. */; readonly threshold: number } | undefined;
  /** Whether turns that offer tools, or hold what tools said, are answered as well. */
  readonly tools: boolean;
}
