import type { Finish, Usage } from './reply.ts';

/** What one call of a model used up. */
export interface Spent {
  /** Tokens, as the provider says; where it says nothing, estimated. */
  readonly usage: Usage;
  readonly isEstimated: boolean;
  /** A billionth of a US dollar; undefined where no price is known. */
  readonly nanoUsd: number | undefined;
  /** Of the model's targets the one that answered. */
  readonly target: string;
  /** What its answers are compared under. */
  readonly version: string;
  /** The model has other versions beside it. */
  readonly isCompared: boolean;
  readonly provider: string;
  /** The provider's name of the model. */
  readonly model: string;
  readonly finish: Finish | undefined;
  /** From sending to the first part of the answer. */
  readonly firstTokenMs: number | undefined;
  /** Answered without a provider. */
  readonly cache: 'exact' | 'semantic' | undefined;
  /** Targets that were tried before. */
  readonly failovers: number;
}
