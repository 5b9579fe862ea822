import { calcPrice, findProvider } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadPriceList } from '../../src/models/price-list.ts';
import { priceSchema } from '../../src/models/price-schema.ts';
import { costOf, findPrice, type Price, type PriceList, reservedCost } from '../../src/models/prices.ts';
import { noUsage } from '../../src/models/reply.ts';

const nowMs = Date.parse('2026-09-01T12:00:00Z');
const price: Price = { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 };

describe('the cost of a call', () => {
  it('is counted in billionths of a dollar, what is cached and written at its own rate', () => {
    const usage = { input: 1_000, output: 100, cacheRead: 400, cacheWrite: 100, reasoning: 30 };
    expect(costOf(usage, price)).toBe(500 * 3_000 + 400 * 300 + 100 * 3_750 + 100 * 15_000);
    expect(costOf(usage, { input: 3, output: 15, reasoning: 20 })).toBe(1_000 * 3_000 + 70 * 15_000 + 30 * 20_000);
  });

  it('of the smallest price is not nothing, and has no dust of binary fractions', () => {
    expect(costOf({ ...noUsage, input: 1 }, { input: 0.0001, output: 0 })).toBe(1);
    expect(costOf({ ...noUsage, cacheRead: 1, input: 1 }, { input: 1, output: 0, cacheRead: 0.025 })).toBe(25);
    expect(costOf({ ...noUsage, input: 3 }, { input: 0.1, output: 0 })).toBe(300);
  });

  it('of a large request is that of its tier, for all of its tokens', () => {
    const tiered: Price = {
      input: { base: 1, tiers: [{ above: 200_000, price: 2 }] },
      output: { base: 10, tiers: [{ above: 200_000, price: 15 }] },
    };
    expect(costOf({ ...noUsage, input: 200_000, output: 1 }, tiered)).toBe(200_000 * 1_000 + 10_000);
    expect(costOf({ ...noUsage, input: 200_001, output: 1 }, tiered)).toBe(200_001 * 2_000 + 15_000);
  });

  it('of figures that cannot be is a whole number that a budget can take', () => {
    const figure = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(Number.NaN, Infinity, -1, 2 ** 60));
    const usage = fc.record({ input: figure, output: figure, cacheRead: figure, cacheWrite: figure, reasoning: figure });
    fc.assert(
      fc.property(usage, (wrong) => {
        const cost = costOf(wrong, price);
        expect(Number.isSafeInteger(cost) && cost >= 0).toBe(true);
      }),
    );
    expect(costOf({ ...noUsage, input: 10, cacheRead: 1_000 }, price)).toBe(10 * 300);
  });

  it('that is held at the entry is that of the longest answer, with nothing from a cache', () => {
    expect(reservedCost(1_000, 4_096, price)).toBe(1_000 * 3_000 + 4_096 * 15_000);
  });
});

describe('the price list', () => {
  let list: PriceList;
  beforeAll(async () => {
    list = await loadPriceList();
  });

  it('comes to what its makers come to, for every model it has a price of', () => {
    const usage = { input: 250_000, output: 1_234, cacheRead: 10_000, cacheWrite: 5_000, reasoning: 0 };
    let compared = 0;
    for (const [provider, id] of [
      ['openai', 'openai'],
      ['anthropic', 'anthropic'],
      ['gemini', 'google'],
      ['bedrock', 'aws'],
      ['azure', 'azure'],
    ] as const) {
      for (const { id: model } of findProvider({ providerId: id })?.models ?? []) {
        const found = list.find({ provider, model }, nowMs);
        if (found === undefined) continue;
        expect(priceSchema.safeParse(found).success).toBe(true);
        const listed = calcPrice(
          { input_tokens: 250_000, output_tokens: 1_234, cache_read_tokens: 10_000, cache_write_tokens: 5_000 },
          model,
          { providerId: id, timestamp: new Date(nowMs) },
        );
        expect([model, Math.abs(costOf(usage, found) - (listed?.total_price ?? 0) * 1e9) <= 1]).toEqual([model, true]);
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThan(200);
  });

  it.each([
    ['openai', 'gpt-5-mini', undefined],
    ['azure', 'gpt-4o', undefined],
    ['anthropic', 'claude-sonnet-4-5-20250929', undefined],
    ['gemini', 'gemini-2.5-pro', undefined],
    ['vertex', 'claude-sonnet-4-5@20250929', undefined],
    ['bedrock', 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0', undefined],
    ['openai-compatible', 'llama-3.3-70b-versatile', 'https://api.groq.com/openai/v1'],
  ])('knows %s %s', (provider, model, url) => {
    expect(list.find({ provider, model, url }, nowMs)?.input).toBeDefined();
  });

  it.each([
    ['openai', 'house-model', undefined],
    ['openai-compatible', 'gpt-5-mini', 'http://localhost:11434/v1'],
    ['openai-compatible', 'gpt-5-mini', undefined],
    ['__proto__', 'gpt-5-mini', undefined],
    ['openai', '', undefined],
    ['openai', 'a'.repeat(100_000), undefined],
  ])('does not guess what it does not know: %s %s', (provider, model, url) => {
    expect(list.find({ provider, model, url }, nowMs)).toBeUndefined();
  });

  it('gives way to what an administrator said, and that to what the target says', () => {
    const model = { provider: 'openai', model: 'gpt-5-mini' };
    const edited: Price = { input: 7, output: 8 };
    const find = (own: Price | undefined, target?: Price) =>
      findPrice({ ...model, price: target }, (id) => (id === 'openai/gpt-5-mini' ? own : undefined), list, nowMs);
    expect(find(undefined)?.source).toBe('list');
    expect(find(edited)).toEqual({ price: edited, source: 'edited' });
    expect(find(edited, { input: 1, output: 2 })).toEqual({ price: { input: 1, output: 2 }, source: 'target' });
    expect(findPrice({ provider: 'openai', model: 'house' }, () => undefined, list, nowMs)).toBeUndefined();
  });
});
