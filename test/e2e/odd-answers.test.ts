import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { closeRawClients, codeOf, connectRaw, type RawClient, rawEras, toolText } from '../support/raw-clients.ts';
import { readJournal } from '../support/read-journal.ts';
import { until } from '../support/until.ts';
import type { TestServer } from '../support/upstreams/listen-on.ts';
import { discovered, initialized, type RawRequest, reply, startRawServer } from '../support/upstreams/raw-server.ts';

// Servers that answer what their tools do not promise, in both eras, under the three policies there are.

const inputSchema = { type: 'object' };
const outputSchema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
const deep = { $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' } } } }, $ref: '#/$defs/node' };
const tools = [
  { name: 'plain', inputSchema },
  { name: 'typed', inputSchema, outputSchema },
  { name: 'recursive', inputSchema, outputSchema: { type: 'object', ...deep } },
  { name: 'astray', inputSchema, outputSchema: { type: 'object', $ref: 'https://elsewhere.example/schema.json' } },
];
const policies = ['flag', 'block', 'off'] as const;
type Era = RawClient['era'];
type Place = Record<Era, { server: TestServer; client: RawClient }>;

/** What the next call is answered with: members of a result as they go over the wire, or all of it in pieces. */
let answer: string | (() => Iterable<string>);
let gateway: AdminGateway;
let places: Place;

function startServer(era: Era): Promise<TestServer> {
  return startRawServer((request) => {
    const { message, response } = request;
    const complete = era === 'modern' ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {};
    if (message === undefined) response.writeHead(405).end();
    else if (message.method === 'server/discover' && era === 'modern') reply(request, { result: discovered });
    else if (message.method === 'server/discover') response.writeHead(400).end('what?');
    else if (message.method === 'initialize') reply(request, { result: initialized });
    else if (message.method === 'notifications/initialized') response.writeHead(202).end();
    else if (message.method === 'tools/list') reply(request, { result: { tools, ...complete } });
    else if (message.method === 'tools/call') void respond(request, era);
    else response.writeHead(404).end();
  });
}

async function respond({ message, response }: RawRequest, era: Era): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.on('error', () => {});
  const type =
    era === 'modern' && !(typeof answer === 'string' && answer.includes('"resultType"')) ? '"resultType":"complete",' : '';
  response.write(`{"jsonrpc":"2.0","id":${message?.id},"result":{${type}`);
  const pieces = typeof answer === 'string' ? [answer.replace('"resultType":none,', '')] : answer();
  for (const piece of pieces) {
    if (response.destroyed) return;
    if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
  }
  response.end('}}');
}

beforeAll(async () => {
  const [modern, legacy] = await Promise.all([startServer('modern'), startServer('legacy')]);
  const urls = { modern: modern.url, legacy: legacy.url };
  const fileOf = (namespace: string, era: Era, policy: object) =>
    JSON.stringify({ namespace, upstreams: { far: { kind: 'mcp', url: urls[era] } }, policy });
  const namespaces = policies.flatMap((answers) =>
    rawEras.map((era) => {
      const name = `${answers}-${era}`;
      return [name, fileOf(name, era, answers === 'flag' ? {} : { answers })] as const;
    }),
  );
  gateway = await openAdminGateway({ namespaces: Object.fromEntries(namespaces) });
  const door = { url: `${gateway.url}/mcp`, key: gateway.key };
  places = {
    modern: { server: modern, client: await connectRaw('modern', door) },
    legacy: { server: legacy, client: await connectRaw('legacy', door) },
  };
});
afterAll(async () => {
  await gateway?.stop();
  await closeRawClients();
  await Promise.all(Object.values(places ?? {}).map(({ server }) => server.close()));
});

/** One call, and what is on record of it. */
async function call(era: Era, policy: (typeof policies)[number], tool: string, args: object = {}) {
  const namespace = `${policy}-${era}`;
  const recordsOf = () =>
    readJournal(gateway.dataDir).filter((line) => line.kind === 'intent' && line.capability?.startsWith(`${namespace}/`));
  const before = new Set(recordsOf().map(({ call }) => call));
  const answered = await places[era].client.call(`${namespace}__${tool}`, args);
  const record = await until(`a record of ${namespace}/${tool}`, () => {
    const intent = recordsOf().find((line) => !before.has(line.call));
    return readJournal(gateway.dataDir).find(({ kind, call }) => kind === 'outcome' && call === intent?.call);
  });
  return { answered, rules: record.contentRules, outcome: record.outcome, code: record.code };
}

/** Read as it is written here: spaces, escapes and the order of members must come through. */
const oddities: [what: string, tool: string, members: string, rule: string, eras: readonly Era[]][] = [
  [
    'structured content of another shape',
    'typed',
    '"content": [ ], "structuredContent": {"n": "\\u0041"}',
    'answer/schema',
    rawEras,
  ],
  ['structured content without what is required', 'typed', '"structuredContent" : { } ,"content":[]', 'answer/schema', rawEras],
  ['structured content that is no object', 'typed', '"content":[],"structuredContent":[1 , 2]', 'answer/schema', rawEras],
  ['no structured content', 'typed', '"content":[{"type":"text","text":"\\u0061ll"}]', 'answer/no-structure', rawEras],
  ['an isError that is a text', 'plain', '"content":[], "isError":"false"', 'answer/is-error', rawEras],
  ['an isError that is a number', 'plain', '"content":[], "isError":1', 'answer/is-error', rawEras],
  ['an isError that is null', 'plain', '"isError":null,"content":[]', 'answer/is-error', rawEras],
  ['no resultType', 'plain', '"resultType":none,"content":[]', 'answer/result-type', ['modern']],
  ['a shape that cannot be checked', 'astray', '"content":[],"structuredContent":{}', 'answer/unchecked', rawEras],
  [
    'more structured content than is checked',
    'typed',
    `"content":[],"structuredContent":{"n":1,"more":"${'x'.repeat(4 * 1024 * 1024)}"}`,
    'answer/unchecked',
    rawEras,
  ],
];
const cases = oddities.flatMap(([what, tool, members, rule, eras]) => eras.map((era) => ({ what, tool, members, rule, era })));

describe.each(cases)('PR-08: $what ($era)', ({ tool, members, rule, era }) => {
  const onWire = members.replace('"resultType":none,', '');

  test('is on record and passed on as it came, unless a policy says otherwise', async () => {
    answer = members;
    const { answered, rules, outcome } = await call(era, 'flag', tool);
    expect(answered.text.includes(onWire)).toBe(true);
    expect({ rules, outcome }).toEqual({ rules: [rule], outcome: 'done' });
    const line = gateway.log.find((text) => text.includes(`"rule":"${rule}"`) && text.includes(`flag-${era}/${tool}`));
    expect(line).toContain('answers are not what their tool promises');
  });

  test('is kept back where a policy says so, with a reason that holds none of it', async () => {
    answer = members;
    const { answered, rules, outcome, code } = await call(era, 'block', tool);
    expect(codeOf(answered)).toBe('upstream_failed');
    expect(toolText(answered)).toContain('was carried out');
    expect(answered.text.includes(onWire)).toBe(false);
    expect({ rules, outcome, code }).toEqual({ rules: [rule], outcome: 'failed', code: 'upstream_failed' });
  });

  test('is nobody’s business where a policy says so', async () => {
    answer = members;
    const { answered, rules } = await call(era, 'off', tool);
    expect(answered.text.includes(onWire)).toBe(true);
    expect(rules).toBeUndefined();
  });
});

describe.each(rawEras)('PR-08: what is as promised passes every policy (%s)', (era) => {
  test.each<[string, string, string]>([
    ['of a tool that promises nothing', 'plain', '"content":[{"type":"text","text":"a"}],"structuredContent":{"n":"any"}'],
    ['of the promised shape', 'typed', '"content":[] ,"structuredContent":{"n" :7}, "isError":false'],
    ['of a failure, which has a shape of its own', 'typed', '"content":[{"type":"text","text":"no"}],"isError":true'],
    ['of a shape that is checked elsewhere', 'recursive', '"content":[],"structuredContent":{"next":{"next":{}}}'],
    ['large, and checked elsewhere', 'typed', `"content":[],"structuredContent":{"n":7,"more":"${'x'.repeat(1024 * 1024)}"}`],
  ])('%s', async (_what, tool, members) => {
    answer = members;
    for (const policy of policies) {
      const { answered, rules, outcome } = await call(era, policy, tool);
      expect(answered.text.includes(members)).toBe(true);
      expect({ rules, outcome }).toEqual({ rules: undefined, outcome: 'done' });
    }
  });
});

describe.each(rawEras)('PR-08: fifty megabytes (%s)', (era) => {
  const megabyte = 'A'.repeat(1024 * 1024);
  const image = (megabytes: number) =>
    function* () {
      yield '"content":[{"type":"image","mimeType":"image/png","data":"';
      for (let sent = 0; sent < megabytes; sent++) yield megabyte;
      yield '"}]';
    };

  test('of a picture are an error that names the limit, and the next answer is fine', async () => {
    answer = image(50);
    const { answered, outcome, code } = await call(era, 'flag', 'plain');
    expect(toolText(answered)).toContain('more than the 16777216 bytes an answer may have');
    expect({ outcome, code }).toEqual({ outcome: 'failed', code: 'answer_too_large' });
    answer = image(8);
    const fitting = await call(era, 'flag', 'plain');
    expect(fitting.answered.text.length).toBeGreaterThan(8 * megabyte.length);
    expect(fitting.outcome).toBe('done');
  });
});

test('PR-08: a kind of result that nobody asked for is no answer, one that says it is complete is', async () => {
  answer = '"resultType":"task","taskId":"t","content":[]';
  expect(codeOf((await call('modern', 'off', 'plain')).answered)).toBe('upstream_failed');
  answer = '"resultType":"complete","content":[]';
  expect((await call('modern', 'off', 'plain')).outcome).toBe('done');
});
