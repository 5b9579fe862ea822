import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Problem, suggestName } from '../problems.ts';
import { isObject } from '../wire/json.ts';
import type { YamlFile } from '../yaml-file.ts';
import { checkModelRules } from './check-model-rules.ts';
import { completeConfig, type Descriptions } from './complete-config.ts';
import type { DescriptionSource, ToolboxConfig } from './config.ts';
import { descriptionsFingerprint, findDescription } from './description-files.ts';
import type { NamespaceConfig } from './namespace-config.ts';
import type { NamespaceFile } from './namespace-file.ts';
import { readPattern } from './toolbox-pattern.ts';

/** Either everything that the files say, or every problem in any of them: half a directory is never put to use. */
export type LoadResult = LoadOutcome & {
  /** How the directory looked when it was read; see `fingerprint`. */
  readonly seen: string;
};

export type LoadOutcome =
  | { readonly kind: 'loaded'; readonly namespaces: readonly NamespaceConfig[] }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] };

/**
 * Reads all `*.yaml` and `*.yml` files of a directory, one namespace each, in the order of the namespaces' names. `imports` is the
 * directory of the API descriptions that they name.
 */
export async function loadNamespaces(directory: string, imports?: string): Promise<LoadResult> {
  // Taken before the files are read: what changes while they are makes a difference to the next look.
  const seen = await fingerprint(directory, imports);
  return { ...(await loadFiles(resolve(directory), imports)), seen };
}

/** Changes when a namespace file of the directory or an API description does. Follows links, so that a swapped one counts. */
export async function fingerprint(directory: string, imports?: string): Promise<string> {
  const names = await listFiles(directory);
  const descriptions = imports === undefined ? '' : await descriptionsFingerprint(imports);
  if (names === undefined) return 'missing';
  const looks = names.map(async (name) => {
    try {
      const { ino, size, mtimeMs } = await stat(join(directory, name));
      return `${name} ${ino} ${size} ${mtimeMs}`;
    } catch {
      return `${name} unreadable`;
    }
  });
  return [...(await Promise.all(looks)), ...(descriptions === '' ? [] : [descriptions])].join('\n');
}

async function loadFiles(folder: string, imports: string | undefined): Promise<LoadOutcome> {
  const names = await listFiles(folder);
  if (names === undefined) {
    const message = 'There is no directory for namespace files here. Create it, or name another one with GATEHOUSE_NAMESPACES.';
    return { kind: 'problems', problems: [{ file: folder, message }] };
  }
  const files = await Promise.all(names.map((name) => readOne(join(folder, name), imports)));
  const problems = [...files.flatMap((file) => file.problems), ...checkTogether(files)];
  if (problems.length > 0) return { kind: 'problems', problems: Object.freeze(problems.toSorted(byPlace)) };
  const namespaces = files.flatMap(({ config }) => config ?? []).sort((a, b) => (a.name < b.name ? -1 : 1));
  return { kind: 'loaded', namespaces: Object.freeze(namespaces) };
}

// Names of the namespace files, in a stable order; undefined when there is no such directory.
async function listFiles(directory: string): Promise<string[] | undefined> {
  try {
    // A leading dot is how editors and config maps hide what is not meant to be read.
    return (await readdir(directory)).filter((name) => /^[^.].*\.ya?ml$/i.test(name)).sort();
  } catch {
    return undefined;
  }
}

interface LoadedFile {
  readonly path: string;
  readonly problems: readonly Problem[];
  readonly config: NamespaceConfig | undefined;
  /** What it declares, as far as that can be told: other files are checked against it even when this one is wrong. */
  readonly namespace: string | undefined;
  readonly upstreams: readonly string[];
  readonly toolboxes: readonly string[];
  locate: YamlFile['locate'];
}

async function readOne(path: string, imports: string | undefined): Promise<LoadedFile> {
  // Both are large and loaded while the disk works; a start without namespaces never loads them.
  const [text, { fileLimitBytes }, { readYamlApart }, { readNamespaceFile }, { checkRules }] = await Promise.all([
    readText(path),
    import('../yaml-file.ts'),
    import('../yaml-apart.ts'),
    import('./namespace-file.ts'),
    import('../policy/policy-schema.ts'),
  ]);
  const broken = (problems: readonly Problem[], yaml?: YamlFile): LoadedFile => ({
    path,
    problems,
    config: undefined,
    ...outline(yaml?.value),
    locate: yaml?.locate ?? (() => ({ file: path, line: 1, column: 1 })),
  });
  if (text.kind === 'too-large')
    return broken([
      { file: path, message: `This file is larger than ${fileLimitBytes} bytes; split it into several namespaces.` },
    ]);
  if (text.kind === 'unreadable')
    return broken([
      { file: path, message: `This file cannot be read (${text.reason}); check that it exists and who may read it.` },
    ]);
  const yaml = await readYamlApart(text.text, path);
  if (yaml.problems.length > 0) return broken(yaml.problems);
  const read = readNamespaceFile(yaml.value);
  if ('flaws' in read)
    return broken(
      read.flaws.map(({ path, message }) => ({ ...yaml.locate(path), message })),
      yaml,
    );
  const flaws = await checkRules(read.file.policy);
  if (flaws.length > 0)
    return broken(
      flaws.map(({ path, message }) => ({ ...yaml.locate(['policy', ...path]), message })),
      yaml,
    );
  const modelFlaws = await checkModelRules(read.file);
  if (modelFlaws.length > 0)
    return broken(
      modelFlaws.map(({ path, message }) => ({ ...yaml.locate(path), message })),
      yaml,
    );
  const { descriptions, missing } = await findDescriptions(read.file, imports);
  if (missing.length > 0)
    return broken(
      missing.map(({ path, message }) => ({ ...yaml.locate(path), message })),
      yaml,
    );
  const config = completeConfig(read.file, path, 'file', descriptions);
  return { path, problems: [], config, ...outline(yaml.value), locate: yaml.locate };
}

interface FoundDescriptions {
  readonly descriptions: Descriptions;
  readonly missing: readonly { readonly path: readonly string[]; readonly message: string }[];
}

/** The API descriptions that a file names. */
async function findDescriptions({ upstreams = {} }: NamespaceFile, imports: string | undefined): Promise<FoundDescriptions> {
  const descriptions = new Map<string, DescriptionSource>();
  const missing: { readonly path: readonly string[]; readonly message: string }[] = [];
  for (const [name, upstream] of Object.entries(upstreams)) {
    if (upstream.kind !== 'openapi') continue;
    if (upstream.import === undefined) {
      const message =
        'A namespace file does not hold an API description itself: put it into the directory of API descriptions, and write "import" with its name.';
      missing.push({ path: ['upstreams', name, 'document'], message });
      continue;
    }
    const found = descriptions.get(upstream.import) ?? (await findDescription(imports, upstream.import));
    if ('problem' in found) missing.push({ path: ['upstreams', name, 'import'], message: found.problem });
    else descriptions.set(upstream.import, found);
  }
  return { descriptions, missing };
}

type FileText =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'unreadable'; readonly reason: string };

async function readText(path: string): Promise<FileText> {
  try {
    const { fileLimitBytes } = await import('../yaml-file.ts');
    if ((await stat(path)).size > fileLimitBytes) return { kind: 'too-large' };
    return { kind: 'text', text: await readFile(path, 'utf8') };
  } catch (error) {
    return { kind: 'unreadable', reason: (error as NodeJS.ErrnoException).code ?? 'unknown' };
  }
}

function outline(value: unknown): Pick<LoadedFile, 'namespace' | 'upstreams' | 'toolboxes'> {
  if (!isObject(value)) return { namespace: undefined, upstreams: [], toolboxes: [] };
  const { namespace, upstreams, toolboxes } = value;
  return {
    namespace: typeof namespace === 'string' ? namespace : undefined,
    upstreams: isObject(upstreams) ? Object.keys(upstreams) : [],
    toolboxes: isObject(toolboxes) ? Object.keys(toolboxes) : [],
  };
}

function checkTogether(files: readonly LoadedFile[]): Problem[] {
  return [...checkDuplicates(files), ...checkPatterns(files)];
}

function checkDuplicates(files: readonly LoadedFile[]): Problem[] {
  const problems: Problem[] = [];
  const namespaces = new Map<string, LoadedFile>();
  const toolboxes = new Map<string, LoadedFile>();
  for (const file of files) {
    const { namespace } = file;
    const first = namespace === undefined ? undefined : namespaces.get(namespace);
    if (first !== undefined) {
      problems.push({
        ...file.locate(['namespace']),
        message: `The namespace "${namespace}" is already declared in ${first.path}; rename one, or put both into one file.`,
      });
    } else if (namespace !== undefined) {
      namespaces.set(namespace, file);
    }
    for (const name of file.toolboxes) {
      const other = toolboxes.get(name);
      if (other === undefined) toolboxes.set(name, file);
      else
        problems.push({
          ...file.locate(['toolboxes', name]),
          message: `The toolbox "${name}" is already declared in ${other.path}; its address would be the same. Rename one.`,
        });
    }
  }
  return problems;
}

function checkPatterns(files: readonly LoadedFile[]): Problem[] {
  const upstreams = files.flatMap(({ namespace, upstreams }) =>
    namespace === undefined ? [] : upstreams.map((name) => ({ namespace, name })),
  );
  const namespaces = files.flatMap(({ namespace }) => namespace ?? []);
  // A file whose YAML is broken may declare what others refer to: one mistake is not reported twice.
  const isComplete = files.every(({ namespace }) => namespace !== undefined);
  return files.flatMap(({ config, locate }) =>
    (config?.toolboxes ?? []).flatMap((toolbox) => {
      const path = ['toolboxes', toolbox.name];
      const unknown = (['include', 'exclude'] as const).flatMap((key) =>
        toolbox[key].flatMap((text, index) => {
          const message = isComplete ? findUnknown(text, namespaces, upstreams) : undefined;
          return message === undefined ? [] : [{ ...locate([...path, key, index]), message }];
        }),
      );
      const covered = upstreams.filter((upstream) => isCovered(toolbox, upstream));
      if (toolbox.names !== 'one-to-one' || covered.length === 1 || unknown.length > 0 || !isComplete) return unknown;
      const found = covered.length === 0 ? 'none' : covered.map(({ namespace, name }) => `${namespace}/${name}`).join(', ');
      const message = `A toolbox with "names: one-to-one" shows exactly one upstream, and this one covers ${found}. Include one as "namespace/upstream/*", or use "names: prefixed".`;
      return [{ ...locate([...path, 'names']), message }];
    }),
  );
}

interface UpstreamName {
  readonly namespace: string;
  readonly name: string;
}

function findUnknown(text: string, namespaces: readonly string[], upstreams: readonly UpstreamName[]): string | undefined {
  const pattern = readPattern(text);
  if (pattern === undefined) return undefined;
  const { namespace, upstream } = pattern;
  if (!namespaces.some((name) => pattern.coversNamespace(name))) {
    return `"${text}" names the namespace "${namespace}", which no file declares.${suggestName(namespace, namespaces)}`;
  }
  if (upstream === undefined || upstreams.some((known) => pattern.covers(known))) return undefined;
  const siblings = upstreams.filter((known) => pattern.coversNamespace(known.namespace)).map(({ name }) => name);
  return `"${text}" names the upstream "${upstream}", which "${namespace}" does not have.${suggestName(upstream, siblings)}`;
}

function isCovered(toolbox: ToolboxConfig, upstream: UpstreamName): boolean {
  const matches = (text: string) => {
    const pattern = readPattern(text);
    return pattern?.covers(upstream) === true ? pattern : undefined;
  };
  return toolbox.include.some((text) => matches(text) !== undefined) && !toolbox.exclude.some((text) => matches(text)?.isWhole);
}

function byPlace(a: Problem, b: Problem): number {
  const [fileA, fileB] = [a.file ?? '', b.file ?? ''];
  if (fileA !== fileB) return fileA < fileB ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}
