/** What is there, as far as somebody may know of it: what names in scopes and policies are compared with. */
import type { Caller } from '../call/authenticate.ts';
import { type Catalog, modelsPlace, type Toolbox } from '../catalog/catalog.ts';
import { compileGlob } from '../catalog/glob.ts';
import { suggestName } from '../problems.ts';
import type { AdminPorts } from './action.ts';
import { hasRole } from './roles.ts';
import { toolboxFor, visibleTo } from './visible.ts';

export type NamePorts = Pick<AdminPorts, 'calls' | 'catalog' | 'files' | 'registry'>;

/** Of what somebody may not know of, nobody tells them whether it is there. */
export interface Known {
  readonly toolboxes: ReadonlySet<string>;
  readonly drafts: ReadonlySet<string>;
  readonly namespaces: ReadonlySet<string>;
  /** Every capability, models among them, as `namespace/name`, with the namespace it is in. */
  readonly capabilities: ReadonlyMap<string, string>;
  readonly models: ReadonlySet<string>;
}

export async function knownTo(ports: NamePorts, caller: Caller, ip: string): Promise<Known> {
  const visible = await visibleTo(ports, caller, ip);
  const catalog = ports.catalog();
  const looksAfter = (namespace: string) => hasRole(caller, ['auditor'], namespace);
  const capabilities = new Map<string, string>();
  const models = new Set<string>();
  for (const toolbox of [catalog.everything, catalog.models])
    for (const { name, namespace, isModel } of capabilitiesOf(toolbox)) if (looksAfter(namespace)) add(name, namespace, isModel);
  for (const { capability } of visible.values())
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

/** Everything that is there. For the operator alone. */
export function knownToOperator(ports: Pick<NamePorts, 'catalog' | 'files' | 'registry'>): Known {
  const catalog = ports.catalog();
  const capabilities = new Map<string, string>();
  const models = new Set<string>();
  for (const toolbox of [catalog.everything, catalog.models, ...adminToolbox(catalog)])
    for (const { name, namespace, isModel } of capabilitiesOf(toolbox)) {
      capabilities.set(name, namespace);
      if (isModel) models.add(name);
    }
  return {
    toolboxes: new Set(catalog.toolboxes.keys()),
    drafts: new Set(ports.registry.list('toolbox').map(({ id }) => id)),
    namespaces: new Set([...namespacesNamed(ports), 'admin']),
    capabilities,
    models,
  };
}

export function namespacesNamed({ files, registry }: Pick<AdminPorts, 'files' | 'registry'>): ReadonlySet<string> {
  return new Set([
    ...files().map(({ name }) => name),
    ...registry.list('namespace').map(({ id }) => id),
    ...registry.list('upstream').map(({ body }) => body.namespace),
    ...registry.list('toolbox').map(({ body }) => body.namespace),
  ]);
}

function adminToolbox(catalog: Catalog): readonly Toolbox[] {
  const toolbox = catalog.toolboxes.get('admin');
  return toolbox === undefined ? [] : [toolbox];
}

function isIn(namespace: string) {
  return (grant: { readonly namespace?: string | undefined }) => grant.namespace === undefined || grant.namespace === namespace;
}

export function* capabilitiesOf({ tools, prompts, resources, resourceTemplates }: Toolbox) {
  for (const list of [tools, prompts, resources, resourceTemplates])
    for (const { name, member } of list.values())
      yield { name, namespace: member.config.namespace, isModel: member.config.kind === 'model' };
}

/** Of `namespace/name`. */
export function namespaceIn(name: string): string {
  return name.slice(0, name.indexOf('/'));
}

export function takesAny(names: Iterable<string>, glob: string): boolean {
  const takes = compileGlob(glob);
  for (const name of names) if (takes(name)) return true;
  return false;
}

/** Why a pattern for capabilities takes nothing, with the name that was probably meant; begins with a blank where there is anything to say. */
export function whyNothing({ namespaces }: Pick<Known, 'namespaces'>, glob: string, names: Iterable<string>): string {
  const namespace = namespaceIn(glob);
  if (!namespace.includes('*') && !namespaces.has(namespace))
    return ` There is no namespace "${namespace}".${suggestName(namespace, namespaces)}`;
  return glob.includes('*') ? '' : suggestName(glob, names);
}
