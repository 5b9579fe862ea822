import type { Kysely, Transaction } from 'kysely';
import type { MasterKeyRows, WrappedKey } from '../key-ring.ts';
import type { WrappedRows } from '../rotate-master-key.ts';
import type { Database, Schema } from '../schema.ts';
import { toWrapped } from '../sealing-keys.ts';
import type { DataKeyRows } from '../secret-vault.ts';

export function sqlMasterKeyRows(database: Database): MasterKeyRows {
  return {
    async read() {
      const db = await database();
      return await db.selectFrom('master_keys').select(['version', 'fingerprint', 'retired_at_ms']).orderBy('version').execute();
    },
    async insert(row) {
      const db = await database();
      await db
        .insertInto('master_keys')
        .values(row)
        .onConflict((conflict) => conflict.column('version').doNothing())
        .execute();
    },
  };
}

export function sqlDataKeyRows(database: Database): DataKeyRows {
  return {
    async insert(row) {
      const db = await database();
      return await db.transaction().execute(async (transaction) => {
        // Changes nothing, and holds the row: the master key cannot be retired before this key is seen.
        const { numUpdatedRows } = await transaction
          .updateTable('master_keys')
          .set({ version: row.version })
          .where('version', '=', row.version)
          .where('retired_at_ms', 'is', null)
          .executeTakeFirst();
        if (numUpdatedRows !== 1n) return false;
        await transaction.insertInto('data_keys').values(row).execute();
        return true;
      });
    },
    async read(id) {
      const db = await database();
      return await db.selectFrom('data_keys').selectAll().where('id', '=', id).executeTakeFirst();
    },
    async delete(id) {
      const db = await database();
      await db.deleteFrom('data_keys').where('id', '=', id).execute();
    },
  };
}

class StillInUse extends Error {}

export function sqlWrappedRows(database: Database): WrappedRows {
  return {
    async outdated(version, limit) {
      const db = await database();
      const sealing = await db.selectFrom('sealing_keys').selectAll().where('version', '!=', version).execute();
      const data = await db.selectFrom('data_keys').selectAll().where('version', '!=', version).limit(limit).execute();
      return [...sealing.map(toWrapped), ...data.map((row) => ({ table: 'data_keys' as const, ...row }))].slice(0, limit);
    },

    async rewrap(changes) {
      const db = await database();
      await db.transaction().execute(async (transaction) => {
        for (const { from, to } of changes) await rewrapOne(transaction, from, to);
      });
    },

    async progress(version) {
      const db = await database();
      const [all, outdated] = [await countKeys(db), await countKeys(db, version)];
      return { done: all - outdated, total: all };
    },

    async retireBefore(version, atMs) {
      const db = await database();
      try {
        await db.transaction().execute(async (transaction) => {
          await transaction
            .updateTable('master_keys')
            .set({ retired_at_ms: atMs })
            .where('version', '<', version)
            .where('retired_at_ms', 'is', null)
            .execute();
          // Counted after the rows are held: whoever wraps with an old key has finished, or will see that it is retired.
          if ((await countKeys(transaction, version)) > 0) throw new StillInUse();
        });
        return true;
      } catch (error) {
        if (error instanceof StillInUse) return false;
        throw error;
      }
    },
  };
}

async function rewrapOne(transaction: Transaction<Schema>, from: WrappedKey, to: WrappedKey): Promise<void> {
  if (from.table === 'sealing_keys') {
    await transaction
      .updateTable('sealing_keys')
      .set({ version: to.version, sealed: to.wrapped })
      .where('purpose', '=', from.id)
      .where('sealed', '=', from.wrapped)
      .execute();
    return;
  }
  await transaction
    .updateTable('data_keys')
    .set({ version: to.version, wrapped: to.wrapped })
    .where('id', '=', from.id)
    .where('wrapped', '=', from.wrapped)
    .execute();
}

/** All of them, or those that another version than this one wraps. */
async function countKeys(db: Kysely<Schema>, except = 0): Promise<number> {
  const sealing = await db
    .selectFrom('sealing_keys')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('version', '!=', except)
    .executeTakeFirstOrThrow();
  const data = await db
    .selectFrom('data_keys')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('version', '!=', except)
    .executeTakeFirstOrThrow();
  return Number(sealing.count) + Number(data.count);
}
