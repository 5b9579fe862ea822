import { describe, expect, test } from 'vitest';
import { conversionLimits } from '../../../src/upstreams/openapi/conversion-limits.ts';
import { compileProblem, convert, convertOperation, describeApi, exampleBytes, fits } from '../../support/openapi.ts';

const text = { type: 'string' };

describe('parameters', () => {
  const named = (...parameters: object[]) => convertOperation({ parameters });

  test('are written as they are described, and by the rules where nothing is said', () => {
    const { request } = named(
      { name: 'q', in: 'query', schema: text },
      { name: 'ids', in: 'query', style: 'pipeDelimited', schema: { type: 'array' } },
      { name: 'filter', in: 'query', style: 'deepObject', explode: true, allowReserved: true, schema: { type: 'object' } },
      { name: 'X-Trace', in: 'header', schema: text },
      { name: 'session', in: 'cookie', schema: text, allowEmptyValue: true },
      { name: 'point', in: 'query', content: { 'application/json': { schema: { type: 'object' } } } },
      { name: 'wrong', in: 'header', style: 'deepObject', schema: text },
    );
    expect(
      request.parameters.map((plan) => [plan.name, plan.in, plan.style, plan.explode, plan.allowReserved, plan.contentType]),
    ).toEqual([
      ['q', 'query', 'form', true, false, undefined],
      ['ids', 'query', 'pipeDelimited', false, false, undefined],
      ['filter', 'query', 'deepObject', true, true, undefined],
      ['X-Trace', 'header', 'simple', false, false, undefined],
      ['session', 'cookie', 'form', true, false, undefined],
      ['point', 'query', 'form', true, false, 'application/json'],
      ['wrong', 'header', 'simple', false, false, undefined],
    ]);
  });

  test('of the path count for its operations, and the operation has the last word', () => {
    const { operations } = convert(
      describeApi({
        paths: {
          '/a/{id}': {
            parameters: [
              { name: 'id', in: 'path', required: true, schema: text, description: 'Of the path.' },
              { name: 'page', in: 'query', schema: text },
            ],
            get: { parameters: [{ name: 'page', in: 'query', required: true, schema: { type: 'integer' } }] },
          },
        },
      }),
    );
    expect(operations[0]?.tool.inputSchema).toEqual({
      type: 'object',
      properties: { id: { ...text, description: 'Of the path.' }, page: { type: 'integer' } },
      required: ['id', 'page'],
      additionalProperties: false,
    });
  });

  test('of the same name in two places are told apart, and the body goes out of the way', () => {
    const operation = {
      parameters: [
        { name: 'id', in: 'query', schema: text },
        { name: 'id', in: 'header', schema: text },
        { name: 'body', in: 'query', schema: text },
      ],
      requestBody: { content: { 'application/json': { schema: { type: 'object' } } } },
    };
    const { request } = convertOperation(operation);
    expect(request.parameters.map(({ argument, name }) => [argument, name])).toEqual([
      ['query_id', 'id'],
      ['header_id', 'id'],
      ['body', 'body'],
    ]);
    expect(request.body?.argument).toBe('request_body');
  });

  test('get names that model providers take', () => {
    const names = ['filter[name]', '$top', 'created<', 'created>', 'a b', '', '__proto__', 'é', 'x'.repeat(80)].map((name) => ({
      name,
      in: 'query',
      schema: text,
    }));
    const { request, tool } = named(...names);
    const given = request.parameters.map(({ argument }) => argument);
    expect(given.slice(0, 5)).toEqual(['filter_name', 'top', 'created_lt', 'created_gt', 'a_b']);
    expect(given.every((name) => /^[a-zA-Z0-9_.-]{1,64}$/.test(name) && name !== '__proto__')).toBe(true);
    expect(new Set(given).size).toBe(names.length);
    expect(tool.inputSchema.properties).toMatchObject({ filter_name: { description: 'filter[name]' } });
  });

  test.each([
    ['Host', true],
    ['Cookie', true],
    ['Content-Length', true],
    ['Content-Encoding', true],
    ['Transfer-Encoding', true],
    ['Connection', true],
    ['Upgrade', true],
    ['TE', true],
    ['Trailer', true],
    ['Proxy-Authorization', true],
    ['X-Forwarded-For', true],
    ['Forwarded', true],
    ['Mcp-Session-Id', true],
    ['x\r\ny', true],
    ['Accept', false],
    ['Authorization', false],
    ['content-type', false],
  ])('the header %j is never an argument', (name, isReported) => {
    const { request, problems } = named({ name, in: 'header', required: true, schema: text });
    expect(request.parameters).toEqual([]);
    expect(problems.length > 0).toBe(isReported);
  });

  test('any other header is one', () => {
    expect(named({ name: 'X-Request-Id', in: 'header', schema: text }).request.parameters).toHaveLength(1);
  });

  test('what carries credentials is none, in whatever place', () => {
    const securitySchemes = {
      a: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
      b: { type: 'apiKey', in: 'query', name: 'key' },
      c: { type: 'apiKey', in: 'cookie', name: 'sid' },
    };
    const parameters = [
      { name: 'x-api-key', in: 'header', required: true, schema: text },
      { name: 'key', in: 'query', schema: text },
      { name: 'sid', in: 'cookie', schema: text },
      { name: 'key', in: 'header', schema: text },
    ];
    const { request } = convertOperation({ parameters }, { components: { securitySchemes } });
    expect(request.parameters.map((plan) => `${plan.in} ${plan.name}`)).toEqual(['header key']);
  });

  test('every variable of a path is an argument, described or not', () => {
    const paths = {
      '/{a}/{+rest}/{b:[0-9]+}': {
        get: {
          parameters: [
            { name: 'rest', in: 'path', schema: text },
            { name: 'b', in: 'path', schema: { type: 'integer' } },
            { name: 'gone', in: 'path', schema: text },
          ],
        },
      },
    };
    const { operations, problems } = convert(describeApi({ paths }));
    const { request, tool } = operations[0]!;
    expect(request.parameters.map(({ name, allowReserved }) => [name, allowReserved])).toEqual([
      ['+rest', true],
      ['b:[0-9]+', false],
      ['a', false],
    ]);
    expect(tool.inputSchema.required).toHaveLength(3);
    expect(problems.map(({ message }) => message)).toEqual([
      'The path has no "{gone}"; this parameter is left out.',
      'The path parameter "a" is not described; it is taken as text.',
    ]);
  });
});

describe('bodies', () => {
  const withBody = (content: object, more = {}) => convertOperation({ requestBody: { content, ...more } });
  const object = { schema: { type: 'object', properties: { a: text } } };

  test.each([
    [['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded', 'application/json'], 'application/json', 'json'],
    [['application/xml', 'application/vnd.x+json'], 'application/vnd.x+json', 'json'],
    [['application/json;version=2', 'application/json'], 'application/json', 'json'],
    [['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded'], 'application/x-www-form-urlencoded', 'form'],
    [['application/octet-stream', 'application/xml'], 'application/xml', 'text'],
    [['image/png'], 'image/png', 'binary'],
    [['*/*'], 'application/json', 'json'],
    [['application/*+json'], 'application/json', 'json'],
    [['image/*'], 'application/octet-stream', 'binary'],
    [[''], 'application/json', 'json'],
  ])('of %j, %s is sent', (types, contentType, encoding) => {
    const { request } = withBody(Object.fromEntries(types.map((type) => [type, object])));
    expect(request.body).toMatchObject({ argument: 'body', contentType, encoding });
  });

  test('a form with a file is sent in parts, if it may be', () => {
    const schema = { type: 'object', properties: { f: { type: 'string', format: 'binary' } } };
    const { request } = withBody({ 'application/x-www-form-urlencoded': { schema }, 'multipart/form-data': { schema } });
    expect(request.body?.encoding).toBe('multipart');
  });

  test('a media type that would end the header is none', () => {
    const { request, problems } = withBody({ 'text/plain\r\nX-Evil: 1': object });
    expect(request.body).toBeUndefined();
    expect(problems.map(({ message }) => message).join()).toContain('no media type');
  });

  test('files are bytes in base64, alone and in lists, and other parts are what they are', () => {
    const schema = {
      type: 'object',
      required: ['file', 'id'],
      properties: {
        id: { type: 'string', readOnly: true },
        file: { type: 'string', format: 'binary', description: 'The picture.' },
        more: { type: 'array', items: { type: 'string', contentMediaType: 'image/png' } },
        meta: { type: 'object', properties: { a: text } },
        raw: {},
      },
    };
    const encoding = {
      file: { contentType: 'image/png' },
      meta: { contentType: 'application/json' },
      raw: { contentType: 'application/octet-stream' },
    };
    const { request, tool } = withBody({ 'multipart/form-data': { schema, encoding } }, { required: true });
    expect(Object.entries(request.body?.properties ?? {}).map(([name, plan]) => [name, plan.isFile, plan.contentType])).toEqual([
      ['file', true, 'image/png'],
      ['more', true, undefined],
      ['meta', false, 'application/json'],
      ['raw', true, 'application/octet-stream'],
    ]);
    const file = { data: 'aGk=', filename: 'a.png' };
    expect(fits(tool.inputSchema, { body: { file, more: [file], meta: { a: 'x' }, raw: file } })).toBe(true);
    expect(fits(tool.inputSchema, { body: { file: 'aGk=' } })).toBe(false);
    expect(fits(tool.inputSchema, { body: {} })).toBe(false);
  });

  test('texts are texts, whatever their schema says, and bytes are a file', () => {
    const xml = withBody({ 'application/xml': object }).tool.inputSchema;
    expect(fits(xml, { body: '<a/>' }) && !fits(xml, { body: {} })).toBe(true);
    const plain = withBody({ 'text/plain': { schema: { type: 'string', maxLength: 3 } } }).tool.inputSchema;
    expect(fits(plain, { body: 'abc' }) && !fits(plain, { body: 'abcd' })).toBe(true);
    const bytes = withBody({ 'application/octet-stream': {} }).tool.inputSchema;
    expect(fits(bytes, { body: { data: '' } }) && !fits(bytes, { body: 'x' })).toBe(true);
  });

  test('forms keep how their members are written', () => {
    const schema = { type: 'object', properties: { a: { type: 'array' }, b: text } };
    const { request } = withBody({
      'application/x-www-form-urlencoded': {
        schema,
        encoding: { a: { style: 'spaceDelimited', explode: false, allowReserved: true } },
      },
    });
    expect(request.body?.properties).toEqual({
      a: { isFile: false, style: 'spaceDelimited', explode: false, allowReserved: true },
    });
  });
});

describe('a tool', () => {
  test('says what it does, and what it may change', () => {
    const methods = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace', 'query'];
    const { operations } = convert(
      describeApi({
        openapi: '3.2.0',
        paths: { '/a': Object.fromEntries(methods.map((method) => [method, { summary: method }])) },
      }),
    );
    const hints = Object.fromEntries(operations.map(({ method, tool }) => [method, tool.annotations]));
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY'])
      expect(hints[method]).toMatchObject({ readOnlyHint: true });
    expect(hints.DELETE).toMatchObject({ readOnlyHint: false, destructiveHint: true, idempotentHint: true });
    expect(hints.PUT).toMatchObject({ readOnlyHint: false, idempotentHint: true });
    expect(hints.POST).toEqual({ readOnlyHint: false, openWorldHint: true });
  });

  test('has the operation’s texts, cut where they are long', () => {
    const { tool } = convertOperation({
      summary: 'Make a thing',
      description: `It makes one. ${'x '.repeat(5_000)}`,
      deprecated: true,
    });
    expect(tool.title).toBe('Make a thing');
    expect(String(tool.description)).toMatch(/^Deprecated\. Make a thing\n\nIt makes one\./);
    expect(String(tool.description).length).toBeLessThanOrEqual(4_000);
    expect(convertOperation({}).tool.description).toBe('POST /things');
  });

  test('knows the answers it may get, the preferred one first', () => {
    const { answer, tool } = convertOperation({
      responses: {
        404: { description: '', content: { 'application/problem+json': {} } },
        201: {
          description: '',
          content: { 'text/csv': {}, 'application/json': { schema: { type: 'object', properties: { a: text } } } },
        },
        204: { description: '' },
      },
    });
    expect(answer).toEqual({ accept: ['application/json', 'text/csv'], isWrapped: false });
    expect(tool.outputSchema).toMatchObject({ type: 'object', properties: { a: {} } });
    expect(
      convertOperation({
        responses: { default: { description: '', content: { 'application/json': { schema: { type: 'array' } } } } },
      }).answer.isWrapped,
    ).toBe(true);
  });

  test('knows its own server, its security, and its examples', () => {
    const securitySchemes = {
      key: { type: 'apiKey', in: 'header', name: 'k' },
      oauth: { type: 'oauth2', flows: { clientCredentials: { tokenUrl: 'https://a.example/t', scopes: { read: '' } } } },
    };
    const operation = {
      servers: [{ url: 'https://{region}.example/v{n}', variables: { region: { default: 'eu' }, n: { default: '2' } } }],
      security: [{ key: [] }, { oauth: ['read'] }, {}],
      parameters: [{ name: 'n', in: 'query', required: true, schema: text, examples: { one: { value: 'N' } } }],
      requestBody: {
        content: {
          'application/json': {
            schema: { type: 'object', properties: { id: { readOnly: true }, a: text } },
            examples: { first: { summary: 'First', value: { id: 1, a: 'x' } } },
          },
        },
      },
    };
    const found = convertOperation(operation, { components: { securitySchemes } });
    expect(found.request.server).toBe('https://eu.example/v2');
    expect(found.security).toEqual([{ key: [] }, { oauth: ['read'] }, {}]);
    expect(found.examples).toEqual([{ summary: 'First', arguments: { n: 'N', body: { a: 'x' } } }]);
  });

  test('that is too large is pruned until it fits, and says so', () => {
    const long = (depth: number): object => ({
      type: 'object',
      description: 'words '.repeat(50),
      properties: depth === 0 ? {} : Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, long(depth - 1)])),
    });
    const convertWith = (schema: object, toolBytes: number) =>
      convert(
        describeApi({
          components: { schemas: { Deep: long(4) } },
          paths: { '/a': { post: { requestBody: { content: { 'application/json': { schema } } } } } },
        }),
        { toolBytes },
      );
    for (const toolBytes of [2_048, 4_096, 16_384, 65_536]) {
      for (const schema of [long(4), { $ref: '#/components/schemas/Deep' }]) {
        const { operations, problems } = convertWith(schema, toolBytes);
        expect(JSON.stringify(operations[0]?.tool).length).toBeLessThanOrEqual(toolBytes);
        expect(compileProblem(operations[0]?.tool.inputSchema ?? {})).toBeUndefined();
        expect(problems.map(({ message }) => message).join()).toContain('was too large');
        expect(fits(operations[0]?.tool.inputSchema ?? {}, { body: { a: { b: { c: {} } } } })).toBe(true);
      }
    }
    expect(convertWith(long(1), conversionLimits.toolBytes).problems).toEqual([]);
  });
});

describe('names', () => {
  const namesOf = (paths: object) =>
    Object.fromEntries(convert(describeApi({ paths })).operations.map(({ id, tool }) => [id, tool.name]));

  test('come from the operation, or from its method and path', () => {
    expect(
      namesOf({
        '/pets/{petId}': { get: { operationId: 'getPet' }, put: { operationId: 'pets/update.one' }, post: {} },
        '/': { get: {} },
      }),
    ).toEqual({
      'GET /pets/{petId}': 'getPet',
      'PUT /pets/{petId}': 'pets_update_one',
      'POST /pets/{petId}': 'post_pets_petId',
      'GET /': 'get',
    });
  });

  test('OP-05: are told apart where they would be the same, in whatever order', () => {
    const operations: [string, string][] = [
      ['/a', 'twin'],
      ['/b', 'twin'],
      ['/c', 'Twin'],
      ['/d', 'tw.in'],
      ['/e', 'tw_in'],
      ['/f', 'twіn'],
      ['/g', 'x'.repeat(100_000)],
      ['/h', `${'x'.repeat(100_000)}y`],
      ['/i', '🙂'],
    ];
    const paths = (list: readonly [string, string][]) =>
      Object.fromEntries(list.map(([path, operationId]) => [path, { get: { operationId } }]));
    const names = namesOf(paths(operations));
    expect(namesOf(paths([...operations].reverse()))).toEqual(names);
    const all = Object.values(names);
    expect(new Set(all.map((name) => name.toLowerCase())).size).toBe(operations.length);
    expect(all.every((name) => /^[a-zA-Z0-9_-]{1,64}$/.test(name))).toBe(true);
    expect(names['GET /e']).toBe('tw_in');
    expect(all).not.toContain('twin');
    expect(namesOf(paths(operations.filter(([path]) => path !== '/b' && path !== '/c')))['GET /a']).toBe('twin');
  });

  test('OP-05: that are given twice are told', () => {
    const { problems } = convert(
      describeApi({ paths: { '/a': { get: { operationId: 'x' } }, '/b': { get: { operationId: 'x' } } } }),
    );
    expect(problems).toMatchObject([
      { kind: 'changed', operation: 'GET /b', message: '"x" is the operationId of GET /a, too; both tools get other names.' },
    ]);
  });
});

describe('documents', () => {
  test('of Swagger 2.0 come out like those of OpenAPI 3', () => {
    const { operations, servers, securitySchemes, format } = convert({
      swagger: '2.0',
      info: { title: 'Old', version: '1' },
      host: 'old.example',
      basePath: '/v1',
      schemes: ['http', 'https'],
      consumes: ['application/json'],
      produces: ['application/json', 'application/xml'],
      securityDefinitions: {
        b: { type: 'basic' },
        o: { type: 'oauth2', flow: 'accessCode', authorizationUrl: 'https://a', tokenUrl: 'https://t', scopes: { r: '' } },
      },
      definitions: {
        Pet: { type: 'object', required: ['name'], properties: { name: text, id: { type: 'integer', readOnly: true } } },
      },
      paths: {
        '/pets': {
          post: {
            operationId: 'addPet',
            parameters: [
              { in: 'body', name: 'pet', required: true, schema: { $ref: '#/definitions/Pet' } },
              { in: 'query', name: 'tags', type: 'array', items: text, collectionFormat: 'multi' },
              { in: 'query', name: 'ids', type: 'array', items: text },
            ],
            responses: { 200: { description: '', schema: { $ref: '#/definitions/Pet' } } },
          },
        },
        '/files': {
          post: {
            consumes: ['multipart/form-data'],
            parameters: [
              { in: 'formData', name: 'f', type: 'file', required: true },
              { in: 'formData', name: 'n', type: 'integer' },
            ],
            responses: {},
          },
        },
        '/forms': {
          post: {
            parameters: [{ in: 'formData', name: 'l', type: 'array', items: text, collectionFormat: 'multi' }],
            responses: {},
          },
        },
      },
    });
    expect([format, servers]).toEqual(['2.0', ['https://old.example/v1', 'http://old.example/v1']]);
    expect(securitySchemes).toEqual({
      b: { kind: 'basic' },
      o: {
        kind: 'oauth2',
        flows: { authorizationCode: { authorizationUrl: 'https://a', tokenUrl: 'https://t', scopes: ['r'] } },
      },
    });
    const [pets, files, forms] = operations;
    expect(pets?.request.parameters.map(({ name, style, explode }) => [name, style, explode])).toEqual([
      ['tags', 'form', true],
      ['ids', 'form', false],
    ]);
    expect(pets?.request.body).toMatchObject({ argument: 'body', isRequired: true, contentType: 'application/json' });
    expect(pets?.tool.inputSchema).toMatchObject({ properties: { body: { properties: { name: text }, required: ['name'] } } });
    expect(pets?.answer.accept).toEqual(['application/json', 'application/xml']);
    expect(files?.request.body).toMatchObject({ encoding: 'multipart', isRequired: true, properties: { f: { isFile: true } } });
    expect(forms?.request.body).toMatchObject({ encoding: 'form', properties: { l: { style: 'form', explode: true } } });
  });

  test('of OpenAPI 3.2 may have a whole query as one argument, and other methods are told', () => {
    const paths = {
      '/a': {
        get: {
          parameters: [
            {
              name: 'q',
              in: 'querystring',
              required: true,
              content: { 'application/x-www-form-urlencoded': { schema: { type: 'object', properties: { x: text } } } },
            },
          ],
        },
        additionalOperations: { COPY: {} },
      },
    };
    const { operations, problems } = convert(describeApi({ openapi: '3.2.0', paths }));
    expect(operations[0]?.request.parameters).toMatchObject([
      { argument: 'q', in: 'querystring', contentType: 'application/x-www-form-urlencoded' },
    ]);
    expect(problems).toMatchObject([{ kind: 'lost', operation: 'COPY /a' }]);
  });

  test.each([
    [{ asyncapi: '3.0.0' }, 'AsyncAPI'],
    [{ swaggerVersion: '1.2' }, 'Swagger 1.x'],
    [{ info: { _postman_id: 'x' } }, 'Postman'],
    [{ openapi: '4.0.0', paths: {} }, '3.0 to 3.2 are read'],
    [{ swagger: '1.2', paths: {} }, '2.0 is read'],
    [{ paths: {} }, 'neither "openapi" nor "swagger"'],
  ])('of other kinds are refused by name: %j', (document, sentence) => {
    expect(() => convert(document)).toThrow(sentence);
  });

  test('whose version is a number are read', () => {
    expect(convert('swagger: 2.0\npaths: { /a: { get: {} } }').operations).toHaveLength(1);
    expect(convert('openapi: 3.1\npaths: { /a: { get: {} } }').operations).toHaveLength(1);
  });

  test('propose only servers that are on the web', () => {
    const servers = [
      { url: 'javascript:alert(1)' },
      { url: 'file:///etc' },
      { url: '/v1' },
      { url: 'https://a.example/{x}' },
      { url: 'https://b.example/\u0000' },
    ];
    expect(convert(describeApi({ servers, paths: {} })).servers).toEqual(['/v1', 'https://a.example/{x}']);
  });

  test('that are real keep what they say', () => {
    const { operations, title } = convert(exampleBytes('3.1/json/train-travel.json'));
    expect(title).toBe('Train Travel API');
    expect(operations.map(({ tool }) => tool.name)).toContain('create-booking');
  });
});
