import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ApiTransport } from '../../../src/catalog/config.ts';
import { GatewayError } from '../../../src/errors.ts';
import { type Authorization, type Bearer, SignInRequired } from '../../../src/upstreams/authorization.ts';
import { createEgressGuard, type EgressGuard } from '../../../src/upstreams/egress.ts';
import { compareUpstreams } from '../../../src/upstreams/kinds.ts';
import type { Conversion, Operation } from '../../../src/upstreams/openapi/conversion.ts';
import { compilePattern } from '../../../src/upstreams/openapi/select-operations.ts';
import type { Upstream } from '../../../src/upstreams/upstream.ts';
import { type ApiServer, startApiServer } from '../../support/upstreams/api-server.ts';
import { type Harness, overApi, started, textOf, toolCall } from '../../support/upstreams/harness.ts';
import { body, conversionOf, operation, parameter, schemes } from './conversions.ts';

let server: ApiServer;
const open: Upstream[] = [];

beforeAll(async () => {
  server = await startApiServer();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((upstream) => upstream.close()));
  server.answer(200, { 'content-type': 'application/json' }, '{}');
});
afterAll(() => server.close());

async function opened(
  conversion: Conversion | Promise<Conversion>,
  transport: Partial<ApiTransport> = {},
  more: object = {},
): Promise<Harness> {
  const harness = await started(
    overApi(`${server.url}/v1/`, conversion, transport, { secrets: { KEY: 'secret-key-1', USER: 'ada' }, ...more }),
  );
  open.push(harness.upstream);
  return harness;
}

const names = ({ upstream }: Harness) => upstream.offer().tools.map(({ name }) => name);
const problems = ({ upstream }: Harness) => upstream.offer().problems.map(({ subject, message }) => `${subject}: ${message}`);

const pets = [
  operation('GET /pets', 'listPets', { tags: ['pets', 'read'] }),
  operation('POST /pets', 'addPet', { tags: ['pets'] }),
  operation('GET /pets/{id}', 'getPet', { tags: ['pets', 'read'], parameters: [parameter('path', 'id')] }),
  operation('DELETE /pets/{id}', 'deletePet', { tags: ['pets'], parameters: [parameter('path', 'id')] }),
  operation('GET /stores', 'listStores', { tags: ['stores'] }),
];

describe('what is offered', () => {
  test.each([
    [['GET *'], [], ['listPets', 'getPet', 'listStores']],
    [['GET'], [], ['listPets', 'getPet', 'listStores']],
    [['* /pets/*'], [], ['getPet', 'deletePet']],
    [['/pets*'], ['DELETE *'], ['listPets', 'addPet', 'getPet']],
    [['tag:pets'], ['tag:read'], ['addPet', 'deletePet']],
    [['list*'], [], ['listPets', 'listStores']],
    [['getPet', 'get /stores'], [], ['getPet', 'listStores']],
    [['*'], ['*Pet'], ['listPets', 'listStores']],
  ])('include %j, exclude %j', async (include, exclude, expected) => {
    expect(names(await opened(conversionOf(pets), { include, exclude }))).toEqual(expected);
  });

  test('an address that no call will get to is told with the offer, one that is allowed is not', async () => {
    const { hostname, port, origin } = new URL(server.url);
    const shut = createEgressGuard([]);
    const allowed = createEgressGuard([{ kind: 'range', address: hostname, prefix: 32, family: 'ipv4', port: Number(port) }]);
    const over = async (egress: EgressGuard) => await opened(conversionOf(pets), { isGuarded: true }, { egress });
    try {
      const [told] = problems(await over(shut));
      expect(told).toMatch(`${origin}: No call will get there`);
      expect(told).toContain('GATEHOUSE_EGRESS_ALLOW');
      const reachable = await over(allowed);
      expect(problems(reachable)).toEqual([]);
      expect(textOf(await reachable.upstream.call(toolCall('listPets')))).toBe('{}');
    } finally {
      await Promise.all([shut.close(), allowed.close()]);
    }
  });

  test('a pattern never means more than it says', () => {
    const [list] = pets as [Operation];
    expect(compilePattern('GET /pet')(list)).toBe(false);
    expect(compilePattern('tag:pet')(list)).toBe(false);
    expect(compilePattern('POST')(list)).toBe(false);
  });

  test('has the names that the import gives, by method and path, operationId or own name; what fits nothing is named', async () => {
    const harness = await opened(conversionOf(pets), {
      include: ['*', 'tag:nothing'],
      rename: { 'GET /pets': 'find_pets', getPet: 'get_pet', gone: 'x' },
    });
    expect(names(harness)).toEqual(['find_pets', 'addPet', 'get_pet', 'deletePet', 'listStores']);
    expect(problems(harness)).toEqual([
      'tag:nothing: "tag:nothing" fits no operation of the description.',
      'gone: "rename" names "gone", which is no operation of the description.',
    ]);
    expect(textOf(await harness.upstream.call(toolCall('find_pets')))).toBe('{}');
    await expect(harness.upstream.call(toolCall('listPets'))).rejects.toMatchObject({ code: 'upstream_failed' });
  });

  test('says what became of an operation that it takes, at its place, and nothing of one that it leaves out', async () => {
    const problem = (operation: string, pointer: string) =>
      ({ kind: 'changed', operation, pointer, message: 'Something is left out.' }) as const;
    const conversion = {
      ...conversionOf(pets),
      problems: [
        problem('GET /pets', '/paths/~1pets/get/parameters/0'),
        problem('POST /pets', '/paths/~1pets/post/parameters/0'),
        problem('', '/paths/~1pets/get/responses/200'),
        problem('', '/paths/~1pets~1{id}/delete/responses/200'),
        problem('', '/components/schemas/Pet'),
      ],
    };
    expect(problems(await opened(conversion, { include: ['GET *'] }))).toEqual([
      'GET /pets: Something is left out.',
      '/paths/~1pets/get/responses/200: Something is left out.',
      '/components/schemas/Pet: Something is left out.',
    ]);
    expect(problems(await opened(conversion))).toHaveLength(5);
  });

  test('OP-05: reads where the method reads, and is gated where the method deletes', async () => {
    const { upstream } = await opened(conversionOf(pets));
    const { tools, gatedByDefault } = upstream.offer();
    expect(tools.map(({ name, annotations }) => [name, annotations])).toEqual([
      ['listPets', { readOnlyHint: true, idempotentHint: true, openWorldHint: true }],
      ['addPet', { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true }],
      ['getPet', { readOnlyHint: true, idempotentHint: true, openWorldHint: true }],
      ['deletePet', { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true }],
      ['listStores', { readOnlyHint: true, idempotentHint: true, openWorldHint: true }],
    ]);
    expect([...(gatedByDefault ?? [])]).toEqual(['deletePet']);
  });

  test('names what the converter lost, and operations that cannot be called', async () => {
    const harness = await opened(
      conversionOf(
        [
          operation('GET /a/../b', 'climb'),
          operation('GET /x/{unknown}', 'unknown'),
          operation('PUT /y', 'odd', { body: body('json', 'application/json\r\nX: 1') }),
          operation('GET /fine', 'fine'),
        ],
        { problems: [{ kind: 'lost', operation: 'GET /z', pointer: '/paths/~1z', message: 'no way' }] },
      ),
    );
    expect(names(harness)).toEqual(['fine']);
    expect(problems(harness)).toEqual([
      'GET /z: no way',
      'GET /a/../b: It is left out: its path holds "." or "..".',
      'GET /x/{unknown}: It is left out: its path names a parameter that the description does not describe.',
      expect.stringContaining('PUT /y: It is left out: its body has the media type'),
    ]);
  });
});

describe('where requests go', () => {
  const target = async (transport: Partial<ApiTransport>, server_?: string, servers?: readonly string[]) => {
    const one = operation('GET /pets', 'listPets', server_ === undefined ? {} : { server: server_ });
    const harness = await opened(conversionOf([one], servers === undefined ? {} : { servers }), transport);
    if (names(harness).length === 0) return problems(harness).join(' ');
    await harness.upstream.call(toolCall('listPets'));
    return server.arrived.at(-1)?.target;
  };

  test('to the base address, with its path', async () => {
    expect(await target({})).toBe('/v1/pets');
    expect(await target({ baseUrl: server.url })).toBe('/pets');
  });

  test("an operation's own server counts where it is of the same origin, and its credentials go nowhere else (OP-03)", async () => {
    expect(await target({}, '/v2')).toBe('/v2/pets');
    expect(await target({}, `${server.url}/v3/`)).toBe('/v3/pets');
    // The description's own origin, which the import put elsewhere.
    expect(await target({}, 'https://api.example.com/v4')).toBe('/v4/pets');
    expect(await target({}, 'https://uploads.example.com/')).toContain('sends it to https://uploads.example.com');
    expect(await target({}, 'https://{tenant}.example.com/')).toContain('is no address');
  });

  test.each([[[]], [['/v2']], [['https://{tenant}.example.com']], [['ftp://x.example']]])(
    'nowhere with the servers %j and no "baseUrl"',
    async (servers) => {
      const { upstream } = await started(overApi(undefined, conversionOf(pets, { servers })));
      open.push(upstream);
      expect(upstream.health()).toMatchObject({
        state: 'down',
        lastError: { message: expect.stringContaining('Write "baseUrl"') },
      });
      await expect(upstream.call(toolCall('listPets'))).rejects.toMatchObject({ code: 'upstream_unavailable' });
    },
  );

  test('through the guard, where the description alone names the address', async () => {
    const { upstream } = await started(overApi(undefined, conversionOf(pets, { servers: [server.url] })));
    open.push(upstream);
    const before = server.arrived.length;
    await expect(upstream.call(toolCall('listPets'))).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(server.arrived.length).toBe(before);
  });
});

describe('credentials', () => {
  const value = { kind: 'value', value: `\${secret:KEY}` } as const;
  const password = { kind: 'password', username: `\${secret:USER}`, password: `\${secret:KEY}` } as const;
  const call = async (
    security: Operation['security'],
    credentials: ApiTransport['credentials'],
    more: Parameters<typeof operation>[2] = {},
  ) => {
    const harness = await opened(conversionOf([operation('GET /s', 's', { security, ...more })], { securitySchemes: schemes }), {
      credentials,
    });
    await harness.upstream.call(toolCall('s', { api_key: 'theirs', 'X-Api-Key': 'theirs' }));
    return { arrived: server.arrived.at(-1), harness };
  };

  test('go where each scheme says', async () => {
    expect((await call([{ headerKey: [] }], { headerKey: value })).arrived?.headers['x-api-key']).toBe('secret-key-1');
    expect((await call([{ queryKey: [] }], { queryKey: value })).arrived?.target).toBe('/v1/s?api_key=secret-key-1');
    expect((await call([{ cookieKey: [] }], { cookieKey: value })).arrived?.headers.cookie).toBe('session=secret-key-1');
    expect((await call([{ bearer: [] }], { bearer: value })).arrived?.headers.authorization).toBe('Bearer secret-key-1');
    expect((await call([{ oauth: ['read'] }], { oauth: value })).arrived?.headers.authorization).toBe('Bearer secret-key-1');
    const basic = Buffer.from('ada:secret-key-1').toString('base64');
    expect((await call([{ basic: [] }], { basic: password })).arrived?.headers.authorization).toBe(`Basic ${basic}`);
  });

  test('are of the first alternative that there is everything for; of none where none is needed', async () => {
    const both = [{ headerKey: [], queryKey: [] }, { bearer: [] }, {}];
    expect((await call(both, { bearer: value })).arrived?.headers).toMatchObject({ authorization: 'Bearer secret-key-1' });
    const all = (await call(both, { headerKey: value, queryKey: value, bearer: value })).arrived;
    expect([all?.headers['x-api-key'], all?.target, all?.headers.authorization]).toEqual([
      'secret-key-1',
      '/v1/s?api_key=secret-key-1',
      undefined,
    ]);
    const none = (await call([], { bearer: value })).arrived;
    expect(none?.headers.authorization).toBeUndefined();
  });

  test('stand where a parameter of that name would, and the parameter is gone', async () => {
    const parameters = [parameter('query', 'api_key', { isRequired: true })];
    const { arrived, harness } = await call([{ queryKey: [] }], { queryKey: value }, { parameters });
    expect(arrived?.target).toBe('/v1/s?api_key=secret-key-1');
    expect(harness.upstream.offer().tools[0]?.inputSchema).toEqual({
      type: 'object',
      properties: {},
      additionalProperties: false,
    });
  });

  test('win over a configured header of the same name', async () => {
    const conversion = conversionOf([operation('GET /s', 's', { security: [{ bearer: [] }] }), operation('GET /t', 't')], {
      securitySchemes: schemes,
    });
    const { upstream } = await opened(conversion, {
      credentials: { bearer: value },
      headers: { Authorization: 'Basic eDp5', 'X-A': '1' },
    });
    await upstream.call(toolCall('s'));
    expect(server.arrived.at(-1)?.rawHeaders.filter((name) => name.toLowerCase() === 'authorization')).toHaveLength(1);
    expect(server.arrived.at(-1)?.headers).toMatchObject({ authorization: 'Bearer secret-key-1', 'x-a': '1' });
    await upstream.call(toolCall('t'));
    expect(server.arrived.at(-1)?.headers).toMatchObject({ authorization: 'Basic eDp5', 'x-a': '1' });
  });

  test('that are missing, unknown or of the wrong kind are named', async () => {
    const { harness } = await call([{ bearer: [] }], { basic: value, digest: value, gone: value });
    expect(problems(harness)).toEqual([
      'basic: The credential for "basic" cannot be used: it is of kind basic, so give "username" and "password".',
      'digest: The credential for "digest" cannot be used: Gatehouse does not speak HTTP digest.',
      'gone: "auth" names the security scheme "gone", which the description does not have; it has headerKey, queryKey, cookieKey, basic, bearer, oauth, digest.',
      'bearer: 1 operations ask for the credentials bearer, and "auth" has none that fits; calls of them may be refused.',
    ]);
  });

  test('by OAuth are fetched per caller, and once more where they were refused', async () => {
    const asked: (string | undefined)[] = [];
    const refused: (string | undefined)[] = [];
    const bearer = (token: string): Bearer => ({
      principal: undefined,
      header: `Bearer ${token}`,
      secrets: [Buffer.from(token)],
      isAccepted: false,
    });
    const places: (readonly [string, readonly string[]])[] = [];
    const authorization: Authorization = {
      isPerUser: true,
      leadsTo: ({ href }, scopes) => void places.push([href, scopes]),
      bearerFor(principal) {
        asked.push(principal);
        return bearer(`${principal}-old-token`);
      },
      async refused({ principal, challenge, isSecondTry }) {
        refused.push(challenge);
        return isSecondTry ? undefined : bearer(`${principal}-new-token`);
      },
      onSignedIn: () => () => {},
    };
    const operations = [
      operation('GET /s', 's', { security: [{ oauth: ['read'] }] }),
      operation('GET /t', 't', { security: [{ oauth: ['write', 'read'] }] }),
      operation('GET /u', 'u', { security: [{ oauth: ['everything'] }] }),
      operation('GET /v', 'v', { security: [{}] }),
    ];
    const conversion = conversionOf(operations, { securitySchemes: schemes });
    const { upstream } = await opened(conversion, { oauthScheme: 'oauth', exclude: ['GET /u'] }, { authorization });
    server.respond(({ headers }, response) => {
      const isNew = headers.authorization === 'Bearer alice-new-token';
      response.writeHead(isNew ? 200 : 401, {
        'content-type': 'application/json',
        'www-authenticate': 'Bearer error="invalid_token"',
      });
      response.end(JSON.stringify({ seen: headers.authorization }));
    });
    expect(textOf(await upstream.call(toolCall('s', {}, { principal: 'alice' })))).toBe(`{"seen":"Bearer ${'*'.repeat(15)}"}`);
    expect(places).toEqual([[`${server.url}/v1/`, ['read', 'write']]]);
    expect([asked, refused]).toEqual([['alice'], ['Bearer error="invalid_token"']]);
    expect(textOf(await upstream.call(toolCall('s', {}, { principal: 'bob' })))).toContain('HTTP 401');
    expect(refused).toHaveLength(3);
  });
});

test('whoever has not signed in hears so, and nothing is sent', async () => {
  const authorization: Authorization = {
    isPerUser: true,
    leadsTo() {},
    bearerFor: () =>
      Promise.reject(new SignInRequired('Sign in first.', 'https://gatehouse.example.com/sign-in/1', async () => false)),
    refused: async () => undefined,
    onSignedIn: () => () => {},
  };
  const conversion = conversionOf([operation('GET /s', 's', { security: [{ oauth: [] }] })], { securitySchemes: schemes });
  const { upstream } = await opened(conversion, { oauthScheme: 'oauth' }, { authorization });
  const before = server.arrived.length;
  await expect(upstream.call(toolCall('s'))).rejects.toMatchObject({ code: 'sign_in_required' });
  expect(server.arrived.length).toBe(before);
  expect(upstream.health()).toMatchObject({ state: 'healthy', calls: { failed: 0 } });
});

test('what another description changes is told by tool: what callers see, and what becomes of their calls', async () => {
  const before = await opened(conversionOf(pets, { securitySchemes: schemes }));
  const [list, add, get] = pets as [Operation, Operation, Operation];
  const after = await opened(
    conversionOf(
      [
        { ...list, tool: { ...list.tool, description: 'All pets' } },
        { ...add, security: [{ bearer: [] }] },
        { ...get, request: { ...get.request, server: '/v2' } },
        operation('GET /news', 'news'),
      ],
      { securitySchemes: schemes },
    ),
    { baseUrl: `${server.url}/v9` },
  );
  expect(compareUpstreams(before.upstream, after.upstream)).toEqual([
    `~ address: ${server.url}/v1/ -> ${server.url}/v9`,
    '+ news',
    '~ listPets: description',
    '~ addPet: security',
    '~ getPet: request',
    '- deletePet',
    '- listStores',
  ]);
  expect(compareUpstreams(before.upstream, before.upstream)).toEqual([]);
});

describe('what is remembered', () => {
  test('the same description is converted once, also by another run', async () => {
    const first = await opened(conversionOf(pets));
    await first.upstream.close();
    const [remembered] = first.saved;
    const unread = new Promise<Conversion>(() => {});
    const second = await opened(unread, {}, { remembered });
    expect(names(second)).toEqual(names(first));
    expect(second.upstream.health().state).toBe('healthy');
    expect(textOf(await second.upstream.call(toolCall('listPets')))).toBe('{}');
  });

  test('another description is converted anew', async () => {
    const first = await opened(conversionOf(pets));
    await first.upstream.close();
    const [remembered] = first.saved;
    const description = { kind: 'file', path: 'x', sha256: '11' } as const;
    const second = await opened(conversionOf(pets.slice(0, 1)), { description }, { remembered });
    expect(names(second)).toEqual(['listPets']);
  });
});

test('a changed description that cannot be converted takes nothing away: the one before is served, and says so', async () => {
  const first = await opened(conversionOf(pets));
  await first.upstream.close();
  const [remembered] = first.saved;
  const description = { kind: 'file', path: 'x', sha256: '11' } as const;
  const broken = Promise.reject(new GatewayError('bad_description', 'Line 3 is not valid YAML.'));
  const second = await opened(broken, { description }, { remembered });
  expect(names(second)).toEqual(names(first));
  expect(second.upstream.offer().isStale).toBe(true);
  expect(problems(second)[0]).toContain('Line 3 is not valid YAML');
  expect(textOf(await second.upstream.call(toolCall('listPets')))).toBe('{}');
});

test('a description that cannot be converted is told, and a call waits for one that can', async () => {
  const broken = Promise.reject(new Error('no description'));
  const down = await opened(broken);
  expect(down.upstream.health().state).toBe('down');
  const later = Promise.withResolvers<Conversion>();
  const harness = overApi(server.url, later.promise);
  open.push(harness.upstream);
  harness.upstream.start();
  expect(harness.upstream.health().state).toBe('connecting');
  const call = harness.upstream.call(toolCall('listPets'));
  later.resolve(conversionOf(pets));
  expect(textOf(await call)).toBe('{}');
});

test('a secret without a value that can be sent is told', async () => {
  const resolve = { secrets: {} };
  const credentials = { bearer: { kind: 'value', value: `\${secret:KEY}` } } as const;
  const { upstream } = await opened(conversionOf(pets, { securitySchemes: schemes }), { credentials }, resolve);
  expect(
    upstream
      .offer()
      .problems.map(({ message }) => message)
      .join(),
  ).toContain('plain ASCII');
});
