import type { Limit } from './compile-limits.ts';

const subjects = {
  global: 'for all calls together',
  namespace: 'per namespace',
  capability: 'per capability',
  consumer: 'per consumer',
  key: 'per key',
  member: 'per member',
} as const;

/** A limit in words, for people and models: `600 calls a minute per consumer (set by namespace support)`. */
export function describeLimit(limit: Limit): string {
  return `${describeAmount(limit)} ${subjects[limit.per]} (set by ${limit.source})`;
}

/** The same without whose it is: `600 calls a minute`. */
export function describeAmount(limit: Limit): string {
  const amount = describeQuantity(limit.amount, limit.unit);
  switch (limit.kind) {
    case 'rate':
      return `${amount} ${limit.windowMs === 60_000 ? 'a minute' : `in ${limit.windowMs} ms`}`;
    case 'concurrency':
      return `${amount} at a time`;
    case 'budget':
      return `${amount} ${limit.window === 'hour' ? 'an' : 'a'} ${limit.window}`;
  }
}

/** `3000 tokens`, `0.25 US dollars`. */
export function describeQuantity(amount: number, unit: Limit['unit']): string {
  if (unit === 'nanoUsd') return `${amount / 1e9} US dollars`;
  return amount === 1 ? `1 ${unit.slice(0, -1)}` : `${amount} ${unit}`;
}
