/** Refuses what this caller may not use. A list is made of what passes here, so that list and call share one decision. */
import type { Capability, Catalog, Member, Toolbox } from '../catalog/catalog.ts';
import { GatewayError } from '../errors.ts';
import type { CallPolicy, Policies } from '../policy/policy.ts';
import { decide, mayAllow } from '../policy/rule.ts';
import type { Facts } from '../policy/rule-facts.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { Ask } from './ask.ts';
import type { Caller } from './authenticate.ts';
import { findToolbox, noSuchToolbox, type Target, unknownTarget } from './resolve.ts';

declare const allowed: unique symbol;

/** A target its caller may call. Only this file makes one. */
export interface Permit extends Target {
  readonly [allowed]: true;
  readonly caller: Caller;
  readonly policy: CallPolicy;
}

/** What decides besides the caller and what is called. */
export interface Circumstances {
  readonly policies: Policies;
  /** Of the client; empty where there is none. */
  readonly ip: string;
  readonly nowMs: number;
  /** Whether somebody's roles show them this action of the gateway's administration. */
  readonly maySeeAction: (caller: Caller, name: string) => boolean;
  /** The roles that show an action, any of which is enough; undefined where there is no such action. */
  readonly rolesOfAction?: ((name: string) => readonly string[] | undefined) | undefined;
}

/**
 * Throws ScopeRequired, and GatewayError `not_found` and `unknown_capability`: what is not for this caller cannot be told from what is not there; and
 * `not_allowed` for arguments that no rule allows, of something the caller can see.
 */
export function authorize(
  circumstances: Circumstances,
  caller: Caller,
  target: Target,
  ask: Pick<Ask, 'method' | 'params'> & { readonly door?: Ask['door'] },
): Permit {
  checkEntry(caller, target.toolbox.name);
  const policy = circumstances.policies.of(target.capability, target.namespace);
  // It shows what its caller sees anyway: rules and scopes are asked about each thing that it finds.
  if (target.member.config.kind === 'finder') {
    if (!isWithinNetworks(circumstances, caller, policy)) throw unknownTarget(ask);
    return { ...target, caller, policy } as Permit;
  }
  if (!mayReach(circumstances, caller, target, policy))
    throw roleNeeded(circumstances, caller, target, policy, ask.door) ?? unknownTarget(ask);
  if (policy.rules.length > 0) checkRules(circumstances, caller, target, policy, ask);
  return { ...target, caller, policy } as Permit;
}

/**
 * What actions there are is no secret at the API: its description lists them all, to whoever has a role or not. In MCP a list shows
 * whoever asks their own, and all others are unknown there. Undefined where it is not the role that is missing, or not alone.
 */
function roleNeeded(
  circumstances: Circumstances,
  caller: Caller,
  target: Target,
  policy: CallPolicy,
  door: Ask['door'] | undefined,
): GatewayError | undefined {
  if (target.namespace !== 'admin' || (door !== 'rest' && door !== 'cli') || caller.roles.length === 0) return undefined;
  if (!isReached(caller, target) || !isWithinNetworks(circumstances, caller, policy)) return undefined;
  const name = target.capability.slice('admin/'.length);
  const roles = circumstances.rolesOfAction?.(name);
  if (roles === undefined || circumstances.maySeeAction(caller, name)) return undefined;
  const own = [...new Set(caller.roles.map(({ role }) => role))].join(' and ');
  return new GatewayError(
    'not_allowed',
    `${name} needs the role ${roles.join(' or ')}, and ${caller.id} has ${own} alone. Ask an administrator of this gateway for it, or to do this.`,
  );
}

function checkRules(
  circumstances: Circumstances,
  caller: Caller,
  target: Target,
  { rules }: CallPolicy,
  ask: Pick<Ask, 'method' | 'params'>,
): void {
  const facts = factsOf(circumstances, caller, target, ask.method);
  const args: JsonObject = isObject(target.params.arguments) ? target.params.arguments : {};
  for (const group of rules) {
    if (decide(group, facts, args).isAllowed) continue;
    if (!takesArguments(ask.method) || !mayAllow(group, facts)) throw unknownTarget(ask);
    throw new GatewayError(
      'not_allowed',
      `The rules of this gateway do not allow ${target.capability} with these arguments. Change them, or ask whoever administers the namespace ${target.namespace}.`,
    );
  }
}

/** Throws GatewayError `not_found` for a toolbox that is not there or not for this caller, and as `checkEntry` does. */
export function enterToolbox(catalog: Catalog, caller: Caller, name: string): Toolbox {
  checkEntry(caller, name);
  return findToolbox(catalog, name);
}

/**
 * Refuses the name of a toolbox before anybody looks whether there is one: both answers would be the same, so that neither tells.
 * Throws ScopeRequired where another token would do, else GatewayError `not_found`.
 */
export function checkEntry(caller: Caller, name: string): void {
  if (mayEnter(caller, name)) return;
  const scopes = caller.missingScopes?.(name) ?? [];
  throw scopes.length > 0 ? new ScopeRequired(scopes) : noSuchToolbox(name);
}

/** Whether a toolbox of this name would be open to this caller. */
export function mayEnter(caller: Caller, toolbox: string): boolean {
  return caller.reaches.every((reach) => reach(toolbox, undefined));
}

/** The token does not reach a toolbox, and the same issuer has scopes that do (RFC 6750 section 3.1; MCP basic/authorization). */
export class ScopeRequired extends GatewayError {
  readonly scopes: readonly string[];

  constructor(scopes: readonly string[]) {
    super('insufficient_scope', `This token does not reach this toolbox. Get one with the scope "${scopes.join(' ')}".`);
    this.scopes = scopes;
  }
}

/**
 * What one caller may use under the same circumstances, by definition: policies and rules do not ask for the toolbox, so that whoever
 * looks at many toolboxes at once hands this on from one to the next.
 */
export type Decisions = Map<unknown, { readonly member: Member; readonly isAllowed: boolean }>;

/** The toolbox of this name as this caller sees it. Throws as `enterToolbox` does: no such thing and not for them look the same. */
export function visibleToolbox(
  circumstances: Circumstances,
  catalog: Catalog,
  caller: Caller,
  name: string,
  decisions: Decisions = new Map(),
): Toolbox {
  const toolbox = enterToolbox(catalog, caller, name);
  const { policies } = circumstances;
  const isOpen = policies.isOpen && caller.reaches.length === 0 && caller.isInNetwork === undefined;
  // What administers the gateway shows by roles, whoever may call everything else.
  if (isOpen && !toolbox.members.some(({ config }) => config.kind === 'admin')) return toolbox;
  if (!policies.isSteady || caller.isInNetwork !== undefined) return reducedFor(circumstances, caller, toolbox, decisions);
  let known = steady.get(caller);
  if (known?.policies !== policies) {
    known = { policies, seen: new WeakMap() };
    steady.set(caller, known);
  }
  let seen = known.seen.get(toolbox);
  if (seen === undefined) {
    seen = reducedFor(circumstances, caller, toolbox, decisions);
    known.seen.set(toolbox, seen);
  }
  return seen;
}

// Thousands of clients with one key connect, and ask for their list, one after the other. A caller is another object when something
// of its rights was changed.
const steady = new WeakMap<Caller, { readonly policies: Policies; readonly seen: WeakMap<Toolbox, Toolbox> }>();

function reducedFor(circumstances: Circumstances, caller: Caller, toolbox: Toolbox, decisions: Decisions): Toolbox {
  const hidden = hiddenIn(circumstances, caller, toolbox, decisions);
  return hidden.size === 0 ? toolbox : without(toolbox, hidden);
}

function mayReach(circumstances: Circumstances, caller: Caller, target: Place, policy: CallPolicy): boolean {
  return mayUse(circumstances, caller, target, policy) && isReached(caller, target);
}

function mayUse({ ip, maySeeAction }: Circumstances, caller: Caller, target: Place, policy: CallPolicy): boolean {
  if (target.namespace === 'admin' && !maySeeAction(caller, target.capability.slice('admin/'.length))) return false;
  return isWithinNetworks({ ip }, caller, policy);
}

function isReached(caller: Caller, target: Place): boolean {
  if (caller.reaches.length === 0) return true;
  const { namespace, capability, member } = target;
  const reached = { namespace, name: capability, isModel: member.config.kind === 'model' };
  for (const reach of caller.reaches) {
    if (!reach(target.toolbox.name, reached)) return false;
  }
  return true;
}

/**
 * Whether somebody may be told what came of a call that they made: their key or token still leads there, and they come from where they
 * may. What rules say of its arguments was asked when it was made.
 */
export function mayLookBack(
  { policies, ip, maySeeAction }: Circumstances,
  caller: Caller,
  {
    toolbox,
    namespace,
    ...reached
  }: { readonly toolbox: string; readonly namespace: string } & Pick<
    Parameters<Caller['reaches'][number]>[1] & object,
    'name' | 'isModel'
  >,
): boolean {
  if (namespace === 'admin' && !maySeeAction(caller, reached.name.slice('admin/'.length))) return false;
  if (!isWithinNetworks({ ip }, caller, policies.of(reached.name, namespace))) return false;
  return caller.reaches.every((reach) => reach(toolbox, { namespace, ...reached }));
}

function isWithinNetworks({ ip }: Pick<Circumstances, 'ip'>, { isInNetwork }: Caller, { networks }: CallPolicy): boolean {
  if (isInNetwork !== undefined && !isIn(isInNetwork, ip)) return false;
  for (const isWithin of networks) if (!isIn(isWithin, ip)) return false;
  return true;
}

// A process that was started on this machine has no address; who may start it was asked by the operating system.
function isIn(isInNetwork: (ip: string) => boolean, ip: string): boolean {
  return ip === '' || isInNetwork(ip);
}

/** As much of a target as deciding needs. */
type Place = Pick<Target, 'toolbox' | 'namespace' | 'capability'> & {
  readonly member: { readonly id: string; readonly config: Pick<Target['member']['config'], 'kind'> };
};

/** All that decides whether somebody sees it but the toolbox. */
function isAllowed(circumstances: Circumstances, caller: Caller, place: Place, method: string): boolean {
  const policy = circumstances.policies.of(place.capability, place.namespace);
  if (!mayUse(circumstances, caller, place, policy)) return false;
  if (policy.rules.length === 0) return true;
  const facts = factsOf(circumstances, caller, place, method);
  return policy.rules.every((group) => (takesArguments(method) ? mayAllow(group, facts) : decide(group, facts, {}).isAllowed));
}

// What a rule says of the arguments of a read can never be true.
function takesArguments(method: string): boolean {
  return method !== 'resources/read';
}

/** What rules may look at, besides arguments. */
export function factsOf(
  { ip, nowMs }: Pick<Circumstances, 'ip' | 'nowMs'>,
  caller: Caller,
  { capability, namespace, member }: Pick<Place, 'capability' | 'namespace' | 'member'>,
  method: string,
): Facts {
  return {
    caller: caller.facts,
    capability: {
      name: capability,
      namespace,
      upstream: member.id,
      kind: member.config.kind === 'model' ? 'model' : 'tool',
      method,
    },
    ip,
    nowMs,
  };
}

/** Everything of a toolbox that this caller must not see, as `list name`. */
function hiddenIn(circumstances: Circumstances, caller: Caller, toolbox: Toolbox, decisions: Decisions): ReadonlySet<string> {
  const hidden = new Set<string>();
  const isDecided = (definition: unknown, place: Place & { readonly member: Member }, method: string): boolean => {
    const known = decisions.get(definition);
    if (known?.member === place.member) return known.isAllowed;
    const decision = { member: place.member, isAllowed: isAllowed(circumstances, caller, place, method) };
    decisions.set(definition, decision);
    return decision.isAllowed;
  };
  const look = (list: string, method: Ask['method'], capabilities: ReadonlyMap<string, Capability<unknown>>) => {
    for (const [outward, { name, member, definition }] of capabilities) {
      const place = { toolbox, namespace: member.config.namespace, capability: name, member };
      const isSeen = isReached(caller, place) && isDecided(definition, place, method);
      if (!isSeen) hidden.add(`${list} ${outward}`);
    }
  };
  look('tools', 'tools/call', toolbox.tools);
  look('prompts', 'prompts/get', toolbox.prompts);
  look('resources', 'resources/read', toolbox.resources);
  look('templates', 'resources/read', toolbox.resourceTemplates);
  return hidden;
}

// Callers with the same rights share what they see, and with it the bytes of their lists.
const reduced = new WeakMap<Toolbox, Map<string, Toolbox>>();
const mostReduced = 500;

function without(toolbox: Toolbox, hidden: ReadonlySet<string>): Toolbox {
  let known = reduced.get(toolbox);
  if (known === undefined) {
    known = new Map();
    reduced.set(toolbox, known);
  }
  const key = JSON.stringify([...hidden]);
  let made = known.get(key);
  if (made === undefined) {
    made = reduce(toolbox, hidden);
    if (known.size >= mostReduced) known.clear();
    known.set(key, made);
  }
  return made;
}

function reduce(toolbox: Toolbox, hidden: ReadonlySet<string>): Toolbox {
  const keep = <Definition>(list: string, capabilities: ReadonlyMap<string, Capability<Definition>>) =>
    new Map([...capabilities].filter(([outward]) => !hidden.has(`${list} ${outward}`)));
  const tools = keep('tools', toolbox.tools);
  const prompts = keep('prompts', toolbox.prompts);
  const resources = keep('resources', toolbox.resources);
  const resourceTemplates = keep('templates', toolbox.resourceTemplates);
  const used = new Set(
    [tools, prompts, resources, resourceTemplates].flatMap((map) => [...map.values()].map(({ member }) => member)),
  );
  const members = toolbox.members.filter((member) => used.has(member));
  // What an upstream says of itself is for those who may use it.
  const instructions = members.length === toolbox.members.length ? toolbox.instructions : undefined;
  return Object.freeze({ ...toolbox, tools, prompts, resources, resourceTemplates, members, instructions });
}
