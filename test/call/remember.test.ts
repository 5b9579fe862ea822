import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Identity, isSamePerson, namesOf } from '../../src/call/approve/people.ts';
import { agesOf, hasCome, remember, remembering } from '../../src/call/remember.ts';
import { memorySightings } from '../../src/store/memory/memory-sightings.ts';
import type { SightingRows } from '../../src/store/ports/sightings.ts';
import { openSightings } from '../../src/store/sightings.ts';

const ann: Identity = { id: 'key:ann', key: 'ann', consumer: undefined, member: 'ann' };
const policy = { labels: ['untrusted-source'] };
const after = { labels: policy.labels, withinMs: 60_000 };

afterEach(() => {
  vi.useRealTimers();
});

function open() {
  const clock = { ms: 1_000_000, nowMs: () => clock.ms };
  const rows = memorySightings(clock);
  const state: { fail: boolean; notes: number } = { fail: false, notes: 0 };
  const watched: SightingRows = {
    ...rows,
    async note(batch) {
      state.notes += 1;
      if (state.fail) throw new Error('away');
      await rows.note(batch);
    },
  };
  const make = () => openSightings(() => watched, { clock, warn: () => {} });
  /** As another process sees it. */
  const isHeld = async (who = ann, of = after) => hasCome(of, await agesOf(make(), who, of.labels, of.withinMs));
  return { clock, sightings: make(), state, isHeld };
}

describe('a labelled call', () => {
  test('is noted before its work begins', async () => {
    const { sightings, isHeld } = open();
    expect(await isHeld()).toBe(false);
    const seen = await remembering(sightings, ann, policy, () => isHeld());
    expect(seen).toBe(true);
  });

  test('that cannot be noted is refused, and its work not begun', async () => {
    const { sightings, state } = open();
    state.fail = true;
    const work = vi.fn(async () => 1);
    await expect(remembering(sightings, ann, policy, work)).rejects.toMatchObject({
      code: 'approval_unavailable',
      retryAfterMs: 1_000,
    });
    expect(work).not.toHaveBeenCalled();
    state.fail = false;
    expect(await remembering(sightings, ann, policy, work)).toBe(1);
  });

  test('whose end cannot be noted is not answered; one that ends a moment after its begin needs no other note', async () => {
    const { sightings, state, clock } = open();
    const ending = (ms: number) =>
      remembering(sightings, ann, policy, async () => {
        clock.ms += ms;
        state.fail = true;
        return 'what strangers wrote';
      });
    await expect(ending(60_000)).rejects.toMatchObject({ code: 'approval_unavailable' });
    state.fail = false;
    expect(await ending(1_000)).toBe('what strangers wrote');
  });

  test('is noted again and again while it takes its time, and at its end, whatever the end is', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { sightings, clock, isHeld } = open();
    const { promise, reject } = Promise.withResolvers<never>();
    const running = remembering(sightings, ann, policy, () => promise);
    for (let minute = 0; minute < 30; minute++) {
      for (let second = 0; second < 60; second += 5) {
        clock.ms += 5_000;
        await vi.advanceTimersByTimeAsync(5_000);
      }
      expect(await isHeld()).toBe(true);
    }
    clock.ms += 65_001;
    expect(await isHeld()).toBe(false);
    reject(new Error('of its own'));
    await expect(running).rejects.toThrow('of its own');
    expect(await isHeld()).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('counts for its own labels alone', async () => {
    const { sightings, isHeld } = open();
    await remember(sightings, ann, { labels: ['a', 'b'] });
    const held = (...labels: string[]) => isHeld(ann, { labels, withinMs: 60_000 });
    expect(await Promise.all([held('a'), held('a', 'b'), held('b', 'c'), held('c')])).toEqual([true, true, false, false]);
  });
});

describe('the window', () => {
  test('holds what comes within it, of the same caller, after all labels; and nothing later than five seconds after it', async () => {
    const people = [ann, { ...ann, id: 'key:bob', key: 'bob', member: 'bob' }] as const;
    const step = fc.record({
      passMs: fc.nat({ max: 40_000 }),
      who: fc.constantFrom(...people),
      label: fc.constantFrom('a', 'b'),
      isCall: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 60_000, max: 120_000 }),
        fc.subarray(['a', 'b'], { minLength: 1 }),
        async (steps, withinMs, labels) => {
          const { clock, sightings, isHeld } = open();
          const last = new Map<string, number>();
          for (const { passMs, who, label, isCall } of steps) {
            clock.ms += passMs;
            if (isCall) {
              await remembering(sightings, who, { labels: [label] }, async () => {});
              last.set(`${label} ${who.id}`, clock.ms);
              continue;
            }
            const ages = labels.map((one) => clock.ms - (last.get(`${one} ${who.id}`) ?? Number.NEGATIVE_INFINITY));
            const held = await isHeld(who, { labels, withinMs });
            if (ages.every((ageMs) => ageMs <= withinMs)) expect(held).toBe(true);
            if (ages.some((ageMs) => ageMs > withinMs + 5_000)) expect(held).toBe(false);
          }
        },
      ),
      { numRuns: process.env.TEST_LONG === undefined ? 100 : 2_000 },
    );
  });
});

describe('what somebody was handed', () => {
  test('counts for exactly those whom an approval takes for the same', () => {
    const identity: fc.Arbitrary<Identity> = fc
      .record({
        n: fc.nat({ max: 3 }),
        consumer: fc.constantFrom(undefined, 'a', 'b'),
        member: fc.constantFrom(undefined, 'a', 'b'),
      })
      // A key belongs to the same owners for ever.
      .map(({ n, consumer, member }) => ({ id: `key:${consumer}-${member}-${n}`, key: undefined, consumer, member }));
    fc.assert(
      fc.property(identity, identity, (one, other) => {
        const { noted } = namesOf(one);
        const { asked } = namesOf(other);
        expect(asked.some((name) => noted.includes(name))).toBe(isSamePerson(one, other) || isSamePerson(other, one));
      }),
      { numRuns: 2_000 },
    );
  });

  test('PJ-03: counts whichever token of theirs they show, and after they were registered, too', () => {
    const id = 'oauth:https://login.example.com#ann';
    const token = (member: string, consumer?: string): Identity => ({ id, key: undefined, consumer, member });
    const stranger: Identity = { ...token('bob@example.com'), id: `${id}a` };
    const mailed = token('ann@example.com');
    // Her client did not ask for her address.
    const nameless = token(id);
    const paid = token('ann@example.com', 'app');
    const key = (...identities: string[]): Identity => ({
      id: 'key:k',
      key: 'k',
      consumer: undefined,
      member: 'ann',
      identities,
    });
    const isHeld = (one: Identity, other: Identity) => namesOf(other).asked.some((name) => namesOf(one).noted.includes(name));
    for (const one of [mailed, nameless, paid]) {
      for (const other of [mailed, nameless, paid]) expect(isHeld(one, other)).toBe(true);
      expect([isHeld(one, key(id)), isHeld(one, key(`${id}a`)), isHeld(one, key())]).toEqual([true, false, false]);
      expect([isHeld(one, stranger), isHeld(stranger, one)]).toEqual([false, false]);
    }
    expect([isHeld(mailed, key('ann@example.com')), isHeld(stranger, key('ann@example.com'))]).toEqual([true, false]);
  });

  test('is nobody else because of what they are called', () => {
    const named = (id: string, member?: string, consumer?: string): Identity => ({ id, key: undefined, member, consumer });
    const all = [named('oauth:x'), named('a', 'anybody of app'), named('b', 'app'), named('c', undefined, 'app')];
    for (const one of all)
      for (const other of all) expect(namesOf(other).asked.some((name) => namesOf(one).noted.includes(name))).toBe(one === other);
  });
});
