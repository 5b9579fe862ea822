import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { limitSchema, limitsSchema } from '../../src/policy/limit-rules.ts';

function flawsOf(value: unknown): string[] {
  const parsed = limitsSchema.safeParse(value);
  return (parsed.error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('a row of limits', () => {
  it.each([
    { per: 'consumer', rpm: 600 },
    { per: 'key', match: 'support/delete_*', rpm: 5 },
    { per: 'global', tpm: 100_000, concurrency: 50, whenStoreGone: 'closed' },
    { per: 'member', match: ['support/*', '*/delete_*'], budget: { amount: 12.5, window: 'month', unit: 'usd' }, shadow: true },
    { per: 'capability', budget: { amount: 1, window: 'minute', unit: 'calls' } },
  ])('is taken as written: %j', (row) => {
    expect(limitSchema.parse(row)).toEqual(row);
  });

  it.each([
    [{ per: 'consumer' }, '0: This limit has no number; add at least one of rpm, tpm, concurrency and budget.'],
    [{ rpm: 5 }, '0.per: "per" must be global, namespace, capability, consumer, key or member.'],
    [{ per: 'team', rpm: 5 }, '0.per: "per" must be global, namespace, capability, consumer, key or member.'],
    [
      { per: 'key', rpm: 0 },
      '0.rpm: "rpm" must be a whole number of calls from 1 to 1000000000; to let nobody through, use a rule instead of a limit.',
    ],
    [
      { per: 'key', tpm: 1.5 },
      '0.tpm: "tpm" must be a whole number of tokens from 1 to 1000000000; to let nobody through, use a rule instead of a limit.',
    ],
    [
      { per: 'key', match: 'delete_*', rpm: 5 },
      '0.match: Write "namespace/name"; * stands for any run of characters, e.g. "support/delete_*", "support/*" or "*/delete_*".',
    ],
    [{ per: 'key', match: [], rpm: 5 }, '0.match: "match" is empty; remove it, or name a capability.'],
    [
      { per: 'key', budget: { amount: 1.5, window: 'day', unit: 'calls' } },
      '0.budget.amount: "amount" of calls must be a whole number.',
    ],
    [
      { per: 'key', budget: { amount: 0.0000001, window: 'day', unit: 'usd' } },
      '0.budget.amount: "amount" in usd must be at least 0.000001.',
    ],
    [
      { per: 'key', budget: { amount: 5, window: 'week', unit: 'usd' } },
      '0.budget.window: "window" must be minute, hour, day or month.',
    ],
    [{ per: 'key', rpm: 5, shadow: 'yes' }, '0.shadow: "shadow" must be true or false.'],
    [{ per: 'key', rpm: 5, whenStoreGone: 'fail' }, '0.whenStoreGone: "whenStoreGone" must be open, closed or share.'],
  ])('is refused with what to do: %j', (row, message) => {
    expect(flawsOf([row])).toEqual([message]);
  });

  it('is refused with a key that is not known', () => {
    expect(flawsOf([{ per: 'key', rmp: 5, rpm: 5 }])).toHaveLength(1);
    expect(flawsOf([{ per: 'key', rpm: 5, budget: { amount: 5, window: 'day', unit: 'usd', currency: 'EUR' } }])).toHaveLength(1);
  });

  it('is refused where it counts what another row counts, whatever its number and the order of its globs', () => {
    const rows = [
      { per: 'key', match: ['a/x', 'a/y'], rpm: 5 },
      { per: 'key', match: ['a/y', 'a/x', 'a/x'], rpm: 9 },
    ];
    expect(flawsOf(rows)).toEqual(['1.rpm: "rpm" for the same calls is already set in row 1; remove one of them.']);
  });

  it.each([
    [{ per: 'key', tpm: 5 }],
    [{ per: 'consumer', rpm: 5 }],
    [{ per: 'key', match: 'a/*', rpm: 5 }],
    [{ per: 'key', rpm: 5, shadow: true }],
    [{ per: 'key', budget: { amount: 5, window: 'hour', unit: 'calls' } }],
  ])('may stand beside one that counts something else: %j', (row) => {
    const first = { per: 'key', rpm: 9, budget: { amount: 5, window: 'day', unit: 'calls' } };
    expect(flawsOf([first, row])).toEqual([]);
  });

  it('never makes the check throw', () => {
    fc.assert(fc.property(fc.anything(), (value) => void limitsSchema.safeParse(value)));
  });

  it('is in the JSON Schema for editors, every field described', () => {
    const { properties } = z.toJSONSchema(limitSchema, { io: 'input' });
    for (const [name, property] of Object.entries(properties ?? {})) {
      expect([name, typeof property === 'object' && property.description]).toEqual([name, expect.any(String)]);
    }
  });
});
