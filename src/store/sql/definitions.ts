import { takeTurns } from '../../turns.ts';
import type { DefinitionStore } from '../ports/definitions.ts';
import type { Database } from '../schema.ts';
import { batches } from './batches.ts';

/** Bodies may have megabytes: few go into one statement. */
const bodiesAtOnce = 50;

export function sqlDefinitions(database: Database): DefinitionStore {
  return {
    async keep(definitions, nowMs) {
      if (definitions.length === 0) return;
      const db = await database();
      const rows = [...new Map(definitions.map(({ hash, body }) => [hash, { hash, body, kept_at_ms: nowMs }])).values()];
      // Two that keep the same ones at once take the rows in the same order.
      rows.sort((a, b) => (a.hash < b.hash ? -1 : 1));
      const turn = takeTurns();
      await db.transaction().execute(async (transaction) => {
        for (let start = 0; start < rows.length; start += bodiesAtOnce) {
          // SQLite answers at once: without this nobody else had a turn before the last row.
          await turn();
          await transaction
            .insertInto('definitions')
            .values(rows.slice(start, start + bodiesAtOnce))
            .onConflict((conflict) => conflict.column('hash').doUpdateSet({ kept_at_ms: nowMs }))
            .execute();
        }
      });
    },

    async find(hashes) {
      const db = await database();
      const found = [];
      for (const batch of batches([...new Set(hashes)]))
        found.push(...(await db.selectFrom('definitions').select(['hash', 'body']).where('hash', 'in', batch).execute()));
      return found;
    },

    async prune(beforeMs, pointedTo) {
      const db = await database();
      const old = await db.selectFrom('definitions').select('hash').where('kept_at_ms', '<', beforeMs).execute();
      let removed = 0;
      for (const batch of batches(old.map(({ hash }) => hash).filter((hash) => !pointedTo.has(hash)))) {
        // Looked at again: somebody may want it kept since.
        const { numDeletedRows } = await db
          .deleteFrom('definitions')
          .where('hash', 'in', batch)
          .where('kept_at_ms', '<', beforeMs)
          .executeTakeFirstOrThrow();
        removed += Number(numDeletedRows);
      }
      return removed;
    },
  };
}
