import type { ModelPrice } from '@pydantic/genai-prices';
import type { Price, Rate } from './price-schema.ts';
import type { PricedModel, PriceList } from './prices.ts';

type Source = typeof import('@pydantic/genai-prices');

/** How the list calls our providers. `openai-compatible` is whoever the address belongs to. */
const listedAs: Readonly<Record<string, string>> = {
  openai: 'openai',
  azure: 'azure',
  anthropic: 'anthropic',
  gemini: 'google',
  vertex: 'google',
  bedrock: 'aws',
};

/** Prices of some models change with the hour or from a day on. */
const validMs = 60_000;
const mostRemembered = 1_000;

let loading: Promise<PriceList> | undefined;

/** Loads the list, once: a megabyte, some 50 ms. */
export function loadPriceList(): Promise<PriceList> {
  loading ??= import('@pydantic/genai-prices').then(open);
  return loading;
}

function open(source: Source): PriceList {
  const remembered = new Map<string, { readonly price: Price | undefined; readonly untilMs: number }>();
  return {
    find(model, nowMs) {
      const key = `${model.provider} ${model.url ?? ''} ${model.model}`;
      const known = remembered.get(key);
      if (known !== undefined && nowMs < known.untilMs && nowMs >= known.untilMs - validMs) return known.price;
      const price = look(source, model, nowMs);
      if (remembered.size >= mostRemembered) remembered.clear();
      remembered.set(key, { price, untilMs: nowMs + validMs });
      return price;
    },
    modelsOf(provider) {
      const providerId = own(listedAs, provider);
      const found = providerId === undefined ? undefined : source.findProvider({ providerId });
      return (found?.models ?? []).map(({ id }) => id);
    },
  };
}

function look(source: Source, { provider, model, url }: PricedModel, nowMs: number): Price | undefined {
  const providerId =
    own(listedAs, provider) ?? (url === undefined ? undefined : source.findProvider({ providerApiUrl: url })?.id);
  if (providerId === undefined) return undefined;
  try {
    const found = source.calcPrice({ input_tokens: 0 }, model, { providerId, timestamp: new Date(nowMs) });
    return found === null ? undefined : toPrice(found.model_price);
  } catch {
    // A name that the list's patterns cannot take, or a price of a shape it got meanwhile: unknown, rather than wrong.
    return undefined;
  }
}

/** Undefined where tokens have no price: models that are paid by the minute, the page or the call. */
function toPrice(listed: ModelPrice): Price | undefined {
  const input = toRate(listed.input_mtok);
  const output = toRate(listed.output_mtok) ?? (listed.input_mtok === undefined ? undefined : 0);
  if (input === undefined || output === undefined) return undefined;
  const more = {
    cacheRead: toRate(listed.cache_read_mtok),
    cacheWrite: toRate(listed.cache_write_mtok),
    reasoning: toRate(listed.output_reasoning_mtok),
  };
  const said = Object.entries(more).filter(([, rate]) => rate !== undefined);
  return { input, output, ...Object.fromEntries(said) };
}

function toRate(listed: ModelPrice[string]): Rate | undefined {
  if (listed === undefined || typeof listed === 'number') return listed;
  return { base: listed.base, tiers: listed.tiers.map(({ start, price }) => ({ above: start, price })) };
}

function own(record: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
