/** Refuses whoever shows no key that Gatehouse knows. There is no anonymous access, on loopback either. */
import { createHmac, randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { crc32 } from 'node:zlib';
import { GatewayError } from '../errors.ts';

declare const proven: unique symbol;

/** Somebody whose identity was checked. Only this file makes one. */
export interface Caller {
  readonly [proven]: true;
  /** `key:<id>` or `local:<user>`; stands in records and binds sessions. */
  readonly id: string;
  /** Names of the toolboxes this caller may use; the empty name is everything. */
  readonly toolboxes: 'all' | ReadonlySet<string>;
}

function caller(id: string, toolboxes: Caller['toolboxes']): Caller {
  return Object.freeze({ id, toolboxes }) as Caller;
}

/** The keys that are valid right now, by their hash. */
export class KeyRing {
  readonly #pepper: Buffer;
  readonly #byHash = new Map<string, Caller>();
  // One HMAC per client instead of one per call. Holds only keys that were found valid, so that guesses cannot fill it.
  readonly #seen = new Map<string, Caller>();

  constructor(pepper: Buffer) {
    this.#pepper = pepper;
  }

  /** HMAC-SHA256 of a key under the pepper, hex. Keys carry 256 random bits: a slow hash would buy nothing. */
  hash(key: string): string {
    return createHmac('sha256', this.#pepper).update(key).digest('hex');
  }

  add(id: string, hash: string): void {
    this.#byHash.set(hash, caller(`key:${id}`, 'all'));
    this.#seen.clear();
  }

  find(key: string): Caller | undefined {
    const seen = this.#seen.get(key);
    if (seen !== undefined) return seen;
    if (key.startsWith('gh_') && !hasChecksum(key)) return undefined;
    const found = this.#byHash.get(this.hash(key));
    if (found !== undefined) this.#seen.set(key, found);
    return found;
  }
}

/**
 * The caller behind an HTTP request. Keys are taken from `Authorization: Bearer` and, for Anthropic clients, `x-api-key`;
 * never from a URL. Throws GatewayError `unauthenticated`.
 */
export function authenticate(keys: KeyRing, authorization: string | undefined, apiKey: string | undefined): Caller {
  const key = authorization === undefined ? apiKey : bearer(authorization);
  if (key === undefined) {
    throw new GatewayError('unauthenticated', 'This gateway needs a key. Send it as "Authorization: Bearer <key>".');
  }
  const found = keys.find(key);
  if (found === undefined) throw new GatewayError('unauthenticated', 'This key is not known here, or no longer valid.');
  return found;
}

/** The person who started this process: for stdio and the control socket, where the operating system has already checked. */
export function authenticateLocalUser(toolboxes: Caller['toolboxes']): Caller {
  return caller(`local:${userInfo().username}`, toolboxes);
}

function bearer(header: string): string | undefined {
  const space = header.indexOf(' ');
  if (space < 0 || header.slice(0, space).toLowerCase() !== 'bearer') return undefined;
  return header.slice(space + 1).trim();
}

/** A new key: `gh_<id>_<secret><checksum>`, 256 random bits and a CRC-32 that tells a typo or a scanner's guess from a key. */
export function makeKey(id: string): string {
  const body = `gh_${id}_${randomBytes(32).toString('hex')}`;
  return body + checksum(body);
}

function hasChecksum(key: string): boolean {
  return key.length > 8 && checksum(key.slice(0, -6)) === key.slice(-6);
}

function checksum(body: string): string {
  return crc32(body).toString(36).padStart(7, '0').slice(-6);
}
