/** The keys of a message's own members, of which no two may be taken for one. */
import { ScanError } from './scan-error.ts';

/** The key whose quotes stand at `start` and before `end`. Throws ScanError. */
export function readKey(bytes: Buffer, start: number, end: number): string {
  const known = knownKey(bytes, start + 1, end - 1);
  if (known !== undefined) return known;
  const text = bytes.toString('utf8', start + 1, end - 1);
  if (!text.includes('\\')) return text;
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    throw new ScanError(`the key at byte ${start} has a bad escape`);
  }
}

/** Keys that nearly every message has, by length: comparing bytes costs less than making a string. */
const knownKeys: (readonly { readonly bytes: Buffer; readonly key: string }[])[] = [];
for (const key of [
  'jsonrpc',
  'id',
  'method',
  'params',
  'result',
  'error',
  'name',
  'arguments',
  '_meta',
  'content',
  'isError',
  'resultType',
  'structuredContent',
]) {
  knownKeys[key.length] = [...(knownKeys[key.length] ?? []), { bytes: Buffer.from(key), key }];
}

function knownKey(bytes: Buffer, start: number, end: number): string | undefined {
  for (const known of knownKeys[end - start] ?? []) {
    let at = 0;
    while (at < known.bytes.length && known.bytes[at] === bytes[start + at]) at++;
    if (at === known.bytes.length) return known.key;
  }
  return undefined;
}

/** Members an object may have whose members are noted. The largest honest one is a tool's result, with a handful. */
const maxMembers = 1000;

/** While keys are few and short, looking at each costs less than a set. */
const fewMembers = 16;
const shortKeyLength = 64;

// Parsers disagree on which of two equal members counts, and some ignore case (CVE-2026-27896): neither may pass.
// The message names the place, not the key: it may come from anywhere and end in a log.
export function refuseDuplicate(
  members: readonly { readonly key: string }[],
  folded: Set<string> | undefined,
  key: string,
  at: number,
): Set<string> | undefined {
  if (members.length >= maxMembers) throw new ScanError(`it has more than ${maxMembers} members`, true);
  if (folded === undefined && members.length < fewMembers && key.length <= shortKeyLength) {
    for (const { key: other } of members) {
      if (other === key || (other.length === key.length && other.toLowerCase() === key.toLowerCase())) throw appearsTwice(at);
    }
    return undefined;
  }
  const known = folded ?? new Set(members.map((member) => foldCase(member.key)));
  const { size } = known;
  if (known.add(foldCase(key)).size === size) throw appearsTwice(at);
  return known;
}

// A letter that becomes two (U+0130) equals no two letters. A capital stands in no folded key, so what is written with one is apart.
function foldCase(key: string): string {
  const lower = key.toLowerCase();
  return lower.length === key.length ? lower : `N${key.length}:${lower}`;
}

function appearsTwice(at: number): ScanError {
  return new ScanError(`the member at byte ${at} appears twice`, true);
}
