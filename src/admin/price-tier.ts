import { z } from 'zod';
import type { ModelTransport } from '../catalog/config.ts';
import { loadPriceList } from '../models/price-list.ts';
import type { Rate } from '../models/price-schema.ts';
import { findPrice } from '../models/prices.ts';
import type { Registry } from '../registry/registry.ts';

export const priceTiers = ['free', 'low', 'medium', 'high', 'unknown'] as const;
type PriceTier = (typeof priceTiers)[number];

export const shownPrice = z.object({
  input: z.number().describe('US dollars per million tokens that go in.'),
  output: z.number().describe('US dollars per million tokens that come out.'),
  cacheRead: z.number().optional(),
  cacheWrite: z.number().optional(),
  source: z.enum(['target', 'edited', 'list']).describe('Who says so: its entry, an administrator, or the price list.'),
});

export const tierField = z
  .enum(priceTiers)
  .describe(
    'By what a million tokens cost of which three quarters go in and one comes out (of embeddings all go in), at its dearest target: free; low below 1 US dollar; medium below 5; high from there; unknown where no price is known.',
  );

type ShownPrice = z.output<typeof shownPrice>;

/** What each target of a model costs, in their order; undefined where nobody knows. Of prices in steps, the first. */
export async function pricesOf(
  { targets }: ModelTransport,
  registry: Pick<Registry, 'get'>,
  nowMs: number,
): Promise<readonly (ShownPrice | undefined)[]> {
  const list = await loadPriceList();
  return targets.map((target) => {
    const found = findPrice(target, (id) => registry.get('model-price', id)?.body.price, list, nowMs);
    if (found === undefined) return undefined;
    const { input, output, cacheRead, cacheWrite } = found.price;
    return {
      input: baseOf(input),
      output: baseOf(output),
      ...(cacheRead === undefined ? {} : { cacheRead: baseOf(cacheRead) }),
      ...(cacheWrite === undefined ? {} : { cacheWrite: baseOf(cacheWrite) }),
      source: found.source,
    };
  });
}

/** As `tierField` says. A model of which one target has no price is `unknown`: it may be the dearest. */
export function tierOf(prices: readonly (Pick<ShownPrice, 'input' | 'output'> | undefined)[], isEmbedder: boolean): PriceTier {
  const known = prices.filter((price) => price !== undefined);
  if (known.length === 0 || known.length < prices.length) return 'unknown';
  const dearest = Math.max(...known.map(({ input, output }) => (isEmbedder ? input : (3 * input + output) / 4)));
  if (dearest === 0) return 'free';
  if (dearest < 1) return 'low';
  return dearest < 5 ? 'medium' : 'high';
}

function baseOf(rate: Rate): number {
  return typeof rate === 'number' ? rate : rate.base;
}
