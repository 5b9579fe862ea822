import type { Database } from '../schema.ts';
import type { SealedRows } from '../sealing-keys.ts';

export function sqlSealedRows(database: Database): SealedRows {
  return {
    async read() {
      const db = await database();
      return await db.selectFrom('sealing_keys').selectAll().execute();
    },
    async insert(rows) {
      const db = await database();
      await db
        .insertInto('sealing_keys')
        .values(rows)
        .onConflict((conflict) => conflict.column('purpose').doNothing())
        .execute();
    },
  };
}
