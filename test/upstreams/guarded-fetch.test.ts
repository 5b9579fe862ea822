import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEgressGuard } from '../../src/upstreams/egress.ts';
import { createGuardedFetch } from '../../src/upstreams/guarded-fetch.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';

let server: TestServer;
let hits = 0;
beforeAll(async () => {
  const listener = createServer((request, response) => {
    hits++;
    if (request.url === '/moved') response.writeHead(302, { location: '/' }).end();
    else response.end(request.headers.accept);
  });
  server = await listenOn(listener, 0, '');
});
afterAll(() => server.close());

const request = () => ({ headers: { accept: 'application/json' }, signal: AbortSignal.timeout(10_000) });

test('an address that the operator allows is fetched from, and no redirect is followed', async () => {
  const guard = createEgressGuard([{ kind: 'range', address: '127.0.0.1', prefix: 32, family: 'ipv4', port: server.port }]);
  const fetch = createGuardedFetch(guard);
  expect(await (await fetch(new URL(`${server.url}/`), request())).text()).toBe('application/json');
  expect((await fetch(new URL(`${server.url}/moved`), request())).status).toBe(302);
  expect(hits).toBe(2);
  await guard.close();
});

test('an address that is not public is not connected to, by number or by name', async () => {
  const before = hits;
  const guard = createEgressGuard([]);
  const fetch = createGuardedFetch(guard);
  for (const host of ['127.0.0.1', '0x7f.1', '[::ffff:127.0.0.1]', 'localhost'])
    for (const scheme of ['http', 'https'])
      await expect(fetch(new URL(`${scheme}://${host}:${server.port}/`), request())).rejects.toThrow();
  expect(hits).toBe(before);
  await guard.close();
});
