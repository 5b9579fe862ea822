import type { KeyStore } from '../ports/keys.ts';
import type { Database } from '../schema.ts';

export function sqlKeys(database: Database): KeyStore {
  return {
    async create(key) {
      const db = await database();
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('keys')
        .values({ id: key.id, hash: key.hash, created_at_ms: key.createdAtMs })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .executeTakeFirst();
      return numInsertedOrUpdatedRows === 1n;
    },

    async list() {
      const db = await database();
      return await db.selectFrom('keys').select(['id', 'hash', 'created_at_ms as createdAtMs']).orderBy('id').execute();
    },
  };
}
