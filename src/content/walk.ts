/** Walks through a value and reads every text in it. */
import type { Steps } from '../turns.ts';
import { type Json, type JsonObject, longNumber } from '../wire/json.ts';
import type { ActiveRule, ContentCheck } from './content-check.ts';
import { type Budget, type Finding, findIn, findSteps, leastCost } from './find.ts';
import { replaceFindings } from './redact.ts';
import { gate } from './rule.ts';
import type { ContentHit, ContentVerdict } from './screen.ts';
import { isSecretName } from './secrets.ts';
import { isMedia } from './texts-in.ts';

export const clean: ContentVerdict = Object.freeze({ kind: 'clean' });

/** Deepest nesting that is read, as the wire allows it. */
const deepest = 128;
/** Values that are looked at, and characters that rules are run over, before the rest counts as unread. */
export const mostNodes = 250_000;
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
  /** Characters that were read since others had a turn, and something for each value. */
  work: number;
  /** Nothing that is still to be read can change what is said. */
  isOver: boolean;
}

/** A hit that is still counted. */
type Counted = { -readonly [name in keyof ContentHit]: ContentHit[name] };

export function* walk(check: ContentCheck, value: Json, passesMedia: boolean): Steps<ContentVerdict> {
  const state = begin(check, passesMedia);
  const screened = isLong(value) ? yield* screenLong(state, value, undefined) : screenShort(state, value, undefined);
  return verdictOf(state, screened !== value, screened);
}

/** The verdict on what is too much to be read. */
export function unread(check: ContentCheck): ContentVerdict {
  const state = begin(check, false);
  noteUnread(state);
  return verdictOf(state, false, null);
}

function begin(check: ContentCheck, passesMedia: boolean): Walk {
  const budget = { characters: mostCharacters, places: mostPlaces };
  const notes = { hits: new Map(), cleanKeys: new Set<string>(), path: [], pointers: [''] };
  return { check, passesMedia, ...notes, budget, nodes: 0, work: 0, isOver: false };
}

function verdictOf(state: Walk, isChanged: boolean, value: Json): ContentVerdict {
  if (state.hits.size === 0) return clean;
  const hits = Object.freeze([...state.hits.values()]);
  const blocking = hits.filter(({ action }) => action === 'block').map(({ ruleId }) => ruleId);
  if (blocking.length > 0) return { kind: 'blocked', hits, rules: [...new Set(blocking)] };
  return isChanged ? { kind: 'redacted', hits, value } : { kind: 'flagged', hits };
}

/** Texts up to this are read in one go, and others have a turn after a few of them. */
const shortText = 4096;
const workAtOnce = 16_384;

/** What is read in steps. */
function isLong(value: Json): value is string | Json[] | JsonObject {
  return typeof value === 'string' ? value.length > shortText : typeof value === 'object' && value !== null;
}

/** Whether a value is to be read at all; counts it. */
function mayRead(state: Walk): boolean {
  if (state.isOver) return false;
  if (state.path.length <= deepest && ++state.nodes <= mostNodes) return true;
  // Once is enough to say so, and there may be millions.
  if (state.nodes <= mostNodes + 1) noteUnread(state);
  return false;
}

/** The value itself where nothing in it was redacted, else another. `name` is the member's that holds it. */
function screenShort(state: Walk, value: Json, name: string | undefined): Json {
  if (!mayRead(state)) return value;
  if (typeof value === 'string') return screenString(state, value, name);
  if (typeof value === 'number') return Math.abs(value) < 1e10 ? value : screenNumber(state, value, String(value));
  return value;
}

function* screenLong(state: Walk, value: string | Json[] | JsonObject, name: string | undefined): Steps<Json> {
  if (!mayRead(state)) return value;
  if (typeof value === 'string') return yield* screenText(state, value, name);
  if (Array.isArray(value)) return yield* screenArray(state, value);
  const digits = longNumber(value);
  return digits === undefined ? yield* screenObject(state, value) : screenNumber(state, value, digits);
}

// "token" says nothing and "abc" says nothing, but {"token": "abc"} does.
function prefixOf(name: string | undefined): string {
  return name !== undefined && isSecretName(name) ? `${name}: ` : '';
}

function screenString(state: Walk, text: string, name: string | undefined): string {
  const prefix = prefixOf(name);
  const found = findAt(state, prefix + text, prefix.length);
  return found.length === 0 ? text : replaceFindings(text, found);
}

function* screenText(state: Walk, text: string, name: string | undefined): Steps<string> {
  if (state.passesMedia && isMedia(text)) return text;
  const prefix = prefixOf(name);
  const found = yield* findInLong(state, prefix + text, prefix.length);
  return found.length === 0 ? text : replaceFindings(text, found);
}

function findAt(state: Walk, text: string, offset: number): readonly Finding[] {
  state.work += text.length + leastCost;
  return noteFound(state, findIn(state.check, text, state.budget), offset);
}

function* findInLong(state: Walk, text: string, offset: number): Steps<readonly Finding[]> {
  return noteFound(state, yield* findSteps(state.check, text, state.budget), offset);
}

/** Notes what was found in a text; undefined says that it was not read. */
function noteFound(state: Walk, all: readonly Finding[] | undefined, offset: number): readonly Finding[] {
  if (all === undefined) {
    noteUnread(state);
    return [];
  }
  if (all.length === 0) return all;
  const found = offset === 0 ? all : behind(all, offset);
  noteAll(state, found);
  return found;
}

/** Whether it is time for others. */
function isOverworked(state: Walk): boolean {
  if (++state.work < workAtOnce) return false;
  state.work = 0;
  return true;
}

/** What does not end before `offset`, in offsets from there. */
function behind(all: readonly Finding[], offset: number): readonly Finding[] {
  return all.flatMap(({ active, start, end }) =>
    end <= offset ? [] : [{ active, start: Math.max(0, start - offset), end: end - offset }],
  );
}

function* screenArray(state: Walk, items: Json[]): Steps<Json> {
  let copy: Json[] | undefined;
  for (let index = 0; index < items.length; index++) {
    if (state.nodes > mostNodes || state.isOver) break;
    const item = items[index]!;
    state.path.push(index);
    const screened = isLong(item) ? yield* screenLong(state, item, undefined) : screenShort(state, item, undefined);
    leave(state);
    if (isOverworked(state)) yield;
    if (screened === item) continue;
    copy ??= [...items];
    copy[index] = screened;
  }
  return copy ?? items;
}

function* screenObject(state: Walk, object: JsonObject): Steps<Json> {
  // Nothing is copied where nothing changes.
  let copy: Copy | undefined;
  for (const key of Object.keys(object)) {
    if (state.isOver) return object;
    const value = object[key] ?? null;
    const found = state.cleanKeys.has(key)
      ? none
      : key.length > shortText
        ? yield* findInLong(state, key, 0)
        : findAt(state, key, 0);
    const isClean = found.length === 0;
    if (isClean) state.cleanKeys.add(key);
    const outward = isClean ? key : replaceFindings(key, found);
    state.path.push(isClean ? key : '*');
    const screened = isLong(value) ? yield* screenLong(state, value, key) : screenShort(state, value, key);
    leave(state);
    if (isOverworked(state)) yield;
    if (copy === undefined && (outward !== key || screened !== value)) copy = copyUpTo(object, key);
    if (copy !== undefined) addMember(copy, isClean ? key : uniqueKey(outward, copy.taken), screened);
  }
  // Unlike an assignment, this makes a member of "__proto__" too.
  return copy === undefined ? object : Object.fromEntries(copy.entries);
}

const none: readonly Finding[] = Object.freeze([]);

/** An object that is made anew, and how often each of its names was wanted. */
interface Copy {
  readonly entries: [string, Json][];
  readonly taken: Map<string, number>;
}

function copyUpTo(object: JsonObject, end: string): Copy {
  const copy: Copy = { entries: [], taken: new Map() };
  for (const key of Object.keys(object)) {
    if (key === end) break;
    addMember(copy, key, object[key] ?? null);
  }
  return copy;
}

function addMember({ entries, taken }: Copy, name: string, value: Json): void {
  taken.set(name, taken.get(name) ?? 1);
  entries.push([name, value]);
}

function screenNumber(state: Walk, value: Json, digits: string): Json {
  if ((state.check.gates & gate.digits) === 0 || digits.length < 11) return value;
  const found = findAt(state, digits, 0);
  const replaced = found.length === 0 ? digits : replaceFindings(digits, found);
  return replaced === digits ? value : replaced;
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
