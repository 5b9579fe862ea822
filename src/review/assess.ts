import type { DefinitionReview, UpstreamConfig } from '../catalog/config.ts';
import type { DefinitionKind } from '../catalog/definition.ts';
import { reviewedPart } from '../catalog/definition.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { Severity } from './definition-rules.ts';
import type { Neighbourhood } from './look-alikes.ts';
import type { Offered } from './pin.ts';
import { shownName } from './pins.ts';
import { type AssessmentFinding, screenDefinition, showAll, soundsChanging, worstOf } from './screen-definition.ts';
import { type Source, sourceOf } from './source.ts';
import { wordsOf } from './texts.ts';

/** What an approver is told of a submission. */
export interface Assessment {
  /** 0 to 100; 100: nothing was found. */
  readonly score: number;
  readonly severity: Severity;
  readonly source: Source;
  readonly isExternal: boolean;
  /** Names of tools, as they say themselves; `unsaid` may do anything. */
  readonly reach: {
    readonly reads: readonly string[];
    readonly changes: readonly string[];
    readonly destroys: readonly string[];
    readonly unsaid: readonly string[];
  };
  /** Kinds of data that its arguments ask for, and where. */
  readonly sees: readonly { readonly what: string; readonly where: readonly string[] }[];
  readonly size: { readonly tools: number; readonly prompts: number; readonly characters: number; readonly tokens: number };
  readonly findings: readonly AssessmentFinding[];
  /** How many findings there are, shown or not. */
  readonly findingsTotal: number;
}

export interface Subject {
  readonly config: UpstreamConfig;
  readonly isExternal: boolean;
  readonly offered: readonly Offered[];
  readonly instructions: string | undefined;
  /** Why nothing could be looked at; undefined where it was. */
  readonly unseenBecause: string | undefined;
  /** Definitions that were offered under another approved name before, with that name. */
  readonly renamed: ReadonlyMap<Offered, string>;
}

const mostFindings = 500;
/** A definition is looked through in some milliseconds; others get their turn in between. */
const definitionsAtOnce = 8;

/** Looks through everything that was submitted. Linear in its size, and never longer than some milliseconds at a time. */
export async function assess(subject: Subject, neighbourhood: Neighbourhood): Promise<Assessment> {
  const { config, isExternal, offered, instructions } = subject;
  const source = sourceOf(config);
  const all: AssessmentFinding[] = [...lookAtSource(source, isExternal, config.review), ...lookAtWhole(subject)];
  let characters = instructions?.length ?? 0;
  for (const [at, { kind, definition }] of offered.entries()) {
    if (at % definitionsAtOnce === definitionsAtOnce - 1) await new Promise((resolve) => setImmediate(resolve));
    const screened = {
      ...{ upstream: config.id, namespace: config.namespace, kind, definition, instructions: undefined },
      shownName: shownName(config, definition.name),
    };
    all.push(...screenDefinition(screened, neighbourhood));
    characters += JSON.stringify(reviewedPart(definition, undefined)).length;
  }
  if (instructions !== undefined && instructions !== '') {
    // The upstream's words to every model are looked through once, not once per tool.
    const definition = { name: 'instructions', description: instructions };
    const screened = {
      upstream: config.id,
      namespace: config.namespace,
      kind: 'prompt' as const,
      definition,
      instructions: undefined,
    };
    all.push(...screenDefinition(screened, neighbourhood).filter(({ path }) => path === '/description'));
  }
  const count = (kind: DefinitionKind) => offered.filter((one) => one.kind === kind).length;
  const findings = all.sort((a, b) => weights[b.severity] - weights[a.severity]);
  return {
    score: scoreOf(findings),
    severity: worstOf(findings),
    source,
    isExternal,
    reach: reachOf(offered),
    sees: seenBy(offered),
    size: { tools: count('tool'), prompts: count('prompt'), characters, tokens: Math.ceil(characters / 4) },
    findings: findings.slice(0, mostFindings),
    findingsTotal: findings.length,
  };
}

const weights: Readonly<Record<Exclude<Severity, 'none'>, number>> = { low: 3, medium: 15, high: 35, critical: 60 };

/** Each kind of finding counts twice at most: a hundred tools without a hint are no worse than two. */
function scoreOf(findings: readonly AssessmentFinding[]): number {
  const counted = new Map<string, number>();
  let score = 100;
  for (const { code, severity } of findings) {
    const times = counted.get(code) ?? 0;
    counted.set(code, times + 1);
    if (times < 2) score -= weights[severity];
  }
  return Math.max(0, score);
}

function lookAtSource(source: Source, isExternal: boolean, review: DefinitionReview | undefined): AssessmentFinding[] {
  const { kind, isEncrypted, authorization, secrets, isVersionExact } = source;
  const findings: AssessmentFinding[] = [];
  const add = (severity: AssessmentFinding['severity'], code: string, message: string) =>
    findings.push({ severity, code, subject: '', path: '', message });
  if (kind === 'command') {
    add(
      isExternal ? 'medium' : 'low',
      'runs-command',
      'It runs a program on the machine of the gateway, which can reach what that machine reaches.',
    );
    if (!isVersionExact)
      add(
        isExternal ? 'medium' : 'low',
        'version-open',
        'The command does not name one exact version: what it runs can be another program tomorrow.',
      );
  } else if (!isEncrypted) {
    add('high', 'unencrypted', 'Its address is http: whoever is in between can read and change everything.');
  }
  if (authorization === 'none' && kind === 'address')
    add('low', 'no-authorization', 'The gateway shows it nothing to say who it is; whoever finds the address can use it.');
  if (authorization === 'user') add('low', 'acts-as-caller', 'It acts in the name of each caller who signs in.');
  if (secrets.length > 0)
    add('low', 'gets-secrets', `It is given ${secrets.length} of the gateway's secrets: ${secrets.join(', ')}.`);
  if (review?.changes === 'take')
    add('high', 'unreviewed-changes', 'Its entry says "review.changes: take": what it changes later would be seen by nobody.');
  if (review?.additions === 'take')
    add('medium', 'unreviewed-additions', 'Its entry says "review.additions: take": what it adds later would be seen by nobody.');
  return findings;
}

const manyTokens = 20_000;

function lookAtWhole({ offered, unseenBecause, renamed }: Subject): AssessmentFinding[] {
  const findings: AssessmentFinding[] = [];
  const add = (severity: AssessmentFinding['severity'], code: string, subject: string, message: string) =>
    findings.push({ severity, code, subject: subject.slice(0, 200), path: '', message });
  if (unseenBecause !== undefined)
    add(
      'medium',
      'not-seen',
      '',
      `What it offers was not looked at: ${unseenBecause} It stays held back until somebody approves it.`,
    );
  else if (offered.length === 0) add('low', 'nothing-offered', '', 'It offers no tool and no prompt right now.');
  for (const [{ definition }, from] of renamed)
    add(
      'medium',
      'renamed',
      definition.name,
      `It was offered as "${showAll(from.slice(0, 200))}" before: rules, gates and scopes that name that do not hold it.`,
    );
  const characters = offered.reduce((sum, { definition }) => sum + JSON.stringify(definition).length, 0);
  if (characters / 4 > manyTokens)
    add(
      'low',
      'large',
      '',
      `Its definitions take about ${Math.ceil(characters / 4)} tokens of every conversation that lists them.`,
    );
  return findings;
}

function reachOf(offered: readonly Offered[]): Assessment['reach'] {
  const reach = { reads: [] as string[], changes: [] as string[], destroys: [] as string[], unsaid: [] as string[] };
  for (const { kind, definition } of offered) {
    if (kind !== 'tool') continue;
    const name = showAll(definition.name.slice(0, 200));
    const hints: JsonObject = isObject(definition.annotations) ? definition.annotations : {};
    if (hints.readOnlyHint === true && !soundsChanging(definition.name)) reach.reads.push(name);
    else if (hints.destructiveHint === true || /delete|destroy|drop|purge|wipe|erase/i.test(definition.name))
      reach.destroys.push(name);
    else if (hints.readOnlyHint === false || soundsChanging(definition.name)) reach.changes.push(name);
    else reach.unsaid.push(name);
  }
  return reach;
}

const kindsOfData: readonly (readonly [what: string, words: RegExp])[] = [
  ['credentials', /\b(?:password|passwd|secret|token|api ?key|credential|private ?key|pin|otp)s?\b/i],
  [
    'personal data',
    /\b(?:email|e ?mail|phone|address|birth ?(?:day|date)?|ssn|passport|first ?name|last ?name|full ?name|gender|salary)s?\b/i,
  ],
  ['payments', /\b(?:iban|bic|card|cvv|amount|price|invoice|account ?number|currency)s?\b/i],
  ['files', /\b(?:path|paths|file|filename|file ?path|directory|folder|glob)s?\b/i],
  ['code and queries', /\b(?:sql|query|code|script|command|expression|shell)s?\b/i],
  ['messages', /\b(?:message|body|subject|comment|content|text|prompt)s?\b/i],
  ['addresses of others', /\b(?:url|uri|host|endpoint|webhook|domain)s?\b/i],
];
const mostPlaces = 20;

function seenBy(offered: readonly Offered[]): Assessment['sees'] {
  const seen = new Map<string, string[]>();
  for (const { definition } of offered) {
    const { inputSchema } = definition;
    const names = isObject(inputSchema) && isObject(inputSchema.properties) ? Object.keys(inputSchema.properties) : [];
    for (const name of names.slice(0, 200)) {
      const words = wordsOf(name.slice(0, 100));
      for (const [what, pattern] of kindsOfData) {
        if (!pattern.test(words)) continue;
        const places = seen.get(what) ?? [];
        seen.set(what, places);
        if (places.length < mostPlaces) places.push(showAll(`${definition.name.slice(0, 100)}.${name.slice(0, 100)}`));
      }
    }
  }
  return Array.from(seen, ([what, where]) => ({ what, where }));
}
