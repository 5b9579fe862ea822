/** What of a policy holds nothing right now. A slip of the pen in a gate or a limit would otherwise show when it was needed. */
import type { Caller } from '../call/authenticate.ts';
import type { PolicyScope } from '../policy/policy.ts';
import type { Policy } from '../policy/policy-schema.ts';
import { suggestName } from '../problems.ts';
import { type Known, knownTo, type NamePorts, takesAny, whyNothing } from './known-names.ts';

/** Patterns that are looked at, so that a long policy on a large catalog holds nobody up. */
const mostLookedAt = 100;

/** A sentence for the scope, and for each pattern, model and member in it, that is not there. It may come later. */
export async function policyWarnings(
  ports: NamePorts,
  caller: Caller,
  ip: string,
  scope: PolicyScope,
  policy: Policy | null,
): Promise<readonly string[]> {
  if (policy === null) return [];
  const known = await knownTo(ports, caller, ip);
  const unknown = scopeWarning(known, scope);
  const names = [...known.capabilities].filter(([name, namespace]) => isIn(scope, name, namespace)).map(([name]) => name);
  const patterns = unknown.length > 0 ? [] : patternsOf(policy).slice(0, mostLookedAt);
  return [
    ...unknown,
    ...patterns.flatMap(([at, glob]) => (takesAny(names, glob) ? [] : [warnOfPattern(known, names, at, glob, scope)])),
    ...modelsOf(policy).flatMap(([at, model]) => warnOfModel(known, at, model)),
    ...membersOf(policy).flatMap(([at, member]) => warnOfMember(ports, at, member)),
  ];
}

function isIn(scope: PolicyScope, name: string, namespace: string): boolean {
  if (scope.kind === 'global') return true;
  return scope.kind === 'namespace' ? namespace === scope.namespace : name === scope.capability;
}

function scopeWarning(known: Known, scope: PolicyScope): readonly string[] {
  if (scope.kind === 'global') return [];
  if (scope.kind === 'namespace') {
    if (known.namespaces.has(scope.namespace)) return [];
    const hint = suggestName(scope.namespace, known.namespaces);
    return [`There is no namespace "${scope.namespace}", so this policy holds nothing until there is.${hint}`];
  }
  const { capability } = scope;
  const names = known.capabilities;
  if (names.has(capability)) return [];
  return [
    `There is no capability "${capability}", so this policy holds nothing until there is.${whyNothing(known, capability, names.keys())}`,
  ];
}

type Named = readonly [at: string, name: string];

function patternsOf({ limits = [], gates = [], content = [], labels = {}, retry }: Policy): readonly Named[] {
  const rows = [
    ...limits.map(({ match }, index) => [`limits[${index}].match`, match] as const),
    ...gates.map(({ match }, index) => [`gates[${index}].match`, match] as const),
    ...content.map(({ match }, index) => [`content[${index}].match`, match] as const),
    ...Object.entries(labels).map(([label, match]) => [`labels.${label}`, match] as const),
    ['retry.match', retry?.match] as const,
  ];
  return rows.flatMap(([at, match = []]) => [match].flat().map((glob): Named => [at, glob]));
}

function warnOfPattern(known: Known, names: readonly string[], at: string, glob: string, scope: PolicyScope): string {
  const opens = `policy.${at}: "${glob}" takes nothing right now`;
  if (scope.kind !== 'global' && takesAny(known.capabilities.keys(), glob))
    return `${opens}: what it names is not in the scope of this policy. Set it for that namespace, or for the whole gateway.`;
  return `${opens}, so it holds nothing until it does.${whyNothing(known, glob, names)}`;
}

function modelsOf({ sampling, content = [] }: Policy): readonly Named[] {
  return [
    ...(sampling === undefined ? [] : [['sampling.model', sampling.model] as const]),
    ...content.flatMap(({ judge }, index) =>
      judge?.model === undefined ? [] : [[`content[${index}].judge.model`, judge.model] as const],
    ),
  ];
}

function warnOfModel({ models }: Known, at: string, model: string): readonly string[] {
  if (models.has(model)) return [];
  return [`policy.${at}: there is no model "${model}", so nobody answers until there is.${suggestName(model, models)}`];
}

function membersOf({ gates = [] }: Policy): readonly Named[] {
  return gates.flatMap(({ by }, index) =>
    typeof by === 'object' && 'members' in by ? by.members.map((member): Named => [`gates[${index}].by.members`, member]) : [],
  );
}

function warnOfMember({ registry }: NamePorts, at: string, member: string): readonly string[] {
  if (registry.get('member', member) !== undefined) return [];
  const hint = suggestName(
    member,
    registry.list('member').map(({ id }) => id),
  );
  return [`policy.${at}: "${member}" is no registered member, so nobody can agree in that name unless a token says so.${hint}`];
}
