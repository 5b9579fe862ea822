import type { DefinitionReview, UpstreamConfig } from '../catalog/config.ts';
import type { DefinitionKind } from '../catalog/definition.ts';
import { reviewedPart } from '../catalog/definition.ts';
import { takeTurns } from '../turns.ts';
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

/** Looks through everything that was submitted. Linear in its size; others have their turn every few milliseconds. */
export async function assess(subject: Subject, neighbourhood: Neighbourhood): Promise<Assessment> {
  const { config, isExternal, offered, instructions } = subject;
  const source = sourceOf(config);
  const found = new Tally();
  const seen = new Map<string, string[]>();
  const reach = { reads: [] as string[], changes: [] as string[], destroys: [] as string[], unsaid: [] as string[] };
  const turn = takeTurns();
  let characters = instructions?.length ?? 0;
  let listed = 0;
  for (const { kind, definition } of offered) {
    await turn();
    const screened = {
      ...{ upstream: config.id, namespace: config.namespace, kind, definition, instructions: undefined },
      shownName: shownName(config, definition.name),
    };
    found.add(screenDefinition(screened, neighbourhood));
    characters += JSON.stringify(reviewedPart(definition, undefined)).length;
    listed += JSON.stringify(definition).length;
    noteSeen(seen, definition, config.kind);
    if (kind === 'tool') reach[reachOf(definition)].push(showAll(definition.name.slice(0, 200)));
  }
  found.add(lookAtSource(source, isExternal, config.review));
  found.add(lookAtWhole(subject, listed));
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
    found.add(screenDefinition(screened, neighbourhood).filter(({ path }) => path === '/description'));
  }
  const count = (kind: DefinitionKind) => offered.filter((one) => one.kind === kind).length;
  const findings = found.worstFirst(mostFindings);
  return {
    score: found.score,
    severity: worstOf(findings),
    source,
    isExternal,
    reach,
    sees: Array.from(seen, ([what, where]) => ({ what, where })),
    size: { tools: count('tool'), prompts: count('prompt'), characters, tokens: Math.ceil(characters / 4) },
    findings,
    findingsTotal: found.total,
  };
}

const weights: Readonly<Record<Exclude<Severity, 'none'>, number>> = { low: 3, medium: 15, high: 35, critical: 60 };
const worstFirst = ['critical', 'high', 'medium', 'low'] as const;

/** Findings as they come: of a description with thousands of flaws not all are held. */
class Tally {
  readonly #kept = new Map<AssessmentFinding['severity'], AssessmentFinding[]>();
  readonly #times = new Map<string, number>();
  #total = 0;
  #score = 100;

  add(findings: readonly AssessmentFinding[]): void {
    for (const finding of findings) {
      const { code, severity } = finding;
      this.#total += 1;
      const kept = this.#kept.get(severity) ?? [];
      this.#kept.set(severity, kept);
      if (kept.length < mostFindings) kept.push(finding);
      // Each kind of finding counts twice at most: a hundred tools without a hint are no worse than two.
      const times = this.#times.get(code) ?? 0;
      this.#times.set(code, times + 1);
      if (times < 2) this.#score -= weights[severity];
    }
  }

  get total(): number {
    return this.#total;
  }

  get score(): number {
    return Math.max(0, this.#score);
  }

  worstFirst(most: number): readonly AssessmentFinding[] {
    return worstFirst.flatMap((severity) => this.#kept.get(severity) ?? []).slice(0, most);
  }
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

function lookAtWhole({ offered, unseenBecause, renamed }: Subject, characters: number): AssessmentFinding[] {
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
  if (characters / 4 > manyTokens)
    add(
      'low',
      'large',
      '',
      `Its definitions take about ${Math.ceil(characters / 4)} tokens of every conversation that lists them.`,
    );
  return findings;
}

function reachOf(definition: Offered['definition']): keyof Assessment['reach'] {
  const hints: JsonObject = isObject(definition.annotations) ? definition.annotations : {};
  if (hints.readOnlyHint === true && !soundsChanging(definition.name)) return 'reads';
  if (hints.destructiveHint === true || /delete|destroy|drop|purge|wipe|erase/i.test(definition.name)) return 'destroys';
  return hints.readOnlyHint === false || soundsChanging(definition.name) ? 'changes' : 'unsaid';
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

/** Names that an import gives to arguments: the body as a whole, and a place in front of two of one name. */
const givenNames = /^(?:request_)?body$|^(?:path|query|header|cookie)_/;

function noteSeen(
  seen: Map<string, string[]>,
  { name: tool, inputSchema }: Offered['definition'],
  kind: UpstreamConfig['kind'],
): void {
  const names = isObject(inputSchema) && isObject(inputSchema.properties) ? Object.keys(inputSchema.properties) : [];
  for (const name of names.slice(0, 200)) {
    const words = wordsOf((kind === 'openapi' ? name.replace(givenNames, '') : name).slice(0, 100));
    for (const [what, pattern] of kindsOfData) {
      if (!pattern.test(words)) continue;
      const places = seen.get(what) ?? [];
      seen.set(what, places);
      if (places.length < mostPlaces) places.push(showAll(`${tool.slice(0, 100)}.${name.slice(0, 100)}`));
    }
  }
}
