import { expect, it } from 'vitest';
import { compileLimits, demandsFor } from '../../src/policy/compile-limits.ts';
import { describeLimit } from '../../src/policy/describe-limit.ts';
import type { LimitRow } from '../../src/policy/limit-rules.ts';

it.each<[LimitRow, string]>([
  [{ per: 'consumer', rpm: 600 }, '600 calls a minute per consumer (set by namespace support)'],
  [{ per: 'global', tpm: 1 }, '1 token a minute for all calls together (set by namespace support)'],
  [{ per: 'key', concurrency: 1 }, '1 call at a time per key (set by namespace support)'],
  [
    { per: 'member', budget: { amount: 12.5, window: 'hour', unit: 'usd' } },
    '12.5 US dollars an hour per member (set by namespace support)',
  ],
  [
    { per: 'capability', budget: { amount: 100, window: 'month', unit: 'calls' } },
    '100 calls a month per capability (set by namespace support)',
  ],
])('%j is told in words', (row, words) => {
  const subjects = { namespace: 'support', capability: 'support/get', consumer: 'c', key: 'k', member: 'm' };
  const [demand] = demandsFor([compileLimits([row], 'namespace support')], subjects);
  expect(demand && describeLimit(demand.limit)).toBe(words);
});
