/** ISO/IEC 7812-1 annex B, over the digits of a text; everything else is passed over. */
export function isLuhn(text: string): boolean {
  let sum = 0;
  let isSecond = false;
  for (let at = text.length - 1; at >= 0; at--) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) continue;
    const value = isSecond ? digit * 2 : digit;
    sum += value > 9 ? value - 9 : value;
    isSecond = !isSecond;
  }
  return sum % 10 === 0;
}

/** ISO 7064 mod 97-10 as IBANs use it (ISO 13616). `iban` has capitals and digits only. */
export function isMod97(iban: string): boolean {
  let rest = 0;
  for (let at = 0; at < iban.length; at++) {
    const code = iban.charCodeAt((at + 4) % iban.length);
    rest = code > 57 ? (rest * 100 + code - 55) % 97 : (rest * 10 + code - 48) % 97;
  }
  return rest === 1;
}

/** ISO 7064 mod 11,10 as the German tax id uses it: eleven digits, the last one checks. */
export function isMod11And10(digits: string): boolean {
  let product = 10;
  for (let at = 0; at < digits.length - 1; at++) {
    const sum = (digits.charCodeAt(at) - 48 + product) % 10;
    product = ((sum === 0 ? 10 : sum) * 2) % 11;
  }
  return (11 - product) % 10 === digits.charCodeAt(digits.length - 1) - 48;
}

/** Shannon entropy of the characters, bits each. */
export function entropyBits(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
const checksumLength = 6;
const checksumRange = 36 ** checksumLength;

/**
 * The end of the Gatehouse key at the start of a text, or -1: `gh_<id>_<secret>` and six base-36 digits of its CRC-32. Whatever is
 * written directly behind a key does not hide it.
 */
export function endOfOwnKey(text: string): number {
  let crc = -1;
  for (let length = 1; length + checksumLength <= text.length; length++) {
    crc = crcTable[(crc ^ text.charCodeAt(length - 1)) & 255]! ^ (crc >>> 8);
    if (length < 16) continue;
    const end = length + checksumLength;
    if (base36(text, length, end) === ((crc ^ -1) >>> 0) % checksumRange) return end;
  }
  return -1;
}

function base36(text: string, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    const digit = code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 122 ? code - 87 : -1;
    if (digit < 0) return -1;
    value = value * 36 + digit;
  }
  return value;
}
