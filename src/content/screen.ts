/** Refuses, cleans or notes content that a policy names, on its way in and on its way out. */
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { parseExact } from '../wire/json-scan.ts';
import type { ActiveRule, ContentCheck, Direction } from './content-check.ts';
import { type Budget, type Finding, findIn, leastCost, lookAtForeign } from './find.ts';
import { replaceFindings } from './redact.ts';
import { type Category, gate, type Rule } from './rule.ts';
import type { ContentAction } from './rule-names.ts';
import { isSecretName } from './secrets.ts';
import { isMedia, longestPlain } from './texts-in.ts';

/** What was found in one place, without a word of it. */
export interface ContentHit {
  readonly ruleId: string;
  readonly category: Category | 'content' | 'answer';
  readonly severity: Rule['severity'];
  readonly direction: Direction;
  readonly action: ContentAction;
  /** JSON Pointer (RFC 6901) to the string, or to the object whose key it is. Members whose name is no plain word are `*`. */
  readonly pointer: string;
  readonly count: number;
}

/**
 * What a check says. `clean`: nothing was found, what was judged may go as it is. `flagged`: it may go as it is, the hits are for the
 * record. `redacted`: send `value` instead. `blocked`: send nothing; `rules` are the ids of the rules that say so.
 */
export type ContentVerdict =
  | { readonly kind: 'clean' }
  | { readonly kind: 'flagged'; readonly hits: readonly ContentHit[] }
  | { readonly kind: 'redacted'; readonly hits: readonly ContentHit[]; readonly value: Json }
  | { readonly kind: 'blocked'; readonly hits: readonly ContentHit[]; readonly rules: readonly string[] };

const clean: ContentVerdict = Object.freeze({ kind: 'clean' });

/** Judges parsed JSON, such as the arguments of a call. The value stays as it is. */
export function screenValue(check: ContentCheck, value: Json): ContentVerdict {
  // Most values are clean, and their text is looked at faster in one piece than in many.
  return looksClean(check, Buffer.from(JSON.stringify(value))) ? clean : walk(check, value);
}

/** The same for what a model is sent: pictures, sounds and documents in base64 are no text, and stay as they are. */
export function screenPrompt(check: ContentCheck, value: Json): ContentVerdict {
  const json = JSON.stringify(value);
  // Only a large one can hold any.
  if (json.length <= longestPlain) return looksClean(check, Buffer.from(json)) ? clean : walk(check, value);
  const text = JSON.stringify(value, (_, item: Json) => (typeof item === 'string' && isMedia(item) ? '' : item));
  return looksClean(check, Buffer.from(text)) ? clean : walk(check, value, true);
}

/** Judges the bytes of one JSON value, such as a result; they are parsed only where a rule can match. Throws SyntaxError. */
export function inspectBytes(check: ContentCheck, bytes: Buffer): ContentVerdict {
  return looksClean(check, bytes) ? clean : walk(check, parse(bytes.toString('utf8')));
}

const longNumber = /[0-9][0-9.eE+-]{15}/;

// Looking at every value for lost digits takes ten times as long as parsing.
function parse(json: string): Json {
  return (longNumber.test(json) ? parseExact(json) : JSON.parse(json)) as Json;
}

function looksClean(check: ContentCheck, json: Buffer): boolean {
  const open = check.look(json);
  if ((open & ~gate.foreign) !== 0) return false;
  return open === 0 || lookAtForeign(json.toString('utf8')) === 0;
}

/** Deepest nesting that is read, as the wire allows it. */
const deepest = 128;
/** Values that are looked at, and characters that rules are run over, before the rest counts as unread. */
const mostNodes = 250_000;
const mostCharacters = 1024 * 1024;
/** Places that are found in one value. With more, rewriting it would hold up everybody else, and nothing of it is worth reading. */
const mostPlaces = 150_000;

/** One walk over one value. */
interface Walk {
  readonly check: ContentCheck;
  readonly passesMedia: boolean;
  readonly hits: Map<string, Counted>;
  /** Keys in which nothing was found: items of a list have the same ones. */
  readonly cleanKeys: Set<string>;
  readonly budget: Budget;
  /** Where the walk is: names and indexes, outermost first. */
  readonly path: (string | number)[];
  /** Pointers to the first places of the path, as far as somebody asked for them and the walk has not left them. */
  readonly pointers: string[];
  nodes: number;
  /** Nothing that is still to be read can change what is said. */
  isOver: boolean;
}

/** A hit that is still counted. */
type Counted = { -readonly [name in keyof ContentHit]: ContentHit[name] };

function walk(check: ContentCheck, value: Json, passesMedia = false): ContentVerdict {
  const budget = { characters: mostCharacters, places: mostPlaces };
  const notes = { hits: new Map(), cleanKeys: new Set<string>(), path: [], pointers: [''] };
  const state: Walk = { check, passesMedia, ...notes, budget, nodes: 0, isOver: false };
  const screened = screenAt(state, value, undefined);
  if (state.hits.size === 0) return clean;
  const hits = Object.freeze([...state.hits.values()]);
  const blocking = hits.filter(({ action }) => action === 'block').map(({ ruleId }) => ruleId);
  if (blocking.length > 0) return { kind: 'blocked', hits, rules: [...new Set(blocking)] };
  return screened === value ? { kind: 'flagged', hits } : { kind: 'redacted', hits, value: screened };
}

/** The value itself where nothing in it was redacted, else a copy. `name` is the member's that holds it. */
function screenAt(state: Walk, value: Json, name: string | undefined): Json {
  if (state.isOver) return value;
  if (state.path.length > deepest || ++state.nodes > mostNodes) {
    // Once is enough to say so, and there may be millions.
    if (state.nodes <= mostNodes + 1) noteUnread(state);
    return value;
  }
  if (typeof value === 'string') return screenString(state, value, name);
  if (typeof value === 'number') return Math.abs(value) < 1e10 ? value : screenNumber(state, value, String(value));
  if (Array.isArray(value)) return screenArray(state, value);
  if (!isObject(value)) return value;
  return isRawNumber(value) ? screenNumber(state, value, String(value.rawJSON)) : screenObject(state, value);
}

function screenString(state: Walk, text: string, name: string | undefined): string {
  if (state.passesMedia && isMedia(text)) return text;
  // "token" says nothing and "abc" says nothing, but {"token": "abc"} does.
  const prefix = name !== undefined && isSecretName(name) ? `${name}: ` : '';
  const found = findAt(state, prefix + text, prefix.length);
  return found.length === 0 ? text : replaceFindings(text, found);
}

function findAt(state: Walk, text: string, offset: number): readonly Finding[] {
  const all = findIn(state.check, text, state.budget);
  if (all === undefined) {
    noteUnread(state);
    return [];
  }
  if (all.length === 0) return all;
  const found = offset === 0 ? all : behind(all, offset);
  noteAll(state, found);
  return found;
}

/** What does not end before `offset`, in offsets from there. */
function behind(all: readonly Finding[], offset: number): readonly Finding[] {
  return all.flatMap(({ active, start, end }) =>
    end <= offset ? [] : [{ active, start: Math.max(0, start - offset), end: end - offset }],
  );
}

function screenArray(state: Walk, items: Json[]): Json {
  let copy: Json[] | undefined;
  for (const [index, item] of items.entries()) {
    if (state.nodes > mostNodes || state.isOver) break;
    state.path.push(index);
    const screened = screenAt(state, item, undefined);
    leave(state);
    if (screened === item) continue;
    copy ??= [...items];
    copy[index] = screened;
  }
  return copy ?? items;
}

function screenObject(state: Walk, object: JsonObject): Json {
  const entries: [string, Json][] = [];
  const taken = new Map<string, number>();
  let isChanged = false;
  for (const key of Object.keys(object)) {
    if (state.isOver) return object;
    const value = object[key] ?? null;
    const found = state.cleanKeys.has(key) ? [] : findAt(state, key, 0);
    if (found.length === 0) state.cleanKeys.add(key);
    const outward = found.length === 0 ? key : uniqueKey(replaceFindings(key, found), taken);
    taken.set(outward, taken.get(outward) ?? 1);
    state.path.push(found.length === 0 ? key : '*');
    const screened = screenAt(state, value, key);
    leave(state);
    if (outward !== key || screened !== value) isChanged = true;
    entries.push([outward, screened]);
  }
  // Unlike an assignment, this makes a member of "__proto__" too.
  return isChanged ? Object.fromEntries(entries) : object;
}

function screenNumber(state: Walk, value: Json, digits: string): Json {
  if ((state.check.gates & gate.digits) === 0 || digits.length < 11) return value;
  const found = findAt(state, digits, 0);
  const replaced = found.length === 0 ? digits : replaceFindings(digits, found);
  return replaced === digits ? value : replaced;
}

function isRawNumber(value: JsonObject): boolean {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}

// `taken` says how often a key was wanted already, so that thousands of equal ones are told apart without trying each number.
function uniqueKey(key: string, taken: Map<string, number>): string {
  let count = taken.get(key);
  if (count === undefined) return key;
  do count++;
  while (taken.has(`${key} ${count}`));
  taken.set(key, count);
  return `${key} ${count}`;
}

function leave({ path, pointers }: Walk): void {
  path.pop();
  if (pointers.length > path.length + 1) pointers.length = path.length + 1;
}

// A text may hold a hundred thousand places: each rule is noted once, with how many it found.
function noteAll(state: Walk, found: readonly Finding[]): void {
  const counts = new Map<ActiveRule, number>();
  for (const { active } of found) counts.set(active, (counts.get(active) ?? 0) + 1);
  for (const [{ rule, action }, count] of counts)
    addHit(state, { ruleId: rule.id, category: rule.category, severity: rule.severity, action }, count);
}

// What was not read cannot be vouched for: where something would be redacted or blocked, it does not pass.
function noteUnread(state: Walk): void {
  const action = state.check.strictest === 'flag' ? 'flag' : 'block';
  addHit(state, { ruleId: 'content/unread', category: 'content', severity: 'high', action }, 1);
  if (action === 'block' || state.budget.characters < leastCost) state.isOver = true;
}

const mostHits = 200;

function addHit(state: Walk, what: Pick<ContentHit, 'ruleId' | 'category' | 'severity' | 'action'>, count: number): void {
  const { hits, check } = state;
  // Beyond what anyone reads, places are counted with the whole value.
  const pointer = hits.size >= mostHits ? '' : pointerOf(state);
  const key = `${what.ruleId} ${pointer}`;
  const known = hits.get(key);
  if (known === undefined) hits.set(key, { ...what, direction: check.direction, pointer, count });
  else known.count += count;
}

const longestPointer = 256;

function pointerOf({ path, pointers }: Walk): string {
  for (let depth = pointers.length; depth <= path.length; depth++)
    pointers.push(`${pointers[depth - 1]!}/${shownName(path[depth - 1]!)}`.slice(0, longestPointer));
  return pointers[path.length]!;
}

// A name of a member can be content as well: only what looks like one a program gave is shown.
function shownName(name: string | number): string {
  return typeof name === 'number' || /^[A-Za-z_$][A-Za-z0-9_.$-]{0,63}$/.test(name) ? `${name}` : '*';
}
