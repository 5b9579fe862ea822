import { hasTooManyKeys, maxDifferentKeys } from '../../wire/different-keys.ts';
import { maxDepth } from '../../wire/json-scan.ts';

/** Reading so many takes some tenths of a second; an answer of 16 MB can hold eight million. */
const mostValues = 1_000_000;
/** What is shorter can be neither too deep for whoever walks through it nor too much. */
const alwaysLightBytes = 4_096;

const [quote, comma, colon, backslash] = [0x22, 0x2c, 0x3a, 0x5c];
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Why a JSON text is not parsed: what is nested without end, or is nothing but empty lists or new keys, takes a hundred times as long
 * as its length lets one think, and nothing else runs meanwhile. Reads on from "it"; says nothing about text that is no JSON.
 */
export function findExcess(json: Buffer): string | undefined {
  if (json.length <= alwaysLightBytes) return undefined;
  let depth = 0;
  let values = 0;
  let keys = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === quote) at = endOfString(json, at + 1);
    else if (byte === colon) keys++;
    else if (byte === comma) values++;
    else if (byte === openBracket || byte === openBrace) {
      values++;
      if (++depth > maxDepth) return `is nested deeper than ${maxDepth} levels`;
    } else if (byte === closeBracket || byte === closeBrace) depth--;
    if (values > mostValues) return `holds more than ${mostValues} values`;
  }
  return hasTooManyKeys(json, keys) ? `has more than ${maxDifferentKeys} different keys` : undefined;
}

function endOfString(json: Buffer, start: number): number {
  for (let at = start; at < json.length; at++) {
    const byte = json[at];
    if (byte === backslash) at++;
    else if (byte === quote) return at;
  }
  return json.length;
}
