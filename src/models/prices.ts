import type { Price, Rate } from './price-schema.ts';
import type { Usage } from './reply.ts';

export type { Price } from './price-schema.ts';

/** What a call cost, in billionths of a US dollar, rounded up. Of figures that cannot be, what is nearest to them that can. */
export function costOf(usage: Usage, price: Price): number {
  const input = whole(usage.input);
  const output = whole(usage.output);
  const cacheRead = Math.min(whole(usage.cacheRead), input);
  const cacheWrite = Math.min(whole(usage.cacheWrite), input - cacheRead);
  const reasoning = Math.min(whole(usage.reasoning), output);
  const at = (rate: Rate | undefined, otherwise: Rate) => nanoUsdPerToken(rate ?? otherwise, input);
  return rounded(
    (input - cacheRead - cacheWrite) * at(price.input, 0) +
      cacheRead * at(price.cacheRead, price.input) +
      cacheWrite * at(price.cacheWrite, price.input) +
      (output - reasoning) * at(price.output, 0) +
      reasoning * at(price.reasoning, price.output),
  );
}

/** What is held for a call at its entry: as if nothing came from a cache, and the answer were as long as it may be. */
export function reservedCost(inputTokens: number, mostOutputTokens: number, price: Price): number {
  return costOf({ input: inputTokens, output: mostOutputTokens, cacheRead: 0, cacheWrite: 0, reasoning: 0 }, price);
}

function whole(tokens: number): number {
  return Number.isFinite(tokens) && tokens > 0 ? Math.min(Math.ceil(tokens), 1e12) : 0;
}

function nanoUsdPerToken(rate: Rate, input: number): number {
  if (typeof rate === 'number') return rate * 1_000;
  let usd = rate.base;
  for (const { above, price } of rate.tiers) if (input > above) usd = price;
  return usd * 1_000;
}

function rounded(nanoUsd: number): number {
  // What binary fractions add to 25.000000000000004 is nobody's money.
  return Math.min(Math.ceil(nanoUsd - nanoUsd * 1e-12), Number.MAX_SAFE_INTEGER);
}

export interface PricedModel {
  /** As a target names it: `openai`, `bedrock`, ... */
  readonly provider: string;
  /** The provider's name of it. */
  readonly model: string;
  /** Tells whose model it is where the provider is `openai-compatible`. */
  readonly url?: string | undefined;
  /** What the target itself says. */
  readonly price?: Price | undefined;
}

export interface FoundPrice {
  readonly price: Price;
  /** `target`: it says so itself. `edited`: an administrator said so. `list`: what providers publish. */
  readonly source: 'target' | 'edited' | 'list';
}

/** Prices that providers publish, as they were when this version was made. */
export interface PriceList {
  /** Undefined for a model that it does not know: what a call costs cannot be said then, and is not taken for nothing. */
  find(model: PricedModel, nowMs: number): Price | undefined;
  /** Names of the models of a provider that it knows; empty where it does not know the provider. */
  modelsOf(provider: string): readonly string[];
}

/** Where administrators keep prices of their own, by `priceId`. */
export type EditedPrices = (id: string) => Price | undefined;

export function priceId({ provider, model }: PricedModel): string {
  return `${provider}/${model}`;
}

/** The price that holds for a model; undefined where nobody knows one. What is nearer to it wins. */
export function findPrice(model: PricedModel, edited: EditedPrices, list: PriceList, nowMs: number): FoundPrice | undefined {
  if (model.price !== undefined) return { price: model.price, source: 'target' };
  const own = edited(priceId(model));
  if (own !== undefined) return { price: own, source: 'edited' };
  const listed = list.find(model, nowMs);
  return listed === undefined ? undefined : { price: listed, source: 'list' };
}
