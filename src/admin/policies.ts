import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { authorize } from '../call/authorize.ts';
import { circumstancesOf } from '../call/call.ts';
import { resolve } from '../call/resolve.ts';
import { GatewayError } from '../errors.ts';
import { strictestAnswers } from '../policy/answer-action.ts';
import type { GateRow } from '../policy/gate-schema.ts';
import { buildPolicies, describeScope, type PolicyScope, type PolicySource } from '../policy/policy.ts';
import { checkRules, type Policy, policySchema } from '../policy/policy-schema.ts';
import { composePolicies, readScope, scopeId } from '../registry/compose.ts';
import { checkSecretReferences } from '../secrets.ts';
import { type AdminPorts, defineAction, hasRole, requireRole } from './action.ts';
import { commitChange, requireRevision, revisionField } from './change.ts';
import { isOwnModel } from './own-model.ts';
import { policyWarnings } from './policy-warnings.ts';
import { refuseForeignSecrets } from './secret-references.ts';

export const scopeField = z
  .string()
  .max(200)
  .regex(
    /^(global|namespace:[a-z][a-z0-9-]{0,23}|capability:[a-z][a-z0-9-]{0,23}\/[^\s/]{1,128})$/,
    'Write "global", "namespace:<name>" or "capability:<namespace>/<name>".',
  )
  .describe('Whose calls: "global", "namespace:support" or "capability:support/get_ticket".');

/** In answers to what was done all the same. */
export const warningsField = z
  .array(z.string())
  .optional()
  .describe('What of it holds nothing right now, as what it names is not there. It may come later.');

const shown = z.object({
  scope: z.string(),
  policy: policySchema.nullable().describe('What was set here; null where nothing was.'),
  revision: z.number().nullable(),
  declared: z
    .object({ file: z.string(), policy: policySchema })
    .nullable()
    .describe('What the namespace file says. It is changed in the file, and holds beside what is set here.'),
  merged: z
    .object({})
    .loose()
    .describe('What holds a call there in the end: every limit, rule, network and gate with where it stands.'),
});

export const setPolicy = defineAction({
  name: 'set_policy',
  title: 'Set a policy',
  description:
    'Limits, rules, networks, time-outs, breakers, content rules and gates of the gateway, a namespace or a capability. Takes the place of what was set there; null removes it. What a namespace file declares stays beside it.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PUT /policies/{scope}',
  input: z.strictObject({
    scope: scopeField,
    policy: policySchema.nullable().describe('The whole policy of this scope, or null to remove it.'),
    revision: revisionField,
  }),
  output: shown.extend({ warnings: warningsField }),
  async run(ports, caller, { scope: id, policy, revision }, ip) {
    const scope = scopeOf(id);
    requireScope(caller, scope, ['admin']);
    const flaws = await checkRules(policy ?? undefined);
    if (flaws.length > 0) {
      const sentences = flaws.map(
        ({ path: [field, at, ...rest], message }) => `policy.${[`${field}[${at}]`, ...rest].join('.')}: ${message}`,
      );
      throw new GatewayError('bad_arguments', `This policy was not set. ${sentences.join(' ')}`);
    }
    refuseForeignJudges(caller, scope, policy?.content);
    await refuseLockout(ports, caller, ip, { scope, policy: policy ?? {} });
    const body = policy === null ? undefined : { policy };
    const known = ports.registry.get('policy', id);
    requireRevision('policy', id, known, revision);
    if (known !== undefined || body !== undefined)
      await commitChange(ports, caller, { action: 'set_policy', edits: [{ kind: 'policy', id, body }], detail: { policy } });
    const now = show(ports, scope);
    const warnings = await policyWarnings(ports, caller, ip, scope, policy);
    return { ...now, ...(warnings.length === 0 ? {} : { warnings }) };
  },
});

export const getPolicy = defineAction({
  name: 'get_policy',
  title: 'Show a policy',
  description: 'What was set for a scope, what its namespace file declares, and what holds a call there in the end.',
  roles: ['admin', 'auditor'],
  isReadOnly: true,
  route: 'GET /policies/{scope}',
  input: z.strictObject({ scope: scopeField }),
  output: shown,
  async run(ports, caller, { scope: id }) {
    const scope = scopeOf(id);
    requireScope(caller, scope, ['admin', 'auditor']);
    return show(ports, scope);
  },
});

/** The policies that a call of this scope meets, from the widest to the nearest. */
export function policiesOver(
  { files, registry }: Pick<AdminPorts, 'files' | 'registry'>,
  scope: PolicyScope,
): readonly PolicySource[] {
  const namespace = namespaceOf(scope);
  const ranks = { global: 0, namespace: 1, capability: 2 };
  return composePolicies(files(), registry)
    .filter(({ scope: other }) => {
      if (other.kind === 'global') return true;
      if (other.kind === 'namespace') return other.namespace === namespace;
      return scope.kind === 'capability' && other.capability === scope.capability;
    })
    .filter(({ policy }) => Object.keys(policy).length > 0)
    .sort((a, b) => ranks[a.scope.kind] - ranks[b.scope.kind]);
}

function show(ports: AdminPorts, scope: PolicyScope) {
  const id = scopeId(scope);
  const set = ports.registry.get('policy', id);
  const file = scope.kind === 'namespace' ? ports.files().find(({ name }) => name === scope.namespace) : undefined;
  return {
    scope: id,
    policy: set?.body.policy ?? null,
    revision: set?.revision ?? null,
    declared: file === undefined || Object.keys(file.policy).length === 0 ? null : { file: file.file, policy: file.policy },
    merged: merge(policiesOver(ports, scope)),
  };
}

/** As the path of a call puts them together: what restricts adds up, of single numbers the nearest counts. */
function merge(sources: readonly PolicySource[]): object {
  const each = <Key extends keyof Policy>(key: Key) =>
    sources.flatMap(({ scope, policy }) =>
      policy[key] === undefined ? [] : [{ from: describeScope(scope), [key]: policy[key] }],
    );
  const nearest = <Key extends keyof Policy>(key: Key) =>
    sources.reduce<Policy[Key]>((value, { policy }) => policy[key] ?? value, undefined);
  const breaker = Object.assign({}, ...sources.map(({ policy }) => policy.breaker ?? {})) as Policy['breaker'];
  return {
    limits: sources.flatMap(({ scope, policy }) => (policy.limits ?? []).map((row) => ({ from: describeScope(scope), ...row }))),
    allow: each('allow'),
    network: each('network'),
    content: each('content'),
    answers: strictestAnswers(sources.map(({ policy }) => policy)),
    labels: each('labels'),
    gates: sources.flatMap(({ scope, policy }) => (policy.gates ?? []).map((row) => ({ from: describeScope(scope), ...row }))),
    gateDestructive: nearest('gateDestructive') ?? true,
    timeoutMs: nearest('timeoutMs') ?? null,
    retry: nearest('retry') ?? null,
    breaker,
  };
}

export function scopeOf(id: string): PolicyScope {
  const scope = readScope(id);
  if (scope === undefined) throw new GatewayError('bad_arguments', `"${id.slice(0, 100)}" is no scope.`);
  return scope;
}

function namespaceOf(scope: PolicyScope): string | undefined {
  if (scope.kind === 'global') return undefined;
  return scope.kind === 'namespace' ? scope.namespace : scope.capability.slice(0, scope.capability.indexOf('/'));
}

// The namespace "admin" is the gateway's own, whoever may call themselves its admin.
export function requireScope(caller: Caller, scope: PolicyScope, roles: Parameters<typeof hasRole>[1]): void {
  const namespace = namespaceOf(scope);
  requireRole(caller, roles, namespace === 'admin' ? undefined : namespace);
}

/**
 * Throws GatewayError `bad_arguments` for a judge who would be sent a secret of the gateway's or one that is not the namespace's own, or
 * who is a model of another one: the gateway itself asks judges, beside all that says who may call that model and how often.
 */
export function refuseForeignJudges(caller: Caller, scope: PolicyScope, content: Policy['content']): void {
  for (const { judge } of content ?? []) {
    const complaint = judge?.key === undefined ? undefined : checkSecretReferences(judge.key);
    if (complaint !== undefined) throw new GatewayError('bad_arguments', `This policy was not set: ${complaint}`);
  }
  const namespace = namespaceOf(scope);
  if (namespace === undefined || content === undefined || hasRole(caller, ['admin'])) return;
  const [first] = refuseForeignSecrets(caller, namespace, { content });
  if (first !== undefined) throw new GatewayError('bad_arguments', `This policy was not set. ${first.message}`);
  for (const { judge } of content) {
    if (judge?.model === undefined || isOwnModel(caller, namespace, judge.model)) continue;
    throw new GatewayError(
      'bad_arguments',
      `This policy was not set. The judge ${judge.model} is no model of a namespace that you administer: write it as namespace/name, or ask whoever administers the whole gateway.`,
    );
  }
}

/** Throws GatewayError `conflict` for rules, networks and gates under which whoever sets them could not take them back. */
export async function refuseLockout(ports: AdminPorts, caller: Caller, ip: string, wanted: PolicySource): Promise<void> {
  const { scope } = wanted;
  if (scope.kind !== 'global' && namespaceOf(scope) !== 'admin') return;
  // Of a role there is always somebody: the operator's own key has them all. Members come and go.
  const isPersonal = ({ by }: GateRow) => typeof by === 'object' && 'members' in by;
  if (scope.kind !== 'global' && wanted.policy.gates?.some(isPersonal) === true)
    throw new GatewayError(
      'conflict',
      'This policy was not set: when its members are gone, nobody could take the gate back. Gates on administration name a role.',
    );
  const { files, registry, catalog, calls } = ports;
  const others = composePolicies(files(), registry).filter((source) => scopeId(source.scope) !== scopeId(scope));
  const policies = await buildPolicies([...others, wanted]);
  const ask = {
    toolbox: 'admin',
    method: 'tools/call',
    params: { name: 'set_policy', arguments: { scope: 'global', policy: null } },
  } as const;
  try {
    authorize({ ...circumstancesOf(calls, ip), policies }, caller, resolve(catalog(), ask), ask);
  } catch (error) {
    throw new GatewayError(
      'conflict',
      `This policy was not set: under it you could not call set_policy any more. Add a rule such as caller.role == "admin", and the network that you call from.`,
      { cause: error },
    );
  }
}
