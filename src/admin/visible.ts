import type { Caller } from '../call/authenticate.ts';
import { type Decisions, visibleToolbox } from '../call/authorize.ts';
import { circumstancesOf } from '../call/call.ts';
import type { Capability, Catalog, Toolbox } from '../catalog/catalog.ts';
import { GatewayError } from '../errors.ts';
import { takeTurns } from '../turns.ts';
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

type LookPorts = Pick<AdminPorts, 'calls' | 'catalog'>;

/** The toolbox of this name as a caller sees it; undefined where it is not theirs, or not there. */
export function toolboxFor({ calls, catalog }: LookPorts, caller: Caller, ip: string, name: string): Toolbox | undefined {
  return undefinedIfMissing(() => visibleToolbox(circumstancesOf(calls, ip), catalog(), caller, name));
}

function undefinedIfMissing<Found>(look: () => Found): Found | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'not_found') return undefined;
    throw error;
  }
}

/**
 * Everything that a caller may call, at whatever address, by kind and name. Administration is no part of it. Two hundred toolboxes
 * take a while: others have their turns meanwhile, so ask for this before you read what you decide on.
 */
export async function visibleTo(
  { calls, catalog }: LookPorts,
  caller: Caller,
  ip: string,
  only?: string,
): Promise<ReadonlyMap<string, Visible>> {
  const snapshot = catalog();
  const circumstances = circumstancesOf(calls, ip);
  const decisions: Decisions = new Map();
  const turn = takeTurns();
  const toolboxes: Toolbox[] = [];
  for (const name of only === undefined ? addressesOf(snapshot) : [only]) {
    const toolbox = undefinedIfMissing(() => visibleToolbox(circumstances, snapshot, caller, name, decisions));
    if (toolbox !== undefined) toolboxes.push(toolbox);
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
  const [first] = toolboxes;
  if (first === undefined) return new Map();
  const known = gathered.get(first);
  if (known?.toolboxes.length === toolboxes.length && known.toolboxes.every((toolbox, at) => toolbox === toolboxes[at]))
    return await known.visible;
  const visible = gather(toolboxes, turn);
  gathered.set(first, { toolboxes, visible });
  return await visible;
}

interface Gathered {
  readonly toolboxes: readonly Toolbox[];
  readonly visible: Promise<ReadonlyMap<string, Visible>>;
}

// A catalog of thousands is looked at page by page; those with the same rights see the same toolboxes, by identity.
const gathered = new WeakMap<Toolbox, Gathered>();

async function gather(
  toolboxes: readonly Toolbox[],
  turn: () => Promise<void> | undefined,
): Promise<ReadonlyMap<string, Visible>> {
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
    const isOver = turn();
    if (isOver !== undefined) await isOver;
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
