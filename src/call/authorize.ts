/** Refuses what this caller may not use. A list is made of what passes here, so that list and call share one decision. */
import type { Catalog, Toolbox } from '../catalog/catalog.ts';
import type { Caller } from './authenticate.ts';
import { findToolbox, noSuchToolbox, type Target } from './resolve.ts';

declare const allowed: unique symbol;

/** A target its caller may call. Only this file makes one. */
export interface Permit extends Target {
  readonly [allowed]: true;
  readonly caller: Caller;
}

/** Throws GatewayError `not_found`: a toolbox that is not for this caller cannot be told from one that is not there. */
export function authorize(caller: Caller, target: Target): Permit {
  if (!mayUse(caller, target.toolbox)) throw noSuchToolbox(target.toolbox.name);
  return { ...target, caller } as Permit;
}

/** The toolbox of this name, if this caller may use it. Throws GatewayError `not_found` for both: no such thing, and not for them. */
export function visibleToolbox(catalog: Catalog, caller: Caller, name: string): Toolbox {
  const toolbox = findToolbox(catalog, name);
  if (!mayUse(caller, toolbox)) throw noSuchToolbox(name);
  return toolbox;
}

// What is in a toolbox was decided when the catalog was built.
function mayUse(caller: Caller, toolbox: Toolbox): boolean {
  return caller.toolboxes === 'all' || caller.toolboxes.has(toolbox.name);
}
