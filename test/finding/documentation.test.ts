import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { block, code, oneLine, paragraphs, table } from '../../src/finding/markdown.ts';
import { sampleArguments } from '../../src/finding/sample-arguments.ts';
import { rowsOf } from '../../src/finding/schema-rows.ts';
import { snippetsFor } from '../../src/finding/snippets.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { closeRawClients, connectRaw, rawEras } from '../support/raw-clients.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

const hostile =
  '# Owned\n| a | b |\n[click](javascript:alert(1)) <img src=x> ![p](https://evil.example/p.png) ``` ~~~ \u202ehidden\u200b';
const quoted = `it's "quoted" $HOME \`id\` \\ \u00e9 \ud83d\ude00`;

const tools = [
  {
    name: 'get_order',
    title: 'Look an order up',
    description: 'Finds an order by its number.\n\nAnswers with its lines.',
    inputSchema: {
      type: 'object',
      properties: {
        number: { type: 'string', minLength: 3, maxLength: 12, description: 'As on the receipt.' },
        lines: { type: 'array', items: { $ref: '#/$defs/line' } },
      },
      required: ['number'],
      $defs: { line: { type: 'object', properties: { sku: { type: 'string' }, part_of: { $ref: '#/$defs/line' } } } },
    },
    outputSchema: { type: 'object', properties: { total: { type: 'number', minimum: 0 } } },
    annotations: { readOnlyHint: true },
    _meta: {
      'dev.gatehouse/tags': ['orders'],
      'dev.gatehouse/examples': [{ summary: 'A small one', arguments: { number: 'A-1' } }, { arguments: { number: 7 } }],
    },
  },
  {
    name: 'say',
    description: hostile,
    inputSchema: {
      type: 'object',
      properties: { text: { type: 'string', default: quoted, description: hostile } },
      required: ['text'],
    },
  },
];

let upstream: StagedUpstream;
let admin: AdminGateway;
let guest: string;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools });
  admin = await openAdminGateway({
    namespaces: {
      shop: namespaceFor(
        'shop',
        upstream.url,
        'toolboxes:\n  found: { include: ["shop/*"], search: true }\n  plain: { include: ["shop/desk/*"], names: one-to-one }\npolicy:\n  limits: [{ per: key, match: ["shop/get_*"], rpm: 90 }]\n  timeoutMs: 7000\n',
      ),
      vault: namespaceFor('vault', upstream.url, `policy: { allow: ['caller.role == "admin"'] }\n`),
    },
  });
  guest = await admin.person('guest', [{ role: 'developer' }]);
});

afterAll(async () => {
  await closeRawClients();
  await admin?.stop();
  await upstream?.close();
});

const read = (name: string, more = '', key = admin.key) =>
  admin.api(`GET /documentation?name=${encodeURIComponent(name)}${more}`, undefined, key);

describe('the documentation of a tool', () => {
  test('has the errors of approvals where a gate may hold it, and none of them where none does', async () => {
    const codes = async () =>
      (await read('shop/get_order', '&format=json')).body.documentation.errors
        .map(({ code }: { code: string }) => code)
        .filter((code: string) => code.startsWith('approval_'));
    expect(await codes()).toEqual([]);
    const scope = 'PUT /policies/capability:shop%2Fget_order';
    await admin.ok(scope, { policy: { gates: [{ by: 'caller' }] } });
    expect(await codes()).toEqual(['approval_pending', 'approval_denied', 'approval_unavailable']);
    await admin.ok(scope, { policy: null });
  });

  test('says what it does, takes and gives, with examples, limits, errors and code', async () => {
    const { markdown } = (await read('shop/get_order')).body;
    expect(markdown).toMatch(/^# Look an order up\n/);
    for (const part of [
      'Finds an order by its number\\.'.replace('\\', ''),
      '| `number` | string | yes | As on the receipt. \\(at least 3 characters; at most 12 characters\\) |',
      '| `lines[].sku` | string |  |  |',
      '## Output',
      '| `total` | number |  | \\(at least 0\\) |',
      'A small one:\n\n```json\n{\n  "number": "A-1"\n}\n```',
      '90 calls a minute per key',
      'It may be silent for 7 s',
      '`bad_arguments`',
      'only reads',
      '`orders`',
    ])
      expect(markdown).toContain(part);
    // An example that the tool itself would refuse is none.
    expect(markdown).not.toContain('"number": 7');
    expect(markdown).toContain('What is nested more deeply, or in itself, is left out here.');
  });

  test('is data as well', async () => {
    const { documentation } = (await read('shop/get_order', '&format=json')).body;
    expect(documentation).toMatchObject({
      name: 'shop/get_order',
      uri: 'gatehouse://docs/shop/get_order',
      calledAs: 'shop__get_order',
      url: `${admin.url}/mcp`,
      risk: 'read-only',
      tags: ['orders'],
      examples: [{ title: 'A small one', arguments: { number: 'A-1' } }],
      timeoutMs: 7000,
      hasRules: false,
      health: { state: 'healthy' },
    });
  });

  test('shows what an upstream wrote as text that makes nothing of its own', async () => {
    const { markdown } = (await read('shop/say')).body;
    expect(markdown).toContain('\\# Owned');
    expect(markdown).not.toMatch(/^# Owned/m);
    expect(markdown).not.toMatch(/[\u202e\u200b]/);
    expect(markdown).not.toMatch(/(?<!\\)<img|(?<!\\)!\[|\]\(javascript:/);
    for (const row of markdown.split('\n').filter((line: string) => line.startsWith('| `text`')))
      expect(row.match(/(?<!\\)\|/g)).toHaveLength(5);
  });

  test('is for those who may call the tool: to others it is not there', async () => {
    expect((await read('vault/say')).status).toBe(200);
    const [hidden, missing] = [await read('vault/say', '', guest), await read('vault/nothing', '', guest)];
    expect([hidden.status, missing.status]).toEqual([404, 404]);
    expect(hidden.body.error.message.replace('vault/say', 'X')).toBe(missing.body.error.message.replace('vault/nothing', 'X'));
  });

  test('examples are not sent to clients in lists', async () => {
    const client = await connectRaw('modern', { url: `${admin.url}/mcp`, key: admin.key });
    const { text } = await client.send('tools/list');
    expect(text).toContain('dev.gatehouse/tags');
    expect(text).not.toContain('dev.gatehouse/examples');
  });
});

describe.each(rawEras)('as an MCP resource in the %s era', (era) => {
  const uri = 'gatehouse://docs/shop/get_order';
  const connect = (toolbox: string, key = admin.key) => connectRaw(era, { url: `${admin.url}/mcp${toolbox}`, key });
  const readIn = async (toolbox: string, what: string, key?: string) =>
    (await (await connect(toolbox, key)).send('resources/read', { uri: what }, { headers: { 'mcp-name': what } })).message;

  test('it is announced where a search is, and read everywhere but where an upstream is shown as it is', async () => {
    const found = await connect('/found');
    const { message } = await found.send('resources/templates/list');
    expect(message?.result.resourceTemplates).toEqual([
      expect.objectContaining({ uriTemplate: 'gatehouse://docs/{namespace}/{name}' }),
    ]);
    for (const toolbox of ['', '/found']) {
      const [content] = (await readIn(toolbox, uri))?.result.contents ?? [];
      expect(content).toMatchObject({ uri, mimeType: 'text/markdown', text: expect.stringMatching(/^# Look an order up\n/) });
      expect(content.text).toContain(`${admin.url}/mcp${toolbox}`);
    }
    const before = upstream.arrivals.length;
    await readIn('/plain', uri);
    expect(upstream.arrivals.slice(before).map(({ name }) => name)).toEqual([uri]);
  });

  test('of what is hidden there is none, in the same words as of what is not there', async () => {
    expect((await readIn('', 'gatehouse://docs/vault/say'))?.result).toBeDefined();
    const [hidden, missing] = [
      await readIn('', 'gatehouse://docs/vault/say', guest),
      await readIn('', 'gatehouse://docs/vault/nothing', guest),
    ];
    expect(hidden?.error?.message).toBe('Resource not found: gatehouse://docs/vault/say');
    expect(hidden?.error?.code).toBe(missing?.error?.code);
  });
});

describe('generated code runs as it stands', () => {
  const run = promisify(execFile);
  const environment = () => ({ PATH: process.env.PATH ?? '', GATEHOUSE_KEY: admin.key });
  const snippets = async () => (await read('shop/say', '&format=json')).body.documentation.snippets;
  const arrived = () => upstream.callsOf('say').at(-1)?.params.arguments;

  test('curl', async () => {
    const { stdout } = await run('sh', ['-c', (await snippets()).curl], { env: environment() });
    expect(stdout).toContain('"result"');
    expect(arrived()).toEqual({ text: quoted });
  });

  test('TypeScript', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-snippet-'));
    try {
      symlinkSync(join(import.meta.dirname, '..', '..', 'node_modules'), join(directory, 'node_modules'));
      writeFileSync(join(directory, 'example.mts'), (await snippets()).typescript);
      const { stdout } = await run(process.execPath, [join(directory, 'example.mts')], { env: environment() });
      expect(JSON.parse(stdout).content).toHaveLength(1);
      expect(arrived()).toEqual({ text: quoted });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test('Python parses, whatever the arguments hold', async () => {
    const { python } = await snippets();
    await run('python3', ['-c', 'import ast, sys; ast.parse(sys.argv[1])', python]).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    expect(python).toContain('json.loads("');
    // The one name that the package has in 1.24 and later and in 2.x.
    expect(python).toContain('import streamable_http_client\n');
  });

  test('no argument gets out of its quotes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
        const { curl, typescript } = snippetsFor({
          url: 'http://localhost/mcp',
          tool: 'say',
          arguments: { text },
          inputSchema: { type: 'object' },
        });
        const words = /-d '((?:[^']|'\\'')*)'$/.exec(curl)?.[1]?.replaceAll(`'\\''`, "'") ?? '';
        expect(JSON.parse(words).params.arguments).toEqual({ text: text.toWellFormed() === text ? text : expect.any(String) });
        expect(typescript.split('\n')).toHaveLength(11);
      }),
    );
  });
});

describe('tables of schemas', () => {
  test('are finite, whatever refers to what', () => {
    const loop: JsonObject = {
      $ref: '#/$defs/a',
      $defs: {
        a: { properties: { b: { $ref: '#/$defs/b' }, again: { $ref: '#' } }, allOf: [{ $ref: '#/$defs/a' }] },
        b: { $ref: '#/$defs/c' },
        c: { $ref: '#/$defs/b' },
      },
    };
    const wide: JsonObject = { type: 'object' };
    let at = wide;
    for (let depth = 0; depth < 30; depth++) {
      const next: JsonObject = { type: 'object' };
      at.anyOf = Array.from({ length: 8 }, () => next);
      at.properties = Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`p${n}`, next]));
      at = next;
    }
    for (const schema of [loop, wide]) {
      const startedAtMs = cpuMs();
      const { rows } = rowsOf(schema);
      expect(rows.length).toBeLessThanOrEqual(200);
      sampleArguments(schema);
      expect(cpuMs() - startedAtMs).toBeLessThan(500);
    }
  });

  test('show nested properties, references, alternatives and rules', () => {
    const { rows } = rowsOf({
      type: 'object',
      properties: {
        who: { $ref: '#/$defs/person', description: 'Whose it is.' },
        many: { type: 'array', items: { anyOf: [{ type: 'string', enum: ['x', 'y'] }, { type: 'integer' }] }, maxItems: 3 },
        map: { type: 'object', additionalProperties: { type: 'object', properties: { deep: { const: 1 } } } },
      },
      required: ['who'],
      $defs: { person: { type: 'object', properties: { mail: { type: 'string', format: 'email' } }, required: ['mail'] } },
    });
    expect(rows.map(({ path, type, isRequired, rules }) => [path, type, isRequired, rules.join('; ')])).toEqual([
      ['who', 'object', true, ''],
      ['who.mail', 'string (email)', true, ''],
      ['many', 'array of string or integer', false, 'at most 3 items'],
      ['map', 'object', false, ''],
      ['map.*.deep', 'any', false, 'always 1'],
    ]);
  });
});

describe('text in Markdown', () => {
  test('stays text: no line of it is a heading, a list, a quote, a table or code', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'#*_`>|-+=[]()!<&~\\$1.): \nab@') }), (text) => {
        for (const line of paragraphs(text).split('\n')) {
          expect(line).not.toMatch(/^(#|>|\||[-+*=]|\d+[.)]\s|`{3}|~{3})/);
          expect(line).not.toMatch(/(?<!\\)(?:\\\\)*[`<[\]|*_]/);
        }
        expect(oneLine(text)).not.toContain('\n');
      }),
    );
  });

  test('as code or in a cell it ends neither', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'`|\n\\ ab') }), (text) => {
        const row =
          table(['a', 'b'], [[code(text), oneLine(text)]])
            .split('\n')
            .at(-1) ?? '';
        expect(row.match(/(?<!\\)(?:\\\\)*\|/g)?.length).toBeGreaterThanOrEqual(3);
        const fences = block('json', text).split('\n');
        expect(fences.slice(1, -1)).not.toContain(fences.at(-1));
      }),
    );
  });
});

describe('made examples', () => {
  test.each([
    [
      {
        type: 'object',
        properties: { a: { $ref: '#/$defs/x' } },
        required: ['a'],
        $defs: { x: { type: 'integer', exclusiveMinimum: 4 } },
      },
      { a: 5 },
    ],
    [
      {
        allOf: [
          { properties: { a: { type: 'string', maxLength: 2 } }, required: ['a'] },
          { properties: { b: { enum: ['q'] } }, required: ['b'] },
        ],
      },
      { a: 'te', b: 'q' },
    ],
    [{ properties: { n: { type: ['null', 'number'], maximum: -2 } }, required: ['n'] }, { n: -2 }],
    [{ properties: { n: { type: 'array', items: { type: 'boolean' }, minItems: 2 } }, required: ['n'] }, { n: [true, true] }],
    [{ oneOf: [{ properties: { k: { const: 'v' } }, required: ['k'] }], type: 'object' }, { k: 'v' }],
  ])('%j', (schema, expected) => {
    expect(sampleArguments(schema as JsonObject)).toEqual(expected);
  });
});
