import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AddressError, askGateway, isExposed, readAddress, requestOf } from '../../src/cli/ask-gateway.ts';
import { exchange } from '../../src/cli/exchange.ts';

const key = 'gh_test_key';

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const answering =
  (status: number, body: string, headers = {}): RequestListener =>
  (_request, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);

const ask = async (listener: RequestListener, sent = { method: 'GET', path: '/consumers' }) =>
  askGateway(readAddress(await serve(listener), key), sent);

describe('a server behind --url', () => {
  it('is asked with the key, below the address of the gateway', async () => {
    const seen: unknown[] = [];
    const url = await serve((request, response) => {
      seen.push([request.method, request.url, request.headers.authorization]);
      response.end('{"consumers":[]}');
    });
    for (const address of [url, `${url}/`, `${url}/mcp`, `${url}/mcp/notes`, `${url}/api/`]) {
      expect(await askGateway(readAddress(address, key), { method: 'GET', path: '/consumers' })).toEqual({
        kind: 'done',
        answer: { consumers: [] },
      });
    }
    await askGateway(readAddress(`${url}/behind/proxy/mcp`, key), { method: 'GET', path: '/consumers' });
    const bearer = `Bearer ${key}`;
    expect(seen).toEqual([
      ...Array.from({ length: 5 }, () => ['GET', '/api/consumers', bearer]),
      ['GET', '/behind/proxy/api/consumers', bearer],
    ]);
  });

  it('that refuses is quoted', async () => {
    const answer = { error: { code: 'forbidden', message: 'This needs the role admin.' } };
    expect(await ask(answering(403, JSON.stringify(answer)))).toEqual({
      kind: 'refused',
      message: 'This needs the role admin.',
      answer,
    });
  });

  it('that sends elsewhere gets nobody there, and no key', async () => {
    let isAsked = false;
    const elsewhere = await serve((_request, response) => {
      isAsked = true;
      response.end('{}');
    });
    await expect(ask(answering(307, '{}', { location: elsewhere }))).rejects.toThrow(/HTTP 307.*It sends elsewhere/);
    expect(isAsked).toBe(false);
  });

  it.each([
    ['a page', 200, '<html>hello</html>'],
    ['no text at all', 200, ''],
    ['a list', 200, '[]'],
    ['a number', 200, '1'],
    ['an error that is none', 500, '{"error":"boom"}'],
    ['an error without a message', 400, '{"error":{"message":7}}'],
    ['success that is none', 204, ''],
    ['bytes that are no text', 200, '\ud800{'],
  ])('that answers with %s is said to be no gateway', async (_, status, body) => {
    await expect(ask(answering(status, body))).rejects.toThrow(`does not answer as a gateway does (HTTP ${status})`);
  });

  it('that answers with JSON nested without end is not read', async () => {
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    await expect(ask(answering(200, deep))).rejects.toThrow('nested more than 200 levels');
    const brackets = { text: '[{"\\'.repeat(1000) };
    expect(await ask(answering(200, JSON.stringify(brackets)))).toEqual({ kind: 'done', answer: brackets });
  });

  it('that hangs up, or is not there, is named with what to do', async () => {
    const hangUp: RequestListener = (request) => request.socket.destroy();
    await expect(ask(hangUp)).rejects.toThrow(/does not answer: .*Start the gateway there, or correct --url\.$/);
    await expect(ask(hangUp, { method: 'POST', path: '/keys' })).rejects.toThrow(
      /Look whether it was done before you repeat it\.$/,
    );
    await expect(askGateway(readAddress('http://127.0.0.1:9', key), { method: 'GET', path: '/x' })).rejects.toThrow(
      'ECONNREFUSED',
    );
  });

  it('that never ends, or never begins, is left', async () => {
    const url = new URL(await serve(() => {}));
    const sent = { method: 'GET', path: '/' };
    await expect(exchange({ url }, sent, { idleMs: 20, totalMs: 10_000, bytes: 1000 })).rejects.toThrow('nothing came for 0 s');
    const dripping = new URL(
      await serve((_request, response) => {
        const timer = setInterval(() => response.write(' '), 5);
        response.once('close', () => clearInterval(timer));
      }),
    );
    await expect(exchange({ url: dripping }, sent, { idleMs: 10_000, totalMs: 100, bytes: 1000 })).rejects.toThrow(/abort/i);
    await expect(exchange({ url: dripping }, sent, { idleMs: 10_000, totalMs: 10_000, bytes: 5 })).rejects.toThrow(
      'the answer is larger than 5 bytes',
    );
  });
});

describe('an address', () => {
  it.each([
    ['notes', key, 'is no address of a gateway'],
    ['ftp://host', key, 'is no address of a gateway'],
    ['http://user:pass@host', key, 'holds no key'],
    ['http://host/?key=1', key, 'holds no key'],
    ['http://host', undefined, 'needs a key'],
    ['http://host', '', 'needs a key'],
    ['http://host', 'two words', 'cannot travel in a header'],
  ])('%s with the key %s: %s', (address, given, message) => {
    expect(() => readAddress(address, given)).toThrow(AddressError);
    expect(() => readAddress(address, given)).toThrow(message);
  });

  it('over which the key would travel openly is told from one where it would not', () => {
    const open = [
      'http://gateway.example.com',
      'http://10.0.0.1:8080',
      'http://localhost.example.com',
      'http://127.0.0.1.example.com',
    ];
    const closed = ['https://gateway.example.com', 'http://localhost:8080', 'http://127.0.0.1', 'http://[::1]:1'];
    expect(open.map((address) => isExposed(readAddress(address, key)))).toEqual(open.map(() => true));
    expect(closed.map((address) => isExposed(readAddress(address, key)))).toEqual(closed.map(() => false));
  });
});

describe('the request of an action', () => {
  it('has its path, then a query or a body', () => {
    const input = { id: 'a/b?c', title: 'T', tags: ['x,y'], isDisabled: true };
    expect(requestOf({ route: 'GET /things/{id}' }, input)).toEqual({
      method: 'GET',
      path: '/things/a%2Fb%3Fc?title=T&tags=%5B%22x%2Cy%22%5D&isDisabled=true',
    });
    const { method, path, body } = requestOf({ route: 'POST /things/{id}/rotate' }, input);
    expect([method, path, JSON.parse(body ?? '')]).toEqual([
      'POST',
      '/things/a%2Fb%3Fc/rotate',
      { title: 'T', tags: ['x,y'], isDisabled: true },
    ]);
    expect(requestOf({ route: 'GET /things' }, {})).toEqual({ method: 'GET', path: '/things' });
  });
});
