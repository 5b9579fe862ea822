import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileLimits, demandsFor, type Subjects, toNanoUsd } from '../../src/policy/compile-limits.ts';
import type { LimitRow } from '../../src/policy/limit-rules.ts';

const subjects: Subjects = {
  namespace: 'support',
  capability: 'support/delete_ticket',
  consumer: 'c1',
  key: 'k1',
  member: 'm1',
};

function keysOf(rows: readonly LimitRow[], source = 'namespace support', who: Subjects = subjects): string[] {
  return demandsFor([compileLimits(rows, source)], who).map(({ key }) => key);
}

describe('compiled limits', () => {
  it('make one demand per number, of every row that covers the capability', () => {
    const rows: LimitRow[] = [
      { per: 'key', rpm: 5, tpm: 50, concurrency: 2, budget: { amount: 0.5, window: 'day', unit: 'usd' } },
      { per: 'key', match: 'support/get_*', rpm: 1 },
      { per: 'consumer', match: ['models/*', '*/delete_*'], rpm: 7, shadow: true, whenStoreGone: 'closed' },
    ];
    const limits = demandsFor([compileLimits(rows, 'namespace support')], subjects).map(({ limit }) => limit);
    const common = { source: 'namespace support', per: 'key', isShadow: false, whenStoreGone: 'share' };
    expect(limits).toMatchObject([
      { ...common, kind: 'rate', unit: 'calls', amount: 5, windowMs: 60_000 },
      { ...common, kind: 'rate', unit: 'tokens', amount: 50, windowMs: 60_000 },
      { ...common, kind: 'concurrency', amount: 2 },
      { ...common, kind: 'budget', unit: 'nanoUsd', amount: 500_000_000, window: 'day' },
      { per: 'consumer', kind: 'rate', amount: 7, isShadow: true, whenStoreGone: 'closed' },
    ]);
    expect(limits.every(Object.isFrozen)).toBe(true);
  });

  it('count apart what belongs to different subjects, and together what belongs to one', () => {
    const rows: LimitRow[] = [{ per: 'consumer', rpm: 5 }];
    const other = { ...subjects, consumer: 'c2' };
    const sameConsumer = { ...subjects, key: 'k2', capability: 'support/get_ticket', member: 'm2' };
    expect(keysOf(rows, undefined, other)).not.toEqual(keysOf(rows));
    expect(keysOf(rows, undefined, sameConsumer)).toEqual(keysOf(rows));
  });

  it.each([
    ['global', { ...subjects, namespace: 'x', capability: 'x/y', consumer: 'c2', key: 'k2', member: 'm2' }],
    ['namespace', { ...subjects, capability: 'support/other', consumer: 'c2', key: 'k2', member: 'm2' }],
    ['capability', { ...subjects, consumer: 'c2', key: 'k2', member: 'm2' }],
    ['key', { ...subjects, capability: 'support/other', consumer: 'c2', member: 'm2' }],
    ['member', { ...subjects, capability: 'support/other', consumer: 'c2', key: 'k2' }],
  ] as const)('per %s look at nothing else of a call', (per, who) => {
    expect(keysOf([{ per, rpm: 5 }], undefined, who)).toEqual(keysOf([{ per, rpm: 5 }]));
  });

  it('do not apply at a level that the call has not', () => {
    const rows: LimitRow[] = [
      { per: 'member', rpm: 5 },
      { per: 'key', rpm: 5 },
    ];
    expect(keysOf(rows, undefined, { ...subjects, member: undefined })).toHaveLength(1);
    expect(keysOf(rows)).toHaveLength(2);
  });

  it('keep their counters when a number, a place in the list or the order of globs changes', () => {
    const before = keysOf([
      { per: 'key', match: ['support/*', 'x/*'], rpm: 5 },
      { per: 'consumer', budget: { amount: 5, window: 'day', unit: 'calls' } },
    ]);
    const after = keysOf([
      { per: 'consumer', budget: { amount: 50, window: 'day', unit: 'calls' }, whenStoreGone: 'open' },
      { per: 'key', match: ['x/*', 'support/*', 'x/*'], rpm: 50 },
    ]);
    expect(after).toEqual(before.toReversed());
  });

  it('have counters of their own per source, level, match, kind, unit, window and shadow', () => {
    const rows: LimitRow[] = [
      { per: 'key', rpm: 5 },
      { per: 'key', tpm: 5 },
      { per: 'key', concurrency: 5 },
      { per: 'key', rpm: 5, shadow: true },
      { per: 'key', rpm: 5, match: 'support/*' },
      { per: 'key', budget: { amount: 5, window: 'day', unit: 'calls' } },
      { per: 'key', budget: { amount: 5, window: 'hour', unit: 'calls' } },
      { per: 'key', budget: { amount: 5, window: 'day', unit: 'tokens' } },
    ];
    const keys = ['namespace support', 'namespace billing', 'key k1'].flatMap((source) => keysOf(rows, source));
    expect(new Set(keys).size).toBe(3 * rows.length);
  });

  it('never mix up two subjects, whatever their names hold', () => {
    const name = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.string({ minLength: 120, maxLength: 300 }),
      fc.constantFrom(':', '#', '', 'a:b'),
    );
    const row = fc.constantFrom<LimitRow>({ per: 'consumer', rpm: 1 }, { per: 'key', rpm: 1 });
    const place = fc.record({ source: fc.constantFrom('s', 's:', 'namespace s'), row, id: name });
    fc.assert(
      fc.property(place, place, (a, b) => {
        const [keyA, keyB] = [a, b].map(
          ({ source, row, id }) => keysOf([row], source, { ...subjects, consumer: id, key: id })[0],
        );
        const isSame = a.source === b.source && a.row.per === b.row.per && a.id === b.id;
        expect(keyA === keyB).toBe(isSame);
        expect(keyA?.length).toBeLessThan(200);
      }),
    );
  });

  it('hand out the same demand for every call of one subject, and forget what too many callers left behind', () => {
    const place = compileLimits([{ per: 'key', rpm: 5 }], 'test');
    const demand = () => demandsFor([place], subjects)[0];
    const first = demand();
    expect(demand()).toBe(first);
    for (let n = 0; n < 10_001; n += 1) demandsFor([place], { ...subjects, key: `key ${n}`, capability: `support/${n}` });
    expect(demand()).toEqual(first);
    expect(demand()).not.toBe(first);
  });

  it('turn dollars into whole billionths', () => {
    expect(toNanoUsd(0.1 + 0.2)).toBe(300_000_000);
    expect(toNanoUsd(0.00000015)).toBe(150);
  });
});
