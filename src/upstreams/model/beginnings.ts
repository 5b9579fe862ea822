/** What secrets look like where only a part of them has come. */
export interface Beginnings {
  readonly forms: readonly string[];
  /** By character code: not 0 where a form begins with it, or an escape does. What is sent in headers has no others. */
  readonly firsts: Uint8Array;
  readonly hasSlash: boolean;
  readonly longest: number;
}

const known = new WeakMap<readonly Buffer[], Beginnings>();

/** Made once for the secrets of a target, and again when it gets others. */
export function beginningsOf(secrets: readonly Buffer[]): Beginnings {
  let beginnings = known.get(secrets);
  if (beginnings === undefined) {
    const forms = secrets.map((secret) => secret.toString());
    const firsts = new Uint8Array(256);
    firsts[0x5c] = backslash;
    firsts[0x25] = percent;
    for (const form of forms) firsts[form.charCodeAt(0)] ||= 1;
    const longest = forms.reduce((most, { length }) => Math.max(most, length), 0);
    beginnings = { forms, firsts, hasSlash: forms.some((form) => form.includes('/')), longest };
    known.set(secrets, beginnings);
  }
  return beginnings;
}

/** In `firsts`. */
const backslash = 2;
const percent = 3;
/** More than an escape of an escape is longer than what it stands for. */
const escapedLength = 24;

/**
 * Whether what stands in `text` from `start` to `end` ends as a secret begins, or may: asked of every piece of an answer, so it reads
 * no more than the end of it.
 */
export function mayBegin(beginnings: Beginnings, text: string, start: number, end: number): boolean {
  const { forms, firsts, longest } = beginnings;
  for (let at = Math.max(start, end - longest - escapedLength); at < end; at++) {
    const kind = firsts[text.charCodeAt(at)];
    if (kind === 0 || kind === undefined) continue;
    if (kind !== 1 && mayEscape(beginnings, kind, text, at + 1, end)) return true;
    // Not by a function each time: this is every other word of an answer.
    for (let one = 0; one < forms.length; one++) if (isBeginning(forms[one] ?? '', text, at, end)) return true;
  }
  return false;
}

/** Whether an escape that a secret may be spelled with goes on at `at`, or may when more comes. */
function mayEscape({ hasSlash }: Beginnings, kind: number, text: string, at: number, end: number): boolean {
  if (at === end) return true;
  const next = text.charCodeAt(at);
  if (kind === percent) return isHex(next) && (at + 1 === end || isHex(text.charCodeAt(at + 1)));
  if (next === 0x2f) return hasSlash;
  return next === 0x75 && (end - at < 3 || text.startsWith('00', at + 1));
}

function isHex(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66);
}

function isBeginning(form: string, text: string, at: number, end: number): boolean {
  if (end - at >= form.length) return false;
  for (let next = end - 1; next >= at; next--) if (text.charCodeAt(next) !== form.charCodeAt(next - at)) return false;
  return true;
}
