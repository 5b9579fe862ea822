import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { tryOut } from '../../src/admin/examine-upstream.ts';
import type { UpstreamConfig } from '../../src/catalog/config.ts';
import { emptyOffer, importTimeoutMs } from '../../src/upstreams/upstream.ts';
import { Cancel } from '../../src/wire/cancel.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { importProcesses } from '../support/import-processes.ts';
import { until } from '../support/until.ts';

/** Hangs until somebody lets go. */
let hanging: Server;
let asked = 0;
let gateway: AdminGateway;

beforeAll(async () => {
  hanging = createServer(() => void asked++);
  await new Promise<void>((done) => hanging.listen(0, '127.0.0.1', done));
  gateway = await openAdminGateway({ namespaces: { shop: 'namespace: shop\n' } });
});
afterEach(() => vi.useRealTimers());
afterAll(async () => {
  await gateway?.stop();
  hanging?.closeAllConnections();
  hanging?.close();
});

/** A registration whose description refers to what never comes. */
function register(name: string, signal?: AbortSignal): Promise<Response> {
  const at = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
  const get = { operationId: name, parameters: [{ $ref: `${at}/slow.json` }], responses: {} };
  const document = JSON.stringify({ openapi: '3.1.0', info: { title: 'x', version: '1' }, paths: { '/a': { get } } });
  const body = JSON.stringify({ namespace: 'shop', name, entry: { baseUrl: at, references: [at] }, document });
  const headers = { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' };
  return fetch(`${gateway.url}/api/upstreams`, { method: 'POST', headers, body, ...(signal === undefined ? {} : { signal }) });
}

test('whoever registers an API and goes away leaves no import behind, and nothing is registered', async () => {
  const leaving = new AbortController();
  const answer = register('left', leaving.signal);
  await until('its reference is asked for', () => asked === 1);
  expect(importProcesses()).toHaveLength(1);
  leaving.abort();
  await expect(answer).rejects.toThrow();
  await until('no import is left', () => importProcesses().length === 0, 2_000);
  expect((await gateway.ok('GET /upstreams')).upstreams).toEqual([]);
});

test('a gateway that ends waits for no trial, and leaves none behind', async () => {
  const before = asked;
  const answer = register('ended');
  answer.catch(() => {});
  await until('its reference is asked for', () => asked === before + 1);
  const startedMs = performance.now();
  await gateway.stop();
  expect(performance.now() - startedMs).toBeLessThan(9_000);
  await until('no import is left', () => importProcesses().length === 0, 2_000);
  gateway = await openAdminGateway({ namespaces: { shop: 'namespace: shop\n' } });
});

test('a trial of an API waits as long as its import may take, one of a server for half a minute', async () => {
  vi.useFakeTimers();
  const trial = (type: 'openapi' | 'http') => {
    const upstream = {
      start() {},
      ready: () => new Promise(() => {}),
      offer: () => emptyOffer,
      health: () => ({}),
      close: async () => {},
    };
    const ports = { cancel: new Cancel(), tryUpstream: () => upstream };
    return tryOut(ports as never, { transport: { type } } as UpstreamConfig, false);
  };
  const [api, server] = [vi.fn(), vi.fn()];
  void trial('openapi').then(({ findings }) => api(findings[0]?.message));
  void trial('http').then(({ findings }) => server(findings[0]?.message));
  await vi.advanceTimersByTimeAsync(30_000);
  expect(server).toHaveBeenCalledWith(expect.stringContaining('no answer within 30 s'));
  await vi.advanceTimersByTimeAsync(importTimeoutMs - 1);
  expect(api).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(api).toHaveBeenCalledWith(expect.stringContaining('no answer within 90 s'));
});
