import type { RawBuilder } from 'kysely';
import type { SightingRows } from '../ports/sightings.ts';
import type { Database } from '../schema.ts';
import { batches } from './batches.ts';

/** `timeAgo` says what time was so many ms ago: by the database's own clock, where several machines share it. */
export function sqlSightings(database: Database, timeAgo: (ms: number) => number | RawBuilder<number>): SightingRows {
  return {
    async note(batch) {
      const db = await database();
      // In one order, two replicas cannot wait for each other's rows in a ring.
      const ordered = batch.toSorted((a, b) => (a.key < b.key ? -1 : 1));
      for (const part of batches(ordered)) {
        await db
          .insertInto('sightings')
          .values(part.map(({ key, agoMs }) => ({ key, seen_ms: timeAgo(agoMs) })))
          .onConflict((conflict) =>
            conflict
              .column('key')
              .doUpdateSet((row) => ({ seen_ms: row.ref('excluded.seen_ms') }))
              .whereRef('sightings.seen_ms', '<', 'excluded.seen_ms'),
          )
          .execute();
      }
    },

    async agesMs(keys) {
      if (keys.length === 0) return [];
      const db = await database();
      const now = timeAgo(0);
      const rows = await db
        .selectFrom('sightings')
        .select((row) => [
          'key',
          row(typeof now === 'number' ? row.val(now) : now, '-', row.ref('seen_ms'))
            .$castTo<number>()
            .as('ageMs'),
        ])
        .where('key', 'in', [...keys])
        .execute();
      const ages = new Map(rows.map(({ key, ageMs }) => [key, Number(ageMs)]));
      return keys.map((key) => ages.get(key));
    },

    async prune(olderThanMs) {
      const db = await database();
      const { numDeletedRows } = await db.deleteFrom('sightings').where('seen_ms', '<', timeAgo(olderThanMs)).executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}
