import { type Definition, type DefinitionKind, reviewedPart } from '../catalog/definition.ts';
import { makeCategoryCheck } from '../content/content-check.ts';
import { findIn } from '../content/find.ts';
import { foldText } from '../content/fold.ts';
import { findHiddenText } from '../content/hidden-text.ts';
import { isObject } from '../wire/json.ts';
import { definitionRules, type Severity, severities, suspiciousArguments } from './definition-rules.ts';
import { type Neighbour, type Neighbourhood, skeleton } from './look-alikes.ts';
import { type DefinitionText, textsOf, wordsOf } from './texts.ts';

/** What somebody who decides on a definition ought to know. */
export interface AssessmentFinding {
  readonly severity: Exclude<Severity, 'none'>;
  /** `hidden-text/tag-characters`, `sends-away`: for rules and for looking it up. */
  readonly code: string;
  /** The tool or prompt it is about; empty for the whole. */
  readonly subject: string;
  /** JSON pointer into the definition. */
  readonly path: string;
  readonly message: string;
  /** What was found, with everything that does not show written as an escape. */
  readonly excerpt?: string | undefined;
}

export interface Screened {
  readonly upstream: string;
  readonly namespace: string;
  readonly kind: DefinitionKind;
  readonly definition: Definition;
  /** What it is called here, where its entry renames it. */
  readonly shownName?: string | undefined;
  readonly instructions: string | undefined;
}

const mostPerDefinition = 40;
const check = makeCategoryCheck('out', ['prompt-injection', 'secrets', 'hidden-text'], 'flag');

/**
 * What is suspicious in one definition: hidden text, orders to the model, secrets, what its name can be mistaken for. A pure function in
 * time linear to the size of the definition, of which it reads at most 100,000 characters.
 */
export function screenDefinition(screened: Screened, neighbourhood: Neighbourhood): readonly AssessmentFinding[] {
  const { definition, instructions } = screened;
  const { name } = definition;
  const findings = new Map<string, AssessmentFinding>();
  const add = (finding: Omit<AssessmentFinding, 'subject'>) => {
    const key = `${finding.code} ${finding.path}`;
    if (findings.size < mostPerDefinition && !findings.has(key)) findings.set(key, { ...finding, subject: name.slice(0, 200) });
  };
  const { texts, isWhole } = textsOf(reviewedPart(definition, instructions));
  for (const text of texts) lookThrough(text, add);
  if (!isWhole)
    add({
      severity: 'high',
      code: 'too-large',
      path: '',
      message: 'It is too large to be looked through: only its first 100,000 characters were. Somebody has to read the rest.',
    });
  lookAtName(screened, neighbourhood, add);
  lookForMentions(screened, texts, neighbourhood, add);
  lookAtArguments(definition, add);
  lookAtHints(screened, add);
  return [...findings.values()];
}

type Add = (finding: Omit<AssessmentFinding, 'subject'>) => void;

/** What the values of these keys are is for programs, and random by nature. */
const technical = /\/(?:\$schema|\$ref|\$id|format|pattern|type)$/;

function lookThrough({ path, text, isName }: DefinitionText, add: Add): void {
  if (text.length < 4 || technical.test(path)) return;
  for (const { ruleId, title, severity, at } of findHiddenText(text))
    add({ severity, code: ruleId, path, message: `${title}.`, excerpt: excerptOf(text, at, at + 1) });
  for (const { active, start, end } of findIn(check, text) ?? []) {
    const { id, title, severity, category } = active.rule;
    if (category === 'hidden-text' || (isName && category === 'secrets')) continue;
    add({
      severity,
      code: id,
      path,
      message: `${title}.`,
      excerpt: category === 'secrets' ? undefined : excerptOf(text, start, end),
    });
  }
  const folded = foldText(text).text;
  for (const { code, severity, title, pattern } of definitionRules) {
    pattern.lastIndex = 0;
    const found = pattern.exec(folded);
    if (found !== null)
      add({ severity, code, path, message: `${title}.`, excerpt: excerptOf(folded, found.index, found.index + found[0].length) });
  }
}

function lookAtName({ upstream, namespace, definition, shownName }: Screened, { bySkeleton }: Neighbourhood, add: Add): void {
  const name = shownName ?? definition.name;
  if (name.length > 128)
    add({ severity: 'medium', code: 'long-name', path: '/name', message: 'Its name has more than 128 characters.' });
  if (/^(?:admin__|gatehouse|search_tools$|call_tool$)/i.test(name))
    add({ severity: 'medium', code: 'reserved-name', path: '/name', message: 'Its name looks like one of the gateway itself.' });
  for (const other of bySkeleton.get(skeleton(name)) ?? []) {
    if (other.upstream === upstream && other.name === name) continue;
    const what = `${other.namespace}/${other.name} of ${other.upstream}`;
    if (other.name === name) {
      const isSame = other.namespace === namespace;
      add({
        severity: isSame ? 'high' : 'low',
        code: isSame ? 'shadows' : 'same-name',
        path: '/name',
        message: isSame ? `It has the name of ${what}, and could not be listed beside it.` : `${what} has the same name.`,
      });
    } else {
      const severity = lookAlikeSeverity(other, upstream, namespace, name);
      add({ severity, code: 'look-alike', path: '/name', message: `Its name can be mistaken for ${what}.` });
    }
  }
}

// get_user and getUser of one upstream are a matter of taste; of two, one of them is there to be called in place of the other.
function lookAlikeSeverity(other: Neighbour, upstream: string, namespace: string, name: string): 'low' | 'medium' | 'high' {
  const isSpelling = lettersOf(other.name) === lettersOf(name);
  if (other.upstream === upstream) return isSpelling ? 'low' : 'high';
  if (other.namespace === namespace) return 'high';
  return isSpelling ? 'low' : 'medium';
}

const identifier = /[A-Za-z][A-Za-z0-9]{1,40}(?:[_-]{1,2}[A-Za-z0-9]{1,40}){1,8}/g;

function lookForMentions(
  { upstream, definition }: Screened,
  texts: readonly DefinitionText[],
  { byName }: Neighbourhood,
  add: Add,
): void {
  for (const { path, text, isName } of texts) {
    if (isName || path === '/name') continue;
    for (const [word] of text.matchAll(identifier)) {
      if (word === definition.name) continue;
      const others = byName.get(word) ?? byName.get(word.slice(word.indexOf('__') + 2));
      if (others === undefined || others.some((other) => other.upstream === upstream)) continue;
      const [other] = others;
      add({
        severity: 'high',
        code: 'names-other-tool',
        path,
        message: `It speaks of ${word}, which ${other?.upstream} offers: what one upstream says must not decide how another is used.`,
      });
    }
  }
}

function lookAtArguments(definition: Definition, add: Add): void {
  const { inputSchema, arguments: list } = definition;
  const properties = isObject(inputSchema) && isObject(inputSchema.properties) ? Object.keys(inputSchema.properties) : [];
  const named = Array.isArray(list)
    ? list.flatMap((entry) => (isObject(entry) && typeof entry.name === 'string' ? [entry.name] : []))
    : [];
  for (const name of [...properties, ...named]) {
    const severity = suspiciousArguments.get(lettersOf(name));
    if (severity !== undefined && severity !== 'none')
      add({
        severity,
        code: 'suspicious-argument',
        path: `/inputSchema/properties/${name.slice(0, 100)}`,
        message: `The argument "${name.slice(0, 100)}" is of a kind that takes more of the conversation than the tool needs.`,
      });
  }
}

function lettersOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
}

const changingWords =
  /^(?:delete|remove|drop|destroy|purge|erase|wipe|create|add|insert|update|set|write|edit|modify|patch|put|post|send|publish|execute|exec|run|kill|stop|start|restart|deploy|pay|transfer|refund|charge|buy|order|book|cancel|approve|reject|grant|revoke|reset|upload|move|rename|merge|close|assign|invite|ban|disable|enable)$/i;

/** Whether a name says that something is changed: by its first word, or by the first after a name of the service. */
export function soundsChanging(name: string): boolean {
  return wordsOf(name)
    .split(/[ .:/]+/)
    .slice(0, 2)
    .some((word) => changingWords.test(word));
}

// What an upstream says of itself proves nothing, but what it says wrong does.
function lookAtHints({ kind, definition }: Screened, add: Add): void {
  const { annotations, name } = definition;
  if (kind !== 'tool' || !isObject(annotations)) return;
  const { readOnlyHint, destructiveHint } = annotations;
  if (readOnlyHint === true && soundsChanging(name))
    add({
      severity: 'medium',
      code: 'doubtful-hint',
      path: '/annotations/readOnlyHint',
      message: 'It says that it only reads, and its name says that it changes something.',
    });
  if (readOnlyHint === true && destructiveHint === true)
    add({
      severity: 'medium',
      code: 'doubtful-hint',
      path: '/annotations',
      message: 'It says that it only reads and that it destroys.',
    });
}

const around = 60;

function excerptOf(text: string, start: number, end: number): string {
  const from = Math.max(0, start - around);
  const part = text.slice(from, Math.min(text.length, Math.min(end, start + 200) + around)).toWellFormed();
  return `${from > 0 ? '...' : ''}${showAll(part)}`;
}

/** A text with everything that does not show, or shows as something else, written as an escape. */
export function showAll(text: string): string {
  return text.replaceAll(
    // biome-ignore lint/suspicious/noMisleadingCharacterClass: what joins characters is itself written out
    /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\u034f\u115f\u1160\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu,
    (character) => (character === '\n' ? '\n' : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`),
  );
}

export function worstOf(findings: readonly Pick<AssessmentFinding, 'severity'>[]): Severity {
  return findings.reduce<Severity>(
    (worst, { severity }) => (severities.indexOf(severity) > severities.indexOf(worst) ? severity : worst),
    'none',
  );
}

/** Whether nothing was found that a person should look at. */
export function isClean(findings: readonly Pick<AssessmentFinding, 'severity'>[]): boolean {
  return severities.indexOf(worstOf(findings)) <= severities.indexOf('low');
}
