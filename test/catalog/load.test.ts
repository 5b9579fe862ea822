import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadNamespaces } from '../../src/catalog/load.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'namespaces');
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'gatehouse-load-'));
});
afterAll(() => rm(scratch, { recursive: true }));

async function directory(files: Readonly<Record<string, string>>): Promise<string> {
  const made = await mkdtemp(join(scratch, 'd-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(made, name), text);
  return made;
}

/** What the files themselves expect: `# problem: part of a message | part of another` on the line it is about. */
async function expectedProblems(folder: string): Promise<string[]> {
  const expected: string[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const lines = (await readFile(join(folder, name), 'utf8')).split('\n');
    for (const [at, line] of lines.entries()) {
      const note = / # problem: (.*)$/.exec(line)?.[1];
      for (const part of note?.split(' | ') ?? []) expected.push(`${name}:${at + 1}: ${part}`);
    }
  }
  return expected;
}

describe.each(['syntax', 'aliases', 'fields', 'together'])('%s', (name) => {
  test('every problem of all files is reported at once, on its line, and no other', async () => {
    const folder = join(fixtures, name);
    const result = await loadNamespaces(folder);
    const problems = result.kind === 'problems' ? result.problems : [];
    const expected = await expectedProblems(folder);
    const found = problems.map(({ file, line, message }) => `${file?.slice(folder.length + 1)}:${line}: ${message}`);
    const isMet = (want: string) => {
      const [, place = '', part = ''] = /^([^ ]+) (.*)$/s.exec(want) ?? [];
      return found.some((text) => text.startsWith(`${place} `) && text.includes(part));
    };
    expect(
      expected.filter((want) => !isMet(want)),
      found.join('\n'),
    ).toEqual([]);
    expect(found).toHaveLength(expected.length);
    for (const { column, message } of problems) {
      expect(column).toBeGreaterThan(0);
      expect(message).toMatch(/[.?]$/);
    }
  });
});

test('good files are complete with defaults, in the order of their names', async () => {
  const folder = join(fixtures, 'good');
  const result = await loadNamespaces(folder);
  if (result.kind !== 'loaded') throw new Error(JSON.stringify(result.problems));
  expect(result.namespaces.map(({ name }) => name)).toEqual(['models', 'support']);
  const [models, support] = result.namespaces;
  expect(models).toEqual({
    name: 'models',
    description: undefined,
    file: join(folder, 'models.yml'),
    upstreams: [],
    toolboxes: [],
    policy: {},
  });
  expect(support?.upstreams).toEqual([
    {
      id: 'support/everything',
      namespace: 'support',
      name: 'everything',
      kind: 'mcp',
      transport: {
        type: 'stdio',
        command: ['npx', '-y', '@modelcontextprotocol/server-everything'],
        env: {},
        cwd: fixtures,
      },
      era: 'auto',
      sessions: 'auto',
      timeoutMs: 30_000,
      maxDurationMs: 600_000,
      concurrency: 64,
      include: ['*'],
      exclude: [],
      rename: {},
      answerLimitBytes: 16_777_216,
      review: { changes: 'hold', additions: 'screen' },
      breaker: { errorRate: 0.75, minimumCalls: 10, windowMs: 60_000, openMs: 1000 },
      own: {},
    },
    {
      id: 'support/crm',
      namespace: 'support',
      name: 'crm',
      kind: 'mcp',
      transport: {
        type: 'http',
        url: `https://crm.example.com/mcp?key=\${secret:CRM_KEY}`,
        headers: { Authorization: `Bearer \${secret:CRM_TOKEN}`, 'X-Team': 'support' },
      },
      era: 'modern',
      sessions: 'shared',
      timeoutMs: 20_000,
      maxDurationMs: 40_000,
      concurrency: 32,
      include: ['get_*'],
      exclude: ['get_secret'],
      rename: { get_a: 'a', get_b: 'b' },
      answerLimitBytes: 2048,
      review: { changes: 'hold', additions: 'screen' },
      breaker: { errorRate: 0.25, minimumCalls: 10, windowMs: 60_000, openMs: 1000 },
      own: { timeoutMs: 20_000, breaker: { errorRate: 0.25 } },
    },
    expect.objectContaining({
      id: 'support/local',
      transport: { type: 'stdio', command: ['./server'], env: { TOKEN: `\${secret:LOCAL_TOKEN}` }, cwd: join(fixtures, 'tools') },
    }),
  ]);
  expect(support?.toolboxes).toEqual([
    {
      name: 'triage',
      namespace: 'support',
      title: 'Triage',
      description: 'First look',
      include: ['support/*', 'models'],
      exclude: ['support/delete_*'],
      names: 'prefixed',
      search: 'auto',
      pinned: [],
    },
    expect.objectContaining({ name: 'plain', exclude: [], names: 'one-to-one' }),
    expect.objectContaining({ name: 'rest', names: 'prefixed' }),
  ]);
});

test('what was loaded cannot be changed', async () => {
  const result = await loadNamespaces(join(fixtures, 'good'));
  const support = result.kind === 'loaded' ? result.namespaces[1] : undefined;
  for (const part of [support, support?.upstreams, support?.upstreams[1]?.breaker, support?.upstreams[1]?.rename]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
});

test('the shipped namespaces are good', async () => {
  const result = await loadNamespaces(join(import.meta.dirname, '..', '..', 'namespaces'));
  expect(result).toMatchObject({ kind: 'loaded' });
});

test('an empty directory is an empty catalog, a missing one a problem', async () => {
  expect(await loadNamespaces(await directory({}))).toEqual({ kind: 'loaded', namespaces: [], seen: '' });
  expect(await loadNamespaces(join(scratch, 'nowhere'))).toEqual({
    kind: 'problems',
    problems: [{ file: join(scratch, 'nowhere'), message: expect.stringContaining('GATEHOUSE_NAMESPACES') }],
    seen: 'missing',
  });
});

test('an empty file, a file that is too large and one that cannot be read are problems', async () => {
  const folder = await directory({ 'empty.yaml': '', 'large.yaml': `namespace: a\n#${'x'.repeat(1024 * 1024)}` });
  await symlink(join(folder, 'nowhere'), join(folder, 'dangling.yaml'));
  const result = await loadNamespaces(folder);
  expect(result).toMatchObject({
    kind: 'problems',
    problems: [
      { file: join(folder, 'dangling.yaml'), message: expect.stringContaining('ENOENT') },
      { file: join(folder, 'empty.yaml'), line: 1, column: 1, message: expect.stringContaining('begins with "namespace: name"') },
      { file: join(folder, 'large.yaml'), message: expect.stringContaining('larger than') },
    ],
  });
});

test('a broken file does not make its neighbours look wrong', async () => {
  const folder = await directory({
    'a.yaml': 'namespace: a\ntoolboxes:\n  box: { include: [b, "b/up/*"] }\n',
    'b.yaml': 'namespace: b\nupstreams: [\n',
  });
  const result = await loadNamespaces(folder);
  expect(result.kind === 'problems' && result.problems.map(({ file }) => file?.slice(folder.length + 1))).toEqual(['b.yaml']);
});

test('what a wrong file declares is still known to its neighbours', async () => {
  const folder = await directory({
    'a.yaml': 'namespace: a\ntoolboxes:\n  box: { include: [b, "b/up/*", "b/pu/*"] }\n',
    'b.yaml': 'namespace: b\nupstreams:\n  up: { kind: mcp }\n',
  });
  const result = await loadNamespaces(folder);
  expect(result.kind === 'problems' && result.problems.map(({ line, message }) => `${line} ${message}`)).toEqual([
    '3 "b/pu/*" names the upstream "pu", which "b" does not have. Did you mean "up"?',
    '3 An upstream needs either "command" or "url"; add one.',
  ]);
});

test('no problem repeats a header, a variable or a URL', async () => {
  const folder = await directory({
    'a.yaml': [
      'namespace: a',
      'upstreams:',
      '  one: { kind: mcp, url: "https://user:hunter2@x.example", headers: { X: "hunter2\\n" } }',
      `  two: { kind: mcp, command: [x], env: { A: "hunter2\${secret:*}", B: [hunter2] } }`,
    ].join('\n'),
  });
  const text = JSON.stringify(await loadNamespaces(folder));
  expect(text).toContain('problems');
  expect(text).not.toContain('hunter2');
});

test('keys that every object has are unknown keys, and none may be __proto__', async () => {
  const folder = await directory({
    'a.yaml': 'namespace: a\nconstructor: x\n',
    'b.yaml': 'namespace: b\nupstreams:\n  __proto__: { kind: mcp, url: "https://x.example" }\n',
  });
  const result = await loadNamespaces(folder);
  expect(result.kind === 'problems' && result.problems.map(({ line, message }) => `${line} ${message}`)).toEqual([
    expect.stringMatching(/^2 "constructor" is not known here/),
    '3 A key cannot be named "__proto__"; rename it.',
  ]);
});

describe('API descriptions that files name', () => {
  const file = (upstream: string) => ({ 'shop.yaml': `namespace: shop\nupstreams:\n  pets: { kind: openapi, ${upstream} }\n` });
  const problemsOf = async (upstream: string, imports: Readonly<Record<string, string>>) => {
    const result = await loadNamespaces(await directory(file(upstream)), await directory(imports));
    return result.kind === 'problems' ? result.problems.map(({ line, message }) => `${line} ${message}`) : [];
  };

  test('are found by name and known by their content; another content is another configuration', async () => {
    const imports = await directory({ 'pets.json': '{}', 'other.yaml': 'x' });
    const folder = await directory(file('import: pets, baseUrl: https://x.example'));
    const first = await loadNamespaces(folder, imports);
    const [config] = first.kind === 'loaded' ? (first.namespaces[0]?.upstreams ?? []) : [];
    expect(config).toMatchObject({
      kind: 'openapi',
      include: ['*'],
      transport: {
        type: 'openapi',
        description: { kind: 'file', path: join(imports, 'pets.json') },
        baseUrl: 'https://x.example',
      },
    });
    await writeFile(join(imports, 'pets.json'), '{ }');
    const second = await loadNamespaces(folder, imports);
    expect(second.seen).not.toBe(first.seen);
    expect(second.kind === 'loaded' && second.namespaces[0]?.upstreams[0]?.transport).not.toEqual(config?.transport);
  });

  test('that are not there, twice there, or in the file itself are problems on their line', async () => {
    expect(await problemsOf('import: pets', {})).toEqual([
      expect.stringMatching(/^3 There is no pets\.yaml, \.yml or \.json in /),
    ]);
    expect(await problemsOf('import: pets', { 'pets.yaml': '', 'pets.json': '' })).toEqual([
      expect.stringMatching(/^3 There are pets\.yaml and pets\.json in /),
    ]);
    expect(await problemsOf('document: "{}"', {})).toEqual([expect.stringContaining('does not hold an API description itself')]);
  });
});
