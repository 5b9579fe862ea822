import type { ExpressionBuilder, RawBuilder } from 'kysely';
import type { Claim, KeyedCall, KeyedCalls } from '../ports/keyed-calls.ts';
import type { Database, Schema } from '../schema.ts';

type Time = number | RawBuilder<number>;
type Row = ExpressionBuilder<Schema, 'keyed_calls'>;

/** `timeAgo` says what time was so many ms ago: by the database's own clock, where several machines share it. */
export function sqlKeyedCalls(database: Database, timeAgo: (ms: number) => Time): KeyedCalls {
  const claimed = ({ request, holder, leaseMs, ttlMs }: Claim) => ({
    request,
    holder,
    answer: null,
    leased_until_ms: timeAgo(-leaseMs),
    expires_ms: timeAgo(-ttlMs),
  });

  async function find(key: string): Promise<KeyedCall | undefined> {
    const db = await database();
    const now = timeAgo(0);
    const row = await db
      .selectFrom('keyed_calls')
      .select((row) => [
        'request',
        'holder',
        'answer',
        row(row.ref('leased_until_ms'), '-', typeof now === 'number' ? row.val(now) : now)
          .$castTo<number>()
          .as('leaseLeftMs'),
      ])
      .where('key', '=', key)
      .where('expires_ms', '>', now)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const { request, holder, answer, leaseLeftMs } = row;
    return { request, holder, answer: answer ?? undefined, leaseLeftMs: Number(leaseLeftMs) };
  }

  return {
    find,

    async take(claim) {
      const db = await database();
      for (;;) {
        const { numInsertedOrUpdatedRows } = await db
          .insertInto('keyed_calls')
          .values({ key: claim.key, ...claimed(claim) })
          .onConflict((conflict) =>
            conflict.column('key').doUpdateSet(claimed(claim)).where('keyed_calls.expires_ms', '<=', timeAgo(0)),
          )
          .executeTakeFirstOrThrow();
        if (numInsertedOrUpdatedRows === 1n) return undefined;
        // Given up in between: then it is free.
        const known = await find(claim.key);
        if (known !== undefined) return known;
      }
    },

    async takeOver(holder, claim) {
      const db = await database();
      const { numUpdatedRows } = await db
        .updateTable('keyed_calls')
        .set(claimed(claim))
        .where(isHeld({ ...claim, holder }))
        .where('request', '=', claim.request)
        .where('leased_until_ms', '<=', timeAgo(0))
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async renew(claim) {
      const db = await database();
      const { numUpdatedRows } = await db
        .updateTable('keyed_calls')
        .set({ leased_until_ms: timeAgo(-claim.leaseMs) })
        .where(isHeld(claim))
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async settle(claim, answer) {
      const db = await database();
      const { numUpdatedRows } = await db
        .updateTable('keyed_calls')
        .set({ answer, expires_ms: timeAgo(-claim.ttlMs) })
        .where(isHeld(claim))
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async release(claim) {
      const db = await database();
      await db.deleteFrom('keyed_calls').where(isHeld(claim)).execute();
    },

    async prune() {
      const db = await database();
      const { numDeletedRows } = await db.deleteFrom('keyed_calls').where('expires_ms', '<=', timeAgo(0)).executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}

function isHeld({ key, holder }: Pick<Claim, 'key' | 'holder'>) {
  return (row: Row) => row.and([row('key', '=', key), row('holder', '=', holder), row('answer', 'is', null)]);
}
