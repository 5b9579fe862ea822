import type { UpstreamMemory } from '../ports/upstream-memory.ts';
import type { Database } from '../schema.ts';

export function sqlUpstreamMemory(database: Database): UpstreamMemory {
  return {
    async load() {
      const db = await database();
      return await db
        .selectFrom('upstream_memory')
        .select(['id', 'fingerprint', 'state', 'saved_at_ms as savedAtMs'])
        .orderBy('id')
        .execute();
    },

    async save(upstream) {
      const db = await database();
      const { id, ...changing } = {
        id: upstream.id,
        fingerprint: upstream.fingerprint,
        state: upstream.state,
        saved_at_ms: upstream.savedAtMs,
      };
      await db
        .insertInto('upstream_memory')
        .values({ id, ...changing })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(changing))
        .execute();
    },

    async forget(id) {
      const db = await database();
      await db.deleteFrom('upstream_memory').where('id', '=', id).execute();
    },
  };
}
