/**
 * Secrets as whoever reads a text may spell them. JSON has several spellings for each character (RFC 8259 section 7), addresses have
 * two (RFC 3986 section 2.1), and JSON within JSON has them squared. So a text and the secrets are brought to one plain spelling, and
 * compared in that.
 */

/** A text in the plain spelling, and where it stood in the text as it was. */
export interface Plain {
  readonly text: string;
  /** Offset of the spelling of the character at `at`. */
  startOf(at: number): number;
  /** Offset behind the spelling of the character before `at`. */
  endOf(at: number): number;
}

/** The secrets of one upstream. All texts have a character for each byte of UTF-8. */
interface Spellings {
  readonly plain: readonly string[];
  readonly longest: number;
  /** Finds escapes of characters that secrets have. Most texts with escapes have them for quotes, brackets and blanks. */
  readonly suspect: RegExp;
  readonly hasSlash: boolean;
  /** A secret has characters beyond ASCII. */
  readonly isWide: boolean;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A shorter one would be found in every second answer. */
export const shortest = 8;

const known = new WeakMap<readonly Buffer[], Spellings>();

/** Made once for each list of secrets. */
export function spellingsOf(secrets: readonly Buffer[]): Spellings {
  let spellings = known.get(secrets);
  if (spellings === undefined) {
    spellings = makeSpellings(secrets);
    known.set(secrets, spellings);
  }
  return spellings;
}

function makeSpellings(secrets: readonly Buffer[]): Spellings {
  const forms = secrets.map((secret) => inPlain(secret.toString('latin1')).text.replace(/[\b\t\n\f\r]/g, letterOf));
  const plain = [...new Set(forms)].filter(({ length }) => length >= shortest).sort((a, b) => b.length - a.length);
  return {
    plain,
    longest: plain[0]?.length ?? 0,
    suspect: suspectFor(plain),
    hasSlash: plain.some((secret) => secret.includes('/')),
    isWide: plain.some((secret) => /[\x80-\xff]/.test(secret)),
  };
}

function suspectFor(plain: readonly string[]): RegExp {
  const letters = plain.join('');
  const isWide = /[\x80-\xff]/.test(letters);
  const codes: string[] = [];
  for (let code = 0; code < 0x80; code++) {
    const sign = String.fromCharCode(code);
    // An escaped backslash or percent sign begins another escape.
    if (!letters.includes(letterOf(sign)) && sign !== '%') continue;
    const [high = '', low = ''] = code.toString(16).padStart(2, '0');
    codes.push(`${high}[${low}${low.toUpperCase()}]`);
  }
  const beyond = isWide ? '|\\\\u(?!00[0-7])|%[89A-Fa-f]' : '';
  return new RegExp([`(?:\\\\u00|%)(?:${codes.join('|')})${beyond}`, ...slashesIn(plain)].join('|'));
}

/** Slashes that are escaped, each with its neighbours: there are texts that escape all of theirs. */
function slashesIn(plain: readonly string[]): Iterable<string> {
  const found = new Set<string>();
  for (const secret of plain) {
    for (let at = secret.indexOf('/'); at >= 0; at = secret.indexOf('/', at + 1))
      found.add(`${literal(secret.slice(0, at).slice(-1))}\\\\+/\\\\*${literal(secret.charAt(at + 1))}`);
  }
  return found;
}

function literal(sign: string): string {
  return sign === '' ? '' : `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

const percent = 0x25;
const asciiEscape = Buffer.from('\\u00');
const anyEscape = Buffer.from('\\u');
const slashEscape = Buffer.from('\\/');

/** Where secrets stand in the bytes in a mixed spelling; at the price of two or three searches where nothing is spelled in another way. */
export function findSpelled(bytes: Buffer, spellings: Spellings): readonly Span[] {
  if (spellings.plain.length === 0) return none;
  const mayBe =
    bytes.indexOf(spellings.isWide ? anyEscape : asciiEscape) >= 0 ||
    bytes.indexOf(percent) >= 0 ||
    (spellings.hasSlash && bytes.indexOf(slashEscape) >= 0);
  if (!mayBe) return none;
  const text = bytes.toString('latin1');
  return spellings.suspect.test(text) ? findIn(inPlain(text), spellings) : none;
}

const none: readonly Span[] = [];

/** Each secret in a text, with offsets of the text as it was. */
export function findIn(read: Plain, { plain }: Spellings): readonly Span[] {
  const found: Span[] = [];
  for (const secret of plain) {
    for (let at = read.text.indexOf(secret); at >= 0; at = read.text.indexOf(secret, at + secret.length))
      found.push({ start: read.startOf(at), end: read.endOf(at + secret.length) });
  }
  return found;
}

/** How many characters at the end of a plain text are the beginning of a secret of `of` characters. */
export function beginningAt(text: string, { plain, longest }: Spellings): { readonly length: number; readonly of: number } {
  for (let at = Math.max(0, text.length - longest + 1); at < text.length; at++) {
    const secret = plain.find((one) => one.length > text.length - at && one.startsWith(text.slice(at)));
    if (secret !== undefined) return { length: text.length - at, of: secret.length };
  }
  return { length: 0, of: 0 };
}

/** Where at the end of a text an escape has begun and is not over; the length of the text where none has. */
export function openEscapeAt(text: string): number {
  return text.length - (openEscape.exec(text.slice(-64))?.[0].length ?? 0);
}

const openEscape = /(?:\\(?:\\|u005[cC])*(?:u[0-9A-Fa-f]{0,3})?|%(?:25)*[0-9A-Fa-f]?)$/;

// A run of backslashes is one escape, however deep it is, and a backslash may itself be escaped.
const jsonEscape = /\\(?:\\|u005[cC])*(?:u([0-9A-Fa-f]{4})(?:\\(?:\\|u005[cC])*u([Dd][C-Fc-f][0-9A-Fa-f]{2}))?)?/g;
const percentEscape = /%(?:25)*([0-9A-Fa-f]{2})/g;

/**
 * The plain spelling: backslashes left out, so that `\/` is a slash and `\n` an n as a line feed is, and every escape the character
 * that it stands for.
 */
export function inPlain(text: string): Plain {
  const json = resolve(text, jsonEscape);
  if (!json.text.includes('%')) return json;
  const whole = resolve(json.text, percentEscape);
  return {
    text: whole.text,
    startOf: (at) => json.startOf(whole.startOf(at)),
    endOf: (at) => json.endOf(whole.endOf(at)),
  };
}

interface Mark {
  /** Offset of what the escape stands for. */
  readonly at: number;
  readonly length: number;
  readonly start: number;
  readonly end: number;
}

function resolve(text: string, escapes: RegExp): Plain {
  const marks: Mark[] = [];
  let out = '';
  let done = 0;
  for (const match of text.matchAll(escapes)) {
    out += text.slice(done, match.index);
    done = match.index + match[0].length;
    const letters = lettersOf(match[1], match[2]);
    marks.push({ at: out.length, length: letters.length, start: match.index, end: done });
    out += letters;
  }
  return {
    text: out + text.slice(done),
    startOf: (at) => startOf(markAt(marks, at), at),
    endOf: (at) => (at === 0 ? 0 : endOf(markAt(marks, at - 1), at)),
  };
}

/** The last one that stands for what is at an offset or before. */
function markAt(marks: readonly Mark[], at: number): Mark | undefined {
  let [low, high] = [0, marks.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((marks[middle]?.at ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return marks[low - 1];
}

// The backslash in front of a character goes with it: alone, it would make another escape with what comes in its place.
function startOf(mark: Mark | undefined, at: number): number {
  if (mark === undefined) return at;
  return at < mark.at + Math.max(1, mark.length) ? mark.start : mark.end + at - mark.at - mark.length;
}

function endOf(mark: Mark | undefined, at: number): number {
  if (mark === undefined) return at;
  return Math.max(mark.end, mark.end + at - mark.at - mark.length);
}

function lettersOf(code: string | undefined, low: string | undefined): string {
  if (code === undefined) return '';
  const first = Number.parseInt(code, 16);
  if (code.length === 2 || first < 0x80) return letterOf(String.fromCharCode(first));
  const text = low === undefined ? String.fromCharCode(first) : String.fromCharCode(first, Number.parseInt(low, 16));
  return Buffer.from(text).toString('latin1');
}

/** What is left of a character in the plain spelling: JSON writes some as a backslash and a letter. */
function letterOf(sign: string): string {
  return short[sign] ?? sign;
}

const short: Readonly<Record<string, string>> = { '\\': '', '\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r' };
