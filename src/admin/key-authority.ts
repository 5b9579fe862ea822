/** What somebody may give away as a key: no more than what they may do themselves, and no more than the key they do it with. */
import { commonRoles } from '../call/authenticate/registered-key.ts';
import type { Caller } from '../call/authenticate.ts';
import { modelsPlace } from '../catalog/catalog.ts';
import { compileGlob } from '../catalog/glob.ts';
import { identitiesOf, type LimitRow } from '../policy/limit-rules.ts';
import { isWithinNetworks } from '../policy/network.ts';
import type { KeyDocument, RoleGrant, Scope } from '../registry/documents.ts';
import type { Registry } from '../registry/registry.ts';
import { namespacesOf } from './action.ts';

/** As much of a key as decides what it may do. */
export type KeyRights = Pick<KeyDocument, 'consumer' | 'member' | 'scope' | 'network' | 'limits' | 'expiresAtMs'>;

/** Stands for all of what may be called, where a scope leaves it open; no namespace and no toolbox is called so. */
const anything = '*';

/** Namespaces times toolboxes times capabilities of one scope. */
const mostTries = 20_000;

/** Whose key it is, seen from whoever asks. */
export function isOwn(caller: Caller, { consumer, member }: Pick<KeyRights, 'consumer' | 'member'>): boolean {
  return consumer === undefined && member !== undefined && member === caller.member;
}

/** A key as asked for, with what was left out taken from the key of whoever asks, and from where they may give keys out. */
export function completeRights(registry: Registry, caller: Caller, wanted: KeyRights): KeyRights {
  const used = keyOf(registry, caller);
  const own = isOwn(caller, wanted);
  const given = own ? 'all' : namespacesOf(caller, ['admin']);
  const namespaces =
    wanted.scope.namespaces ?? used?.scope.namespaces ?? (given === 'all' || given.size === 0 ? undefined : [...given]);
  const toolboxes = wanted.scope.toolboxes ?? used?.scope.toolboxes;
  const capabilities = wanted.scope.capabilities ?? used?.scope.capabilities;
  const models = wanted.scope.models ?? used?.scope.models;
  return {
    ...wanted,
    scope: {
      ...(toolboxes === undefined ? {} : { toolboxes }),
      ...(namespaces === undefined ? {} : { namespaces }),
      ...(capabilities === undefined ? {} : { capabilities }),
      ...(models === undefined ? {} : { models }),
    },
    network: wanted.network ?? used?.network,
    limits: wanted.limits ?? used?.limits,
    expiresAtMs: wanted.expiresAtMs ?? used?.expiresAtMs,
  };
}

/** Everything about a key that is more than its giver may give, as sentences; empty where nothing is. */
export function excessOf(registry: Registry, caller: Caller, wanted: KeyRights): readonly string[] {
  const issuer = caller.member === undefined ? undefined : registry.get('member', caller.member)?.body;
  if (caller.member !== undefined && issuer === undefined)
    return [
      `${caller.id} is not registered here, and a key must belong to whom is; ask an admin to register you (create_member).`,
    ];
  const roles = issuer === undefined ? caller.roles : commonRoles(caller.roles, issuer.roles);
  const owner = ownerExcess(registry, caller, roles, wanted);
  if (owner.length > 0) return owner;
  return [...placeExcess(caller, roles, wanted), ...numberExcess(keyOf(registry, caller), wanted)];
}

/** Where a key can do anything at all, as far as its scope and its owner's roles say. */
function namespacesOfKey(
  registry: Registry,
  { scope, member }: Pick<KeyDocument, 'scope' | 'member'>,
): 'all' | ReadonlySet<string> {
  const scoped = scope.namespaces ?? namespacesIn(scope);
  if (scoped !== undefined) return new Set(scoped);
  const roles = member === undefined ? undefined : registry.get('member', member)?.body.roles;
  if (roles === undefined || roles.some(({ namespace }) => namespace === undefined)) return 'all';
  return new Set(roles.flatMap(({ namespace }) => namespace ?? []));
}

/** Whether somebody with a role in these namespaces has a say about a key. */
export function isKeyWithin(
  registry: Registry,
  key: Pick<KeyDocument, 'scope' | 'member'>,
  namespaces: 'all' | ReadonlySet<string>,
): boolean {
  if (namespaces === 'all') return true;
  const reached = namespacesOfKey(registry, key);
  return reached !== 'all' && reached.size > 0 && [...reached].every((name) => namespaces.has(name));
}

function ownerExcess(registry: Registry, caller: Caller, roles: readonly RoleGrant[], wanted: KeyRights): readonly string[] {
  if (isOwn(caller, wanted)) return [];
  const isGlobal = roles.some(({ role, namespace }) => role === 'admin' && namespace === undefined);
  if (isGlobal) return [];
  if (!roles.some(({ role }) => role === 'admin')) {
    const whose = wanted.member === undefined ? `the consumer ${wanted.consumer}` : `the member ${wanted.member}`;
    return [`owner: keys for ${whose} are given by admins; for yourself, leave "consumer" and "member" out.`];
  }
  const theirs = wanted.member === undefined ? [] : (registry.get('member', wanted.member)?.body.roles ?? []);
  const covered = commonRoles(
    theirs,
    roles.filter(({ role }) => role === 'admin'),
  );
  const wider = theirs.filter(
    ({ role, namespace }) => !covered.some((grant) => grant.role === role && grant.namespace === namespace),
  );
  return wider.map(
    ({ role, namespace }) =>
      `roles: ${wanted.member} is ${role} ${namespace === undefined ? 'of the whole gateway' : `of ${namespace}`}, which you may not give.`,
  );
}

/** Toolboxes, namespaces and capabilities, tried against everything that limits the giver's own calls. */
function placeExcess(caller: Caller, roles: readonly RoleGrant[], wanted: KeyRights): readonly string[] {
  const { scope } = wanted;
  const own = isOwn(caller, wanted);
  const giving = roles.filter(({ role }) => role === 'admin' || (own && role === 'developer'));
  const mayGive = giving.some(({ namespace }) => namespace === undefined)
    ? undefined
    : new Set(giving.flatMap(({ namespace }) => namespace ?? []));
  // A key of one's own without a scope follows one's roles, whatever they become.
  const unscoped = own && mayGive !== undefined ? [...mayGive] : [anything];
  const namespaces = scope.namespaces ?? namespacesIn(scope) ?? unscoped;
  const toolboxes = scope.toolboxes ?? [anything];
  const globs = (scope.capabilities?.length ?? 1) + (scope.models?.length ?? 1);
  const tries = namespaces.length * (toolboxes.length + 1) * globs;
  if (tries > mostTries)
    return ['scope: it names too much to be checked; make several keys of it, or use * for what belongs together.'];
  const excess = new Set<string>();
  for (const namespace of namespaces) {
    // Administration goes by roles, and is reached in its own toolbox alone.
    const isAdministration = own && namespace === 'admin';
    if (mayGive !== undefined && !isAdministration && !mayGive.has(namespace))
      excess.add(tooMuch('namespaces', namespace, scope));
    for (const place of isAdministration ? [adminPlace(scope, namespace)] : placesOf(scope, namespace, toolboxes))
      for (const name of place.names)
        if (!caller.reaches.every((reach) => reach(place.toolbox, { namespace, name, isModel: place.isModel })))
          excess.add(culprit(caller, scope, { ...place, namespace, name }));
  }
  for (const toolbox of isForModels(scope) ? [modelsPlace] : toolboxes)
    if (!caller.reaches.every((reach) => reach(toolbox, undefined))) excess.add(tooMuch('toolboxes', toolbox, scope));
  return [...excess];
}

/** What a scope opens in one namespace: tools in toolboxes, and models there and at their own address. */
interface ScopedPlace {
  readonly toolbox: string;
  readonly isModel: boolean;
  readonly names: readonly string[];
}

function adminPlace(scope: Scope, namespace: string): ScopedPlace {
  return { toolbox: 'admin', isModel: false, names: namesIn(scope.capabilities, namespace) };
}

function placesOf(scope: Scope, namespace: string, toolboxes: readonly string[]): readonly ScopedPlace[] {
  const { capabilities, models } = scope;
  const tools = toolboxes.map((toolbox) => ({ toolbox, isModel: false, names: namesIn(capabilities, namespace) }));
  const opensModels = scope.toolboxes === undefined || models !== undefined;
  const modelNames = namesIn(models ?? capabilities, namespace);
  return [
    ...(isForModels(scope) ? [] : tools),
    ...(opensModels ? [{ toolbox: modelsPlace, isModel: true, names: modelNames }] : []),
  ];
}

function isForModels({ toolboxes, capabilities, models }: Scope): boolean {
  return models !== undefined && toolboxes === undefined && capabilities === undefined;
}

function culprit(
  caller: Caller,
  scope: Scope,
  { toolbox, namespace, name, isModel }: ScopedPlace & { readonly namespace: string; readonly name: string },
): string {
  const isEntered = caller.reaches.every((reach) => reach(toolbox, undefined));
  if (isModel)
    return tooMuch(scope.models === undefined && scope.capabilities !== undefined ? 'capabilities' : 'models', name, scope);
  if (!isEntered) return tooMuch('toolboxes', toolbox, scope);
  return scope.capabilities === undefined ? tooMuch('namespaces', namespace, scope) : tooMuch('capabilities', name, scope);
}

function tooMuch(list: keyof Scope, what: string, scope: Scope): string {
  const isOpen = scope[list] === undefined && (list !== 'namespaces' || scope.capabilities === undefined);
  return isOpen
    ? `scope: without "${list}" the key would be for all of them; name those that you may use yourself.`
    : `scope: ${list} "${what}" is more than you may use yourself.`;
}

/** The namespaces that a scope's capabilities and models name, where each names one. */
function namespacesIn({ toolboxes, capabilities, models }: Scope): readonly string[] | undefined {
  // Beside toolboxes alone, a list of models says nothing of where their tools may be.
  const globs =
    capabilities === undefined ? (toolboxes === undefined ? models : undefined) : [...capabilities, ...(models ?? [])];
  const names = globs?.map((glob) => glob.slice(0, glob.indexOf('/')));
  return names?.some((name) => name.includes('*')) ? [anything] : names && [...new Set(names)];
}

/**
 * What a scope allows in one namespace, each as a name whose `*` is a character like any other: a glob that takes such a name takes
 * everything the name stands for.
 */
function namesIn(globs: readonly string[] | undefined, namespace: string): readonly string[] {
  if (globs === undefined) return [`${namespace}/*`];
  return globs.flatMap((glob) => {
    const slash = glob.indexOf('/');
    if (namespace === anything) return [glob];
    return compileGlob(glob.slice(0, slash))(namespace) ? [namespace + glob.slice(slash)] : [];
  });
}

/** Against the key that the giver uses: time, addresses, limits. */
function numberExcess(used: KeyDocument | undefined, wanted: KeyRights): readonly string[] {
  if (used === undefined) return [];
  const excess: string[] = [];
  if (used.expiresAtMs !== undefined && (wanted.expiresAtMs ?? Number.POSITIVE_INFINITY) > used.expiresAtMs)
    excess.push(
      `expiry: the key that you use ends ${new Date(used.expiresAtMs).toISOString()}, and this one may not outlive it.`,
    );
  if (used.network !== undefined) {
    const { network: allowed } = used;
    const wider = wanted.network?.filter((entry) => !isWithinNetworks(entry, allowed));
    if (wider === undefined) excess.push('network: the key that you use is limited to networks, and so must this one be.');
    else if (wider.length > 0) excess.push(`network: ${wider.join(', ')} is more than the key that you use.`);
  }
  return [...excess, ...limitExcess(used.limits ?? [], wanted.limits ?? [])];
}

function limitExcess(bound: readonly LimitRow[], wanted: readonly LimitRow[]): readonly string[] {
  const given = new Map(
    wanted.flatMap((row) => identitiesOf(row).map(([field, identity]) => [identity, amountOf(row, field)] as const)),
  );
  return bound.flatMap((row) =>
    identitiesOf(row).flatMap(([field, identity]) => {
      if (row.shadow === true) return [];
      const most = amountOf(row, field);
      if ((given.get(identity) ?? Number.POSITIVE_INFINITY) <= most) return [];
      return [
        `limits: the key that you use has ${field} ${most} per ${row.per}; this one needs the same limit with at most that.`,
      ];
    }),
  );
}

function amountOf(row: LimitRow, field: 'rpm' | 'tpm' | 'concurrency' | 'budget'): number {
  return (field === 'budget' ? row.budget?.amount : row[field]) ?? 0;
}

/** The registered key that somebody comes with; tokens and keys of the operator are none. */
function keyOf(registry: Registry, caller: Caller): KeyDocument | undefined {
  return caller.key === undefined ? undefined : registry.get('key', caller.key)?.body;
}
