import { expect, it } from 'vitest';
import { longestWithinMs } from '../../src/policy/gate-schema.ts';
import type { SightingRows } from '../../src/store/ports/sightings.ts';

interface Place {
  /** Another process that opens it. */
  open(): Promise<SightingRows>;
}

/** A second at most goes by between two lines of a test. */
const slackMs = 5_000;

/** What every place where sightings are kept promises; it is empty at first. */
export function sightingsContract(make: () => Promise<Place>): void {
  it('says how long ago each key was seen, to every process, and of one that was not that it never was', async () => {
    const place = await make();
    const [one, other] = [await place.open(), await place.open()];
    expect(await other.agesMs(['a', 'b'])).toEqual([undefined, undefined]);
    await one.note([
      { key: 'b', agoMs: 0 },
      { key: 'a', agoMs: 3_600_000 },
    ]);
    for (const rows of [one, other]) {
      const [c, a, b] = await rows.agesMs(['c', 'a', 'b']);
      expect(c).toBeUndefined();
      expectAbout(a, 3_600_000);
      expectAbout(b, 0);
    }
  });

  it('counts what is noted ahead as now for so much longer', async () => {
    const rows = await (await make()).open();
    await rows.note([{ key: 'a', agoMs: -60_000 }]);
    expectAbout((await rows.agesMs(['a']))[0], -60_000);
  });

  it('moves no time back, and every time forward', async () => {
    const place = await make();
    const [one, other] = [await place.open(), await place.open()];
    await one.note([{ key: 'a', agoMs: -5_000 }]);
    await other.note([{ key: 'a', agoMs: 600_000 }]);
    expectAbout((await one.agesMs(['a']))[0], -5_000);
    await one.note([{ key: 'b', agoMs: 600_000 }]);
    await other.note([{ key: 'b', agoMs: -5_000 }]);
    expectAbout((await one.agesMs(['b']))[0], -5_000);
  });

  it('takes a thousand at once, in any order, from several processes', async () => {
    const place = await make();
    const processes = [await place.open(), await place.open(), await place.open()];
    const keys = Array.from({ length: 1_000 }, (_, n) => `label:${n}`);
    await Promise.all(
      processes.map((rows, at) => rows.note((at === 1 ? keys.toReversed() : keys).map((key) => ({ key, agoMs: -5_000 })))),
    );
    const ages = await processes[0]?.agesMs(keys.slice(0, 200));
    expect(ages?.every((ageMs) => ageMs !== undefined && ageMs < slackMs)).toBe(true);
  });

  it('forgets what nobody may ask for any more, and nothing else', async () => {
    const rows = await (await make()).open();
    await rows.note([
      { key: 'old', agoMs: longestWithinMs + 60_000 },
      { key: 'young', agoMs: longestWithinMs - 60_000 },
    ]);
    await rows.prune(longestWithinMs);
    const [old, young] = await rows.agesMs(['old', 'young']);
    expect(old).toBeUndefined();
    expectAbout(young, longestWithinMs - 60_000);
  });
}

function expectAbout(ageMs: number | undefined, expectedMs: number): void {
  expect(ageMs).toBeGreaterThanOrEqual(expectedMs - 1);
  expect(ageMs).toBeLessThan(expectedMs + slackMs);
}
