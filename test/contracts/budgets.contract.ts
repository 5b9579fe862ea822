import { expect, it } from 'vitest';
import type { BudgetRows, StoredBudget } from '../../src/store/ports/budgets.ts';

/** What every place that keeps budgets promises; it is empty at first. */
export function budgetsContract(open: () => Promise<BudgetRows>): void {
  it('keeps what was spent, of large numbers every unit', async () => {
    const rows = await open();
    expect(await rows.load()).toEqual([]);
    const all = [budget('a', { spent: 999_999_999_999_999 }), budget('b#"\u{1F600}'), budget('c', { spent: 0 })];
    await rows.save(all);
    await rows.save([]);
    expect(await rows.load()).toEqual(all);
  });

  it('keeps the larger number within a window, and the newer window', async () => {
    const rows = await open();
    await rows.save([budget('a', { spent: 5 })]);
    await rows.save([budget('a', { spent: 4 })]);
    expect(await rows.load()).toEqual([budget('a', { spent: 5 })]);
    const newer = budget('a', { windowStartMs: 2_000, windowEndMs: 3_000, spent: 1 });
    await rows.save([newer]);
    await rows.save([budget('a', { spent: 9 })]);
    expect(await rows.load()).toEqual([newer]);
  });

  it('takes a full batch, and prunes what ended before a time', async () => {
    const rows = await open();
    await rows.save(Array.from({ length: 500 }, (_, n) => budget(`k${String(n).padStart(3, '0')}`, { windowEndMs: 2_000 + n })));
    expect(await rows.prune(2_498)).toBe(498);
    expect((await rows.load()).map(({ key }) => key)).toEqual(['k498', 'k499']);
  });
}

function budget(key: string, changes: Partial<StoredBudget> = {}): StoredBudget {
  return { key, windowStartMs: 1_000, windowEndMs: 2_000, spent: 7, ...changes };
}
