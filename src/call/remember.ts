/**
 * Remembers what callers were handed, where a gate asks after it: before their calls go out and when the answers come in. Refuses what
 * cannot be remembered, as a gate would not hold what it does not know of.
 */
import { hash } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import type { After } from '../policy/gate.ts';
import type { CallPolicy } from '../policy/policy.ts';
import type { Sightings } from '../store/ports/sightings.ts';
import { type Identity, namesOf } from './approve/people.ts';

/** How often a call that takes its time is noted again: parts of its answer may come in all along. */
const noteEveryMs = 5_000;

/** Notes that this caller is handed something of a capability. Undefined where that was done. Rejects with GatewayError `approval_unavailable`. */
export function remember(
  sightings: Sightings,
  caller: Identity,
  { labels }: Pick<CallPolicy, 'labels'>,
): Promise<void> | undefined {
  const { noted } = namesOf(caller);
  return sightings.note(labels.flatMap((label) => noted.map((name) => keyOf(label, name))))?.catch(refuse);
}

/** The same around the work of one call: what it throws may hold an upstream's words as well. */
export async function remembering<T>(
  sightings: Sightings,
  caller: Identity,
  policy: Pick<CallPolicy, 'labels'>,
  work: () => Promise<T>,
): Promise<T> {
  await remember(sightings, caller, policy);
  const noting = setInterval(() => void remember(sightings, caller, policy)?.catch(() => {}), noteEveryMs).unref();
  try {
    return await work();
  } finally {
    clearInterval(noting);
    await remember(sightings, caller, policy);
  }
}

/** How long ago this caller was handed something of each label, ms; undefined for never. Rejects where that cannot be told. */
export function agesOf(
  sightings: Sightings,
  caller: Identity,
  labels: readonly string[],
  enoughMs: number,
): Ages | Promise<Ages> {
  const { asked } = namesOf(caller);
  const ages = sightings.agesMs(
    labels.flatMap((label) => asked.map((name) => keyOf(label, name))),
    enoughMs,
  );
  const byLabel = (all: readonly (number | undefined)[]): Ages =>
    new Map(labels.map((label, at) => [label, youngest(all.slice(at * asked.length, (at + 1) * asked.length))]));
  return ages instanceof Promise ? ages.then(byLabel) : byLabel(ages);
}

export type Ages = ReadonlyMap<string, number | undefined>;

/** Whether what was asked for came, and not too long ago. */
export function hasCome({ labels, withinMs }: After, ages: Ages): boolean {
  return labels.every((label) => (ages.get(label) ?? Number.POSITIVE_INFINITY) <= withinMs);
}

function youngest(ages: readonly (number | undefined)[]): number | undefined {
  const known = ages.filter((ageMs) => ageMs !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

// Hashed: names come from tokens, may be of any length, and are nobody's business in a Redis that others use.
function keyOf(label: string, name: string): string {
  return `${label}:${hash('sha256', name, 'base64url')}`;
}

function refuse(error: unknown): never {
  throw new GatewayError(
    'approval_unavailable',
    'What this call brings in decides on which later calls a person has to agree to, and it cannot be put down right now. Try it again in a moment.',
    { retryAfterMs: 1_000, cause: error },
  );
}
