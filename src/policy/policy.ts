/**
 * What holds the calls to a capability: policies of four scopes, the gateway's, a namespace's and a capability's own, merged once per
 * snapshot. Whatever restricts adds up: every scope's limits, networks and rules must let a call pass; of numbers that cannot add up
 * (time-outs, breakers) the nearest scope's counts. What an upstream's own entry says stands between a namespace and a capability.
 */

import { hash } from 'node:crypto';
import { compileGlob } from '../catalog/glob.ts';
import type { ContentPolicy, ContentRules, ContentScreen } from '../content/content-policy.ts';
import type { JudgeRow } from '../content/judge.ts';
import { canonicalJson } from '../wire/canonical-json.ts';
import type { Json } from '../wire/json.ts';
import { type AnswerAction, strictestAnswers } from './answer-action.ts';
import { type CompiledLimits, compileLimits } from './compile-limits.ts';
import { compileGate, type Gate } from './gate.ts';
import { compileNetworks, type NetworkTest } from './network.ts';
import type { BreakerPolicy, cacheHitUnits, Policy } from './policy-schema.ts';
import { compileRule, type Rule } from './rule.ts';

/** A policy and whose calls it holds. */
export interface PolicySource {
  readonly scope: PolicyScope;
  readonly policy: Policy;
}

export type PolicyScope =
  | { readonly kind: 'global' }
  | { readonly kind: 'namespace'; readonly namespace: string }
  /** `namespace/name`. */
  | { readonly kind: 'capability'; readonly capability: string };

/** What holds one capability's calls, ready for use. */
export interface CallPolicy {
  readonly limits: readonly CompiledLimits[];
  /** Each scope's rules; one of each must allow. */
  readonly rules: readonly (readonly Rule[])[];
  /** Each must hold the client's address. */
  readonly networks: readonly NetworkTest[];
  /** Of the gateway and the namespace. */
  readonly timeoutMs: number | undefined;
  /** Of the capability itself. */
  readonly ownTimeoutMs: number | undefined;
  /** Of the gateway and the namespace: for the upstream as a whole. */
  readonly breaker: BreakerPolicy;
  /** Of the capability itself. */
  readonly ownBreaker: BreakerPolicy | undefined;
  /** Most calls to the upstream for one call of a client. */
  readonly attempts: number;
  /** What is looked for on the way in and on the way out; undefined where nothing is. */
  readonly contentIn: ContentScreen | undefined;
  readonly contentOut: ContentScreen | undefined;
  /** Who is asked besides. Empty for nearly everything. */
  readonly judgesIn: readonly JudgeRow[];
  readonly judgesOut: readonly JudgeRow[];
  /** What becomes of answers that are not what their tool promises. */
  readonly answers: AnswerAction;
  /** Those that may hold a call of this capability. All that do must let it pass. */
  readonly gates: readonly Gate[];
  /** What it is, as far as a gate of any capability asks whether it was called before. */
  readonly labels: readonly string[];
  /** Whether what removes something waits for an approver where no gate names it. */
  readonly gatesDestructive: boolean;
  /** Who answers an upstream that asks for a model, where the client has none. */
  readonly sampling: { readonly model: string; readonly maxTokens: number } | undefined;
  /** What answers from a model's cache use up of limits. */
  readonly cacheHits: readonly (typeof cacheHitUnits)[number][];
  /** Everything that was written, from the widest scope to the nearest. */
  readonly sources: readonly Policy[];
}

interface Part {
  readonly limits: CompiledLimits;
  readonly rules: readonly Rule[] | undefined;
  readonly network: NetworkTest | undefined;
  readonly gates: readonly Gate[];
  readonly labels: readonly LabelTest[];
  readonly policy: Policy;
}

type LabelTest = readonly [label: string, covers: (capability: string) => boolean];

/** Every capability's policy, made at its first call and kept with the snapshot. */
export class Policies {
  readonly #global: readonly Part[];
  readonly #byNamespace: ReadonlyMap<string, readonly Part[]>;
  readonly #byCapability: ReadonlyMap<string, readonly Part[]>;
  readonly #restricts: boolean;
  /** Whether who may see what depends on nothing but who it is. */
  readonly isSteady: boolean;
  /** Labels that a gate asks after: nothing else is remembered. */
  readonly #awaited: ReadonlySet<string>;
  readonly #content: ContentRules | undefined;
  readonly #made = new Map<string, CallPolicy>();
  /** Of capabilities without a policy of their own, by namespace. */
  readonly #screened = new Map<string, ContentPolicy | undefined>();

  /** `content` is there where a policy has content rules. */
  constructor(written: readonly (readonly [PolicyScope, Part])[], content?: ContentRules) {
    const given = new Set(written.flatMap(([, { labels }]) => labels.map(([label]) => label)));
    const parts = written.map(
      ([scope, part]) => [scope, { ...part, gates: part.gates.map((gate) => checkAfter(gate, given)) }] as const,
    );
    this.#content = content;
    this.#restricts = parts.some(([, { rules, network }]) => rules !== undefined || network !== undefined);
    this.isSteady = parts.every(([, { rules = [], network }]) => network === undefined && !rules.some((rule) => rule.usesMoment));
    this.#awaited = new Set(parts.flatMap(([, { gates }]) => gates.flatMap(({ after }) => after?.labels ?? [])));
    this.#global = parts.flatMap(([scope, part]) => (scope.kind === 'global' ? [part] : []));
    this.#byNamespace = group(parts, (scope) => (scope.kind === 'namespace' ? scope.namespace : undefined));
    this.#byCapability = group(parts, (scope) => (scope.kind === 'capability' ? scope.capability : undefined));
  }

  /** Whether no rule and no network says who may see what. */
  get isOpen(): boolean {
    return !this.#restricts;
  }

  of(capability: string, namespace: string): CallPolicy {
    let made = this.#made.get(capability);
    if (made === undefined) {
      // Whoever would raise a limit that agents have used up must not be held back by it, nor by a gate on what agents do.
      const global =
        namespace === 'admin' ? this.#global.map((part) => ({ ...part, limits: noLimits, gates: noGates })) : this.#global;
      const wide = [...global, ...(this.#byNamespace.get(namespace) ?? [])];
      const own = this.#byCapability.get(capability) ?? [];
      made = merge(capability, wide, own, this.#contentOf(namespace, wide, own), this.#awaited);
      if (this.#made.size >= mostKept) this.#made.clear();
      this.#made.set(capability, made);
    }
    return made;
  }

  #contentOf(namespace: string, wide: readonly Part[], own: readonly Part[]): ContentPolicy | undefined {
    // Secrets go into the gateway's own administration, and a new key comes out of it: blanked out, both would be lost.
    const lines = (parts: readonly Part[]) => (namespace === 'admin' ? [] : parts.flatMap(({ policy }) => policy.content ?? []));
    if (own.length > 0) return this.#content?.compile(lines([...wide, ...own]));
    if (!this.#screened.has(namespace)) {
      if (this.#screened.size >= mostKept) this.#screened.clear();
      this.#screened.set(namespace, this.#content?.compile(lines(wide)));
    }
    return this.#screened.get(namespace);
  }
}

const noLimits = compileLimits([], 'global');
const noGates: readonly Gate[] = Object.freeze([]);
const noJudges: readonly JudgeRow[] = Object.freeze([]);

function compileLabel([label, match]: readonly [string, string | readonly string[]]): LabelTest {
  const globs = (typeof match === 'string' ? [match] : match).map(compileGlob);
  return [label, (capability) => globs.some((takes) => takes(capability))];
}

/** A label that no policy gives to anything is a slip of the pen, or was taken away: whether it was called cannot be told. */
function checkAfter(gate: Gate, given: ReadonlySet<string>): Gate {
  const unknown = gate.after?.labels.filter((label) => !given.has(label)) ?? [];
  return gate.after === undefined || unknown.length === 0 ? gate : { ...gate, after: { ...gate.after, unknown } };
}

/** A decision must not wait for a decision. */
const neverGated: ReadonlySet<string> = new Set(
  ['list_approvals', 'get_approval', 'decide_approval'].map((name) => `admin/${name}`),
);

/** More than any gateway has capabilities; what is asked for beyond that was never one. */
const mostKept = 50_000;

/** Compiles every policy. They were checked when they were written, so a rule that does not compile any more allows nothing. */
export async function buildPolicies(sources: readonly PolicySource[]): Promise<Policies> {
  const parts = await Promise.all(sources.map(async ({ scope, policy }) => [scope, await compile(scope, policy)] as const));
  // Their patterns are a tenth of a start, and many gateways have no use for them.
  const lines = sources.flatMap(({ policy: { content = [] } }) => content);
  if (lines.length === 0) return new Policies(parts);
  const { openContentRules } = await import('../content/content-policy.ts');
  return new Policies(parts, await openContentRules(lines));
}

/** As people and counters call it: `namespace support`. */
export function describeScope(scope: PolicyScope): string {
  if (scope.kind === 'global') return 'global';
  return scope.kind === 'namespace' ? `namespace ${scope.namespace}` : `capability ${scope.capability}`;
}

// A policy is the same object until it is written anew: of hundreds, one is compiled when one changes.
const compiled = new WeakMap<Policy, { readonly place: string; readonly part: Promise<Part> }>();

function compile(scope: PolicyScope, policy: Policy): Promise<Part> {
  const place = describeScope(scope);
  const known = compiled.get(policy);
  if (known?.place === place) return known.part;
  const part = compileAnew(scope, policy);
  compiled.set(policy, { place, part });
  part.catch(() => compiled.delete(policy));
  return part;
}

async function compileAnew(scope: PolicyScope, policy: Policy): Promise<Part> {
  return {
    limits: compileLimits(policy.limits ?? [], describeScope(scope)),
    rules: policy.allow === undefined ? undefined : await compileRules(policy.allow),
    network: policy.network === undefined ? undefined : compileNetworks(policy.network),
    gates: await Promise.all((policy.gates ?? []).map((row) => compileGate(row, describeScope(scope)))),
    labels: Object.entries(policy.labels ?? {}).map(compileLabel),
    policy,
  };
}

async function compileRules(sources: readonly string[]): Promise<readonly Rule[]> {
  const compiled = await Promise.all(sources.map(compileRule));
  return Object.freeze(compiled.flatMap((outcome) => ('rule' in outcome ? [outcome.rule] : [])));
}

function group(
  parts: readonly (readonly [PolicyScope, Part])[],
  keyOf: (scope: PolicyScope) => string | undefined,
): ReadonlyMap<string, readonly Part[]> {
  const groups = new Map<string, Part[]>();
  for (const [scope, part] of parts) {
    const key = keyOf(scope);
    if (key !== undefined) groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  return groups;
}

/** From the widest scope to the nearest. */
function merge(
  capability: string,
  wide: readonly Part[],
  own: readonly Part[],
  content: ContentPolicy | undefined,
  awaited: ReadonlySet<string>,
): CallPolicy {
  const parts = [...wide, ...own];
  const screen = (direction: 'in' | 'out') => content?.screenFor(capability, direction);
  const nearest = <Key extends keyof Policy>(key: Key, of: readonly Part[] = parts) =>
    of.reduce<Policy[Key]>((value, { policy }) => policy[key] ?? value, undefined);
  return Object.freeze({
    limits: parts.map(({ limits }) => limits),
    rules: parts.flatMap(({ rules }) => (rules === undefined ? [] : [rules])),
    networks: parts.flatMap(({ network }) => (network === undefined ? [] : [network])),
    timeoutMs: nearest('timeoutMs', wide),
    ownTimeoutMs: nearest('timeoutMs', own),
    breaker: breakerOf(wide) ?? {},
    ownBreaker: breakerOf(own),
    attempts: attemptsOf(capability, nearest('retry')),
    contentIn: screen('in'),
    contentOut: screen('out'),
    judgesIn: content?.judgesFor(capability, 'in') ?? noJudges,
    judgesOut: content?.judgesFor(capability, 'out') ?? noJudges,
    answers: strictestAnswers(parts.map(({ policy }) => policy)),
    gates: neverGated.has(capability) ? noGates : parts.flatMap(({ gates }) => gates.filter(({ covers }) => covers(capability))),
    sampling: samplingOf(nearest('sampling')),
    labels: [...awaited].filter((label) =>
      parts.some(({ labels }) => labels.some(([given, covers]) => given === label && covers(capability))),
    ),
    gatesDestructive: nearest('gateDestructive') ?? true,
    cacheHits: cacheHitsOf(parts),
    sources: parts.map(({ policy }) => policy),
  });
}

const versions = new WeakMap<CallPolicy, string>();

/** The same on every replica for as long as nothing that holds these calls was changed. */
export function policyVersion(policy: CallPolicy): string {
  let version = versions.get(policy);
  if (version === undefined) {
    const written = JSON.parse(JSON.stringify(policy.sources)) as Json;
    version = hash('sha256', canonicalJson(written), 'base64url');
    versions.set(policy, version);
  }
  return version;
}

const defaultSampledTokens = 4096;

function samplingOf(sampling: Policy['sampling']): CallPolicy['sampling'] {
  return sampling && { model: sampling.model, maxTokens: sampling.maxTokens ?? defaultSampledTokens };
}

function cacheHitsOf(parts: readonly Part[]): CallPolicy['cacheHits'] {
  const said = parts.flatMap(({ policy: { cacheHits } }) => (cacheHits === undefined ? [] : [cacheHits]));
  return said.length === 0 ? usualCacheHits : [...new Set(said.flat())];
}

const usualCacheHits: CallPolicy['cacheHits'] = Object.freeze(['calls'] as const);

function attemptsOf(capability: string, retry: Policy['retry']): number {
  if (retry === undefined || !retry.match.map(compileGlob).some((takes) => takes(capability))) return 1;
  return retry.attempts ?? 2;
}

function breakerOf(parts: readonly Part[]): BreakerPolicy | undefined {
  const said = parts.flatMap(({ policy: { breaker } }) => breaker ?? []);
  return said.length === 0 ? undefined : Object.assign({}, ...said);
}
