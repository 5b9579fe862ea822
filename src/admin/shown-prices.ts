import { z } from 'zod';
import type { ModelTarget } from '../catalog/config.ts';
import { loadPriceList } from '../models/price-list.ts';
import type { Rate } from '../models/price-schema.ts';
import { type FoundPrice, findPrice } from '../models/prices.ts';
import type { AdminPorts } from './action.ts';

export const priceTiers = ['free', 'low', 'medium', 'high', 'unknown'] as const;

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
    'By what a million tokens cost of which three quarters go in and one comes out, at its dearest target: free; low below 1 US dollar; medium below 10; high from there; unknown where no price is known.',
  );

/** Finds the price that holds for a target; undefined where nobody knows one. */
export async function openPrices({
  registry,
  clock,
}: Pick<AdminPorts, 'registry' | 'clock'>): Promise<(target: ModelTarget) => FoundPrice | undefined> {
  const list = await loadPriceList();
  const edited = (id: string) => registry.get('model-price', id)?.body.price;
  return (target) => findPrice(target, edited, list, clock.nowMs());
}

/** Of prices in steps, the first. */
export function showPrice({ price, source }: FoundPrice): z.output<typeof shownPrice> {
  const { input, output, cacheRead, cacheWrite } = price;
  return {
    input: baseOf(input),
    output: baseOf(output),
    ...(cacheRead === undefined ? {} : { cacheRead: baseOf(cacheRead) }),
    ...(cacheWrite === undefined ? {} : { cacheWrite: baseOf(cacheWrite) }),
    source,
  };
}

function baseOf(rate: Rate): number {
  return typeof rate === 'number' ? rate : rate.base;
}
