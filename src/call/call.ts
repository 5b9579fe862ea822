/**
 * The path of a call: start reading here. Every capability, through every door, takes these steps in this order.
 * Each step is a function that takes what the one before it returned, and only that step can make it:
 * leaving one out does not compile.
 *
 *   bytes -> Ask      inbound/            parsed once: what is judged is what is sent
 *         -> Caller   authenticate        who is it
 *         -> Target   resolve             what is it for
 *         -> Permit   authorize           may they
 *         -> Answer   callUpstream        slot, breaker, deadline; the only outgoing bytes
 *         -> Outcome  inspect             is it what was promised, in the client's names
 *                     record              one line for every call, refused or done
 */
import type { Logger } from 'pino';
import type { Catalog } from '../catalog/catalog.ts';
import type { Ask } from './ask.ts';
import type { Caller } from './authenticate.ts';
import { authorize, type Permit } from './authorize.ts';
import { callUpstream, type Lanes } from './call-upstream.ts';
import { inspect, type Outcome } from './inspect.ts';
import { recordFailure, recordOutcome } from './record.ts';
import { resolve } from './resolve.ts';

/** What the steps need of the gateway. */
export interface CallPorts {
  readonly lanes: Lanes;
  readonly log: Logger;
}

/** One call, from a known caller to its outcome. Throws GatewayError; whatever happens is on record. */
export async function call(ports: CallPorts, catalog: Catalog, caller: Caller, ask: Ask): Promise<Outcome> {
  const startedAtMs = performance.now();
  let permit: Permit | undefined;
  try {
    permit = admit(catalog, caller, ask);
    const outcome = await perform(ports, permit, ask);
    recordOutcome(ports.log, { caller, ask, permit, startedAtMs }, outcome);
    return outcome;
  } catch (error) {
    recordFailure(ports.log, { caller, ask, permit, startedAtMs }, error);
    throw error;
  }
}

/** Whether the call may go out. Sends nothing. */
function admit(catalog: Catalog, caller: Caller, ask: Ask): Permit {
  const target = resolve(catalog, ask);
  return authorize(caller, target);
}

/** A further round of a call that is under way: judged again, as its caller's rights may have changed. Sends nothing. */
export function readmit(ports: CallPorts, catalog: Catalog, caller: Caller, ask: Ask): void {
  try {
    admit(catalog, caller, ask);
  } catch (error) {
    refuse(ports, caller, ask, error);
    throw error;
  }
}

/** Puts on record a call that was refused at the door, before its path began. */
export function refuse(ports: CallPorts, caller: Caller, ask: Ask, error: unknown): void {
  recordFailure(ports.log, { caller, ask, permit: undefined, startedAtMs: performance.now() }, error);
}

async function perform(ports: CallPorts, permit: Permit, ask: Ask): Promise<Outcome> {
  const answer = await callUpstream(ports.lanes, permit, ask);
  return inspect(permit, ask, answer);
}
