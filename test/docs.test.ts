import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { actions } from '../src/admin/actions.ts';
import { readConfiguration, readText } from '../src/admin/configuration-format.ts';
import { readNamespaceFile } from '../src/catalog/namespace-file.ts';
import { clients } from '../src/cli/clients.ts';
import { shortcuts } from '../src/cli/shortcuts.ts';
import { readSearchSettings } from '../src/finding/search-settings.ts';
import { settingsHelp, settingsTable } from '../src/settings/describe.ts';
import { readSettings } from '../src/settings.ts';
import { isObject, type JsonObject } from '../src/wire/json.ts';
import { readYaml } from '../src/yaml-file.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');

const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...markdownIn('docs')].map((file) => ({
  file,
  text: readFileSync(join(root, file), 'utf8'),
}));

const main = readFileSync(join(root, 'src', 'main.ts'), 'utf8');
const commands = new Set([
  'help',
  ...Array.from(main.matchAll(/command\('([a-z-]+)'\)/g), ([, name = '']) => name),
  ...actions.map(({ name }) => name.replaceAll('_', '-')),
  ...shortcuts.map(({ name }) => name),
]);
/** Read by commands, and no settings. */
const otherVariables = new Set(['GATEHOUSE_CONFIG', 'GATEHOUSE_KEY', 'GATEHOUSE_URL']);

function markdownIn(folder: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.md')).map((name) => join(folder, name));
}

/** Of a part, put where it belongs. */
function flawsOf(part: unknown): unknown {
  if (!isObject(part)) return 'it is no map';
  const { search, upstreams } = part;
  const whole = isObject(upstreams) ? { upstreams: withTargets(upstreams) } : { policy: part };
  const read = search === undefined ? readNamespaceFile({ namespace: 'part', ...whole }) : readSearchSettings(search);
  return 'flaws' in read ? read.flaws : [];
}

/** What a page leaves out where it shows something else of a model. */
function withTargets(upstreams: JsonObject): JsonObject {
  const targets = [{ provider: 'openai', model: 'gpt-5-mini', key: `\${secret:KEY}` }];
  return Object.fromEntries(
    Object.entries(upstreams).map(([name, entry]) => [name, isObject(entry) ? { targets, ...entry } : entry]),
  );
}

describe('what the pages say is so', () => {
  test("the README has the settings' own table", async () => {
    const section = /(<!-- settings:start -->\n)[\s\S]*(<!-- settings:end -->)/;
    expect(readme).toMatch(section);
    await expect(readme.replace(section, (_, start, end) => `${start + settingsTable()}\n${end}`)).toMatchFileSnapshot(
      '../README.md',
    );
  });

  test('the README says of every dependency why it is there, and of no other', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const section = readme.slice(readme.indexOf('## Dependencies'));
    const listed = Array.from(section.matchAll(/^\| `([^`]+)` \|/gm), ([, name]) => name);
    expect(listed).toEqual(Object.keys(dependencies));
  });

  test("the README's code map has every folder of src/", () => {
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.filter(({ name }) => !readme.includes(`\`src/${name}/`)).map(({ name }) => name)).toEqual([]);
  });

  test('every case of docs/security-cases.md is in a test of each file that it names', () => {
    const page = pages.find(({ file }) => file === 'docs/security-cases.md')?.text ?? '';
    const rows = Array.from(
      page.matchAll(/^\| ([A-Z]{2}-\d\d) \|.*\| (.*) \|$/gm),
      ([, id = '', files = '']) => [id, files] as const,
    );
    expect(rows.length).toBeGreaterThan(80);
    for (const [id, files] of rows) {
      const named = Array.from(files.matchAll(/`([^`]+)`/g), ([, file = '']) => file);
      expect(named, id).not.toEqual([]);
      for (const file of named) expect(readFileSync(join(root, file), 'utf8'), `${id} in ${file}`).toContain(id);
    }
  });

  test('every client that can be connected is named', () => {
    for (const { name } of clients)
      for (const file of ['README.md', 'docs/clients.md'])
        expect(pages.find((page) => page.file === file)?.text).toContain(`\`${name}\``);
  });

  test.each(pages)('$file: links and paths lead somewhere', ({ file, text }) => {
    const links = Array.from(text.matchAll(/\]\((?!https?:|#)([^)#]+)/g), ([, target = '']) => join(dirname(file), target));
    const paths = Array.from(text.matchAll(/`((?:src|test|scripts|namespaces|bench)\/[\w./-]*)`/g), ([, path = '']) => path);
    expect([...links, ...paths].filter((path) => !existsSync(join(root, path)) && path !== 'src/upstreams/<kind>/')).toEqual([]);
  });

  test.each(pages)('$file: every command and every variable in it is one', ({ text }) => {
    const given = Array.from(text.matchAll(/(?:npx |`)gatehouse ([a-z][a-z-]+)/g), ([, command = '']) => command);
    const variables = text.match(/GATEHOUSE_[A-Z_]*[A-Z]/g) ?? [];
    expect(given.filter((command) => !commands.has(command))).toEqual([]);
    expect(variables.filter((name) => !settingsHelp().includes(`  ${name} `) && !otherVariables.has(name))).toEqual([]);
  });

  test.each(pages)('$file: every settings file in it is a valid one', async ({ text }) => {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-docs-'));
    for (const [, source = ''] of text.matchAll(/```yaml\n(# gatehouse\.yaml\n[\s\S]*?)```/g)) {
      writeFileSync(join(directory, 'gatehouse.yaml'), source);
      await expect(readSettings({ flags: {}, environment: {}, directory })).resolves.toBeDefined();
    }
    rmSync(directory, { recursive: true });
  });

  test.each(pages)('$file: every namespace file in it is a valid one', ({ file, text }) => {
    for (const [, source = ''] of text.matchAll(/```yaml\n(?!# (?:gatehouse\.yaml|configuration)\n)([\s\S]*?)```/g)) {
      const yaml = readYaml(source, relative(root, file));
      expect(yaml.problems).toEqual([]);
      expect(readNamespaceFile(yaml.value)).toHaveProperty('file');
    }
  });

  test.each(pages)('$file: every part of a policy, of a model or of the settings in it is a valid one', ({ file, text }) => {
    for (const [, source = ''] of text.matchAll(/```yml\n((?:limits|content|search|upstreams):[\s\S]*?)```/g)) {
      const { value, problems } = readYaml(source, file);
      expect(problems).toEqual([]);
      expect(flawsOf(value)).toEqual([]);
    }
  });

  test.each(pages)('$file: what it shows an action is as the action takes it', ({ text }) => {
    for (const [, name = '', json = ''] of text.matchAll(/`(\w+_\w+)`:\n\n```json\n([\s\S]*?)```/g)) {
      const action = actions.find((one) => one.name === name);
      expect([name, action?.input.safeParse(JSON.parse(json)).error?.issues]).toEqual([name, undefined]);
      expect(action, name).toBeDefined();
    }
  });

  test.each(pages)('$file: every configuration in it is a valid one', async ({ text }) => {
    for (const [, source = ''] of text.matchAll(/```yaml\n(# configuration\n[\s\S]*?)```/g)) {
      const { wanted, flaws } = await readConfiguration((await readText(source)).value);
      expect([wanted.length > 0, flaws]).toEqual([true, []]);
    }
  });

  test('every error code a page names is one', async () => {
    const { errorTable } = await import('../src/errors.ts');
    const { text = '' } = pages.find(({ file }) => file === join('docs', 'operating.md')) ?? {};
    const codes = Array.from(text.matchAll(/^\| (?:\d+ )?`([a-z]+_[a-z_]+)`/gm), ([, code = '']) => code);
    expect(codes.length).toBeGreaterThan(5);
    expect(codes.filter((code) => !Object.hasOwn(errorTable, code))).toEqual([]);
  });
});
