/** What of a key's scope opens nothing right now. It may come later, so it is told and not refused. */
import { reachOfScope } from '../call/authenticate/caller.ts';
import type { Caller } from '../call/authenticate.ts';
import { type Catalog, modelsPlace, type Toolbox } from '../catalog/catalog.ts';
import { suggestName } from '../problems.ts';
import type { Scope } from '../registry/documents.ts';
import { capabilitiesOf, type Known, knownTo, type NamePorts, takesAny, whyNothing } from './known-names.ts';

/** Entries of each list that are looked at, so that a long one on a large catalog holds nobody up. */
const mostLookedAt = 50;

/** A sentence for each entry of a scope that opens nothing, with the name that was probably meant. */
export async function scopeWarnings(ports: NamePorts, caller: Caller, ip: string, scope: Scope): Promise<string[]> {
  if (Object.values(scope).every((list) => list === undefined || list.length === 0)) return [];
  const known = await knownTo(ports, caller, ip);
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

function warnOfGlob(known: Known, list: keyof Scope, glob: string, names: Iterable<string>): string {
  return `scope: ${list} "${glob}" takes nothing right now, so it opens nothing until it does.${whyNothing(known, glob, names)}`;
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
