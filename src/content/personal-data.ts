import { isLuhn, isMod11And10, isMod97 } from './checksums.ts';
import { openPattern } from './open-pattern.ts';
import { type AddSpan, everything, gate, partFor, patternRule, type Rule } from './rule.ts';

const category = 'personal-data';

/** What points at a person. Names and addresses are not among it: no pattern tells them from other words. */
export const personalDataRules: readonly Rule[] = [
  {
    id: 'personal-data/email',
    category,
    severity: 'medium',
    title: 'An e-mail address',
    gates: gate.at,
    reads: 'folded',
    find: ({ text }, add, stretch) => findAddresses(text, add, stretch),
  },
  patternRule({
    id: 'personal-data/phone',
    category,
    severity: 'medium',
    title: 'A telephone number: international (E.164), North American, French, British or German form',
    // Separators and digits exclude each other, so that there is one way to read any text.
    pattern:
      /(?<![\w+])\+[1-9](?:[ ()./-]{0,3}\d){7,14}(?!\d)|(?<![\w.+-])(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?![\w-]|\.\d)|(?<![\w.+/-]|\d )0[1-9](?:[ .-]\d\d){4}(?![\w-]|\.\d)|(?<![\w.+/-]|\d )\(?0[1-9]\d{1,4}\)?[ /-]{1,3}\d{3,8}(?:[ -]\d{1,5}){0,2}(?![\w-]|\.\d)/g,
    accepts: isPhone,
    gates: gate.digits,
  }),
  patternRule({
    id: 'personal-data/card',
    category,
    severity: 'high',
    title: 'A payment card number (ISO/IEC 7812)',
    pattern: /(?<![\d.-])(?:\d{14,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{2,4}|3\d{3}[ -]\d{6}[ -]\d{4,5})(?![\d-]|\.\d)/g,
    accepts: isCard,
    gates: gate.digits,
  }),
  {
    id: 'personal-data/iban',
    category,
    severity: 'high',
    title: 'A bank account number (IBAN, ISO 13616)',
    gates: gate.digits,
    reads: 'folded',
    find: ({ text }, add, stretch) => findIbans(text, add, stretch),
  },
  patternRule({
    id: 'personal-data/us-ssn',
    category,
    severity: 'high',
    title: 'A US social security number',
    pattern: /(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])/g,
    gates: gate.digits,
  }),
  patternRule({
    id: 'personal-data/german-tax-id',
    category,
    severity: 'high',
    title: 'A German tax identification number',
    pattern: /(?<![\w.+/-])[1-9]\d(?:\d{9}| \d{3} \d{3} \d{3})(?![\w-]|\.\d)/g,
    accepts: isGermanTaxId,
    gates: gate.digits,
  }),
];

const fileEndings = /\.(?:png|jpe?g|gif|svg|webp|ico|css|js|ts|json|md|ya?ml|html?)$/i;

const longestLocal = 64;
const longestDomain = 255;

// From each @ outwards: never more than an address can be long (RFC 5321 section 4.5.3.1).
function findAddresses(whole: string, add: AddSpan, { from, until, isOpen } = everything): number {
  const text = partFor(whole, until);
  for (let at = text.indexOf('@', from); at >= 0; at = text.indexOf('@', at + 1)) {
    if (at >= until) return until;
    if (isOpen && isDomainOpen(text, at + 1)) return Math.max(from, localStart(text, at));
    const end = endOfDomain(text, at + 1);
    if (end === 0) continue;
    let start = localStart(text, at);
    while (start < at && !isAlphanumeric(text.charCodeAt(start))) start++;
    if (start === at || fileEndings.test(text.slice(at + 1, end))) continue;
    // A remote repository, or the user and password of a URL.
    if (text.charAt(end) === ':' && /[A-Za-z~/]/.test(text.charAt(end + 1))) continue;
    if (/(?::\/\/|\/\/[^\s/@]{0,64}:)$/.test(text.slice(Math.max(0, start - 70), start))) continue;
    if (add(start, end)) return whole.length;
  }
  return isOpen ? Math.max(from, localStart(text, text.length)) : Math.min(until, whole.length);
}

const domain = /(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])/y;

/** Behind the domain that starts here; 0 where none does. */
function endOfDomain(text: string, start: number): number {
  if (!isAlphanumeric(text.charCodeAt(start))) return 0;
  // Most that follows an @ has no dot where one must be.
  let at = start;
  while (at - start < 64 && isInLabel(text.charCodeAt(at))) at++;
  if (text.charCodeAt(at) !== 0x2e) return 0;
  domain.lastIndex = 0;
  const found = domain.exec(text.slice(start, start + longestDomain))?.[0].length;
  return found === undefined ? 0 : start + found;
}

const kindsInAddress = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  const kinds = [/[A-Za-z0-9.!#$%&'*+=?^_`{|}~-]/, /[A-Za-z0-9]/, /[A-Za-z0-9-]/];
  return kinds.reduce((bits, kind, bit) => (kind.test(character) ? bits | (1 << bit) : bits), 0);
});

function isInLocalPart(code: number): boolean {
  return code < 128 && (kindsInAddress[code]! & 1) !== 0;
}

function isAlphanumeric(code: number): boolean {
  return code < 128 && (kindsInAddress[code]! & 2) !== 0;
}

function isInLabel(code: number): boolean {
  return code < 128 && (kindsInAddress[code]! & 4) !== 0;
}

function localStart(text: string, at: number): number {
  let start = at;
  while (start > 0 && at - start < longestLocal && isInLocalPart(text.charCodeAt(start - 1))) start--;
  return start;
}

// What stands behind the domain is part of the decision.
function isDomainOpen(text: string, start: number): boolean {
  let end = start;
  while (end < text.length && end - start < longestDomain && (isInLabel(text.charCodeAt(end)) || text.charCodeAt(end) === 0x2e))
    end++;
  return end >= text.length || (text.charAt(end) === ':' && end + 1 >= text.length);
}

function isPhone(text: string): boolean {
  const digits = text.replaceAll(/\D/g, '');
  if (/^(\d)\1*$/.test(digits.slice(1))) return false;
  // The form with a trunk zero is the loosest; what has too few digits for a subscriber, or reads as a date, is none.
  return text.startsWith('+') || (digits.length >= 9 && digits.length <= 13 && !/^\d\d[ /-](?:19|20)\d\d/.test(text));
}

const issuers =
  /^(?:4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|35(?:2[89]|[3-8]\d)\d{12,15}|3(?:0[0-5]|[68]\d)\d{11})$/;

function isCard(text: string): boolean {
  const digits = text.replaceAll(/\D/g, '');
  return issuers.test(digits) && isLuhn(digits);
}

/** Lengths by country (SWIFT IBAN registry). */
const ibanLengths = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 ' +
    'GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 ' +
    'MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20'
  )
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))] as const),
);

const ibanHead = /(?<![A-Za-z0-9])[A-Z]{2}\d\d/g;
const openIbanHead = openPattern(ibanHead);

function findIbans(whole: string, add: AddSpan, { from, until, isOpen } = everything): number {
  const head = isOpen ? openIbanHead : ibanHead;
  const text = partFor(whole, until);
  head.lastIndex = from;
  for (let match = head.exec(text); match !== null; match = head.exec(text)) {
    const start = match.index;
    if (start >= until) return until;
    if (isOpen && start + match[0].length >= text.length) return start;
    const length = ibanLengths.get(match[0].slice(0, 2));
    if (length === undefined) continue;
    const end = endOfIban(text, start, length);
    if (isOpen && end >= text.length) return start;
    if (isAlphanumeric(text.charCodeAt(end))) continue;
    const iban = text.slice(start, end).replaceAll(' ', '');
    if (iban.length === length && isMod97(iban) && add(start, end)) return whole.length;
  }
  return text === whole ? whole.length : until;
}

const longestIban = 49;

/** Behind so many capitals and digits with blanks between them, or where there are no more. */
function endOfIban(text: string, start: number, length: number): number {
  let left = length;
  let at = start;
  for (; left > 0 && at - start < longestIban && at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a)) left--;
    else if (code !== 0x20) break;
  }
  return at;
}

// Eleven digits; among the first ten one digit stands twice or three times and no other twice.
function isGermanTaxId(text: string): boolean {
  const digits = text.replaceAll(' ', '');
  const counts = new Map<string, number>();
  for (const digit of digits.slice(0, 10)) counts.set(digit, (counts.get(digit) ?? 0) + 1);
  const repeated = [...counts.values()].filter((count) => count > 1);
  return repeated.length === 1 && (repeated[0] ?? 0) <= 3 && isMod11And10(digits);
}
