import type { Price } from '../models/prices.ts';
import type { ModelAbility, ModelTarget, UpstreamConfig } from './config.ts';

/** What a catalog says of a model; nothing in it is a secret or an address. */
interface ModelDescription {
  /** `namespace/name`. */
  readonly id: string;
  readonly title: string | undefined;
  readonly description: string | undefined;
  readonly aliases: readonly string[];
  /** In the order of its targets, each once. */
  readonly providers: readonly string[];
  readonly can: readonly ModelAbility[];
  /** Tokens. */
  readonly contextWindow: number | undefined;
  /** Tokens. */
  readonly maxOutputTokens: number | undefined;
  readonly targets: readonly DescribedTarget[];
  /** Of its dearest target; undefined where no price is known. */
  readonly priceTier: PriceTier | undefined;
}

interface DescribedTarget {
  readonly name: string;
  readonly provider: string;
  readonly model: string;
  readonly region: string | undefined;
  readonly version: string;
  readonly price: Price | undefined;
}

type PriceTier = 'free' | 'low' | 'medium' | 'high';

/** Undefined for an upstream that is no model. */
export function describeModel(
  { id, title, description, transport }: UpstreamConfig,
  priceOf: (target: ModelTarget) => Price | undefined = ({ price }) => price,
): ModelDescription | undefined {
  if (transport.type !== 'model') return undefined;
  const { aliases, can, contextWindow, maxOutputTokens } = transport;
  const targets = transport.targets.map((target) => {
    const { name, provider, model, region, version } = target;
    return { name, provider, model, region, version, price: priceOf(target) };
  });
  return {
    ...{ id, title, description, aliases, can, contextWindow, maxOutputTokens, targets },
    providers: [...new Set(targets.map(({ provider }) => provider))],
    priceTier: tierOf(targets.map(({ price }) => price)),
  };
}

/** By what a million tokens cost, three of four of them sent: below 1 USD it is low, from 10 on high. */
function tierOf(prices: readonly (Price | undefined)[]): PriceTier | undefined {
  const known = prices.flatMap((price) =>
    price === undefined ? [] : [0.75 * rateOf(price.input) + 0.25 * rateOf(price.output)],
  );
  if (known.length === 0) return undefined;
  const dearest = Math.max(...known);
  if (dearest === 0) return 'free';
  return dearest < 1 ? 'low' : dearest < 10 ? 'medium' : 'high';
}

function rateOf(rate: Price['input']): number {
  if (rate === undefined) return 0;
  return typeof rate === 'number' ? rate : rate.base;
}
