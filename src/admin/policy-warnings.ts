/** What of a policy holds nothing right now. A slip of the pen in a gate or a limit would otherwise show when it was needed. */
import type { Caller } from '../call/authenticate.ts';
import { finderCapabilities } from '../finding/finder.ts';
import type { PolicyScope } from '../policy/policy.ts';
import type { Policy } from '../policy/policy-schema.ts';
import { suggestName } from '../problems.ts';
import { composePolicies } from '../registry/compose.ts';
import type { AdminPorts } from './action.ts';
import { type Known, knownTo, type NamePorts, namespaceIn, takesAny, whyNothing } from './known-names.ts';
import { ruleWarnings } from './rule-warnings.ts';

/** Patterns that are looked at, so that a long policy on a large catalog holds nobody up. */
const mostLookedAt = 100;
const mostOfRules = 20;

/** What is wrong, and where in the policy; nowhere for the scope itself. */
export interface PolicyWarning {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What policies may name. */
export interface Nameable extends Known {
  readonly members: ReadonlySet<string>;
  /** Who a call may be from; undefined where tokens may bring others. */
  readonly people: ReadonlySet<string> | undefined;
  /** Undefined where tokens may bring others. */
  readonly consumers: ReadonlySet<string> | undefined;
  /** `namespace/name`. */
  readonly upstreams: ReadonlySet<string>;
  /** Labels that some policy gives to something. */
  readonly labels: ReadonlySet<string>;
  /** Namespaces of which not all is known: nothing is said of what would be in them. */
  readonly unready: ReadonlySet<string>;
}

type NameablePorts = Pick<AdminPorts, 'catalog' | 'files' | 'registry' | 'issuers'>;

/** Everything else that policies may name, beside what somebody knows of. */
export function nameableBy({ catalog, files, registry, issuers }: NameablePorts, known: Known): Nameable {
  const members = new Set(registry.list('member').map(({ id }) => id));
  const tokens = issuers.map(({ claims }) => claims);
  const consumers = [
    ...registry.list('consumer').map(({ id }) => id),
    ...tokens.flatMap(({ consumer }) => (consumer?.kind === 'fixed' ? [consumer.name] : [])),
  ];
  const upstreams = [...catalog().upstreams.keys(), ...registry.list('upstream').map(({ id }) => id)];
  const policies = composePolicies(files(), registry);
  return {
    ...known,
    // What a toolbox that is searched asks rules about as well.
    namespaces: new Set([...known.namespaces, ...finderCapabilities.values()]),
    capabilities: new Map([...known.capabilities, ...finderCapabilities]),
    members,
    people: tokens.some(({ member }) => member !== undefined) ? undefined : members,
    consumers: tokens.some(({ consumer }) => consumer?.kind === 'claim') ? undefined : new Set(consumers),
    upstreams: new Set(upstreams.filter((id) => known.namespaces.has(namespaceIn(id)))),
    labels: new Set(policies.flatMap(({ policy: { labels = {} } }) => Object.keys(labels))),
    unready: new Set(),
  };
}

/** A sentence for the scope, and for each pattern, model, member, label and name in a rule, that is not there. It may come later. */
export async function policyWarnings(
  ports: NamePorts & NameablePorts,
  caller: Caller,
  ip: string,
  scope: PolicyScope,
  policy: Policy | null,
): Promise<readonly string[]> {
  if (policy === null) return [];
  const known = nameableBy(ports, await knownTo(ports, caller, ip));
  return warningsOf(known, scope, policy).map(({ message }) => message);
}

/** The same, of what is known already. */
export function warningsOf(known: Nameable, scope: PolicyScope, policy: Policy): readonly PolicyWarning[] {
  const unknown = scopeWarning(known, scope);
  const names = [...known.capabilities].filter(([name, namespace]) => isIn(scope, name, namespace)).map(([name]) => name);
  const patterns = unknown.length > 0 ? [] : patternsOf(policy).slice(0, mostLookedAt);
  return [
    ...unknown.map((message) => ({ path: [], message })),
    ...patterns.flatMap(([at, glob]) =>
      isUnready(known, scope, glob) || takesAny(names, glob) ? [] : [warn(at, warnOfPattern(known, names, glob, scope))],
    ),
    ...modelsOf(policy).flatMap(([at, model]) => warnOfModel(known, at, model)),
    ...membersOf(policy).flatMap(([at, member]) => warnOfMember(known, at, member)),
    ...warnOfLabels(known, policy),
    ...warnOfRules(known, new Set(names), rulesOf(policy)).map(([at, message]) => warn(at, message)),
  ];
}

/** The same, of a rule that says where calls of a model go. */
export function routingWarnings(
  known: Nameable,
  model: string,
  rules: readonly { readonly when: string }[],
): readonly PolicyWarning[] {
  const placed = rules.map(({ when }, at): Named => [['routing', 'rules', at, 'when'], when]);
  return warnOfRules(known, new Set([model]), placed).map(([path, message]) => ({
    path,
    message: `${placeOf(path)}: ${message}`,
  }));
}

/** So many at most: for each, all names that there are may be gone through. */
function warnOfRules(known: Nameable, names: ReadonlySet<string>, rules: readonly Named[]): readonly Named[] {
  const found: Named[] = [];
  for (const [at, source] of rules)
    for (const message of ruleWarnings(known, names, source)) {
      found.push([at, message]);
      if (found.length >= mostOfRules) return found;
    }
  return found;
}

/** Whether what a pattern is for may be there without being known. */
function isUnready({ unready }: Nameable, scope: PolicyScope, glob: string): boolean {
  if (unready.size === 0) return false;
  const namespace = namespaceIn(glob);
  if (!namespace.includes('*')) return unready.has(namespace);
  return scope.kind === 'global' || unready.has(scope.kind === 'namespace' ? scope.namespace : namespaceIn(scope.capability));
}

function warn(path: PolicyWarning['path'], message: string): PolicyWarning {
  return { path, message: `policy.${placeOf(path)}: ${message}` };
}

function placeOf([first = '', ...rest]: PolicyWarning['path']): string {
  return rest.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}.${key}`), `${first}`);
}

function isIn(scope: PolicyScope, name: string, namespace: string): boolean {
  if (scope.kind === 'global') return true;
  return scope.kind === 'namespace' ? namespace === scope.namespace : name === scope.capability;
}

function scopeWarning(known: Nameable, scope: PolicyScope): readonly string[] {
  if (scope.kind === 'global') return [];
  if (scope.kind === 'namespace') {
    if (known.namespaces.has(scope.namespace)) return [];
    const hint = suggestName(scope.namespace, known.namespaces);
    return [`There is no namespace "${scope.namespace}", so this policy holds nothing until there is.${hint}`];
  }
  const { capability } = scope;
  const names = known.capabilities;
  if (names.has(capability) || known.unready.has(namespaceIn(capability))) return [];
  return [
    `There is no capability "${capability}", so this policy holds nothing until there is.${whyNothing(known, capability, names.keys())}`,
  ];
}

type Named = readonly [at: PolicyWarning['path'], name: string];

function patternsOf({ limits = [], gates = [], content = [], labels = {}, retry }: Policy): readonly Named[] {
  const rows = [
    ...limits.map(({ match }, index) => [['limits', index, 'match'], match] as const),
    ...gates.map(({ match }, index) => [['gates', index, 'match'], match] as const),
    ...content.map(({ match }, index) => [['content', index, 'match'], match] as const),
    ...Object.entries(labels).map(([label, match]) => [['labels', label], match] as const),
    [['retry', 'match'], retry?.match] as const,
  ];
  return rows.flatMap(([at, match = []]) => [match].flat().map((glob): Named => [at, glob]));
}

function warnOfPattern(known: Known, names: readonly string[], glob: string, scope: PolicyScope): string {
  const opens = `"${glob}" takes nothing right now`;
  if (scope.kind !== 'global' && takesAny(known.capabilities.keys(), glob))
    return `${opens}: what it names is not in the scope of this policy. Set it for that namespace, or for the whole gateway.`;
  return `${opens}, so it holds nothing until it does.${whyNothing(known, glob, names)}`;
}

function modelsOf({ sampling, content = [] }: Policy): readonly Named[] {
  return [
    ...(sampling === undefined ? [] : [[['sampling', 'model'], sampling.model] as const]),
    ...content.flatMap(({ judge }, index) =>
      judge?.model === undefined ? [] : [[['content', index, 'judge', 'model'], judge.model] as const],
    ),
  ];
}

function warnOfModel({ models }: Known, at: PolicyWarning['path'], model: string): readonly PolicyWarning[] {
  if (models.has(model)) return [];
  return [warn(at, `there is no model "${model}", so nobody answers until there is.${suggestName(model, models)}`)];
}

function membersOf({ gates = [] }: Policy): readonly Named[] {
  return gates.flatMap(({ by }, index) =>
    typeof by === 'object' && 'members' in by
      ? by.members.map((member): Named => [['gates', index, 'by', 'members'], member])
      : [],
  );
}

function warnOfMember({ members }: Nameable, at: PolicyWarning['path'], member: string): readonly PolicyWarning[] {
  if (members.has(member)) return [];
  const hint = suggestName(member, members);
  return [warn(at, `"${member}" is no registered member, so nobody can agree in that name unless a token says so.${hint}`)];
}

function warnOfLabels({ labels }: Nameable, { gates = [], labels: own = {} }: Policy): readonly PolicyWarning[] {
  const given = new Set([...labels, ...Object.keys(own)]);
  return gates.flatMap(({ after = [] }, index) =>
    [after].flat().flatMap((label) => {
      if (given.has(label)) return [];
      const hint = suggestName(label, given);
      return [
        warn(
          ['gates', index, 'after'],
          `no policy gives anything the label "${label}", so this gate holds every call that it is for.${hint}`,
        ),
      ];
    }),
  );
}

function rulesOf({ allow = [], gates = [] }: Policy): readonly Named[] {
  const rules = allow.map((source, index): Named => [['allow', index], source]);
  return [
    ...rules,
    ...gates.flatMap(({ when }, index) => (when === undefined ? [] : [[['gates', index, 'when'], when] as const])),
  ];
}
