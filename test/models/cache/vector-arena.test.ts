import { describe, expect, it } from 'vitest';
import { vectorArena } from '../../../src/models/cache/vector-arena.ts';

const noPause = async () => {};

/** Reproducible numbers that look like chance. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, ofA, ofB] = [0, 0, 0];
  for (let at = 0; at < a.length; at++) {
    dot += a[at]! * b[at]!;
    ofA += a[at]! ** 2;
    ofB += b[at]! ** 2;
  }
  return dot / Math.sqrt(ofA * ofB);
}

describe('the search among vectors', () => {
  it.each([3, 128, 129, 384])('finds exactly what a search through all of them finds, in %i dimensions', async (dimensions) => {
    const random = numbers(dimensions);
    const center = Float32Array.from({ length: dimensions }, random);
    const near = (spread: number) => center.map((value) => value + random() * spread);
    const rows = Array.from({ length: 700 }, (_, n) => near(n % 3 === 0 ? 0.3 : 2));
    const arena = vectorArena<number>(dimensions, 10_000);
    for (const [n, row] of rows.entries()) expect(arena.add(row, n % 2, n)).toBe(true);
    for (const threshold of [0.5, 0.9, 0.97]) {
      const query = near(0.2);
      const found = await arena.search(query, 1, threshold, noPause);
      const all = rows
        .map((row, n) => ({ n, cosine: cosine(query, row) }))
        .filter(({ n, cosine: value }) => n % 2 === 1 && value >= threshold)
        .sort((a, b) => b.cosine - a.cosine);
      expect(found?.map(({ entry }) => entry)).toEqual(all.slice(0, 8).map(({ n }) => n));
      for (const { entry, cosine: value } of found ?? []) expect(value).toBeCloseTo(cosine(query, rows[entry]!), 4);
    }
  });

  it('gives up the oldest rows when it is full', async () => {
    const arena = vectorArena<number>(2, 300);
    for (let n = 0; n < 1_000; n++) arena.add(Float32Array.of(Math.cos(n / 1_000), Math.sin(n / 1_000)), 0, n);
    expect(arena.size).toBe(300);
    const find = async (n: number) =>
      (await arena.search(Float32Array.of(Math.cos(n / 1_000), Math.sin(n / 1_000)), 0, 0.9999999, noPause))?.map(
        ({ entry }) => entry,
      );
    expect(await find(990)).toContain(990);
    expect(await find(100)).toEqual([]);
  });

  it.each([
    ['zero', Float32Array.of(0, 0)],
    ['of another length', Float32Array.of(1, 2, 3)],
    ['not a number', Float32Array.of(Number.NaN, 1)],
    ['infinite', Float32Array.of(Number.POSITIVE_INFINITY, 1)],
  ])('takes no vector that is %s', async (_, vector) => {
    const arena = vectorArena<number>(2, 10);
    expect(arena.add(vector, 0, 1)).toBe(false);
    expect(await arena.search(vector, 0, 0.5, noPause)).toBeUndefined();
    expect(arena.add(Float32Array.of(1, 0), 0, 1)).toBe(true);
  });

  it('is done in some milliseconds', async () => {
    const dimensions = 256;
    const rows = process.env.TEST_LONG === undefined ? 10_000 : 50_000;
    const random = numbers(7);
    const arena = vectorArena<number>(dimensions, 50_000);
    for (let n = 0; n < rows; n++) arena.add(Float32Array.from({ length: dimensions }, random), 0, n);
    const query = Float32Array.from({ length: dimensions }, random);
    const used = [];
    for (let round = 0; round < 5; round++) {
      const before = process.threadCpuUsage();
      await arena.search(query, 0, 0.95, noPause);
      const { user, system } = process.threadCpuUsage(before);
      used.push((user + system) / 1_000);
    }
    expect(Math.min(...used)).toBeLessThan(rows / 250);
  });
});
