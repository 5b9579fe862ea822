import { createHmac, hash } from 'node:crypto';
import { type HmacKey, hmac, hmacKey } from '../hmac.ts';

/**
 * How records hang together. One record is one line of printable ASCII:
 *
 *   {"seq":N,<fields>,"prev":"<hash of record N-1>"[,"mac":"<seal>"],"hash":"<hash of all before it in this line>"}
 *
 * `hash` is SHA-256: anybody can check that nothing was changed, moved or taken out. `mac` is HMAC-SHA-256 over what stands
 * before it and ends every write: whoever changes a record and hashes all that follow anew cannot make those. Both are base64url.
 */
export interface Link {
  readonly seq: number;
  readonly prev: string;
  readonly hash: string;
  readonly isSealed: boolean;
}

/** A place in a chain; whoever keeps one elsewhere can tell later whether anything up to it was changed or cut off. */
export interface ChainHead {
  /** 32 hex digits, made once per chain. */
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
}

/** What the first record of a chain follows: 32 zero bytes. */
export const genesis = 'A'.repeat(43);

/** Longer than any record can be: every field has a limit. */
export const lineLimitBytes = 65_536;
/** What is written with one seal at its end. */
export const batchRecords = 512;
export const batchLimitBytes = 1024 * 1024;

const hashStart = ',"hash":"';
const macStart = ',"mac":"';
const prevStart = ',"prev":"';
const digestLength = 43;
const hashPartLength = hashStart.length + digestLength + '"}'.length;
const macPartLength = macStart.length + digestLength + '"'.length;
const prevPartLength = prevStart.length + digestLength + '"'.length;

/** The keys of one journal. `seal` authenticates its chains, `digest` stands for arguments without telling them. */
export interface JournalKeys {
  readonly seal: HmacKey;
  readonly digest: HmacKey;
}

/** Two keys from one (32 random bytes), so that a digest never passes for a seal. */
export function deriveKeys(key: Buffer): JournalKeys {
  const derive = (purpose: string) => hmacKey(createHmac('sha256', key).update(`journal ${purpose}`).digest());
  return { seal: derive('seal'), digest: derive('digest') };
}

/** The line of a record, without its end, and its hash. `fields` is the inside of a JSON object, of printable ASCII. */
export function linkRecord(
  seq: number,
  fields: string,
  prev: string,
  seal?: HmacKey,
): { readonly line: string; readonly hash: string } {
  let body = `{"seq":${seq},${fields}${prevStart}${prev}"`;
  if (seal !== undefined) body += `${macStart}${hmac(seal, body, 'base64url')}"`;
  const digest = hash('sha256', body, 'base64url');
  return { line: `${body}${hashStart}${digest}"}`, hash: digest };
}

/** What a line says of its place in the chain; undefined when it is no record or its content is not what was hashed. */
export function readLink(line: string): Link | undefined {
  const body = line.slice(0, -hashPartLength);
  const end = line.slice(-hashPartLength);
  const found = /^\{"seq":(\d{1,15}),/.exec(line)?.[1];
  if (found === undefined || !end.startsWith(hashStart) || !end.endsWith('"}')) return undefined;
  const digest = end.slice(hashStart.length, -2);
  if (hash('sha256', body, 'base64url') !== digest) return undefined;
  const isSealed = body.startsWith(macStart, body.length - macPartLength);
  const prevAt = body.length - (isSealed ? macPartLength : 0) - prevPartLength;
  if (!body.startsWith(prevStart, prevAt)) return undefined;
  const prev = body.slice(prevAt + prevStart.length, prevAt + prevStart.length + digestLength);
  return { seq: Number(found), prev, hash: digest, isSealed };
}

/** Whether the seal of a sealed line was made with this key. */
export function isSealedWith(key: HmacKey, line: string): boolean {
  const body = line.slice(0, -hashPartLength);
  const mac = body.slice(-(digestLength + 1), -1);
  return hmac(key, body.slice(0, -macPartLength), 'base64url') === mac;
}
