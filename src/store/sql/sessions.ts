import type { SessionRows } from '../buffered-sessions.ts';
import type { StoredSession } from '../ports/sessions.ts';
import type { Database } from '../schema.ts';

export function sqlSessions(database: Database): SessionRows {
  return {
    async read(id) {
      const db = await database();
      const row = await db.selectFrom('sessions').selectAll().where('id', '=', id).executeTakeFirst();
      return row && { id: row.id, isEnded: row.is_ended === 1, state: row.state, lastUsedAtMs: row.last_used_at_ms };
    },

    async write(batch) {
      const db = await database();
      await db
        .insertInto('sessions')
        .values(batch.map(toRow))
        .onConflict((conflict) =>
          conflict.column('id').doUpdateSet((row) => ({
            // Another replica may not have heard of the end yet: what it saves must not undo it.
            is_ended: row.case().when('sessions.is_ended', '=', 1).then(1).else(row.ref('excluded.is_ended')).end(),
            state: row.ref('excluded.state'),
            last_used_at_ms: row.ref('excluded.last_used_at_ms'),
          })),
        )
        .execute();
    },

    async prune(beforeMs) {
      const db = await database();
      const { numDeletedRows } = await db.deleteFrom('sessions').where('last_used_at_ms', '<', beforeMs).executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}

function toRow(session: StoredSession) {
  return {
    id: session.id,
    is_ended: session.isEnded ? 1 : 0,
    state: session.state,
    last_used_at_ms: session.lastUsedAtMs,
  };
}
