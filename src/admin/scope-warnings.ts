/** What of a key's scope opens nothing right now. It may come later, so it is told and not refused. */
import { reachOfScope } from '../call/authenticate/caller.ts';
import type { Caller } from '../call/authenticate.ts';
import { type Catalog, modelsPlace, type Toolbox } from '../catalog/catalog.ts';
import { compileGlob } from '../catalog/glob.ts';
import { suggestName } from '../problems.ts';
import type { Scope } from '../registry/documents.ts';
import { type AdminPorts, hasRole } from './action.ts';
import { namespacesNamed } from './namespaces.ts';
import { toolboxFor, visibleTo } from './visible.ts';

type Ports = Pick<AdminPorts, 'calls' | 'catalog' | 'files' | 'registry'>;

/** Entries of each list that are looked at, so that a long one on a large catalog holds nobody up. */
const mostLookedAt = 50;

/** What whoever makes the key may know of: of the rest nobody tells whether it is there. */
interface Known {
  readonly toolboxes: ReadonlySet<string>;
  readonly drafts: ReadonlySet<string>;
  readonly namespaces: ReadonlySet<string>;
  /** Every capability, models among them, as `namespace/name`, with the namespace it is in. */
  readonly capabilities: ReadonlyMap<string, string>;
  readonly models: ReadonlySet<string>;
}

/** A sentence for each entry of a scope that opens nothing, with the name that was probably meant. */
export function scopeWarnings(ports: Ports, caller: Caller, ip: string, scope: Scope): string[] {
  if (Object.values(scope).every((list) => list === undefined || list.length === 0)) return [];
  const known = knownTo(ports, caller, ip);
  const { toolboxes = [], namespaces = [], capabilities = [], models = [] } = scope;
  const unknown = [
    ...toolboxes.slice(0, mostLookedAt).flatMap((name) => warnOfToolbox(known, name)),
    ...namespaces.slice(0, mostLookedAt).flatMap((name) => warnOfNamespace(known, name)),
    ...capabilities.slice(0, mostLookedAt).flatMap((glob) => warnOfCapability(known, glob)),
    ...models.slice(0, mostLookedAt).flatMap((glob) => warnOfModel(known, glob)),
  ];
  return unknown.length > 0 || opensSomething(ports.catalog(), scope, known) ? unknown : [nothingTogether];
}

const nothingTogether =
  'scope: every entry names something, and no capability is in all of the lists, so the key can call nothing right now. Leave out the list that is in the way: each that is there must hold a call.';

function knownTo(ports: Ports, caller: Caller, ip: string): Known {
  const catalog = ports.catalog();
  const looksAfter = (namespace: string) => hasRole(caller, ['auditor'], namespace);
  const capabilities = new Map<string, string>();
  const models = new Set<string>();
  for (const toolbox of [catalog.everything, catalog.models])
    for (const { name, namespace, isModel } of capabilitiesOf(toolbox)) if (looksAfter(namespace)) add(name, namespace, isModel);
  for (const { capability } of visibleTo(ports, caller, ip).values())
    add(capability.name, capability.member.config.namespace, capability.member.config.kind === 'model');
  for (const { name } of toolboxFor(ports, caller, ip, modelsPlace)?.tools.values() ?? []) add(name, namespaceIn(name), true);
  for (const { name } of toolboxFor(ports, caller, ip, 'admin')?.tools.values() ?? []) add(name, 'admin', false);
  function add(name: string, namespace: string, isModel: boolean): void {
    capabilities.set(name, namespace);
    if (isModel) models.add(name);
  }
  const seen = new Set(capabilities.values());
  const namespaces = [...namespacesNamed(ports)].filter((name) => seen.has(name) || caller.roles.some(isIn(name)));
  const served = [...catalog.toolboxes.keys()].filter((name) => toolboxFor(ports, caller, ip, name) !== undefined);
  const drafts = ports.registry.list('toolbox').filter(({ body }) => caller.roles.some(isIn(body.namespace)));
  return {
    toolboxes: new Set(served),
    drafts: new Set(drafts.map(({ id }) => id)),
    namespaces: new Set([...namespaces, 'admin']),
    capabilities,
    models,
  };
}

function isIn(namespace: string) {
  return (grant: { readonly namespace?: string | undefined }) => grant.namespace === undefined || grant.namespace === namespace;
}

function* capabilitiesOf({ tools, prompts, resources, resourceTemplates }: Toolbox) {
  for (const list of [tools, prompts, resources, resourceTemplates])
    for (const { name, member } of list.values())
      yield { name, namespace: member.config.namespace, isModel: member.config.kind === 'model' };
}

function namespaceIn(name: string): string {
  return name.slice(0, name.indexOf('/'));
}

function warnOfToolbox({ toolboxes, drafts }: Known, name: string): readonly string[] {
  if (toolboxes.has(name)) return [];
  const [own = '', version] = name.split('@');
  if (version !== undefined && toolboxes.has(own))
    return [`scope: toolboxes "${name}": the toolbox ${own} has no version ${version} that is served.`];
  if (drafts.has(own))
    return [
      `scope: toolboxes "${name}": it is a draft, which nobody is served. The key opens it once publish_toolbox was called.`,
    ];
  return [
    `scope: toolboxes "${name}" is not there, so it opens nothing until it is.${suggestName(own, [...toolboxes, ...drafts])}`,
  ];
}

function warnOfNamespace({ namespaces }: Known, name: string): readonly string[] {
  if (namespaces.has(name)) return [];
  return [`scope: namespaces "${name}" is not there, so it opens nothing until it is.${suggestName(name, namespaces)}`];
}

function warnOfCapability(known: Known, glob: string): readonly string[] {
  return takesAny(known.capabilities.keys(), glob) ? [] : [warnOfGlob(known, 'capabilities', glob, known.capabilities.keys())];
}

function warnOfModel(known: Known, glob: string): readonly string[] {
  if (takesAny(known.models, glob)) return [];
  if (takesAny(known.capabilities.keys(), glob))
    return [`scope: models "${glob}" is no model. What is not a model belongs into "capabilities".`];
  return [warnOfGlob(known, 'models', glob, known.models)];
}

function warnOfGlob({ namespaces }: Known, list: keyof Scope, glob: string, names: Iterable<string>): string {
  const namespace = namespaceIn(glob);
  const opens = `scope: ${list} "${glob}" takes nothing right now, so it opens nothing until it does.`;
  if (!namespace.includes('*') && !namespaces.has(namespace))
    return `${opens} There is no namespace "${namespace}".${suggestName(namespace, namespaces)}`;
  return glob.includes('*') ? opens : opens + suggestName(glob, names);
}

function takesAny(names: Iterable<string>, glob: string): boolean {
  const takes = compileGlob(glob);
  for (const name of names) if (takes(name)) return true;
  return false;
}

/** Whether the lists of a scope have anything in common. A list that is empty was meant so. */
function opensSomething(catalog: Catalog, scope: Scope, { capabilities, models }: Known): boolean {
  const reach = reachOfScope(scope);
  if (reach === undefined || Object.values(scope).some((list) => list?.length === 0)) return true;
  const opens = (place: string, name: string): boolean => {
    const namespace = capabilities.get(name);
    return namespace !== undefined && reach(place, { namespace, name, isModel: models.has(name) });
  };
  const toolboxes = scope.toolboxes?.flatMap((name) => catalog.toolboxes.get(name) ?? []);
  if (toolboxes === undefined) return [...capabilities.keys()].some((name) => opens('', name) || opens(modelsPlace, name));
  const isIn = (toolbox: Toolbox) => [...capabilitiesOf(toolbox)].some(({ name }) => opens(toolbox.name, name));
  return toolboxes.some(isIn) || [...models].some((name) => opens(modelsPlace, name));
}
