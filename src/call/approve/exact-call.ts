import { GatewayError } from '../../errors.ts';
import { type HmacKey, hmac } from '../../hmac.ts';
import { seal, unseal } from '../../seal.ts';
import { canonicalJson } from '../../wire/canonical-json.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { parseExact } from '../../wire/parse-exact.ts';
import type { Ask } from '../ask.ts';
import type { Screened } from '../screen.ts';

/** Everything about a call that its upstream will see and that decides who may make it. */
export interface ExactCall {
  /** Canonical (RFC 8785): `{ params, _meta? }`. What an approver reads is what is sent. */
  readonly text: string;
  /** Keyed, over the caller and the place as well: equal for equal calls of one caller. */
  readonly digest: string;
}

/** More than a person can judge. */
const longestText = 256 * 1024;

/** Throws GatewayError `bad_arguments` for a call that is too large to be judged. */
export function exactCall(key: HmacKey, screened: Screened, meta: JsonObject | undefined): ExactCall {
  const { caller, capability, member, toolbox, params } = screened;
  const bound = boundMeta(meta);
  const text = canonicalJson(bound === undefined ? { params } : { params, _meta: bound });
  if (text.length > longestText) {
    throw new GatewayError(
      'bad_arguments',
      `A person has to agree to this call of ${capability}, and its arguments are longer than ${longestText / 1024} KiB: too long to be judged. Send less at once.`,
    );
  }
  const place = JSON.stringify([caller.id, capability, member.id, toolbox.name]);
  return { text, digest: hmac(key, `${place}\n${text}`, 'base64url') };
}

/**
 * `_meta` by which clients tell their own requests apart: another one with every request, so it is no part of what was agreed to, and
 * the upstream of a call that a person agreed to does not get it. Trace context is checked and passed on by itself.
 */
const requestIds: ReadonlySet<string> = new Set([
  'traceparent',
  'tracestate',
  'baggage',
  'claudecode/toolUseId',
  'vscode.conversationId',
  'vscode.requestId',
]);

function boundMeta(meta: JsonObject | undefined): JsonObject | undefined {
  if (meta === undefined) return undefined;
  const bound = Object.entries(meta).filter(([name]) => !requestIds.has(name));
  return bound.length === 0 ? undefined : Object.fromEntries(bound);
}

/** The call as it goes out: nothing that was not agreed to, but where it belongs in a trace. */
export function asAgreed(ask: Ask): Ask {
  if (ask.meta === undefined) return ask;
  const kept = Object.entries(ask.meta).filter(([name]) => !requestIds.has(name) || name.startsWith('trace'));
  return { ...ask, meta: kept.length === 0 ? undefined : Object.fromEntries(kept) };
}

/** What a call was, from its canonical text. */
export function readExactCall(text: string): { readonly params: JsonObject; readonly meta: JsonObject | undefined } {
  const read = parseExact(text);
  const params = isObject(read) && isObject(read.params) ? read.params : {};
  return { params, meta: isObject(read) && isObject(read._meta) ? read._meta : undefined };
}

/** Characters of one sealed part: what `unseal` takes at once, whatever they are. */
const partLength = 10_000;

/** Seals the text of a call for its request alone. */
export function sealText(key: Buffer, id: string, text: string): string {
  const parts: string[] = [];
  for (let at = 0; at < text.length; at += partLength)
    parts.push(seal(key, purposeOf(id, parts.length), text.slice(at, at + partLength)));
  return [String(parts.length), ...parts].join('.');
}

/** Undefined where it was dropped, or is not what was sealed. */
export function openText(key: Buffer, id: string, sealed: string): string | undefined {
  const [count, ...parts] = sealed.split('.');
  if (Number(count) !== parts.length || parts.length === 0) return undefined;
  const opened = parts.map((part, at) => unseal(key, purposeOf(id, at), part));
  return opened.every((part) => typeof part === 'string') ? opened.join('') : undefined;
}

function purposeOf(id: string, part: number): string {
  return `approval ${id} ${part}`;
}

const suspicious =
  /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}|\p{Variation_Selector}|[\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{2800}\u{3164}\u{ffa0}]/gu;

/**
 * JSON for people to judge: indented, whole, and with everything that would not show, or would change how the rest shows (control
 * characters, writing direction, blanks that are none), written as the escape that means the same.
 */
export function showJson(value: Json): string {
  return indented(value, '').replaceAll(suspicious, (character) => (character === '\n' ? character : asEscape(character)));
}

/** The same for other texts. */
export function showText(text: string): string {
  return text.replaceAll(suspicious, asEscape);
}

function asEscape(character: string): string {
  let escaped = '';
  for (let at = 0; at < character.length; at++) escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
  return escaped;
}

// By hand: JSON.stringify has no way to indent and keep a long number's digits in every version of Node.
function indented(value: Json, margin: string): string {
  const inner = `${margin}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    return `[\n${value.map((item) => inner + indented(item, inner)).join(',\n')}\n${margin}]`;
  }
  if (!isObject(value) || Object.getPrototypeOf(value) === null) return canonicalJson(value);
  const keys = Object.keys(value).sort();
  if (keys.length === 0) return '{}';
  const members = keys.map((key) => `${inner}${JSON.stringify(key)}: ${indented(value[key] ?? null, inner)}`);
  return `{\n${members.join(',\n')}\n${margin}}`;
}
