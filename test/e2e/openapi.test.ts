import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { clientKinds, connectClient, type TestClient } from '../support/clients.ts';
import { until } from '../support/until.ts';
import { type ApiServer, startApiServer } from '../support/upstreams/api-server.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';

// The example of docs/openapi.md, from the files on the page to the request that arrives.

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'openapi.md'), 'utf8');
const [description = '', namespace = ''] = Array.from(page.matchAll(/```ya?ml\n([\s\S]*?)```/g), ([, text = '']) => text);
const secret = 'key-of-the-pet-shop-1';

let directory: string;
let pets: ApiServer;
let documents: TestServer;
let served = description;
let gateway: AdminGateway;
const open: TestClient[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-openapi-'));
  pets = await startApiServer();
  pets.respond(({ method, target }, response) => {
    if (method === 'DELETE') return void response.writeHead(204).end();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(target.startsWith('/v1/pets?') ? '[{"id":"1","name":"Rex"},{"id":"2"}]' : '{"id":"1","name":"Rex"}');
  });
  documents = await listenOn(
    createServer((request, response) => {
      if (request.url === '/moved') return void response.writeHead(302, { location: '/openapi.yaml' }).end();
      if (request.url !== '/openapi.yaml') return void response.writeHead(404).end('no such thing');
      response.writeHead(200, { 'content-type': 'application/yaml' }).end(served);
    }),
    0,
    '',
  );
  mkdirSync(join(directory, 'imports'));
  mkdirSync(join(directory, 'secrets'));
  writeFileSync(join(directory, 'imports', 'pets.yaml'), description);
  writeFileSync(join(directory, 'secrets', 'PETS_KEY'), secret);
  gateway = await openAdminGateway({
    namespaces: { shop: namespace.replace('https://pets.example.com', pets.url) },
    settings: { GATEHOUSE_OPENAPI_IMPORTS: join(directory, 'imports'), GATEHOUSE_SECRETS: join(directory, 'secrets') },
  });
});
afterAll(async () => {
  await Promise.all(open.map((client) => client.close()));
  await gateway?.stop();
  await Promise.all([pets?.close(), documents?.close()]);
  rmSync(directory, { recursive: true, force: true });
});

const tools = async (toolbox = ''): Promise<string[]> => {
  const { body } = await gateway.mcp(toolbox, 'tools/list', {});
  return (body.result.tools as { name: string }[]).map(({ name }) => name);
};

describe('a description in a file', () => {
  test.each(clientKinds)('is tools that %s lists and calls', async (kind) => {
    const client = await connectClient(kind, { url: `${gateway.url}/mcp`, key: gateway.key });
    open.push(client);
    expect((await client.listTools()).sort()).toEqual(['shop__get_pet', 'shop__listPets']);
    const before = pets.arrived.length;
    const listed = await client.call('shop__listPets', { status: 'sold' });
    expect(listed).toMatchObject({ structuredContent: { result: [{ id: '1', name: 'Rex' }, { id: '2' }] } });
    expect(listed.isError ?? false).toBe(false);
    const pet = await client.call('shop__get_pet', { petId: 'a/b' });
    expect(pet).toMatchObject({ structuredContent: { id: '1', name: 'Rex' } });
    expect(pets.arrived.slice(before)).toMatchObject([
      { method: 'GET', target: '/v1/pets?status=sold&limit=20', headers: { 'x-api-key': secret } },
      { method: 'GET', target: '/v1/pets/a%2Fb', headers: { 'x-api-key': secret } },
    ]);
  });

  test('shows what its entry fills in, in the list and in the documentation', async () => {
    const { body } = await gateway.mcp('', 'tools/list', {});
    const listed = body.result.tools.find(({ name }: { name: string }) => name === 'shop__listPets');
    expect(listed.inputSchema.properties.limit).toMatchObject({ type: 'integer', maximum: 100, default: 20 });
    expect(listed.inputSchema.properties.status).not.toHaveProperty('default');
    const page = async (name: string) => (await gateway.ok(`GET /documentation?name=${encodeURIComponent(name)}`)).markdown;
    expect(await page('shop/listPets')).toContain('Where a call leaves them out, the gateway fills in: `limit` with `20`.');
    expect(await page('shop/get_pet')).not.toContain('fills in');
  });

  test('PA-05 what the description does not allow is refused before anything is sent', async () => {
    const before = pets.arrived.length;
    for (const args of [{ status: 'eaten' }, { limit: 0 }, { extra: 1 }, { petId: '..' }]) {
      const { body } = await gateway.mcp('', 'tools/call', {
        name: 'petId' in args ? 'shop__get_pet' : 'shop__listPets',
        arguments: args,
      });
      expect([args, body.result?.isError]).toEqual([args, true]);
    }
    expect(pets.arrived.length).toBe(before);
  });

  test('an answer that is not what it promises reaches the official client whole, as an error', async () => {
    const client = await connectClient('v2 auto', { url: `${gateway.url}/mcp`, key: gateway.key });
    open.push(client);
    await client.listTools();
    pets.answer(200, { 'content-type': 'application/json' }, '{"name":5}');
    const answer = await client.call('shop__get_pet', { petId: '1' });
    expect(answer).toMatchObject({ isError: true, content: [{}, { text: '{"name":5}' }] });
    pets.respond((_arrived, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":"1"}');
    });
  });

  test('is taken up when it changes, and a file that is gone changes nothing but says so', async () => {
    const file = join(directory, 'imports', 'pets.yaml');
    const photo =
      '  /pets/{petId}/photo:\n    get: { operationId: showPhoto, tags: [pets], parameters: [{ name: petId, in: path, required: true, schema: { type: string } }], responses: { "200": { description: It. } } }\n';
    writeFileSync(file, `${description.trimEnd()}\n${photo}`);
    await until('the new operation is listed', async () => (await tools()).includes('shop__showPhoto'));
    rmSync(file);
    await until('the problem is shown', async () =>
      (await gateway.ok('GET /status')).configuration.some(({ message }: { message: string }) =>
        message.includes('There is no pets.yaml'),
      ),
    );
    expect(await tools()).toContain('shop__showPhoto');
    writeFileSync(file, description);
    await until('it is gone again', async () => !(await tools()).includes('shop__showPhoto'));
  });
});

describe('registered while it runs', () => {
  const place = { namespace: 'shop', name: 'stores' };
  const entry = () => ({ baseUrl: `${pets.url}/v1`, include: ['GET *'], auth: { key: `\${secret:PETS_KEY}` } });
  const messages = (body: { error?: { message: string } }) => body.error?.message ?? '';

  test('by address: the tools can be called when it answers', async () => {
    const { status, body } = await gateway.api('POST /upstreams', {
      ...place,
      documentUrl: `${documents.url}/moved`,
      entry: { ...entry(), rename: { listPets: 'all_pets', getPetById: 'one_pet' } },
    });
    expect([status, messages(body)]).toEqual([200, '']);
    expect(body).toMatchObject({ toolCount: 2, upstream: { state: 'healthy', tools: ['shop__all_pets', 'shop__one_pet'] } });
    expect(body.upstream.entry.document).toMatch(/^sha256:/);
    const { body: answer } = await gateway.mcp('', 'tools/call', { name: 'shop__one_pet', arguments: { petId: '7' } });
    expect(answer.result).toMatchObject({ structuredContent: { id: '1' } });
    expect(pets.arrived.at(-1)).toMatchObject({ target: '/v1/pets/7', headers: { 'x-api-key': secret } });
  });

  test('an update without a description keeps it; with another, it says what changes', async () => {
    const renamed = { ...entry(), rename: { listPets: 'pets', getPetById: 'one_pet' } };
    const kept = await gateway.ok('PUT /upstreams/shop/stores', { entry: renamed });
    expect(kept.changes).toEqual(['+ pets', '- all_pets']);
    served = description.replace('maximum: 100', 'maximum: 50').replaceAll('operationId: deletePet', 'operationId: removePet');
    const changed = await gateway.ok('PUT /upstreams/shop/stores', {
      entry: { ...renamed, include: ['*'] },
      documentUrl: `${documents.url}/openapi.yaml`,
    });
    expect(changed.changes).toEqual(['+ removePet', '~ pets: inputSchema']);
    served = description;
  });

  test('plan and export know it, description and all', async () => {
    const { text } = await gateway.ok('GET /configuration');
    expect(text).toContain('operationId: removePet');
    expect((await gateway.ok('POST /configuration/plan', { text, prune: true })).lines).toEqual([]);
    const other = text.replaceAll('maximum: 50', 'maximum: 40');
    expect((await gateway.ok('POST /configuration/plan', { text: other })).lines[0]).toMatch(/^~ upstream shop\/stores/);
    await gateway.ok('POST /configuration/import', { text: other });
    const { text: after } = await gateway.ok('GET /configuration');
    expect(after).toBe(other);
  });

  test.each([
    ['what is no description', { document: 'hello: world' }],
    ['a broken one', { document: 'openapi: 3.1.0\npaths: [' }],
    ['none', { entry: { kind: 'openapi' } }],
    ['two', { document: '{}', documentUrl: 'https://x.example' }],
    ['an address without one', { documentUrl: 'PLACE/missing' }],
    ['no address to call', { document: description.replace('servers: [{ url: /v1 }]', ''), entry: {} }],
    ['a file of this machine', { entry: { kind: 'openapi', import: 'pets' } }],
  ])('%s is refused, and nothing is half registered', async (_what, given) => {
    const body = JSON.parse(
      JSON.stringify({ ...place, name: 'broken', entry: entry(), ...given }).replace('PLACE', documents.url),
    );
    const answer = await gateway.api('POST /upstreams', body);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(messages(answer.body).length).toBeGreaterThan(20);
    const { upstreams } = await gateway.ok('GET /upstreams');
    expect(upstreams.map(({ id }: { id: string }) => id)).not.toContain('shop/broken');
    expect((await gateway.ok('GET /configuration')).text).not.toContain('broken');
  });

  test('SS-01, SS-05 inner addresses are refused in the same words, whatever is there', async () => {
    const refusals = new Set<string>();
    for (const url of [
      'http://169.254.169.254/latest',
      'http://10.0.0.1/',
      'https://[::1]:1/',
      'http://2130706433:9/',
      'file:///etc/passwd',
      'nonsense',
    ]) {
      const answer = await gateway.api('POST /upstreams/test', { ...place, name: 'x', documentUrl: url });
      refusals.add(messages(answer.body));
    }
    expect([...refusals]).toEqual([expect.stringContaining('could not be fetched')]);
  });

  test('is taken out with its description', async () => {
    // What the import changed waits for a review.
    expect((await gateway.ok('DELETE /upstreams/shop/stores')).removedTools).toHaveLength(2);
    expect((await gateway.ok('GET /configuration')).text).not.toContain('removePet');
  });
});

describe('what holds calls', () => {
  test('5xx counts for the breaker and may be repeated, 4xx does neither', async () => {
    const breaker = 'breaker: { errorRate: 0.5, minimumCalls: 3, windowMs: 60000, openMs: 60000 }';
    const policy = 'policy:\n  retry: { match: ["broken/*"], attempts: 2 }\n';
    const file = (name: string) =>
      `namespace: ${name}\nupstreams:\n  pets: { kind: openapi, import: pets, baseUrl: "${pets.url}/v1", ${breaker} }\n`;
    const other = await openAdminGateway({
      namespaces: { broken: `${file('broken')}${policy}`, choosy: file('choosy') },
      settings: { GATEHOUSE_OPENAPI_IMPORTS: join(directory, 'imports') },
    });
    try {
      const call = async (name: string) => (await other.mcp('', 'tools/call', { name, arguments: { petId: '1' } })).body.result;
      pets.answer(404, { 'content-type': 'application/json' }, '{"detail":"no such pet"}');
      for (let at = 0; at < 6; at++) expect((await call('choosy__getPetById')).content[0].text).toContain('no such pet');
      pets.answer(500, { 'content-type': 'application/problem+json' }, '{"title":"Disk full"}');
      const before = pets.arrived.length;
      const first = await call('broken__getPetById');
      expect(first).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('Disk full') }] });
      expect(pets.arrived.length - before).toBe(2);
      await call('broken__getPetById');
      expect((await call('broken__getPetById')).content[0].text).toContain('paused');
      expect(pets.arrived.length - before).toBeLessThanOrEqual(4);
    } finally {
      await other.stop();
      pets.answer(200, { 'content-type': 'application/json' }, '{}');
    }
  });

  test('a token of Gatehouse itself (OAuth client credentials) is fetched once, for the API alone', async () => {
    const tokens = await startApiServer();
    tokens.answer(
      200,
      { 'content-type': 'application/json' },
      '{"access_token":"token-for-pets-1","token_type":"Bearer","expires_in":3600}',
    );
    const auth = `{ key: { kind: client-credentials, tokenUrl: "${tokens.url}/token", clientId: gatehouse, clientSecret: "\${secret:PETS_KEY}" } }`;
    writeFileSync(
      join(directory, 'imports', 'guarded.yaml'),
      description.replace('{ type: apiKey, in: header, name: X-Api-Key }', '{ type: oauth2, flows: {} }'),
    );
    const other = await openAdminGateway({
      namespaces: {
        own: `namespace: own\nupstreams:\n  pets: { kind: openapi, import: guarded, baseUrl: "${pets.url}/v1", auth: ${auth} }\n`,
      },
      settings: { GATEHOUSE_OPENAPI_IMPORTS: join(directory, 'imports'), GATEHOUSE_SECRETS: join(directory, 'secrets') },
    });
    try {
      pets.answer(200, { 'content-type': 'application/json' }, '{"id":"token-for-pets-1"}');
      for (let at = 0; at < 2; at++) {
        const { body } = await other.mcp('', 'tools/call', { name: 'own__getPetById', arguments: { petId: '1' } });
        expect(body.result.structuredContent).toEqual({ id: '*'.repeat(16) });
      }
      expect(pets.arrived.at(-1)?.headers.authorization).toBe('Bearer token-for-pets-1');
      expect(tokens.arrived).toHaveLength(1);
      expect(Object.fromEntries(new URLSearchParams(tokens.arrived[0]?.body.toString()))).toEqual({
        grant_type: 'client_credentials',
      });
    } finally {
      await other.stop();
      await tokens.close();
    }
  });
});

/** 20,000 operations, which take seconds. */
function largeDescription(): string {
  const query = ['a', 'b', 'c'].map((name) => ({ name, in: 'query', schema: { type: 'string' } }));
  const get = { parameters: query, responses: { 200: { description: 'Done.' } } };
  const paths = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`/things/${at}`, { get }]));
  return JSON.stringify({ openapi: '3.1.0', info: { title: 'Things', version: '1' }, paths });
}

describe('the CPU time that an import may take', () => {
  test('is what the operator says: what takes longer is refused with the name of the setting, everything else is served', async () => {
    const imports = join(directory, 'bounded');
    mkdirSync(imports);
    writeFileSync(join(imports, 'pets.yaml'), description);
    writeFileSync(join(imports, 'things.json'), largeDescription());
    const entry = (name: string) => `${name}: { kind: openapi, import: ${name}, baseUrl: "${pets.url}" }`;
    const other = await openAdminGateway({
      namespaces: { own: `namespace: own\nupstreams:\n  ${entry('pets')}\n  ${entry('things')}\n` },
      settings: { GATEHOUSE_OPENAPI_IMPORTS: imports, GATEHOUSE_IMPORT_CPU_MS: '1000' },
    });
    try {
      const upstream = (id: string) => other.gateway.status().upstreams.find((one) => one.id === id);
      await until('both are told', () => upstream('own/things')?.lastError !== undefined && upstream('own/pets')?.tools === 3);
      expect(upstream('own/things')?.lastError?.message).toMatch(/more than 1 s of CPU time .* raise GATEHOUSE_IMPORT_CPU_MS/);
    } finally {
      await other.stop();
    }
  });
});
