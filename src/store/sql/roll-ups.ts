import type { Kysely, SelectQueryBuilder } from 'kysely';
import { mergeRollUps } from '../merge-roll-ups.ts';
import {
  type RollUp,
  type RollUpDimension,
  type RollUpQuery,
  type RollUpSum,
  type RollUps,
  rollUpDimensions,
} from '../ports/roll-ups.ts';
import { stepsOf } from '../roll-up-query.ts';
import type { BucketColumn, Database, Schema } from '../schema.ts';

const buckets = [
  ...(['b0', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7', 'b8'] as const),
  ...(['b9', 'b10', 'b11', 'b12', 'b13', 'b14', 'b15', 'b16', 'b17'] as const),
] satisfies BucketColumn[];
const numbers = [
  ...(['calls', 'total_us', 'bytes_in', 'bytes_out', 'tokens_in', 'tokens_out', 'cost_micros'] as const),
  ...buckets,
];
const columns = {
  namespace: 'namespace',
  capability: 'capability',
  consumer: 'consumer',
  key: 'key_id',
  member: 'member',
  upstream: 'upstream',
  code: 'code',
} as const satisfies Record<RollUpDimension, string>;

/** Deleting an hour at a time keeps each statement short. */
const pruneStepMs = 3_600_000;

/** `reads`: where sums are made. */
export function sqlRollUps(database: Database, reads = database): RollUps {
  return {
    async add(batch) {
      const rows = mergeRollUps(batch).map(toRow);
      if (rows.length === 0) return;
      const db = await database();
      await db
        .insertInto('roll_ups')
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .columns(['minute_ms', ...Object.values(columns)])
            .doUpdateSet(({ ref, eb }) =>
              Object.fromEntries(
                numbers.map((column) => [column, eb(ref(`roll_ups.${column}`), '+', ref(`excluded.${column}`))]),
              ),
            ),
        )
        .execute();
    },

    async query(query) {
      const { stepMs, limit } = stepsOf(query);
      const db = await reads();
      const groups = await topGroups(db, query, limit);
      if (stepMs === undefined || groups.length === 0) return groups;
      return await withSteps(db, query, stepMs, groups);
    },

    async prune(beforeMs) {
      const db = await database();
      const endMs = Math.floor(beforeMs / 60_000) * 60_000;
      let removed = 0;
      for (;;) {
        const { oldest } = await db
          .selectFrom('roll_ups')
          .select(({ fn }) => fn.min('minute_ms').as('oldest'))
          .executeTakeFirstOrThrow();
        if (oldest === null || oldest >= endMs) return removed;
        const untilMs = Math.min(endMs, oldest + pruneStepMs);
        const { numDeletedRows } = await db.deleteFrom('roll_ups').where('minute_ms', '<', untilMs).executeTakeFirst();
        removed += Number(numDeletedRows);
      }
    },
  };
}

type Rows = SelectQueryBuilder<Schema, 'roll_ups', object>;

function selectRows(db: Kysely<Schema>, { fromMs, toMs, filters = {} }: RollUpQuery): Rows {
  let rows: Rows = db.selectFrom('roll_ups').where('minute_ms', '>=', fromMs).where('minute_ms', '<', toMs);
  for (const dimension of rollUpDimensions) {
    const value = filters[dimension];
    if (value !== undefined) rows = rows.where(columns[dimension], '=', value);
  }
  return rows;
}

/** PostgreSQL adds bigints up to a numeric, which arrives as text; the cast makes them bigints again. */
function selectSums(rows: Rows) {
  return rows.select(({ eb, fn }) => [
    ...numbers.map((column) => eb.cast<number>(fn.sum(column), 'bigint').as(column)),
    eb.cast<number>(fn.sum(eb.case().when('code', '=', '').then(eb.lit(0)).else(eb.ref('calls')).end()), 'bigint').as('errors'),
  ]);
}

async function topGroups(db: Kysely<Schema>, query: RollUpQuery, limit: number): Promise<readonly RollUpSum[]> {
  const sums = selectSums(selectRows(db, query));
  if (query.by === undefined) {
    const [total] = await sums.having(({ fn }) => fn.countAll(), '>', 0).execute();
    return total === undefined ? [] : [toSum('', query.fromMs, total)];
  }
  const column = columns[query.by];
  const found = await sums
    .select(`${column} as group`)
    .groupBy(column)
    .orderBy(({ fn }) => fn.sum('calls'), 'desc')
    .orderBy(column)
    .limit(limit)
    .execute();
  return found.map((row) => toSum(row.group, query.fromMs, row));
}

async function withSteps(
  db: Kysely<Schema>,
  query: RollUpQuery,
  stepMs: number,
  groups: readonly RollUpSum[],
): Promise<readonly RollUpSum[]> {
  const sums = selectSums(selectRows(db, query)).select(({ eb }) =>
    eb('minute_ms', '-', eb('minute_ms', '%', stepMs)).as('at_ms'),
  );
  if (query.by === undefined) {
    const rows = await sums.groupBy('at_ms').orderBy('at_ms').execute();
    return rows.map((row) => toSum('', row.at_ms, row));
  }
  const column = columns[query.by];
  const names = groups.map(({ group }) => group);
  const rows = await sums
    .select(`${column} as group`)
    .where(column, 'in', names)
    .groupBy([column, 'at_ms'])
    .orderBy('at_ms')
    .execute();
  const byGroup = Map.groupBy(rows, ({ group }) => group);
  return names.flatMap((name) => (byGroup.get(name) ?? []).map((row) => toSum(name, row.at_ms, row)));
}

function toRow(rollUp: RollUp): Schema['roll_ups'] {
  const [b0 = 0, b1 = 0, b2 = 0, b3 = 0, b4 = 0, b5 = 0, b6 = 0, b7 = 0, b8 = 0, ...longer] = rollUp.latency;
  const [b9 = 0, b10 = 0, b11 = 0, b12 = 0, b13 = 0, b14 = 0, b15 = 0, b16 = 0, b17 = 0] = longer;
  return {
    minute_ms: rollUp.minuteMs,
    namespace: rollUp.namespace,
    capability: rollUp.capability,
    consumer: rollUp.consumer,
    key_id: rollUp.key,
    member: rollUp.member,
    upstream: rollUp.upstream,
    code: rollUp.code,
    calls: rollUp.calls,
    total_us: Math.round(rollUp.totalMs * 1000),
    bytes_in: rollUp.bytesIn,
    bytes_out: rollUp.bytesOut,
    tokens_in: rollUp.tokensIn,
    tokens_out: rollUp.tokensOut,
    cost_micros: rollUp.costMicros,
    ...{ b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15, b16, b17 },
  };
}

type Sums = Readonly<Record<(typeof numbers)[number] | 'errors', number>>;

function toSum(group: string, atMs: number, sums: Sums): RollUpSum {
  return {
    group,
    atMs,
    errors: sums.errors,
    calls: sums.calls,
    latency: buckets.map((bucket) => sums[bucket]),
    totalMs: sums.total_us / 1000,
    bytesIn: sums.bytes_in,
    bytesOut: sums.bytes_out,
    tokensIn: sums.tokens_in,
    tokensOut: sums.tokens_out,
    costMicros: sums.cost_micros,
  };
}
