import type { BudgetRows } from '../ports/budgets.ts';
import type { Database } from '../schema.ts';

export function sqlBudgets(database: Database): BudgetRows {
  return {
    async load() {
      const db = await database();
      return await db
        .selectFrom('budgets')
        .select(['key', 'window_start_ms as windowStartMs', 'window_end_ms as windowEndMs', 'spent'])
        .orderBy('key')
        .execute();
    },

    async save(batch) {
      if (batch.length === 0) return;
      const db = await database();
      const rows = batch.map(({ key, windowStartMs, windowEndMs, spent }) => ({
        key,
        window_start_ms: windowStartMs,
        window_end_ms: windowEndMs,
        spent,
      }));
      await db
        .insertInto('budgets')
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .column('key')
            .doUpdateSet((row) => ({
              window_start_ms: row.ref('excluded.window_start_ms'),
              window_end_ms: row.ref('excluded.window_end_ms'),
              spent: row.ref('excluded.spent'),
            }))
            // A late write must neither bring back an older window nor undo what another process has counted.
            .where(({ or, and, eb, ref }) =>
              or([
                eb('excluded.window_start_ms', '>', ref('budgets.window_start_ms')),
                and([
                  eb('excluded.window_start_ms', '=', ref('budgets.window_start_ms')),
                  eb('excluded.spent', '>', ref('budgets.spent')),
                ]),
              ]),
            ),
        )
        .execute();
    },

    async prune(beforeMs) {
      const db = await database();
      const { numDeletedRows } = await db.deleteFrom('budgets').where('window_end_ms', '<', beforeMs).executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}
