import type { KeyUse, KeyUses } from '../ports/keys.ts';
import type { Database } from '../schema.ts';
import { batches } from './batches.ts';

export function sqlKeyUses(database: Database): KeyUses {
  return {
    async note(uses) {
      const db = await database();
      for (const batch of batches(latestOfEach(uses))) {
        await db
          .insertInto('key_uses')
          .values(batch.map(({ keyId, atMs }) => ({ key_id: keyId, last_used_at_ms: atMs })))
          .onConflict((conflict) =>
            conflict
              .column('key_id')
              .doUpdateSet((row) => ({ last_used_at_ms: row.ref('excluded.last_used_at_ms') }))
              // Another replica may have seen the key later.
              .whereRef('key_uses.last_used_at_ms', '<', 'excluded.last_used_at_ms'),
          )
          .execute();
      }
    },

    async load(keyIds) {
      const db = await database();
      const found: KeyUse[] = [];
      for (const batch of batches([...new Set(keyIds)])) {
        const select = db.selectFrom('key_uses').select(['key_id as keyId', 'last_used_at_ms as atMs']);
        found.push(...(await select.where('key_id', 'in', batch).execute()));
      }
      return found.sort(byKey);
    },
  };
}

/** One statement may not write a row twice; in one order, two replicas cannot wait for each other's rows in a ring. */
function latestOfEach(uses: readonly KeyUse[]): readonly KeyUse[] {
  const latest = new Map<string, KeyUse>();
  for (const use of uses) {
    if (use.atMs >= (latest.get(use.keyId)?.atMs ?? Number.NEGATIVE_INFINITY)) latest.set(use.keyId, use);
  }
  return [...latest.values()].sort(byKey);
}

function byKey(a: KeyUse, b: KeyUse): number {
  return a.keyId < b.keyId ? -1 : 1;
}
