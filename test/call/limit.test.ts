import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeCaller } from '../../src/call/authenticate/caller.ts';
import type { Permit } from '../../src/call/authorize.ts';
import { type Admission, limit } from '../../src/call/limit.ts';
import type { GatewayError } from '../../src/errors.ts';
import { type CompiledLimits, compileLimits } from '../../src/policy/compile-limits.ts';
import type { LimitRow } from '../../src/policy/limit-rules.ts';
import { openMemoryCounters } from '../../src/store/memory/counters.ts';
import type { Counters, Taken } from '../../src/store/ports/counters.ts';

let counters: Counters;
beforeEach(async () => {
  counters = await openMemoryCounters({ clock: { nowMs: () => 1_000_000 }, warn: () => {} });
});
afterEach(() => counters.close());

/** As much of a permit as this step looks at. */
function permitWith(rows: readonly LimitRow[], ofCaller: readonly CompiledLimits[] = []): Permit {
  const who = { id: 'key:k', kind: 'key', key: 'k', consumer: 'shop', member: 'ada', limits: ofCaller };
  const policy = { limits: [compileLimits(rows, 'namespace hr')] };
  const member = { config: { kind: 'mcp' } };
  return { namespace: 'hr', capability: 'hr/find', caller: makeCaller(who), policy, member } as unknown as Permit;
}

function admit(permit: Permit): Admission {
  const admission = limit(counters, permit);
  if (admission instanceof Promise) throw new Error('counters in this process answer at once');
  return admission;
}

function refusalOf(permit: Permit): GatewayError {
  try {
    admit(permit);
  } catch (error) {
    return error as GatewayError;
  }
  throw new Error('it was admitted');
}

test('without a limit nothing is counted and nothing held', () => {
  expect(admit(permitWith([]))).toMatchObject({ reservation: undefined, shadowRefusals: 0 });
});

test.each([
  ['consumer', 'rate_limited', 'this consumer'],
  ['key', 'rate_limited', 'this key'],
  ['member', 'rate_limited', 'this member'],
  ['capability', 'limit_reached', 'this capability'],
  ['namespace', 'limit_reached', 'this namespace'],
  ['global', 'limit_reached', 'all calls together'],
] as const)('a used-up limit per %s is told as %s, with whose it is and how long to wait', (per, code, whose) => {
  const permit = permitWith([{ per, rpm: 1 }]);
  admit(permit);
  const refusal = refusalOf(permit);
  expect(refusal.code).toBe(code);
  expect(refusal.message).toContain(`The limit of 1 call a minute for ${whose} is used up (namespace hr).`);
  expect(refusal.message).toMatch(/ may try again in (\d+) s\.$/);
  expect(refusal.retryAfterMs).toBeGreaterThan(0);
});

test.each<[LimitRow, RegExp]>([
  [{ per: 'key', budget: { amount: 1, unit: 'calls', window: 'month' } }, /^The limit of 1 call a month for this key/],
  [{ per: 'key', concurrency: 1 }, /^The limit of 1 call at a time for this key/],
])('%j is told in words', (row, words) => {
  admit(permitWith([row]));
  expect(refusalOf(permitWith([row])).message).toMatch(words);
});

describe('a call of a model', () => {
  const modelPermit = (rows: readonly LimitRow[], tokens: number): Permit => ({
    ...permitWith(rows),
    member: { config: { kind: 'model' }, upstream: { estimate: () => ({ tokens, nanoUsd: tokens * 1_000_000 }) } } as never,
  });

  test.each<[LimitRow, string, string]>([
    [{ per: 'key', tpm: 3000 }, '3000 tokens a minute', '2000 tokens'],
    [{ per: 'key', budget: { amount: 3, unit: 'usd', window: 'month' } }, '3 US dollars a month', '2 US dollars'],
  ])('that finds %j used up in part hears what it needs, and when to come back', (row, limited, wanted) => {
    admit(modelPermit([row], 2000));
    const refusal = refusalOf(modelPermit([row], 2000));
    expect(refusal.message).toMatch(
      `The limit of ${limited} for this key has no room left for the ${wanted} that this call may need (namespace hr). key:k may try again in `,
    );
    expect(refusal.retryAfterMs).toBeGreaterThan(0);
    admit(modelPermit([row], 1000));
  });

  test('that no limit will ever let through is not told to come back', () => {
    const row: LimitRow = { per: 'key', tpm: 3000 };
    const refusal = refusalOf(modelPermit([row], 3001));
    expect(refusal).toMatchObject({
      code: 'rate_limited',
      message:
        'The limit of 3000 tokens a minute for this key lets no single call use the 3001 tokens that this one may need (namespace hr). Ask for a shorter answer, or send less.',
      retryAfterMs: undefined,
    });
    admit(modelPermit([row], 3000));
  });
});

test('slots are given back once, and whoever is refused has taken none', () => {
  const permit = permitWith([
    { per: 'key', concurrency: 1 },
    { per: 'global', rpm: 100 },
  ]);
  const first = admit(permit);
  expect(refusalOf(permit).code).toBe('rate_limited');
  first.reservation?.release();
  first.reservation?.release();
  admit(permit);
  expect(refusalOf(permit).code).toBe('rate_limited');
});

test('limits of the policy and of the caller all have to let it through', () => {
  const own = compileLimits([{ per: 'key', rpm: 1 }], 'key k');
  const permit = permitWith([{ per: 'global', rpm: 100 }], [own]);
  admit(permit);
  expect(refusalOf(permit).message).toContain('(key k)');
});

test('a shadow limit counts what it would have refused, and lets it through', () => {
  const permit = permitWith([{ per: 'key', rpm: 1, shadow: true }]);
  expect([admit(permit), admit(permit), admit(permit)].map(({ shadowRefusals }) => shadowRefusals)).toEqual([0, 1, 1]);
});

describe('counters elsewhere', () => {
  const elsewhere = (taken: Taken): Counters => ({ ...counters, take: async () => taken });
  const reservation = { settle() {}, leave() {}, release() {} };

  test('are waited for', async () => {
    const permit = permitWith([{ per: 'key', rpm: 1 }]);
    const admitting = limit(elsewhere({ kind: 'admitted', reservation, wouldRefuse: [] }), permit);
    expect(admitting).toBeInstanceOf(Promise);
    expect(await admitting).toMatchObject({ reservation });
  });

  test('that are away say so', async () => {
    const permit = permitWith([{ per: 'key', rpm: 1, whenStoreGone: 'closed' }]);
    const demand = { limit: permit.policy.limits[0]?.covering('hr/find')[0]?.limit as never, key: 'any' };
    const refused: Taken = { kind: 'refused', demand, reason: 'store-gone', used: 0, retryAfterMs: 1 };
    await expect(limit(elsewhere(refused), permit)).rejects.toMatchObject({
      code: 'rate_limited',
      message: 'The limit of 1 call a minute for this key cannot be checked right now. key:k may try again in 1 s.',
    });
  });
});
