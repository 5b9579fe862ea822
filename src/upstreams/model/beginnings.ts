/** What secrets look like where only a part of them has come. */
export interface Beginnings {
  readonly forms: readonly string[];
  /** By character code: not 0 where a form begins with it, or an escape does. What is sent in headers has no others. */
  readonly firsts: Uint8Array;
  readonly longest: number;
}

const known = new WeakMap<readonly Buffer[], Beginnings>();

/** Made once for the secrets of a target, and again when it gets others. */
export function beginningsOf(secrets: readonly Buffer[]): Beginnings {
  let beginnings = known.get(secrets);
  if (beginnings === undefined) {
    const forms = secrets.map((secret) => secret.toString());
    const firsts = new Uint8Array(256);
    firsts[0x5c] = slash;
    for (const form of forms) firsts[form.charCodeAt(0)] ||= 1;
    beginnings = { forms, firsts, longest: forms.reduce((most, { length }) => Math.max(most, length), 0) };
    known.set(secrets, beginnings);
  }
  return beginnings;
}

/** In `firsts`. */
const slash = 2;
/** JSON may write every character as `\u00xx`. */
const escaped = '\\u00';

/**
 * Whether what stands in `text` from `start` to `end` ends as a secret begins, or may: asked of every piece of an answer, so it reads
 * no more than the end of it.
 */
export function mayBegin({ forms, firsts, longest }: Beginnings, text: string, start: number, end: number): boolean {
  for (let at = Math.max(start, end - longest - escaped.length - 1); at < end; at++) {
    const kind = firsts[text.charCodeAt(at)];
    if (kind === 0 || kind === undefined) continue;
    if (kind === slash && text.startsWith(escaped, at)) return true;
    // Not by a function each time: this is every other word of an answer.
    for (let one = 0; one < forms.length; one++) if (isBeginning(forms[one] ?? '', text, at, end)) return true;
  }
  return false;
}

function isBeginning(form: string, text: string, at: number, end: number): boolean {
  if (end - at >= form.length) return false;
  for (let next = end - 1; next >= at; next--) if (text.charCodeAt(next) !== form.charCodeAt(next - at)) return false;
  return true;
}

/** The longest end of the text with which a form begins; of which one, where there are several, says nobody. */
export function beginningAt(
  { forms, firsts, longest }: Beginnings,
  text: string,
): { readonly length: number; readonly of: number } {
  for (let at = Math.max(0, text.length - longest + 1); at < text.length; at++) {
    if (!firsts[text.charCodeAt(at)]) continue;
    const form = forms.find((one) => isBeginning(one, text, at, text.length));
    if (form !== undefined) return { length: text.length - at, of: form.length };
  }
  return nothing;
}

const nothing = { length: 0, of: 0 };
