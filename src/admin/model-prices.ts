import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { loadPriceList } from '../models/price-list.ts';
import { priceSchema } from '../models/price-schema.ts';
import { type FoundPrice, findPrice, type PriceList, priceId } from '../models/prices.ts';
import { pricedModelSchema } from '../registry/documents.ts';
import { type AdminPorts, defineAction, requireRole } from './action.ts';
import { commitChange, requireRevision, revisionField } from './change.ts';
import { pageFields, pageOf } from './page.ts';

const shown = z
  .object({
    id: z.string(),
    provider: z.string(),
    model: z.string(),
    source: z.enum(['edited', 'list', 'unknown']),
    price: priceSchema.optional(),
    revision: z.number(),
  })
  .loose();

export const setModelPrice = defineAction({
  name: 'set_model_price',
  title: 'Set the price of a model',
  description:
    'What a model of a provider costs here, in USD per million tokens: budgets and costs on records go by it from the next call on. It goes before the published price; what a target itself says goes before both.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PUT /model-prices',
  input: z.strictObject({
    ...pricedModelSchema.shape,
    price: priceSchema.nullable().describe('Null: the published price holds again.'),
    revision: revisionField,
  }),
  output: z.object({ model: shown }),
  async run(ports, caller, { provider, model, price, revision }) {
    requireRole(caller, ['admin']);
    const id = priceId({ provider, model });
    const known = ports.registry.get('model-price', id);
    requireRevision('model-price', id, known, revision);
    if (price !== null || known !== undefined) {
      const body = price === null ? undefined : { provider, model, price };
      const edits = [{ kind: 'model-price' as const, id, body }];
      await commitChange(ports, caller, { action: 'set_model_price', edits, detail: { provider, model, price } });
    }
    return { model: show(ports, await loadPriceList(), { provider, model }) };
  },
});

export const listModelPrices = defineAction({
  name: 'list_model_prices',
  title: 'List prices of models',
  description:
    'Prices that were set here; with a provider, the published ones too; with a provider and a model, the one that holds, or that nobody knows one: calls of such a model cost nothing in budgets.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /model-prices',
  input: z.strictObject({
    provider: pricedModelSchema.shape.provider.optional(),
    model: pricedModelSchema.shape.model.optional(),
    ...pageFields,
    after: z.string().max(400).optional().describe('The last id of the page before this one.'),
  }),
  output: z.object({ models: z.array(shown), next: z.string().optional() }),
  async run(ports, _caller, { provider, model, ...page }) {
    if (model !== undefined && provider === undefined) {
      throw new GatewayError('invalid_params', 'A model has a price at its provider: say which "provider" is meant as well.');
    }
    const list = await loadPriceList();
    const edited = ports.registry.list('model-price').map(({ body }) => body);
    const asked =
      provider === undefined
        ? edited
        : model !== undefined
          ? [{ provider, model }]
          : [
              ...edited.filter((one) => one.provider === provider),
              ...list.modelsOf(provider).map((name) => ({ provider, model: name })),
            ];
    const byId = new Map(asked.map((one) => [priceId(one), show(ports, list, one)]));
    const sorted = [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const { items, ...rest } = pageOf(sorted, page);
    return { models: items, ...rest };
  },
});

function show(
  { registry, clock }: AdminPorts,
  list: PriceList,
  { provider, model }: { readonly provider: string; readonly model: string },
) {
  const id = priceId({ provider, model });
  const edited = registry.get('model-price', id);
  const found: FoundPrice | undefined = findPrice({ provider, model }, () => edited?.body.price, list, clock.nowMs());
  const facts = { id, provider, model, revision: edited?.revision ?? 0 };
  return found === undefined ? { ...facts, source: 'unknown' } : { ...facts, ...found };
}
