import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { scanMessage } from '../../wire/json-scan.ts';
import { parseExact } from '../../wire/parse-exact.ts';
import { findExcess } from '../../wire/parse-limits.ts';
import { ScanError } from '../../wire/scan-error.ts';

/** A client's JSON document, parsed once: what is judged is what is sent. Throws GatewayError `invalid_request`. */
export function readRequest(bytes: Buffer): JsonObject {
  if (bytes.length === 0) throw new GatewayError('invalid_request', 'The request has no body; send a JSON object.');
  if (!isUtf8(bytes)) throw unreadable('it is not UTF-8');
  let value: unknown;
  try {
    const scan = scanMessage(bytes);
    const excess = findExcess(bytes, scan);
    if (excess !== undefined) throw unreadable(`it ${excess}`);
    const text = bytes.toString('utf8');
    value = scan.hasLongNumber ? parseExact(text) : JSON.parse(text);
  } catch (error) {
    if (error instanceof ScanError) throw unreadable(error.message);
    // The parser's own words quote what it read, which may be anything.
    if (error instanceof SyntaxError) throw unreadable('it is not valid JSON');
    throw error;
  }
  if (!isObject(value)) throw unreadable('it must be a JSON object');
  return value;
}

function unreadable(why: string): GatewayError {
  return new GatewayError('invalid_request', `The request cannot be read: ${why}.`);
}
