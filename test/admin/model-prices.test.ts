import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';

let gateway: AdminGateway;
let auditor: string;
beforeAll(async () => {
  gateway = await openAdminGateway();
  auditor = await gateway.person('auditor', [{ role: 'auditor' }]);
});
afterAll(async () => await gateway?.stop());

const mini = { provider: 'openai', model: 'gpt-5-mini' };
const price = { input: 0.2, output: { base: 1.5, tiers: [{ above: 200_000, price: 2 }] } };
const look = async (query: string) => (await gateway.ok(`GET /model-prices${query}`)).models;

test('the published price holds until an administrator sets one, and again when that is taken back', async () => {
  const [published] = await look('?provider=openai&model=gpt-5-mini');
  expect(published).toMatchObject({ id: 'openai/gpt-5-mini', source: 'list', revision: 0 });
  const { model } = await gateway.ok('PUT /model-prices', { ...mini, price });
  expect(model).toMatchObject({ source: 'edited', price });
  expect(await look('')).toEqual([model]);
  expect(await look('?provider=openai&model=gpt-5-mini')).toEqual([model]);
  await gateway.ok('PUT /model-prices', { ...mini, price: null });
  expect(await look('?provider=openai&model=gpt-5-mini')).toEqual([published]);
  expect(await look('')).toEqual([]);
});

test('a model that nobody knows a price of is shown as such', async () => {
  const [house] = await look('?provider=openai-compatible&model=house-model');
  expect(house).toMatchObject({ source: 'unknown' });
  expect(house.price).toBeUndefined();
});

test('the published prices of a provider come page by page, those set here among them', async () => {
  await gateway.ok('PUT /model-prices', { provider: 'anthropic', model: 'a-house-model', price });
  const ids: string[] = [];
  for (let after = ''; ; ) {
    const page = await gateway.ok(`GET /model-prices?provider=anthropic&limit=5&after=${encodeURIComponent(after)}`);
    ids.push(...page.models.map(({ id }: { id: string }) => id));
    if (page.next === undefined) break;
    after = page.next;
  }
  expect(ids).toContain('anthropic/a-house-model');
  expect(ids.length).toBeGreaterThan(15);
  expect(new Set(ids).size).toBe(ids.length);
});

test('a change is on record with who made it; what somebody else changed meanwhile is not overwritten', async () => {
  const { model } = await gateway.ok('PUT /model-prices', { ...mini, price });
  expect((await gateway.api('PUT /model-prices', { ...mini, price, revision: model.revision - 1 })).status).toBe(409);
  expect((await gateway.api('PUT /model-prices', { ...mini, price, revision: model.revision })).status).toBe(200);
  const { changes } = await gateway.ok('GET /audit?source=changes');
  expect(JSON.stringify(changes)).toContain('gpt-5-mini');
});

test.each([
  ['less than nothing', { ...mini, price: { input: -1, output: 1 } }],
  ['no number', { ...mini, price: { input: '1', output: 1 } }],
  ['more than any', { ...mini, price: { input: 1e9, output: 1 } }],
  ['half a price', { ...mini, price: { input: 1 } }],
  ['no provider', { provider: '', model: 'x', price }],
  ['no model', { provider: 'openai', model: '', price }],
])('%s is refused', async (_, body) => {
  expect((await gateway.api('PUT /model-prices', body)).status).toBe(400);
});

test('an auditor sees prices and sets none', async () => {
  expect((await gateway.api('GET /model-prices', undefined, auditor)).status).toBe(200);
  expect((await gateway.api('PUT /model-prices', { ...mini, price }, auditor)).status).toBe(403);
});

test('a model without its provider is no question', async () => {
  expect((await gateway.api('GET /model-prices?model=gpt-5-mini')).status).toBe(400);
});
