import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { until } from '../support/until.ts';

const describeApi = (summary: string, more = '') => `openapi: 3.1.0
info: { title: Pets, version: "1" }
servers: [{ url: "https://pets.example.com" }]
paths:
  /pets:
    get: { operationId: listPets, summary: Lists pets., responses: { "200": { description: The pets. } } }
  /pets/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: string } }]
    get: { operationId: getPet, summary: ${summary}, responses: { "200": { description: The pet. } } }
${more}`;

let directory: string;
let gateway: AdminGateway;
const keys: Record<string, string> = {};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  writeFileSync(join(directory, 'pets.yaml'), describeApi('Shows a pet.'));
  gateway = await openAdminGateway({
    namespaces: { shop: 'namespace: shop\nupstreams:\n  pets: { kind: openapi, import: pets }\n' },
    settings: { GATEHOUSE_OPENAPI_IMPORTS: directory },
  });
  await gateway.ok('POST /namespaces', { namespace: 'hr' });
  keys.dora = await gateway.person('dora', [{ role: 'developer', namespace: 'hr' }]);
  keys.ann = await gateway.person('ann', [{ role: 'approver', namespace: 'hr' }]);
});
afterAll(async () => {
  await gateway?.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function tools(): Promise<readonly string[]> {
  const { body } = await gateway.mcp('', 'tools/list', {});
  return body.result.tools.map(({ name }: { name: string }) => name);
}

async function submit(name: string) {
  const proposal = {
    ...{ namespace: 'hr', name, entry: { kind: 'openapi', rename: { listPets: `list_${name}`, getPet: `get_${name}` } } },
    document: describeApi('Shows a pet.'),
    justification: 'Pets are people too.',
  };
  return (await gateway.ok('POST /submissions', proposal, keys.dora)).submission as { id: string; revision: number };
}
const review = async (id: string, decision: string) => {
  const { revision } = await gateway.ok(`GET /submissions/${id}`, undefined, keys.ann);
  return await gateway.ok(`POST /submissions/${id}/review`, { decision, comment: 'Because.', revision }, keys.ann);
};

describe('an API description that is submitted', () => {
  test('is assessed operation by operation, and there with its approval, not before', async () => {
    const { id } = await submit('pets');
    const { definitions } = await gateway.ok(`GET /submissions/${id}`, undefined, keys.ann);
    expect(definitions.map(({ name }: { name: string }) => name).sort()).toEqual(['get_pets', 'list_pets']);
    expect(await tools()).not.toContain('hr__list_pets');
    expect((await review(id, 'approve')).submission.state).toBe('approved');
    expect(await tools()).toEqual(expect.arrayContaining(['hr__list_pets', 'hr__get_pets']));
    const { approval } = await gateway.ok('GET /capability?name=hr/list_pets');
    expect(approval).toMatchObject({ why: id });
  });

  test('leaves nothing when it is rejected, and its name is free', async () => {
    const { id } = await submit('birds');
    expect((await review(id, 'reject')).submission.state).toBe('rejected');
    expect(await tools()).not.toContain('hr__list_birds');
    const again = await submit('birds');
    expect(again.id).not.toBe(id);
  });

  test('that cannot be read is refused with the reason', async () => {
    const proposal = { namespace: 'hr', name: 'bad', entry: { kind: 'openapi' }, justification: 'x', document: 'openapi: 9.9.9' };
    const { status, body } = await gateway.api('POST /submissions', proposal, keys.dora);
    expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining('9.9.9')]);
  });
});

describe('OP-06: another version of a description', () => {
  test('what changed waits for a review, what only reads and is new is taken, what did not change goes on', async () => {
    await until('the API to be there', async () => (await tools()).includes('shop__getPet'));
    const more =
      '  /shops:\n    get: { operationId: listShops, summary: Lists shops., responses: { "200": { description: x } } }\n';
    writeFileSync(join(directory, 'pets.yaml'), describeApi('Shows a pet with its owner and their address.', more));
    await until('the new operation to be there', async () => (await tools()).includes('shop__listShops'), 20_000);
    expect((await tools()).filter((name) => name.startsWith('shop__')).sort()).toEqual(['shop__listPets', 'shop__listShops']);
    const waiting = async () =>
      (await gateway.ok('GET /submissions?state=submitted&namespace=shop')).submissions as { id: string; revision: number }[];
    await until('the review to be there', async () => (await waiting()).length === 1);
    const [{ id } = { id: '' }] = await waiting();
    const { definitions, revision } = await gateway.ok(`GET /submissions/${id}`);
    expect(definitions).toMatchObject([{ name: 'getPet', why: 'changed' }]);
    await gateway.ok(`POST /submissions/${id}/review`, { decision: 'approve', revision });
    await until('the changed operation to be there', async () => (await tools()).includes('shop__getPet'));
  });
});
