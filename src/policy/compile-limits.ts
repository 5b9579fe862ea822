import { hash } from 'node:crypto';
import { compileGlob } from '../catalog/glob.ts';
import { globsOf, identitiesOf, type LimitRow } from './limit-rules.ts';

/** One number of one row, ready for use: frozen, made once per row. */
export type Limit = RateLimit | ConcurrencyLimit | BudgetLimit;

interface AnyLimit {
  /** Of one length; the same for as long as the row's source, level, match and kind are, whatever its number. */
  readonly id: string;
  /** Where the row stands, e.g. `namespace support`. */
  readonly source: string;
  readonly per: LimitRow['per'];
  /** The most, in whole units. */
  readonly amount: number;
  /** Counts and reports, refuses nothing. */
  readonly isShadow: boolean;
  readonly whenStoreGone: 'open' | 'closed' | 'share';
}

/** The most in any stretch of `windowMs`. */
interface RateLimit extends AnyLimit {
  readonly kind: 'rate';
  readonly unit: 'calls' | 'tokens';
  readonly windowMs: number;
}

/** The most at the same time. */
interface ConcurrencyLimit extends AnyLimit {
  readonly kind: 'concurrency';
  readonly unit: 'calls';
}

/** The most in one calendar window, UTC. */
export interface BudgetLimit extends AnyLimit {
  readonly kind: 'budget';
  /** `nanoUsd` is a billionth of a US dollar: prices of single tokens are whole numbers of it. */
  readonly unit: 'calls' | 'tokens' | 'nanoUsd';
  readonly window: BudgetWindow;
}

export type BudgetWindow = 'minute' | 'hour' | 'day' | 'month';

/** What one call asks of one counter. How much is asked is not in it, so that one of these serves all calls. */
export interface Demand {
  readonly limit: Limit;
  /** Names the counter: of this limit, for this subject. */
  readonly key: string;
}

/** Who and what a call is for. A level that the call has not (a key that belongs to no member) has no limits. */
export interface Subjects {
  readonly namespace: string;
  /** `namespace/name`. */
  readonly capability: string;
  readonly consumer?: string | undefined;
  readonly key?: string | undefined;
  readonly member?: string | undefined;
}

/** The limits of one place. */
export interface CompiledLimits {
  /** Those that apply to this capability, `namespace/name`; looked for at its first call, then remembered. */
  covering(capability: string): readonly LimitTemplate[];
}

/** Makes the demands of one limit, one per subject, and remembers them. */
interface LimitTemplate {
  readonly limit: Limit;
  demandOf(subject: string): Demand;
}

/** Of what is remembered; a gateway with more capabilities or callers than this forgets all and begins again. */
const mostRemembered = 10_000;
const longestSubject = 128;

/**
 * Makes the rows of one place ready for calls. `source` says which place, stable and unlike any other: `namespace support`,
 * `key k1`. Counters belong to it, so that rows which look alike in two places count apart.
 */
export function compileLimits(rows: readonly LimitRow[], source: string): CompiledLimits {
  const compiled = rows.map((row) => ({ isCovered: compileMatch(row), templates: limitsOf(row, source).map(makeTemplate) }));
  const remembered = new Map<string, readonly LimitTemplate[]>();
  return {
    covering(capability) {
      const known = remembered.get(capability);
      if (known !== undefined) return known;
      const templates = compiled.flatMap(({ isCovered, templates }) => (isCovered(capability) ? templates : []));
      return remember(remembered, capability, Object.freeze(templates));
    },
  };
}

/** What a call asks of every counter that concerns it, from all places that have a say. */
export function demandsFor(places: readonly CompiledLimits[], subjects: Subjects): readonly Demand[] {
  const demands: Demand[] = [];
  for (const place of places) {
    for (const template of place.covering(subjects.capability)) {
      const subject = subjectOf(template.limit.per, subjects);
      if (subject !== undefined) demands.push(template.demandOf(subject));
    }
  }
  return demands;
}

/** Rounded to a billionth of a dollar. */
export function toNanoUsd(usd: number): number {
  return Math.round(usd * 1e9);
}

function subjectOf(per: LimitRow['per'], subjects: Subjects): string | undefined {
  switch (per) {
    case 'global':
      return '';
    case 'namespace':
      return subjects.namespace;
    case 'capability':
      return subjects.capability;
    case 'consumer':
      return subjects.consumer;
    case 'key':
      return subjects.key;
    case 'member':
      return subjects.member;
  }
}

function limitsOf(row: LimitRow, source: string): Limit[] {
  return identitiesOf(row).map(([field, identity]) => {
    const common = {
      id: hash('sha256', JSON.stringify([source, identity]), 'base64url').slice(0, 22),
      source,
      per: row.per,
      isShadow: row.shadow ?? false,
      whenStoreGone: row.whenStoreGone ?? 'share',
    };
    return Object.freeze(limitOf(row, field, common));
  });
}

function limitOf(row: LimitRow, field: 'rpm' | 'tpm' | 'concurrency' | 'budget', common: Omit<AnyLimit, 'amount'>): Limit {
  const { rpm = 0, tpm = 0, concurrency = 0, budget } = row;
  if (field === 'rpm') return { ...common, kind: 'rate', unit: 'calls', windowMs: 60_000, amount: rpm };
  if (field === 'tpm') return { ...common, kind: 'rate', unit: 'tokens', windowMs: 60_000, amount: tpm };
  if (field === 'concurrency' || budget === undefined)
    return { ...common, kind: 'concurrency', unit: 'calls', amount: concurrency };
  const { amount, unit, window } = budget;
  if (unit === 'usd') return { ...common, kind: 'budget', unit: 'nanoUsd', window, amount: toNanoUsd(amount) };
  return { ...common, kind: 'budget', unit, window, amount };
}

function compileMatch(row: LimitRow): (capability: string) => boolean {
  const globs = globsOf(row).map(compileGlob);
  return globs.length === 0 ? () => true : (capability) => globs.some((takes) => takes(capability));
}

function makeTemplate(limit: Limit): LimitTemplate {
  const remembered = new Map<string, Demand>();
  return {
    limit,
    demandOf: (subject) =>
      remembered.get(subject) ?? remember(remembered, subject, Object.freeze({ limit, key: counterKey(limit, subject) })),
  };
}

// The id is always of one length, so whatever a subject holds, no two pairs of id and subject make the same text.
function counterKey({ id }: Limit, subject: string): string {
  return subject.length <= longestSubject ? `${id}:${subject}` : `${id}#${hash('sha256', subject, 'base64url')}`;
}

function remember<T>(known: Map<string, T>, name: string, made: T): T {
  if (known.size >= mostRemembered) known.clear();
  known.set(name, made);
  return made;
}
