import { isAscii } from 'node:buffer';
import { type Anchor, type AnchorScan, makeAnchorScan } from './anchors.ts';
import { isLuhn } from './checksums.ts';
import { injectionAnchors, markAnchors } from './injection/words.ts';
import { gate } from './rule.ts';
import { safetyAnchors, shortestSafetyWord } from './safety-words.ts';

// The quick look: which rules can match at all. Nearly everything that passes a gateway is clean, so this is what content rules
// cost: a few searches by native code and loops that jump. It may say "maybe" too often and must never say "no" wrongly.

/** The gates that a text opens, of those in `wanted`. The text is ASCII or UTF-8, possibly JSON; `\u` in it is the caller's to see. */
export type Look = (bytes: Buffer) => number;

const secretAnchors: readonly Anchor[] = [
  '-----begin',
  'password',
  'passwd',
  'passwort',
  'passphrase',
  'contrase',
  'kennwort',
  'mot de passe',
  'secretaccess',
  'secret_access',
  'secret access',
  'hooks.slack.com',
].map((text) => ({ text, gate: gate.secretWords }));

/** Makes the look for one set of gates. */
export function makeLook(wanted: number): Look {
  const anchorGates = wanted & allAnchorGates;
  const scan = anchorScan(anchorGates);
  const scanSafety = (wanted & gate.safetyWords) === 0 ? undefined : safetyScan();
  const runs = wanted & (gate.token | gate.assignment | gate.encoded);
  return (bytes) => {
    let open = 0;
    if (scan !== undefined) {
      scan(bytes, (anchor) => {
        open |= anchor.gate;
        return (open & anchorGates) === anchorGates;
      });
    }
    if (scanSafety !== undefined) {
      scanSafety(bytes, () => {
        open |= gate.safetyWords;
        return true;
      });
    }
    if (runs !== 0) open |= lookAtRuns(bytes, wanted);
    if ((wanted & gate.digits) !== 0 && hasDigits(bytes)) open |= gate.digits;
    return open | (bytes.length < longestLoop ? lookAtSigns(bytes, wanted) : searchSigns(bytes, wanted, everySign));
  };
}

const allAnchorGates = gate.secretWords | gate.injectionWords | gate.roleMarks;
/** Tables that are the same for every look that wants the same of these gates. */
const scans = new Map<number, AnchorScan>();

function anchorScan(anchorGates: number): AnchorScan | undefined {
  if (anchorGates === 0) return undefined;
  const anchors = [...secretAnchors, ...injectionAnchors, ...markAnchors];
  return kept(anchorGates, () => makeAnchorScan(anchors.filter((anchor) => (anchor.gate & anchorGates) !== 0)));
}

function safetyScan(): AnchorScan {
  return kept(gate.safetyWords, () => makeAnchorScan(safetyAnchors, shortestSafetyWord));
}

function kept(gates: number, make: () => AnchorScan): AnchorScan {
  let scan = scans.get(gates);
  if (scan === undefined) {
    scan = make();
    scans.set(gates, scan);
  }
  return scan;
}

/** What takes long to make of the looks for these gates, in pieces. */
export function prepareLooks(wanted: number): readonly (() => void)[] {
  const pieces = [() => anchorScan(wanted & allAnchorGates)];
  return (wanted & gate.safetyWords) === 0 ? pieces : [...pieces, safetyScan];
}

/** Up to this length one loop over the bytes costs less than several searches by native code. */
const longestLoop = 4096;
const sign = { at: 1, percent: 2, exclamation: 4, less: 8, backslash: 16, control: 32, foreign: 64, newline: 128 } as const;
const everySign = 255;
const signs = new Uint8Array(256).fill(sign.foreign, 128);
signs[0x40] = sign.at;
signs[0x25] = sign.percent;
signs[0x21] = sign.exclamation;
signs[0x3c] = sign.less;
signs[0x5c] = sign.backslash;
signs[0x0a] = sign.newline;
signs[0x1b] = signs[0x08] = signs[0x7f] = sign.control;

function lookAtSigns(bytes: Buffer, wanted: number): number {
  let seen = 0;
  for (let at = 0; at < bytes.length; at++) seen |= signs[bytes[at]!]!;
  return searchSigns(bytes, wanted, seen);
}

const image = Buffer.from('![');
const htmlImage = Buffer.from('<img');
const comment = Buffer.from('<!--');
const style = Buffer.from('style');
const escapedUnicode = Buffer.from('\\u');
const escapedBackspace = Buffer.from('\\b');
const spaces = Buffer.from(' '.repeat(80));
const newlines = ['\n'.repeat(25), '\n '.repeat(25)].map((text) => Buffer.from(text));
const escapedNewlines = ['\\n'.repeat(25), '\\n '.repeat(25)].map((text) => Buffer.from(text));
const less = 0x3c;
const escapeCharacter = 0x1b;
const backspace = 0x08;
const deletion = 0x7f;

// `seen` has the signs that may be there at all.
function searchSigns(bytes: Buffer, wanted: number, seen: number): number {
  let open = 0;
  if ((wanted & gate.at) !== 0 && (seen & sign.at) !== 0 && hasAddress(bytes)) open |= gate.at;
  if ((wanted & gate.encoded) !== 0 && (seen & sign.percent) !== 0 && hasPercentText(bytes)) open |= gate.encoded;
  if ((wanted & gate.image) !== 0) {
    if ((seen & sign.exclamation) !== 0 && bytes.includes(image)) open |= gate.image;
    if ((seen & sign.less) !== 0 && bytes.includes(htmlImage)) open |= gate.image;
  }
  if ((wanted & gate.covered) !== 0 && isCovered(bytes, seen)) open |= gate.covered;
  if ((seen & sign.backslash) !== 0 && bytes.includes(escapedUnicode)) open |= gate.escaped;
  if ((seen & sign.foreign) !== 0 && !isAscii(bytes)) open |= gate.foreign;
  return open;
}

function isCovered(bytes: Buffer, seen: number): boolean {
  if ((seen & sign.less) !== 0 && bytes.includes(less) && (bytes.includes(comment) || bytes.includes(style))) return true;
  if ((seen & sign.backslash) !== 0 && bytes.includes(escapedBackspace)) return true;
  if (bytes.length > spaces.length && bytes.includes(spaces)) return true;
  if ((seen & sign.newline) !== 0 && newlines.some((blank) => bytes.includes(blank))) return true;
  if ((seen & sign.backslash) !== 0 && escapedNewlines.some((blank) => bytes.includes(blank))) return true;
  return (seen & sign.control) !== 0 && [escapeCharacter, backspace, deletion].some((byte) => bytes.includes(byte));
}

const tokenCharacter = tableOf(/[A-Za-z0-9_-]/);
const valueCharacter = tableOf(/[A-Za-z0-9_+/.~-]/);
const digitCharacter = tableOf(/[0-9 ().\-+/\\]/);
const digit = tableOf(/[0-9]/);
const letter = tableOf(/[A-Za-z]/);
const lowerHex = tableOf(/[0-9A-Fa-f]/);
/** Values of base64 digits, and 64 for every other byte. */
const base64Values = new Uint8Array(256).fill(64);
for (const [value, byte] of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789').entries())
  base64Values[byte] = value;
base64Values[0x2b] = base64Values[0x2d] = 62;
base64Values[0x2f] = base64Values[0x5f] = 63;

function tableOf(characters: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (byte < 128 && characters.test(String.fromCharCode(byte)) ? 1 : 0));
}

const shortestRun = 16;

// No key, token or encoded text is shorter than such a run: a look at every sixteenth byte finds where one may be.
function lookAtRuns(bytes: Buffer, wanted: number): number {
  let open = 0;
  let lastMixedEnd = -2;
  let at = shortestRun - 1;
  while (at < bytes.length) {
    const floor = at - shortestRun;
    let back = at;
    while (back > floor && tokenCharacter[bytes[back]!] === 1) back--;
    if (back > floor) {
      at = back + shortestRun;
      continue;
    }
    let end = at + 1;
    while (end < bytes.length && tokenCharacter[bytes[end]!] === 1) end++;
    // Runs of one long value in base64 have one character between them, and one name in front of them all.
    const isNext = floor + 1 - lastMixedEnd === 1 && valueCharacter[bytes[lastMixedEnd]!] === 1;
    const mayBeAssigned = (wanted & gate.assignment) !== 0 && isMixed(bytes, floor + 1, end);
    if (mayBeAssigned && !isNext && isAssigned(bytes, floor + 1)) open |= gate.assignment;
    if (mayBeAssigned) lastMixedEnd = end;
    open |= judgeRun(bytes, floor + 1, end, wanted);
    at = end + shortestRun;
  }
  return open;
}

/** How keys of known makers begin, by three characters. */
const tokenStarts = new Set(
  [
    'gh_',
    'ghp',
    'gho',
    'ghu',
    'ghs',
    'ghr',
    'git',
    'glp',
    'sk-',
    'sk_',
    'rk_',
    'whs',
    'xox',
    'xap',
    'npm',
    'AKI',
    'ASI',
    'AIz',
    'eyJ',
    'hf_',
    'dop',
    'pyp',
    'shp',
    'GOC',
  ].map((start) => packed(Buffer.from(start), 0)),
);
const dottedStarts = new Set(['SG.', '29.'].map((start) => packed(Buffer.from(start), 0)));

function packed(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

function judgeRun(bytes: Buffer, start: number, end: number, wanted: number): number {
  let open = 0;
  if ((wanted & gate.token) !== 0 && hasTokenStart(bytes, start, end)) open |= gate.token;
  if ((wanted & gate.encoded) !== 0 && end - start >= 24 && (isBase64Text(bytes, start) || isHexText(bytes, start)))
    open |= gate.encoded;
  return open;
}

function hasTokenStart(bytes: Buffer, start: number, end: number): boolean {
  if (start >= 3 && bytes[start - 1] === 0x2e && dottedStarts.has(packed(bytes, start - 3))) return true;
  let isStart = true;
  for (let at = start; at < end - 10; at++) {
    if (isStart && tokenStarts.has(packed(bytes, at))) return true;
    const byte = bytes[at];
    isStart = byte === 0x2d || byte === 0x5f;
  }
  return false;
}

function isMixed(bytes: Buffer, start: number, end: number): boolean {
  let hasDigit = false;
  let hasLetter = false;
  for (let at = start; at < end; at++) {
    if (digit[bytes[at]!] === 1) hasDigit = true;
    else if (letter[bytes[at]!] === 1) hasLetter = true;
    if (hasDigit && hasLetter) return true;
  }
  return false;
}

/** The last three letters of the words that a secret is assigned to, in lower case. */
const secretWordEnds = new Set(
  ['key', 'ken', 'ret', 'ord', 'wrd', 'pwd', 'ass', 'swd', 'ial', 'als', 'uth', 'rer', 'sic', 'pat'].map((end) =>
    packed(Buffer.from(end), 0),
  ),
);
const longestWalk = 128;
const longestGap = 64;

// Walks back over the value, what separates it from its name, and looks at how the name ends.
function isAssigned(bytes: Buffer, start: number): boolean {
  let at = start - 1;
  for (const floor = Math.max(-1, at - longestWalk); at > floor && valueCharacter[bytes[at]!] === 1; at--);
  for (const floor = Math.max(-1, at - longestGap); at > floor && between[bytes[at]!] === 1; at--);
  return at >= 2 && secretWordEnds.has(packed(bytes, at - 2) | 0x202020);
}

const between = tableOf(/[\s"'\\:=>`]/);

/** Whether the first twelve bytes of this base64 are printable ASCII: of random bytes one in four thousand is. */
function isBase64Text(bytes: Buffer, start: number): boolean {
  for (let at = start; at < start + 16; at += 4) {
    const bits =
      (base64Values[bytes[at]!]! << 18) |
      (base64Values[bytes[at + 1]!]! << 12) |
      (base64Values[bytes[at + 2]!]! << 6) |
      base64Values[bytes[at + 3]!]!;
    if (!isPrintable(bits >> 16) || !isPrintable((bits >> 8) & 255) || !isPrintable(bits & 255)) return false;
  }
  return true;
}

function isHexText(bytes: Buffer, start: number): boolean {
  for (let at = start; at < start + 16; at += 2) {
    if (lowerHex[bytes[at]!] === 0 || lowerHex[bytes[at + 1]!] === 0) return false;
    if (!isPrintable((hexValue(bytes[at]!) << 4) | hexValue(bytes[at + 1]!))) return false;
  }
  return true;
}

function hexValue(byte: number): number {
  return byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57;
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** `%69%67`: letters that nobody needs to write so, or an @ written so. */
function hasPercentText(bytes: Buffer): boolean {
  let at = bytes.indexOf(0x25);
  if (at < 0) return false;
  for (; at + 2 < bytes.length; at++) {
    if (bytes[at] !== 0x25 || lowerHex[bytes[at + 1]!] === 0 || lowerHex[bytes[at + 2]!] === 0) continue;
    const byte = (hexValue(bytes[at + 1]!) << 4) | hexValue(bytes[at + 2]!);
    if (byte === 0x40 || letter[byte] === 1 || digit[byte] === 1) return true;
  }
  return false;
}

function hasAddress(bytes: Buffer): boolean {
  for (let at = bytes.indexOf(0x40); at >= 0; at = bytes.indexOf(0x40, at + 1)) {
    if (at > 0 && at + 1 < bytes.length && isAddressed(bytes, at)) return true;
  }
  return false;
}

// Before it may stand the end of a password; not a blank, a quote or a slash, as in names of packages.
function isAddressed(bytes: Buffer, at: number): boolean {
  const before = bytes[at - 1]!;
  return before > 0x20 && before !== 0x22 && before !== 0x2f && before !== 0x5c && valueCharacter[bytes[at + 1]!] === 1;
}

const fewestDigits = 9;

// Nine digits with nothing between them but what people write between digits: a look at every ninth byte finds where they may be.
function hasDigits(bytes: Buffer): boolean {
  let at = fewestDigits - 1;
  while (at < bytes.length) {
    const floor = at - fewestDigits;
    let back = at;
    while (back > floor && digitCharacter[bytes[back]!] === 1) back--;
    if (back > floor) {
      at = back + fewestDigits;
      continue;
    }
    let end = at + 1;
    while (end < bytes.length && digitCharacter[bytes[end]!] === 1) end++;
    if (isTelling(bytes, floor + 1, end)) return true;
    at = end + fewestDigits;
  }
  return false;
}

// Ids, decimals and times are everywhere in JSON and are told apart here, where it is cheap.
function isTelling(bytes: Buffer, runStart: number, runEnd: number): boolean {
  let start = runStart;
  let end = runEnd;
  while (end > start && digit[bytes[end - 1]!] === 0) end--;
  while (start < end && digit[bytes[start]!] === 0 && bytes[start] !== 0x2b) start++;
  if (start > 0 && letter[bytes[start - 1]!] === 1) {
    // Behind two capitals an IBAN begins; the digits behind other letters, as in a UUID, are no number's first.
    if (start > 1 && isCapital(bytes[start - 1]!) && isCapital(bytes[start - 2]!) && end - start >= fewestDigits) return true;
    while (start < end && digit[bytes[start]!] === 1) start++;
    while (start < end && digit[bytes[start]!] === 0 && bytes[start] !== 0x2b) start++;
  }
  if (isDate(bytes, start, end)) start += 10;
  let digits = 0;
  let dots = 0;
  let separators = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (digit[byte] === 1) digits++;
    else if (byte === 0x2e) dots++;
    else separators++;
  }
  if (digits < fewestDigits) return false;
  if (separators > 0 || dots > 1) return true;
  if (dots === 1) return false;
  if (digits === 11) return true;
  const first = bytes[start]!;
  return digits >= 14 && digits <= 19 && first >= 0x32 && first <= 0x36 && isLuhn(bytes.toString('latin1', start, end));
}

function isCapital(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}

function isDate(bytes: Buffer, start: number, end: number): boolean {
  return start + 10 < end && bytes[start + 4] === 0x2d && bytes[start + 7] === 0x2d && bytes[start + 10] === 0x20;
}
