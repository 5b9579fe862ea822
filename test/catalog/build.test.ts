import { expect, test } from 'vitest';
import { buildCatalog, previewToolbox } from '../../src/catalog/build.ts';
import type { Catalog, Member } from '../../src/catalog/catalog.ts';
import type { ToolboxConfig, UpstreamConfig } from '../../src/catalog/config.ts';
import type { NamespaceConfig } from '../../src/catalog/namespace-config.ts';
import type { Offer } from '../../src/upstreams/upstream.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { memberOf, namespaceConfig, toolboxConfig, tools, upstreamConfig } from './offering-upstream.ts';

type Offers = readonly (readonly [config: UpstreamConfig | string, offer: Partial<Offer>])[];

function build(offers: Offers, toolboxes: readonly ToolboxConfig[] = []): Catalog {
  const members = offers.map(([config, offer]) => memberOf(typeof config === 'string' ? upstreamConfig(config) : config, offer));
  return buildCatalog(1, namespacesOf(members, toolboxes), new Map(members.map((member) => [member.id, member])));
}

function namespacesOf(members: readonly Member[], toolboxes: readonly ToolboxConfig[]): NamespaceConfig[] {
  const names = [...new Set(members.map(({ config }) => config.namespace))];
  return names.map((name, at) =>
    namespaceConfig(
      name,
      members.map(({ config }) => config).filter(({ namespace }) => namespace === name),
      at === 0 ? toolboxes : [],
    ),
  );
}

function names(map: ReadonlyMap<string, unknown> | undefined): string[] {
  return [...(map?.keys() ?? [])];
}

test('lists by namespace, upstream and the order of the upstream, under outward names', () => {
  const { everything, problems } = build([
    ['a/one', { tools: tools('z', 'y'), prompts: [{ name: 'p' }] }],
    ['a/two', { tools: tools('x') }],
    ['b/one', { tools: tools('z') }],
  ]);
  expect(names(everything.tools)).toEqual(['a__z', 'a__y', 'a__x', 'b__z']);
  expect(names(everything.prompts)).toEqual(['a__p']);
  expect(everything.tools.get('a__z')).toMatchObject({
    name: 'a/z',
    definition: { name: 'z' },
    published: { name: 'a__z', inputSchema: { type: 'object' } },
  });
  expect(problems).toEqual([]);
});

test('include, exclude and rename are applied before anything else', () => {
  const config = upstreamConfig('a/one', { include: ['get_*', 'put'], exclude: ['get_secret'], rename: { put: 'store' } });
  const { everything, problems } = build([[config, { tools: tools('get_x', 'get_secret', 'put', 'drop') }]]);
  expect(names(everything.tools)).toEqual(['a__get_x', 'a__store']);
  expect(everything.tools.get('a__store')).toMatchObject({
    name: 'a/store',
    definition: { name: 'put' },
    published: { name: 'a__store' },
  });
  expect(problems).toEqual([]);
});

test('a rename of what is not there is reported, unless the upstream cannot be asked', () => {
  const config = upstreamConfig('a/one', { rename: { gone: 'here' } });
  expect(build([[config, {}]]).problems).toEqual([
    { upstream: 'a/one', subject: 'gone', message: expect.stringContaining('offers nothing named "gone"') },
  ]);
  expect(build([[config, { isStale: true }]]).problems).toEqual([]);
});

test('names that look like members of every object are names like others', () => {
  const { everything } = build([['a/one', { tools: tools('constructor', '__proto__', 'toString') }]]);
  expect(names(everything.tools)).toEqual(['a__constructor', 'a____proto__', 'a__toString']);
});

test('a definition with a member __proto__ is published as it is', () => {
  const hostile = JSON.parse('{"name":"t","inputSchema":{},"__proto__":{"_meta":{"ui":{"resourceUri":"ui://x"}}}}');
  const published = build([['a/one', { tools: [hostile] }]]).everything.tools.get('a__t')?.published;
  expect(JSON.stringify(published)).toBe(
    '{"name":"a__t","inputSchema":{},"__proto__":{"_meta":{"ui":{"resourceUri":"ui://x"}}}}',
  );
  expect(Object.getPrototypeOf(published)).toBe(Object.prototype);
});

test('the upstream declared first keeps a name; the other is reported, not renamed', () => {
  const { everything, problems } = build([
    ['a/one', { tools: tools('same') }],
    ['a/two', { tools: tools('same', 'Same', 'other') }],
    ['b/one', { tools: tools('same') }],
  ]);
  expect(names(everything.tools)).toEqual(['a__same', 'a__other', 'b__same']);
  expect(everything.tools.get('a__same')?.member.id).toBe('a/one');
  expect(problems).toEqual([
    { upstream: 'a/two', subject: 'same', message: expect.stringMatching(/a\/one.*already has "a\/same".*"rename" on a\/two/) },
    { upstream: 'a/two', subject: 'Same', message: expect.stringContaining('a/one') },
  ]);
});

test('a rename resolves the collision', () => {
  const { everything, problems } = build([
    ['a/one', { tools: tools('same') }],
    [upstreamConfig('a/two', { rename: { same: 'same_too' } }), { tools: tools('same') }],
  ]);
  expect(names(everything.tools)).toEqual(['a__same', 'a__same_too']);
  expect(problems).toEqual([]);
});

test('what one upstream offers twice is listed once and reported', () => {
  const { everything, problems } = build([
    [
      'a/one',
      {
        tools: tools('t', 't', 'T'),
        resources: [
          { uri: 'x://1', name: 'r' },
          { uri: 'x://1', name: 's' },
        ],
      },
    ],
  ]);
  expect(names(everything.tools)).toEqual(['a__t', 'a__T']);
  expect(everything.resources.get('x://gh.a.one/1')?.definition.name).toBe('r');
  expect(problems.map(({ subject }) => subject)).toEqual(['t', 'x://1']);
});

test('what an upstream left out is among the problems', () => {
  const { problems } = build([['a/one', { problems: [{ subject: 'bad', message: 'It has no schema.' }] }]]);
  expect(problems).toEqual([{ upstream: 'a/one', subject: 'bad', message: 'It has no schema.' }]);
});

test('resources, templates and the addresses of user interfaces are mapped, everything else is kept', () => {
  const tool = {
    name: 't',
    title: 'T',
    description: 'see ui://page',
    inputSchema: {},
    icons: [{ src: 'https://x/i.png' }],
    _meta: { ui: { resourceUri: 'ui://page', visibility: ['model'] }, 'ui/resourceUri': 'ui://page', other: 1 },
  };
  const { everything } = build([
    [
      'a/one',
      {
        tools: [tool],
        resources: [{ uri: 'ui://page', name: 'page' }],
        resourceTemplates: [{ uriTemplate: 'x://{id}', name: 'x' }],
      },
    ],
  ]);
  expect(everything.tools.get('a__t')?.published).toEqual({
    ...tool,
    name: 'a__t',
    _meta: { ui: { resourceUri: 'ui://gh.a.one/page', visibility: ['model'] }, 'ui/resourceUri': 'ui://gh.a.one/page', other: 1 },
  });
  expect(everything.resources.get('ui://gh.a.one/page')).toMatchObject({
    name: 'a/one',
    published: { uri: 'ui://gh.a.one/page', name: 'page' },
  });
  expect(everything.resourceTemplates.get('x://gh.a.one/{id}')?.published.uriTemplate).toBe('x://gh.a.one/{id}');
  expect(tool._meta.ui.resourceUri).toBe('ui://page');
});

test('what is absent from a definition stays absent', () => {
  const published = build([['a/one', { tools: tools('t') }]]).everything.tools.get('a__t')?.published;
  expect(Object.keys(published ?? {})).toEqual(['name', 'inputSchema']);
});

const boxed: Offers = [
  ['a/one', { tools: tools('get_x', 'drop_x'), prompts: [{ name: 'get_p' }], resources: [{ uri: 'x://1', name: 'r' }] }],
  ['a/two', { tools: tools('get_y', 'drop_y') }],
  ['b/one', { tools: tools('get_z') }],
];

test.each([
  [['a'], [], ['a__get_x', 'a__drop_x', 'a__get_y', 'a__drop_y'], 1],
  [['a/*'], [], ['a__get_x', 'a__drop_x', 'a__get_y', 'a__drop_y'], 1],
  [['a/one/*'], [], ['a__get_x', 'a__drop_x'], 1],
  [['a/*'], ['a/drop_*'], ['a__get_x', 'a__get_y'], 1],
  [['a/*'], ['a/one/*'], ['a__get_y', 'a__drop_y'], 0],
  [['a/get_*'], [], ['a__get_x', 'a__get_y'], 0],
  [['a/two/get_*', 'b'], [], ['a__get_y', 'b__get_z'], 0],
  [['*/get_*'], [], ['a__get_x', 'a__get_y', 'b__get_z'], 0],
  [['*'], ['a'], ['b__get_z'], 0],
])('a toolbox of %j without %j', (include, exclude, expected, resources) => {
  const { toolboxes, problems } = build(boxed, [toolboxConfig('box', include, { exclude })]);
  expect(names(toolboxes.get('box')?.tools)).toEqual(expected);
  expect(toolboxes.get('box')?.resources.size).toBe(resources);
  expect(problems).toEqual([]);
});

test('an altered name can be chosen and left out in the spelling of the upstream, too', () => {
  const offers: Offers = [['a/one', { tools: tools('drop.all', 'get.all') }]];
  const { toolboxes } = build(offers, [
    toolboxConfig('left', ['a'], { exclude: ['a/drop.*'] }),
    toolboxConfig('taken', ['a/get.all']),
    toolboxConfig('outward', ['a/get_all_*']),
  ]);
  for (const name of ['left', 'taken', 'outward']) {
    expect(names(toolboxes.get(name)?.tools)).toEqual([expect.stringMatching(/^a__get_all_[0-9a-f]{6}$/)]);
  }
});

test('prompts are chosen by name, as tools are', () => {
  const { toolboxes } = build(boxed, [toolboxConfig('all', ['a']), toolboxConfig('drops', ['a/drop_*'])]);
  expect(names(toolboxes.get('all')?.prompts)).toEqual(['a__get_p']);
  expect(names(toolboxes.get('drops')?.prompts)).toEqual([]);
});

test('a toolbox of single tools reads the pages of those tools and nothing else', () => {
  const tool = { name: 'show', inputSchema: {}, _meta: { ui: { resourceUri: 'ui://page' } } };
  const offers: Offers = [
    [
      'a/one',
      {
        tools: [tool, ...tools('hidden')],
        resources: [
          { uri: 'ui://page', name: 'page' },
          { uri: 'x://secret', name: 'secret' },
        ],
        resourceTemplates: [{ uriTemplate: 'x://{any}', name: 'any' }],
      },
    ],
  ];
  const { toolboxes } = build(offers, [toolboxConfig('part', ['a/show']), toolboxConfig('whole', ['a'])]);
  const part = toolboxes.get('part');
  expect(names(part?.resources)).toEqual(['ui://gh.a.one/page']);
  expect(names(part?.resourceTemplates)).toEqual([]);
  expect(part?.uris.toUpstream('ui://gh.a.one/page')?.uri).toBe('ui://page');
  expect(part?.uris.toUpstream('x://gh.a.one/secret')).toBeUndefined();
  expect(toolboxes.get('whole')?.uris.toUpstream('x://gh.a.one/secret')?.uri).toBe('x://secret');
});

test('a one-to-one toolbox shows the upstream as it is', () => {
  const config = upstreamConfig('a/one', { rename: { put: 'store' }, exclude: ['drop'] });
  const resources = [{ uri: 'x://1', name: 'r' }];
  const { toolboxes } = build(
    [
      [config, { tools: tools('put', 'drop', 'a.b'), resources, instructions: 'Be kind.' }],
      ['a/two', { tools: tools('t') }],
    ],
    [toolboxConfig('plain', ['a/one/*'], { names: 'one-to-one' })],
  );
  const plain = toolboxes.get('plain');
  expect(names(plain?.tools)).toEqual(['put', 'a.b']);
  expect(plain?.tools.get('put')).toMatchObject({ outwardName: 'put', name: 'a/store', published: { name: 'put' } });
  expect(names(plain?.resources)).toEqual(['x://1']);
  expect(plain?.uris.isIdentity).toBe(true);
  expect(plain?.instructions).toBe('Be kind.');
});

test('a pattern that takes nothing is reported, with the form that takes an upstream', () => {
  const box = toolboxConfig('box', ['a/one', 'a/get_*']);
  expect(build([['a/one', { tools: tools('get_x') }]], [box]).problems).toEqual([
    { upstream: 'toolbox box', subject: 'a/one', message: expect.stringContaining('write "a/one/*"') },
  ]);
  expect(build([['a/one', { tools: tools('get_x'), isStale: true }]], [box]).problems).toEqual([]);
});

test('instructions stand under the upstream they come from, and are cut', () => {
  const { everything } = build([
    ['a/one', { instructions: 'First.' }],
    ['a/two', {}],
    ['b/one', { instructions: 'x'.repeat(5000) }],
  ]);
  expect(everything.instructions).toBe(`## a/one\n\nFirst.\n\n## b/one\n\n${'x'.repeat(4096)}...`);
});

test('instructions of many upstreams end with a word on what is missing', () => {
  const { everything } = build([1, 2, 3, 4, 5, 6].map((number) => [`a/u${number}`, { instructions: 'x'.repeat(4000) }] as const));
  expect(everything.instructions?.length).toBeLessThan(17_000);
  expect(everything.instructions).toContain('left out');
  expect(build([['a/one', {}]]).everything.instructions).toBeUndefined();
});

test('a toolbox can what one of its members can', () => {
  const can = { complete: true, log: false, subscribe: false };
  const { everything } = build([
    ['a/one', { can }],
    ['a/two', { can: { complete: false, log: false, subscribe: true } }],
  ]);
  expect(everything.can).toEqual({ complete: true, log: false, subscribe: true });
});

test.each([
  [
    [
      { ttlMs: 500, cacheScope: 'public' },
      { ttlMs: 300, cacheScope: 'public' },
    ],
    { ttlMs: 300, cacheScope: 'private' },
  ],
  [
    [
      { ttlMs: 500, cacheScope: 'public' },
      { ttlMs: 900, cacheScope: 'private' },
    ],
    { ttlMs: 500, cacheScope: 'private' },
  ],
  [[{ ttlMs: 500, cacheScope: 'public' }, undefined], { ttlMs: 0, cacheScope: 'private' }],
  [[], { ttlMs: 0, cacheScope: 'private' }],
] as const)('caching of %j is %j', (given, expected) => {
  expect(build(given.map((caching, at) => [`a/u${at}`, { caching }] as const)).everything.caching).toEqual(expected);
});

test('published objects of an unchanged upstream stay the same objects', () => {
  const kept = memberOf(upstreamConfig('a/kept'), { tools: tools('t') });
  const changing = memberOf(upstreamConfig('a/changing'), { tools: tools('u') });
  const members = new Map([kept, changing].map((member) => [member.id, member]));
  const namespaces = namespacesOf([kept, changing], []);
  const before = buildCatalog(1, namespaces, members);
  changing.upstream.show({ tools: tools('u') });
  const after = buildCatalog(2, namespaces, members);
  expect(after.everything.tools.get('a__t')).toBe(before.everything.tools.get('a__t'));
  expect(after.everything.tools.get('a__u')).not.toBe(before.everything.tools.get('a__u'));
  expect(after.version).toBe(2);
});

test('the snapshot is frozen', () => {
  const { everything } = build([['a/one', { tools: tools('t') }]]);
  const tool = everything.tools.get('a__t');
  for (const part of [everything, everything.members, everything.can, tool, tool?.published])
    expect(Object.isFrozen(part)).toBe(true);
});

test('20,000 tools are rebuilt in a blink when one upstream changed', () => {
  const many = Array.from({ length: 1000 }, (_, at) => `tool_number_${at}`);
  const members = Array.from({ length: 20 }, (_, at) => memberOf(upstreamConfig(`n${at}/u`), { tools: tools(...many) }));
  const map = new Map(members.map((member) => [member.id, member]));
  const namespaces = namespacesOf(members, [toolboxConfig('some', ['*/tool_number_1*'], { exclude: ['n3/*9'] })]);
  buildCatalog(1, namespaces, map);
  const costsMs = Array.from({ length: 8 }, (_, version) => {
    members[0]?.upstream.show({ tools: tools(...many) });
    // What it costs, not what else the machine is doing meanwhile.
    const beforeMs = cpuMs();
    buildCatalog(version, namespaces, map);
    return cpuMs() - beforeMs;
  });
  expect(Math.min(...costsMs)).toBeLessThan(50);
});

test('a toolbox is the same from one snapshot to the next until something in it changes', () => {
  const one = memberOf(upstreamConfig('a/one'), { tools: tools('x', 'y') });
  const two = memberOf(upstreamConfig('b/two'), { tools: tools('z') });
  const boxes = [toolboxConfig('ones', ['a/*']), toolboxConfig('some', ['a/x', 'a/nothing']), toolboxConfig('twos', ['b/*'])];
  const snapshot = (version: number, members: readonly Member[]) =>
    buildCatalog(version, namespacesOf(members, boxes), new Map(members.map((member) => [member.id, member])));
  const first = snapshot(1, [one, two]);
  const second = snapshot(2, [one, two]);
  expect(boxes.map(({ name }) => second.toolboxes.get(name) === first.toolboxes.get(name))).toEqual([true, true, true]);
  expect(second.problems).toEqual(first.problems);
  expect(first.problems).toMatchObject([{ subject: 'a/nothing' }]);
  const third = snapshot(3, [one, memberOf(upstreamConfig('b/two'), { tools: tools('z', 'w') })]);
  expect(boxes.map(({ name }) => third.toolboxes.get(name) === first.toolboxes.get(name))).toEqual([true, true, false]);
  expect(names(third.toolboxes.get('twos')?.tools)).toEqual(['b__z', 'b__w']);
  expect(names(third.everything.tools)).toEqual(['a__x', 'a__y', 'b__z', 'b__w']);
});

test('a preview is what the catalog would serve, of the same definitions', () => {
  const catalog = build([['a/one', { tools: tools('x', 'y') }]], [toolboxConfig('box', ['a/x'])]);
  const preview = previewToolbox(catalog, toolboxConfig('box', ['a/x']));
  expect(preview.tools).toEqual(catalog.toolboxes.get('box')?.tools);
  expect(preview.tools.get('a__x')).toBe(catalog.everything.tools.get('a__x'));
  expect(names(previewToolbox(catalog, toolboxConfig('box', ['a/*'])).tools)).toEqual(['a__x', 'a__y']);
});
