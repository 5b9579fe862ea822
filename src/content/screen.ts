/** Refuses, cleans or notes content that a policy names, on its way in and on its way out. */
import { inTurns, type Steps, type Waiting } from '../turns.ts';
import type { Json } from '../wire/json.ts';
import { parseExact } from '../wire/parse-exact.ts';
import type { ContentCheck, Direction } from './content-check.ts';
import { lookedAtOnce, looksClean, looksCleanInSteps } from './gates.ts';
import { valueLooksClean, weighs } from './look-at-value.ts';
import type { Category, Rule } from './rule.ts';
import type { ContentAction } from './rule-names.ts';
import { longestPlain } from './texts-in.ts';
import { clean, mostNodes, unread, walk } from './walk.ts';

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

/**
 * A verdict at once, or in turns where others would wait for it too long. Whichever it is, it is the same. Rejects with GatewayError
 * `cancelled` when whoever it is for has left meanwhile.
 */
export type Verdict = ContentVerdict | Promise<ContentVerdict>;

/** Judges parsed JSON, such as the arguments of a call. The value stays as it is, and must stay so until it is judged. */
export function screenValue(check: ContentCheck, value: Json, waiting?: Waiting): Verdict {
  // Most values are small and clean, and their text is looked at faster in one piece than in many.
  if (!weighs(value, smallValue)) return inTurns(screening(check, value, false), waiting);
  return looksClean(check, bytesOf(value)) ? clean : inTurns(walk(check, value, false), waiting);
}

/** The same for what a model is sent: pictures, sounds and documents in base64 are no text, and stay as they are. */
export function screenPrompt(check: ContentCheck, value: Json, waiting?: Waiting): Verdict {
  // Only a large one can hold any.
  if (weighs(value, longestPlain)) return screenValue(check, value, waiting);
  return inTurns(screening(check, value, true), waiting);
}

/** Judges the bytes of one JSON value, such as a result; they are parsed only where a rule can match. Throws, or rejects with, SyntaxError. */
export function inspectBytes(check: ContentCheck, bytes: Buffer, waiting?: Waiting): Verdict {
  if (bytes.length > lookedAtOnce) return inTurns(inspecting(check, bytes), waiting);
  return looksClean(check, bytes) ? clean : inTurns(walk(check, parse(bytes.toString('utf8')), false), waiting);
}

const smallValue = 32_768;

function bytesOf(value: Json): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** Judges it in steps. */
export function* screening(check: ContentCheck, value: Json, passesMedia: boolean): Steps<ContentVerdict> {
  const isClean = weighs(value, smallValue)
    ? looksClean(check, bytesOf(value))
    : yield* valueLooksClean(check, value, passesMedia);
  return isClean ? clean : yield* walk(check, value, passesMedia);
}

export function* inspecting(check: ContentCheck, bytes: Buffer): Steps<ContentVerdict> {
  if (yield* looksCleanInSteps(check, bytes)) return clean;
  if (bytes.length > mostNodes && (yield* countsMore(bytes, 2 * mostNodes))) return unread(check);
  return yield* walk(check, parse(bytes.toString('utf8')), false);
}

const longNumber = /[0-9][0-9.eE+-]{15}/;

// Looking at every value for lost digits takes ten times as long as parsing.
function parse(json: string): Json {
  return (longNumber.test(json) ? parseExact(json) : JSON.parse(json)) as Json;
}

const quote = 0x22;
const backslash = 0x5c;
/** Outside of strings: brackets that open, and commas. */
const begins = new Uint8Array(256);
for (const byte of Buffer.from('[{,')) begins[byte] = 1;

/** Whether JSON has more brackets that open and commas than that: twice as many as it can have values. */
function* countsMore(bytes: Buffer, most: number): Steps<boolean> {
  let count = 0;
  let stop = lookedAtOnce;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    count += begins[byte]!;
    if (byte === quote) at = endOfString(bytes, at + 1);
    if (count > most) return true;
    if (at < stop) continue;
    stop = at + lookedAtOnce;
    yield;
  }
  return false;
}

/** Where the quote stands that ends a string. */
function endOfString(bytes: Buffer, start: number): number {
  let at = start;
  while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1;
  return at;
}
