/** Refuses what this caller may not use. A list is made of what passes here, so that list and call share one decision. */
import type { Toolbox } from '../catalog/catalog.ts';
import { GatewayError } from '../errors.ts';
import type { Caller } from './authenticate.ts';
import type { Target } from './resolve.ts';

declare const allowed: unique symbol;

/** A target its caller may call. Only this file makes one. */
export interface Permit extends Target {
  readonly [allowed]: true;
  readonly caller: Caller;
}

/** Throws GatewayError `unknown_capability`: what may not be called cannot be told from what is not there. */
export function authorize(caller: Caller, target: Target): Permit {
  if (!mayUse(caller, target.toolbox)) throw new GatewayError('unknown_capability', `Unknown: ${target.capability}`);
  return { ...target, caller } as Permit;
}

/** Whether a caller may use this toolbox at all. What is in it was decided when the catalog was built. */
export function mayUse(caller: Caller, toolbox: Toolbox): boolean {
  return caller.toolboxes === 'all' || caller.toolboxes.has(toolbox.name);
}
