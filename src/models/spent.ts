import type { Finish, Usage } from './reply.ts';

/** What one call of a model used up. */
export interface Spent {
  /** Tokens, as the provider says; where it says nothing, estimated. */
  readonly usage: Usage;
  readonly isEstimated: boolean;
  /** The provider told of more than there can be: this is what can. */
  readonly isCorrected?: boolean | undefined;
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
  /** Of an answer that is given again: what it used up when it was made. Not in the numbers above. */
  readonly spared?: { readonly tokens: number; readonly nanoUsd: number } | undefined;
  /** Targets that were tried before. */
  readonly failovers: number;
  /** What of these may be on a bill all the same. Not in the numbers above. */
  readonly lost?: readonly Lost[] | undefined;
}

/** What an attempt used up that gave no answer. */
export type Lost = Pick<Spent, 'usage' | 'isEstimated' | 'isCorrected' | 'nanoUsd' | 'target' | 'version'>;

/** Of a call with all its attempts: what budgets and limits count. */
export function totalSpent({ usage, nanoUsd = 0, lost }: Spent): {
  readonly input: number;
  readonly output: number;
  readonly nanoUsd: number;
} {
  let { input, output } = usage;
  let money = nanoUsd;
  for (const one of lost ?? []) {
    input += one.usage.input;
    output += one.usage.output;
    money += one.nanoUsd ?? 0;
  }
  return { input, output, nanoUsd: money };
}
