import { compileGlob } from '../catalog/glob.ts';
import type { JsonObject } from '../wire/json.ts';
import { defaultGateExpiresMs, defaultWithinMs, type GateRow } from './gate-schema.ts';
import { compileRule, decide, type Rule } from './rule.ts';
import type { Facts } from './rule-facts.ts';

/** A rule that a call waits for a person, ready for use. */
export interface Gate {
  /** Where it stands, e.g. `namespace support`. */
  readonly source: string;
  readonly by: GateBy;
  /** How many different people must agree. */
  readonly quorum: number;
  readonly expiresMs: number;
  readonly reason: string | undefined;
  /** As written; undefined: every call. */
  readonly when: string | undefined;
  /** Undefined: whatever was called before. */
  readonly after: After | undefined;
  /** Whether calls of this capability, `namespace/name`, may have to wait. */
  covers(capability: string): boolean;
  /** Whether this call has to, as far as it says so itself. What cannot be told has to. */
  holds(facts: Facts, args: JsonObject): boolean;
}

/** What a caller must have been handed before. */
export interface After {
  /** Each of them. */
  readonly labels: readonly string[];
  readonly withinMs: number;
  /** Of the labels, those that no policy gives to anything: the gate holds whatever was called. */
  readonly unknown?: readonly string[];
}

/** Who decides. */
export type GateBy =
  | { readonly kind: 'caller' }
  | { readonly kind: 'role'; readonly role: 'admin' | 'approver' | 'developer' | 'auditor' }
  | { readonly kind: 'members'; readonly members: readonly string[] };

/** `source` says where the row stands. A rule that does not compile any more holds everything that it might have held. */
export async function compileGate(row: GateRow, source: string): Promise<Gate> {
  const { match = [], when, by, quorum = 1, expiresMs = defaultGateExpiresMs } = row;
  const after = afterOf(row);
  const globs = (typeof match === 'string' ? [match] : match).map(compileGlob);
  const compiled = when === undefined ? undefined : await compileRule(when);
  return Object.freeze({
    source,
    by: byOf(by),
    quorum,
    expiresMs,
    reason: row.reason ?? (after && reasonOf(after)),
    when,
    after,
    covers: globs.length === 0 ? () => true : (capability: string) => globs.some((takes) => takes(capability)),
    holds: compiled === undefined || 'problems' in compiled ? () => true : holdsBy([compiled.rule]),
  });
}

function holdsBy(rules: readonly Rule[]): Gate['holds'] {
  return (facts, args) => {
    const { isAllowed, faults } = decide(rules, facts, args);
    return isAllowed || faults.length > 0;
  };
}

function byOf(by: GateRow['by']): GateBy {
  if (by === 'caller') return { kind: 'caller' };
  if (by === undefined) return { kind: 'role', role: 'approver' };
  return 'role' in by ? { kind: 'role', role: by.role } : { kind: 'members', members: [...new Set(by.members)] };
}

function afterOf({ after, withinMs = defaultWithinMs }: GateRow): After | undefined {
  if (after === undefined) return undefined;
  return Object.freeze({ labels: [...new Set(typeof after === 'string' ? [after] : after)], withinMs });
}

function reasonOf(after: After): string {
  return `Its caller was handed ${describeAfter(after)}`;
}

/** As people read it: `untrusted-source and private-data within the last 60 min`. */
export function describeAfter({ labels, withinMs }: After): string {
  return `${labels.join(' and ')} within the last ${Math.round(withinMs / 60_000)} min`;
}

/** As people read it: `2 people with the role approver`. `hasSome`: others have agreed already, and are not among these. */
export function describeBy(by: GateBy, quorum: number, hasSome = false): string {
  switch (by.kind) {
    case 'caller':
      return 'whoever makes the call';
    case 'role':
      return quorum === 1
        ? `somebody ${hasSome ? 'else ' : ''}with the role ${by.role}`
        : `${quorum} ${hasSome ? 'other ' : ''}people with the role ${by.role}`;
    case 'members':
      return quorum === by.members.length ? by.members.join(' and ') : `${quorum} of ${by.members.join(', ')}`;
  }
}
