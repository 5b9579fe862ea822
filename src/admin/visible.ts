import type { Caller } from '../call/authenticate.ts';
import { visibleToolbox } from '../call/authorize.ts';
import { circumstancesOf } from '../call/call.ts';
import type { Capability, Catalog, Toolbox } from '../catalog/catalog.ts';
import { GatewayError } from '../errors.ts';
import type { AdminPorts } from './action.ts';

export type Kind = 'tool' | 'prompt' | 'resource' | 'resource template';

/** One capability that a caller may call, with the addresses it has for them. */
export interface Visible {
  readonly kind: Kind;
  /** `namespace/name`, or the URI where there is no name. */
  readonly name: string;
  readonly capability: Capability<unknown>;
  /** Of the toolboxes that show it; empty for everything at `/mcp`. */
  readonly toolboxes: readonly string[];
}

/** The toolbox of this name as a caller sees it; undefined where it is not theirs, or not there. */
export function toolboxFor(
  { calls, catalog }: Pick<AdminPorts, 'calls' | 'catalog'>,
  caller: Caller,
  ip: string,
  name: string,
): Toolbox | undefined {
  try {
    return visibleToolbox(circumstancesOf(calls, ip), catalog(), caller, name);
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** Everything that a caller may call, at whatever address, by kind and name. Administration is no part of it. */
export function visibleTo(
  ports: Pick<AdminPorts, 'calls' | 'catalog'>,
  caller: Caller,
  ip: string,
  only?: string,
): ReadonlyMap<string, Visible> {
  const names = only === undefined ? addressesOf(ports.catalog()) : [only];
  const toolboxes = names.flatMap((name) => toolboxFor(ports, caller, ip, name) ?? []);
  const [first] = toolboxes;
  if (first === undefined) return new Map();
  const known = gathered.get(first);
  if (known?.toolboxes.length === toolboxes.length && known.toolboxes.every((toolbox, at) => toolbox === toolboxes[at]))
    return known.visible;
  const visible = gather(toolboxes);
  gathered.set(first, { toolboxes, visible });
  return visible;
}

interface Gathered {
  readonly toolboxes: readonly Toolbox[];
  readonly visible: ReadonlyMap<string, Visible>;
}

// A catalog of thousands is looked at page by page; those with the same rights see the same toolboxes, by identity.
const gathered = new WeakMap<Toolbox, Gathered>();

function gather(toolboxes: readonly Toolbox[]): ReadonlyMap<string, Visible> {
  const found = new Map<string, Visible & { readonly toolboxes: string[] }>();
  for (const toolbox of toolboxes) {
    const { name } = toolbox;
    for (const [kind, outward, capability] of capabilitiesOf(toolbox)) {
      const shown = kind === 'tool' || kind === 'prompt' ? capability.name : outward;
      // Of a resource that stands at two addresses under two URIs, each is one.
      const key = `${kind} ${shown}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { kind, name: shown, capability, toolboxes: name === '' ? [] : [name] });
      else if (name !== '') known.toolboxes.push(name);
    }
  }
  return found;
}

/** Everything first, so that it gives a capability its outward name; versions of toolboxes bring nothing that can be looked for. */
function addressesOf({ toolboxes }: Catalog): string[] {
  return ['', ...[...toolboxes.keys()].filter((name) => name !== 'admin' && !name.includes('@'))];
}

function* capabilitiesOf(toolbox: Toolbox): Iterable<readonly [Kind, string, Capability<unknown>]> {
  for (const [outward, tool] of toolbox.tools) yield ['tool', outward, tool];
  for (const [outward, prompt] of toolbox.prompts) yield ['prompt', outward, prompt];
  for (const [outward, resource] of toolbox.resources) yield ['resource', outward, resource];
  for (const [outward, template] of toolbox.resourceTemplates) yield ['resource template', outward, template];
}
