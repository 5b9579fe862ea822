import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { cpuMs } from '../support/cpu-time.ts';

// About as many operations as GitHub's description has, in half as many bytes; a good deal more in the long run.
const operationCount = process.env.TEST_LONG === undefined ? 1_200 : 10_000;
const words = 'a thing of the shop, with all that is known of it to whoever asks, ';

function describeShop(): string {
  const text = (what: string) => `${what} is ${words.repeat(6)}`;
  const schemas = Object.fromEntries(
    Array.from({ length: 300 }, (_, n) => {
      const members = Array.from({ length: 12 }, (_, at) => [`m${at}`, { type: 'string', description: text(`Member ${at}`) }]);
      const next = { $ref: `#/components/schemas/Thing${(n + 1) % 300}` };
      return [`Thing${n}`, { type: 'object', properties: { ...Object.fromEntries(members), next } }];
    }),
  );
  const paths = Object.fromEntries(
    Array.from({ length: operationCount }, (_, n) => {
      const schema = { $ref: `#/components/schemas/Thing${n % 300}` };
      const answer = { description: 'It.', content: { 'application/json': { schema } } };
      const parameters = ['id', 'page', 'sort'].map((name) => {
        return { name, in: name === 'id' ? 'path' : 'query', required: name === 'id', schema: { type: 'string' } };
      });
      const operation = { operationId: `get_${n}`, summary: text(`Operation ${n}`), parameters, responses: { 200: answer } };
      return [`/things${n}/{id}`, { get: operation }];
    }),
  );
  return JSON.stringify({ openapi: '3.0.3', info: { title: 'Shop', version: '1' }, paths, components: { schemas } });
}

let documents: Server;
let gateway: AdminGateway;
let address: string;

beforeAll(async () => {
  const [large, small] = [describeShop(), JSON.stringify({ openapi: '3.0.3', info: { title: 'x', version: '1' }, paths: {} })];
  documents = createServer(({ url }, response) => response.end(url === '/large' ? large : small));
  await new Promise<void>((done) => documents.listen(0, '127.0.0.1', done));
  address = `http://127.0.0.1:${(documents.address() as AddressInfo).port}`;
  gateway = await openAdminGateway({ namespaces: { shop: 'namespace: shop\n' } });
  // What the first registration loads is loaded once.
  await register('small');
}, 60_000);

afterAll(async () => {
  await gateway?.stop();
  documents?.close();
});

async function register(name: string): Promise<number> {
  const entry = { baseUrl: 'https://shop.example.com' };
  for (;;) {
    const body = { namespace: 'shop', name, entry, documentUrl: `${address}/${name}` };
    const answer = await gateway.api('POST /upstreams', body);
    if (answer.status === 200) return answer.body.toolCount;
    // A machine that does many other things is told to try again.
    expect(answer.body.error.message).toContain('when this machine is less busy');
  }
}

/** What this thread computed between one look and the next, while the work went on: so long would a call have waited. */
async function stretchesOf(work: () => Promise<unknown>): Promise<readonly number[]> {
  const stretches: number[] = [];
  let lastMs = cpuMs();
  const timer = setInterval(() => {
    const nowMs = cpuMs();
    stretches.push(nowMs - lastMs);
    lastMs = nowMs;
  }, 1);
  await work();
  clearInterval(timer);
  return stretches.sort((a, b) => b - a);
}

test('a description of many operations is registered in steps that hold nobody up', async () => {
  let toolCount = 0;
  const stretches = await stretchesOf(async () => {
    toolCount = await register('large');
  });
  expect(toolCount).toBe(operationCount);
  if (process.env.TEST_LONG !== undefined) console.log('longest stretches, ms', stretches.slice(0, 10));
  // On an idle machine half of it.
  expect(stretches[0]).toBeLessThan(200);
  expect(stretches[Math.floor(stretches.length / 100)]).toBeLessThan(50);
}, 120_000);
