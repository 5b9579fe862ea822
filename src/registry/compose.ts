import { join } from 'node:path';
import { completeConfig } from '../catalog/complete-config.ts';
import type { ToolboxConfig, UpstreamConfig } from '../catalog/config.ts';
import type { NamespaceConfig } from '../catalog/namespace-config.ts';
import { readNamespaceFile } from '../catalog/namespace-file.ts';
import type { PolicyScope, PolicySource } from '../policy/policy.ts';
import type { Problem } from '../problems.ts';
import type { Documents } from './documents.ts';
import type { Registry } from './registry.ts';
import { type AllowedCommands, checkRunTimeRules } from './run-time-rules.ts';

/** Versions of one toolbox that have an address, the newest ones. */
const servedVersions = 20;

export interface ComposeOptions {
  /** The directory of namespace files. */
  readonly directory: string;
  readonly allowedCommands: AllowedCommands;
}

/**
 * The files and the registry as one configuration. What a file declares counts; the registry adds to it. An entry of the registry that
 * is not valid any more is left out and named, the rest is served.
 */
export function composeNamespaces(
  files: readonly NamespaceConfig[],
  registry: Registry,
  { directory, allowedCommands }: ComposeOptions,
): { readonly namespaces: readonly NamespaceConfig[]; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const names = new Set([
    ...registry.list('namespace').map(({ id }) => id),
    ...registry.list('upstream').map(({ body }) => body.namespace),
    ...registry.list('toolbox').map(({ body }) => body.namespace),
  ]);
  const taken = new Set(files.flatMap(({ toolboxes }) => toolboxes.map(({ name }) => name)));
  const own = new Map(
    [...names].map((name) => [name, composeOne(name, registry, { directory, allowedCommands }, taken, problems)]),
  );
  const merged = files.map((file) => {
    const added = own.get(file.name);
    return added === undefined ? file : merge(file, added);
  });
  const rest = [...own].filter(([name]) => !files.some((file) => file.name === name)).map(([, config]) => config);
  return { namespaces: [...merged, ...rest].sort((a, b) => (a.name < b.name ? -1 : 1)), problems };
}

/** Every policy there is, of files and of the registry. */
export function composePolicies(files: readonly NamespaceConfig[], registry: Registry): readonly PolicySource[] {
  const ofFiles = files.map(({ name, policy }) => ({ scope: { kind: 'namespace', namespace: name } as const, policy }));
  const ofRegistry = registry.list('policy').flatMap(({ id, body }) => {
    const scope = readScope(id);
    return scope === undefined ? [] : [{ scope, policy: body.policy }];
  });
  return [...ofFiles, ...ofRegistry];
}

/** How a policy's document is called: `global`, `namespace:hr`, `capability:hr/find_person`. */
export function scopeId(scope: PolicyScope): string {
  if (scope.kind === 'global') return 'global';
  return scope.kind === 'namespace' ? `namespace:${scope.namespace}` : `capability:${scope.capability}`;
}

export function readScope(id: string): PolicyScope | undefined {
  if (id === 'global') return { kind: 'global' };
  const colon = id.indexOf(':');
  const [kind, name] = [id.slice(0, colon), id.slice(colon + 1)];
  if (kind === 'namespace') return { kind, namespace: name };
  return kind === 'capability' ? { kind, capability: name } : undefined;
}

function composeOne(
  namespace: string,
  registry: Registry,
  { directory, allowedCommands }: ComposeOptions,
  taken: ReadonlySet<string>,
  problems: Problem[],
): NamespaceConfig {
  const path = join(directory, `${namespace}.yaml`);
  const upstreams: Record<string, unknown> = {};
  for (const { id, body } of registry.list('upstream')) {
    const name = id.slice(namespace.length + 1);
    if (body.namespace !== namespace) continue;
    // What was allowed when it was registered may not be any more.
    const flaws = checkRunTimeRules(body.entry, allowedCommands);
    for (const { message } of flaws) problems.push({ message: `The registered upstream ${id}: ${message}` });
    if (flaws.length === 0 && isValid('upstreams', namespace, name, body.entry, problems)) upstreams[name] = body.entry;
  }
  const description = registry.get('namespace', namespace)?.body.description;
  const read = readNamespaceFile({ namespace, ...(description === undefined ? {} : { description }), upstreams });
  const config = completeConfig('file' in read ? read.file : { namespace }, path, 'guarded');
  const upstreamsOf = config.upstreams.map((upstream) => withRegistration(upstream, registry));
  return { ...config, upstreams: upstreamsOf, toolboxes: toolboxesOf(namespace, registry, taken, path, problems) };
}

function withRegistration(upstream: UpstreamConfig, registry: Registry): UpstreamConfig {
  const registration = registry.get('upstream', upstream.id)?.body.registration;
  return registration === undefined ? upstream : { ...upstream, registration };
}

function toolboxesOf(
  namespace: string,
  registry: Registry,
  taken: ReadonlySet<string>,
  path: string,
  problems: Problem[],
): readonly ToolboxConfig[] {
  return registry.list('toolbox').flatMap(({ id, body }) => {
    if (body.namespace !== namespace || taken.has(id)) return [];
    const served: ToolboxConfig[] = [];
    for (const version of versionsOf(body)) {
      const document = registry.get('toolbox-version', `${id}@${version}`)?.body;
      if (document === undefined) continue;
      const { flaws, numbered, plain } = readVersion(namespace, id, version, document, path);
      problems.push(...flaws);
      if (numbered === undefined || plain === undefined) continue;
      served.push(numbered);
      if (version === body.published) served.push(plain);
    }
    return served;
  });
}

interface ReadVersion {
  readonly flaws: readonly Problem[];
  /** With the version in its name, and without. */
  readonly numbered?: ToolboxConfig;
  readonly plain?: ToolboxConfig;
}

type VersionDocument = Documents['toolbox-version'];

// A version never changes, and whoever changes one toolbox of hundreds does not wait for all others to be read again. What it says is
// the same object from then on, by which everybody sees that it is the same.
const readVersions = new WeakMap<VersionDocument, ReadVersion & { readonly place: string }>();

function readVersion(namespace: string, id: string, version: number, document: VersionDocument, path: string): ReadVersion {
  const place = `${path} ${namespace} ${id}@${version}`;
  const known = readVersions.get(document);
  if (known?.place === place) return known;
  const flaws: Problem[] = [];
  const read = isValid('toolboxes', namespace, id, document.selection, flaws)
    ? readNamespaceFile({ namespace, toolboxes: { [id]: document.selection } })
    : undefined;
  const [plain] = read !== undefined && 'file' in read ? completeConfig(read.file, path).toolboxes : [];
  const found =
    plain === undefined ? { flaws } : { flaws, plain, numbered: Object.freeze({ ...plain, name: `${id}@${version}` }) };
  readVersions.set(document, { ...found, place });
  return found;
}

/** Those that have an address: the newest ones, and the one that is served without a number, however old. */
function versionsOf({ latest, published }: { readonly latest: number; readonly published?: number | undefined }): number[] {
  const newest = Array.from({ length: Math.min(latest, servedVersions) }, (_, at) => latest - at);
  return published === undefined || newest.includes(published) ? newest : [...newest, published];
}

function isValid(
  section: 'upstreams' | 'toolboxes',
  namespace: string,
  name: string,
  entry: unknown,
  problems: Problem[],
): boolean {
  const read = readNamespaceFile({ namespace, [section]: { [name]: entry } });
  if ('file' in read) return true;
  for (const { message } of read.flaws)
    problems.push({ message: `The registered ${section.slice(0, -1)} ${name} of ${namespace}: ${message}` });
  return false;
}

function merge(file: NamespaceConfig, added: NamespaceConfig): NamespaceConfig {
  const declared = new Set(file.upstreams.map(({ name }) => name));
  return {
    ...file,
    upstreams: [...file.upstreams, ...added.upstreams.filter(({ name }) => !declared.has(name))],
    toolboxes: [...file.toolboxes, ...added.toolboxes],
  };
}
