import { createServer } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createEgressGuard, type EgressGuard } from '../../../src/upstreams/egress.ts';
import { convertDescription } from '../../../src/upstreams/openapi/convert-description.ts';
import { referenceFetcher } from '../../../src/upstreams/openapi/fetch-reference.ts';
import { fingerprint } from '../../../src/upstreams/openapi/memory.ts';
import { listenOn, type TestServer } from '../../support/upstreams/listen-on.ts';

// Two servers on this machine: one that the guard lets through, and one that stands for what is inside.

let server: TestServer;
let inside: TestServer;
let egress: EgressGuard;
const heard: string[] = [];

beforeAll(async () => {
  inside = await listenOn(
    createServer((request, response) => {
      heard.push(`inside ${request.url}`);
      response.end('{"type":"string"}');
    }),
    0,
    '',
  );
  server = await listenOn(
    createServer((request, response) => {
      heard.push(`${request.url} ${request.headers.authorization ?? ''}`.trim());
      if (request.url === '/open/redirect.json') response.writeHead(302, { location: `${inside.url}/secret.json` }).end();
      else if (request.url === '/open/here.json') response.writeHead(302, { location: '/open/id.json' }).end();
      else if (request.url === '/open/huge.json') sendForEver(response);
      else if (request.url === '/open/none.json') response.writeHead(404).end();
      else if (request.url === '/open/broken.json') response.end('{"type":');
      else response.end(JSON.stringify(documents[request.url ?? ''] ?? {}));
    }),
    0,
    '',
  );
  const port = Number(new URL(server.url).port);
  egress = createEgressGuard([{ kind: 'range', address: '127.0.0.1', prefix: 32, family: 'ipv4', port }]);
});
beforeEach(() => {
  heard.length = 0;
});
afterAll(async () => {
  await egress?.close();
  await server?.close();
  await inside?.close();
});

const documents: Record<string, unknown> = {
  '/open/id.json': { type: 'integer' },
  '/open/one.json': { type: 'object', properties: { next: { $ref: 'two.json' }, id: { $ref: 'id.json' } } },
  '/open/two.json': { type: 'object', properties: { back: { $ref: 'one.json' } } },
};

function sendForEver(response: import('node:http').ServerResponse): void {
  const chunk = Buffer.alloc(1024 * 1024, ' ');
  const more = () => {
    if (!response.destroyed) response.write(chunk, () => setImmediate(more));
  };
  more();
}

function described(reference: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      openapi: '3.1.0',
      info: { title: 'Refers', version: '1' },
      paths: {
        '/x': {
          post: {
            operationId: 'x',
            requestBody: { content: { 'application/json': { schema: { $ref: reference } } } },
            responses: { 200: { description: 'Done.' } },
          },
        },
      },
    }),
  );
}

async function imported(reference: string, allowed: readonly string[]) {
  const fetchReference = referenceFetcher(allowed, egress);
  const { operations, problems } = await convertDescription(described(reference), { fetchReference });
  const { inputSchema } = operations[0]?.tool ?? {};
  return { schema: JSON.stringify(inputSchema), problems: problems.map(({ message }) => message).join('\n') };
}

describe('other documents that a description refers to', () => {
  test('are fetched from where the entry allows it, without any credential', async () => {
    const { schema, problems } = await imported(`${server.url}/open/id.json`, [`${server.url}/open/`]);
    expect([schema, problems]).toEqual([expect.stringContaining('"integer"'), '']);
    expect(heard).toEqual(['/open/id.json']);
  });

  test('may refer to each other in circles, and each is fetched once', async () => {
    const { schema } = await imported(`${server.url}/open/one.json`, [`${server.url}/open`]);
    expect(schema).toContain('"integer"');
    expect(heard.sort()).toEqual(['/open/id.json', '/open/one.json', '/open/two.json']);
  });

  test.each([
    ['nowhere is allowed', '/open/id.json', () => [], 'not fetched'],
    ['another path is', '/open/id.json', () => ['/closed/'], 'not among the "references"'],
    ['a path that only begins alike is', '/open/id.json', () => ['/ope'], 'not among the "references"'],
    ['the way leads out of what is', '/open/../closed/id.json', () => ['/open/'], 'not among the "references"'],
    ['it would once it is decoded', '/open/..%2fclosed/id.json', () => ['/open/'], 'not among the "references"'],
    ['another host is', '/open/id.json', () => ['https://other.example.com/open/'], 'not among the "references"'],
  ])('are not fetched where %s', async (_, path, allowed, message) => {
    const { problems } = await imported(
      `${server.url}${path}`,
      allowed().map((prefix) => (prefix.startsWith('/') ? server.url + prefix : prefix)),
    );
    expect(problems).toContain(message);
    expect(heard).toEqual([]);
  });

  test('OP-02: inside are not reached, though the entry names them, directly or by a redirect', async () => {
    const direct = await imported(`${inside.url}/secret.json`, [inside.url]);
    const redirected = await imported(`${server.url}/open/redirect.json`, [server.url, inside.url]);
    expect(direct.problems).toContain('could not be reached, or may not be');
    expect(redirected.problems).toContain('redirect, and those are not followed');
    expect(heard).toEqual(['/open/redirect.json']);
  });

  test('are not followed to another place by a redirect of their own host either', async () => {
    expect((await imported(`${server.url}/open/here.json`, [server.url])).problems).toContain('not followed');
    expect(heard).toEqual(['/open/here.json']);
  });

  test('OP-02: of this machine are never read, whatever is allowed', async () => {
    const { schema, problems } = await imported('file:///etc/hostname', [server.url]);
    expect(problems).toContain('local file; those are never read');
    expect(schema).not.toContain('hostname');
  });

  test.each([
    ['/open/huge.json', 'larger than 50331648 bytes'],
    ['/open/none.json', 'HTTP 404'],
    ['/open/broken.json', 'cannot be read'],
  ])('%s is said to be no use, and takes any value', async (path, message) => {
    const { problems } = await imported(server.url + path, [server.url]);
    expect(problems).toContain(message);
  });
});

test('what is remembered of a description is not used under other references', () => {
  const description = { kind: 'kept', sha256: 'ab' } as const;
  const of = (references: readonly string[]) => fingerprint({ description, references }, '1');
  expect(new Set([of([]), of(['https://a.example/']), of(['https://b.example/'])]).size).toBe(3);
  expect(of(['https://a.example/']).endsWith('ab')).toBe(true);
});
