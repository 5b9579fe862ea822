import { randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Clock } from '../../clock.ts';
import { type HmacKey, hmac, hmacKey } from '../../hmac.ts';
import { compileLimits } from '../../policy/compile-limits.ts';
import { compileNetworks } from '../../policy/network.ts';
import type { Holder, KeyDocument } from '../../registry/documents.ts';
import type { Registry } from '../../registry/registry.ts';
import { type Caller, makeCaller } from './caller.ts';
import { holdersOf } from './key-holders.ts';
import { reachesOf, rolesOf, stateOf } from './registered-key.ts';

/** Keys that were found valid and are not looked up again until something changes. */
const mostSeen = 20_000;

interface Seen {
  readonly caller: Caller;
  readonly validUntilMs: number;
}

/** Keys of operators, that need no registry, and the keys of the registry. */
export class KeyRing {
  readonly #pepper: HmacKey;
  readonly #clock: Clock;
  readonly #registry: Registry | undefined;
  readonly #operators = new Map<string, Caller>();
  // One HMAC per client instead of one per call. Holds only keys that were found valid, so that guesses cannot fill it.
  readonly #seen = new Map<string, Seen>();
  readonly #used = new Map<string, number>();

  constructor(pepper: Buffer, clock: Clock, registry?: Registry) {
    this.#pepper = hmacKey(pepper);
    this.#clock = clock;
    this.#registry = registry;
    registry?.onChange(() => this.#seen.clear());
  }

  /** HMAC-SHA256 of a key under the pepper, hex. Keys carry 256 random bits: a slow hash would buy nothing. */
  hash(key: string): string {
    return hmac(this.#pepper, key, 'hex');
  }

  /** A key of the operator: it may do everything. */
  add(id: string, hash: string): void {
    const key = { ...nobody, id: `key:${id}`, kind: 'key', key: id, isOperator: true };
    this.#operators.set(hash, makeCaller({ ...key, roles: [{ role: 'admin' }] }));
    this.#seen.clear();
  }

  /** Undefined for a key that is not known, not valid now, or not a key: they look the same. */
  find(key: string): Caller | undefined {
    const nowMs = this.#clock.nowMs();
    const seen = this.#seen.get(key);
    if (seen !== undefined && nowMs < seen.validUntilMs) {
      if (seen.caller.key !== undefined) this.#used.set(seen.caller.key, nowMs);
      return seen.caller;
    }
    if (key.startsWith('gh_') && !hasChecksum(key)) return undefined;
    // The hash is made whether there is such a key or not, so that the time it takes tells nothing.
    const hash = this.hash(key);
    const found = this.#operators.get(hash) ?? this.#registered(key, hash, nowMs);
    if (found === undefined) return undefined;
    const known = 'caller' in found ? found : { caller: found, validUntilMs: Number.POSITIVE_INFINITY };
    if (this.#seen.size >= mostSeen) this.#seen.clear();
    this.#seen.set(key, known);
    return known.caller;
  }

  /** Keys that were used since this was last asked, with the time of their last use. */
  takeUses(): readonly { readonly keyId: string; readonly atMs: number }[] {
    const uses = Array.from(this.#used, ([keyId, atMs]) => ({ keyId, atMs }));
    this.#used.clear();
    return uses;
  }

  /** Whether a key of the operator is let in, which needs no registry. */
  get hasOperator(): boolean {
    return this.#operators.size > 0;
  }

  /** The caller that the key of this id would be at that time; undefined where it would be refused. For explanations, which hold no key. */
  callerOf(id: string, nowMs: number = this.#clock.nowMs()): Caller | undefined {
    const operator = [...this.#operators.values()].find(({ key }) => key === id);
    const body = this.#registry?.get('key', id)?.body;
    return operator ?? (body === undefined ? undefined : this.#toCaller(id, body, nowMs));
  }

  /** Who holds the key of this id, whether it is valid or not. */
  holdersOf(id: string): readonly Holder[] {
    const body = this.#registry?.get('key', id)?.body;
    return body === undefined ? [] : holdersOf(this.#registry, body, this.#clock.nowMs());
  }

  #registered(key: string, hash: string, nowMs: number): Seen | undefined {
    const id = idOf(key);
    const body = id === undefined ? undefined : this.#registry?.get('key', id)?.body;
    if (id === undefined || body === undefined) return undefined;
    const secret = body.secrets.find((candidate) => isEqual(candidate.hash, hash));
    if (secret === undefined || nowMs >= (secret.validUntilMs ?? Number.POSITIVE_INFINITY)) return undefined;
    const caller = this.#toCaller(id, body, nowMs);
    if (caller === undefined) return undefined;
    // With a secret that ends, whoever held only that is out.
    const ends = body.secrets.flatMap(({ validUntilMs }) =>
      validUntilMs === undefined || validUntilMs <= nowMs ? [] : [validUntilMs],
    );
    return { caller, validUntilMs: Math.min(caller.validUntilMs, ...ends) };
  }

  #toCaller(id: string, body: KeyDocument, nowMs: number): Caller | undefined {
    if (stateOf(this.#registry, body, nowMs).state !== 'active') return undefined;
    const consumer = body.consumer === undefined ? undefined : this.#registry?.get('consumer', body.consumer)?.body;
    const member = body.member === undefined ? undefined : this.#registry?.get('member', body.member)?.body;
    return makeCaller({
      id: `key:${id}`,
      kind: 'key',
      key: id,
      consumer: body.consumer,
      member: body.member,
      identities: member?.identities,
      holders: holdersOf(this.#registry, body, nowMs),
      roles: rolesOf(this.#registry, body),
      reaches: reachesOf(this.#registry, body).map(([, reach]) => reach),
      isInNetwork: body.network === undefined ? undefined : compileNetworks(body.network),
      limits: [
        compileLimits(body.limits ?? [], `key ${id}`),
        compileLimits(consumer?.limits ?? [], `consumer ${body.consumer ?? ''}`),
        compileLimits(member?.limits ?? [], `member ${body.member ?? ''}`),
      ],
      validUntilMs: body.expiresAtMs ?? Number.POSITIVE_INFINITY,
    });
  }
}

export const nobody = { key: undefined, consumer: undefined, member: undefined };

/** A new key: `gh_<id>_<secret><checksum>`, 256 random bits and a CRC-32 that tells a typo or a scanner's guess from a key. */
export function makeKey(id: string): string {
  const body = `gh_${id}_${randomBytes(32).toString('hex')}`;
  return body + checksum(body);
}

const secretLength = 64;
const checksumLength = 6;

function idOf(key: string): string | undefined {
  const end = key.length - checksumLength - secretLength - 1;
  return key.startsWith('gh_') && end > 3 && key[end] === '_' ? key.slice(3, end) : undefined;
}

function hasChecksum(key: string): boolean {
  return key.length > 8 && checksum(key.slice(0, -checksumLength)) === key.slice(-checksumLength);
}

function checksum(body: string): string {
  return crc32(body).toString(36).padStart(7, '0').slice(-checksumLength);
}

function isEqual(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
