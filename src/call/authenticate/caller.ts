import { modelsPlace } from '../../catalog/catalog.ts';
import { compileGlob } from '../../catalog/glob.ts';
import type { CompiledLimits } from '../../policy/compile-limits.ts';
import type { NetworkTest } from '../../policy/network.ts';
import type { Facts } from '../../policy/rule-facts.ts';
import type { Holder, RoleGrant, Scope } from '../../registry/documents.ts';

declare const proven: unique symbol;

/** Somebody whose identity was checked. Only this folder makes one. */
export interface Caller {
  readonly [proven]: true;
  /** `key:<id>`, `oauth:<issuer>#<subject>` or `local:<user>`; stands in records and binds sessions. */
  readonly id: string;
  readonly key: string | undefined;
  readonly consumer: string | undefined;
  readonly member: string | undefined;
  /** What the member signs in by, and may have been known as before they were registered; empty for who is not. */
  readonly identities: readonly string[];
  /** Everyone who was handed a secret of the key, and may be who calls; empty without a key. */
  readonly holders: readonly Holder[];
  /** The operator of the gateway, who may do everything and stands above gates: an operator's key, or a user of this machine. */
  readonly isOperator: boolean;
  readonly roles: readonly RoleGrant[];
  /** All must let a call pass: what the key is for, what its owner may do, what its issuer may do. */
  readonly reaches: readonly Reach[];
  /** The scopes to ask for, where nothing but those of the token keep it out of a toolbox of this name; else none. Undefined: no token. */
  readonly missingScopes: ((toolbox: string) => readonly string[]) | undefined;
  /** Undefined: from anywhere. */
  readonly isInNetwork: NetworkTest | undefined;
  /** Of the key, its consumer and its member. */
  readonly limits: readonly CompiledLimits[];
  /** What rules may look at. */
  readonly facts: Facts['caller'];
  readonly validUntilMs: number;
}

/** Where somebody may go. A toolbox is asked for without a capability first; the empty name is everything. */
export type Reach = (toolbox: string, capability: ReachedCapability | undefined) => boolean;

interface ReachedCapability {
  readonly namespace: string;
  /** `namespace/name`. */
  readonly name: string;
  readonly isModel: boolean;
}

type Optional = 'holders' | 'isOperator' | 'roles' | 'reaches' | 'missingScopes' | 'limits' | 'isInNetwork' | 'validUntilMs';

type Draft = Omit<Caller, typeof proven | 'facts' | 'identities' | Optional> &
  Partial<Pick<Caller, Optional>> & {
    readonly kind: string;
    readonly identities?: readonly string[] | undefined;
    readonly claims?: Facts['caller']['claims'];
  };

export function makeCaller({ kind, claims, ...draft }: Draft): Caller {
  const roles = draft.roles ?? [];
  const names = [...new Set(roles.map(({ role }) => role))];
  const facts = Object.freeze({
    id: draft.id,
    kind,
    roles: names,
    role: ranking.find((role) => names.includes(role)) ?? '',
    consumer: draft.consumer ?? '',
    member: draft.member ?? '',
    key: draft.key ?? '',
    claims,
  });
  const caller = {
    holders: [],
    isOperator: false,
    reaches: [],
    missingScopes: undefined,
    limits: [],
    isInNetwork: undefined,
    validUntilMs: Number.POSITIVE_INFINITY,
    ...draft,
    identities: draft.identities ?? [],
    roles,
    facts,
  };
  const proven = Object.freeze(caller) as unknown as Caller;
  made.add(proven);
  return proven;
}

const made = new WeakSet<object>();

/** A caller that was handed through something that does not know what it is. */
export function asCaller(value: unknown): Caller | undefined {
  return typeof value === 'object' && value !== null && made.has(value) ? (value as Caller) : undefined;
}

const ranking = ['admin', 'approver', 'developer', 'auditor'] as const;

/**
 * What a key is scoped to: each list that is there must hold what is called. Models have a list and an address of their own: a key
 * for toolboxes alone does not open it, and one for models alone shows nothing else in a toolbox.
 */
export function reachOfScope({ toolboxes, namespaces, capabilities, models }: Scope): Reach | undefined {
  if ([toolboxes, namespaces, capabilities, models].every((list) => list === undefined)) return undefined;
  const globs = capabilities?.map(compileGlob);
  const modelGlobs = models?.map(compileGlob);
  const isForModels = models !== undefined && toolboxes === undefined && capabilities === undefined;
  const isOpen = (toolbox: string) =>
    toolbox === modelsPlace ? toolboxes === undefined || models !== undefined : (toolboxes?.includes(toolbox) ?? true);
  const holds = ({ namespace, name, isModel }: ReachedCapability) =>
    (namespaces?.includes(namespace) ?? true) &&
    (globs === undefined || globs.some((takes) => takes(name)) || (isModel && models !== undefined)) &&
    (isModel ? (modelGlobs?.some((takes) => takes(name)) ?? true) : !isForModels);
  return (toolbox, capability) => isOpen(toolbox) && (capability === undefined || holds(capability));
}

/** What a member may call: what those do who develop or administer it. Approving and auditing need no calls. */
export function reachOfRoles(roles: readonly RoleGrant[]): Reach | undefined {
  const calling = roles.filter(({ role }) => role === 'admin' || role === 'developer');
  if (calling.some(({ namespace }) => namespace === undefined)) return undefined;
  const namespaces = new Set(calling.map(({ namespace }) => namespace));
  return (toolbox, capability) =>
    toolbox === 'admin' || (capability === undefined ? namespaces.size > 0 : namespaces.has(capability.namespace));
}
