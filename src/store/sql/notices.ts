import type { NoticeStore } from '../ports/notices.ts';
import type { Database } from '../schema.ts';

export function sqlNotices(database: Database): NoticeStore {
  return {
    async add({ dueAtMs, ...same }, most) {
      const db = await database();
      return await db.transaction().execute(async (transaction) => {
        const { count } = await transaction
          .selectFrom('notices')
          .select(({ fn }) => fn.countAll<number>().as('count'))
          .where('channel', '=', same.channel)
          .executeTakeFirstOrThrow();
        if (Number(count) >= most) return false;
        await transaction
          .insertInto('notices')
          .values({ ...same, due_at_ms: dueAtMs })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
        return true;
      });
    },

    async take(channel, nowMs, untilMs, limit) {
      const db = await database();
      const rows = await db
        .updateTable('notices')
        .set({ due_at_ms: untilMs })
        .where('channel', '=', channel)
        // Looked at again once the row is locked: of two that take at once, one has it.
        .where('due_at_ms', '<=', nowMs)
        .where('id', 'in', (select) =>
          select
            .selectFrom('notices as due')
            .select('due.id')
            .where('due.channel', '=', channel)
            .where('due.due_at_ms', '<=', nowMs)
            .orderBy('due.due_at_ms')
            .orderBy('due.id')
            .limit(limit),
        )
        .returning(['channel', 'id', 'event', 'tried', 'due_at_ms as dueAtMs'])
        .execute();
      return rows.map((row) => ({ ...row, tried: Number(row.tried), dueAtMs: Number(row.dueAtMs) }));
    },

    async postpone(channel, id, tried, dueAtMs) {
      const db = await database();
      await db
        .updateTable('notices')
        .set({ tried, due_at_ms: dueAtMs })
        .where('channel', '=', channel)
        .where('id', '=', id)
        .execute();
    },

    async remove(channel, id) {
      const db = await database();
      await db.deleteFrom('notices').where('channel', '=', channel).where('id', '=', id).execute();
    },

    async nextDueMs(channel) {
      const db = await database();
      const row = await db
        .selectFrom('notices')
        .select(({ fn }) => fn.min<number | null>('due_at_ms').as('dueAtMs'))
        .where('channel', '=', channel)
        .executeTakeFirst();
      return row?.dueAtMs == null ? undefined : Number(row.dueAtMs);
    },
  };
}
