import { expect, it } from 'vitest';
import type { Claim, KeyedCalls } from '../../src/store/ports/keyed-calls.ts';

interface Place {
  /** Another process that opens it. */
  open(): Promise<KeyedCalls>;
}

const hourMs = 3_600_000;

function claimOf(more: Partial<Claim> = {}): Claim {
  return { key: 'k', request: 'r', holder: 'one', leaseMs: hourMs, ttlMs: hourMs, ...more };
}

/** What every place where keyed calls are kept promises; it is empty at first. */
export function keyedCallsContract(make: () => Promise<Place>): void {
  async function two(): Promise<readonly [KeyedCalls, KeyedCalls]> {
    const place = await make();
    return [await place.open(), await place.open()];
  }

  it('gives a key to one alone of a hundred who ask at once, and tells the others who has it', async () => {
    const place = await make();
    const processes = [await place.open(), await place.open(), await place.open()];
    const claims = Array.from({ length: 100 }, (_, n) => claimOf({ holder: `h${n}` }));
    const known = await Promise.all(claims.map((claim, n) => processes[n % 3]?.take(claim)));
    const takers = claims.filter((_, n) => known[n] === undefined);
    expect(takers).toHaveLength(1);
    const others = known.filter((one) => one !== undefined);
    expect(new Set(others.map(({ holder, request, answer }) => `${holder} ${request} ${answer}`))).toEqual(
      new Set([`${takers[0]?.holder} r undefined`]),
    );
    for (const { leaseLeftMs } of others) expect(leaseLeftMs).toBeGreaterThan(hourMs - 60_000);
  });

  it('knows nothing of a key that nobody took, and keeps keys apart', async () => {
    const [one, other] = await two();
    expect(await one.find('k')).toBeUndefined();
    expect(await one.take(claimOf())).toBeUndefined();
    expect(await other.take(claimOf({ key: 'l' }))).toBeUndefined();
    expect(await other.find('m')).toBeUndefined();
  });

  it('keeps what came of it, for every process, and changes it no more', async () => {
    const [one, other] = await two();
    await one.take(claimOf());
    const answer = 'a'.repeat(1_500_000);
    expect(await one.settle(claimOf(), answer)).toBe(true);
    expect(await other.find('k')).toMatchObject({ request: 'r', answer });
    expect(await other.take(claimOf({ holder: 'two', request: 'other' }))).toMatchObject({ request: 'r', answer });
    expect(await one.settle(claimOf(), 'b')).toBe(false);
    expect(await one.renew(claimOf())).toBe(false);
    await one.release(claimOf());
    expect(await other.find('k')).toMatchObject({ answer });
  });

  it('a key that was given up is free', async () => {
    const [one, other] = await two();
    await one.take(claimOf());
    await other.release(claimOf({ holder: 'two' }));
    expect(await other.find('k')).toMatchObject({ holder: 'one' });
    await one.release(claimOf());
    expect(await other.find('k')).toBeUndefined();
    expect(await other.take(claimOf({ holder: 'two', request: 'other' }))).toBeUndefined();
  });

  it('is taken over from a holder whose lease is over, by one, and by nobody before', async () => {
    const [one, other] = await two();
    await one.take(claimOf());
    expect(await other.takeOver('one', claimOf({ holder: 'two' }))).toBe(false);
    await one.renew(claimOf({ leaseMs: -1 }));
    expect((await other.find('k'))?.leaseLeftMs).toBeLessThanOrEqual(0);
    // Its time is over, but nobody else has it yet.
    expect(await one.renew(claimOf({ leaseMs: -1 }))).toBe(true);
    expect(await other.takeOver('one', claimOf({ holder: 'two', request: 'other' }))).toBe(false);
    const tries = Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? one : other).takeOver('one', claimOf({ holder: `t${n}` })));
    const took = (await Promise.all(tries)).flatMap((isTaken, n) => (isTaken ? [`t${n}`] : []));
    expect(took).toHaveLength(1);
    expect(await other.find('k')).toMatchObject({ holder: took[0] });
    expect(await one.renew(claimOf())).toBe(false);
    expect(await one.settle(claimOf(), 'late')).toBe(false);
    await one.release(claimOf());
    expect(await other.find('k')).toMatchObject({ holder: took[0], answer: undefined });
  });

  it('forgets a key when its time is over, and removes those alone', async () => {
    const [one, other] = await two();
    await one.take(claimOf({ ttlMs: -1 }));
    await one.take(claimOf({ key: 'l' }));
    expect(await other.find('k')).toBeUndefined();
    const takers = ['a', 'b', 'c', 'd'].map((holder) => other.take(claimOf({ holder, request: 'new' })));
    expect((await Promise.all(takers)).filter((known) => known === undefined)).toHaveLength(1);
    await one.take(claimOf({ key: 'm', ttlMs: -1 }));
    expect(await one.prune()).toBe(1);
    expect(await other.find('k')).toMatchObject({ request: 'new' });
    expect(await other.find('l')).toBeDefined();
  });
}
