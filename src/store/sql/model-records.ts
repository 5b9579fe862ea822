import type { ExpressionBuilder, SelectQueryBuilder } from 'kysely';
import { mergeModelCalls } from '../merge-model-calls.ts';
import type {
  FailoverEvent,
  ModelCalls,
  ModelCallsQuery,
  ModelCallsSum,
  ModelDimension,
  ModelRecords,
} from '../ports/model-records.ts';
import { modelDimensions, usualModelGroups } from '../ports/model-records.ts';
import type { Database, Schema } from '../schema.ts';
import { withStorableTexts } from '../storable-model-records.ts';
import { batches } from './batches.ts';

const columns = {
  model: 'model',
  version: 'version',
  target: 'target',
  consumer: 'consumer',
  key: 'key_id',
  ending: 'ending',
} as const satisfies Record<ModelDimension, string>;

const whole = [
  'calls',
  'failed',
  'cached',
  'failovers',
  'first_calls',
  'tokens_in',
  'tokens_out',
  'nano_usd',
  'unpriced',
] as const;
const broken = ['total_ms', 'total_square', 'first_ms'] as const;
const numbers = [...whole, ...broken] as const;

/** `reads`: where sums and lists are made. */
export function sqlModelRecords(database: Database, reads = database): ModelRecords {
  return withStorableTexts({
    async addCalls(batch) {
      const rows = mergeModelCalls(batch).map(toRow);
      if (rows.length === 0) return;
      const db = await database();
      await db
        .insertInto('model_calls')
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .columns(['minute_ms', ...Object.values(columns)])
            .doUpdateSet(({ ref, eb }) =>
              Object.fromEntries(
                numbers.map((column) => [column, eb(ref(`model_calls.${column}`), '+', ref(`excluded.${column}`))]),
              ),
            ),
        )
        .execute();
    },

    async sumCalls(query) {
      const db = await reads();
      const by = query.by.map((dimension) => columns[dimension]);
      const rows = await selectRows(db.selectFrom('model_calls'), query)
        .select(({ eb, fn }) => [
          // PostgreSQL adds bigints up to a numeric, which arrives as text; the cast makes them bigints again.
          ...whole.map((column) => eb.cast<number>(fn.sum(column), 'bigint').as(column)),
          ...broken.map((column) => fn.sum<number>(column).as(column)),
        ])
        .select(by)
        .groupBy(by.length === 0 ? ({ eb }) => eb.val(1) : by)
        .orderBy(({ fn }) => fn.sum('calls'), 'desc')
        .limit(query.limit ?? usualModelGroups)
        .execute();
      return rows.map((row) =>
        toSum(
          query.by.map((dimension) => row[columns[dimension]] ?? ''),
          row,
        ),
      );
    },

    async addAnswers(answers) {
      const db = await database();
      for (const batch of batches(answers.map(({ atMs, ...answer }) => ({ ...answer, at_ms: atMs }))))
        await db
          .insertInto('model_answers')
          .values(batch)
          .onConflict((conflict) => conflict.doNothing())
          .execute();
    },

    async findAnswer(id) {
      const db = await database();
      return await db
        .selectFrom('model_answers')
        .select(['id', 'at_ms as atMs', 'model', 'version', 'consumer'])
        .where('id', '=', id)
        .executeTakeFirst();
    },

    async rate({ id, atMs, model, version, consumer, score, note }) {
      const db = await database();
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('model_ratings')
        .values({ id, at_ms: atMs, model, version, consumer, score, note: note ?? null })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst();
      return numInsertedOrUpdatedRows === 1n;
    },

    async sumRatings(model, fromMs, toMs, consumer) {
      const db = await reads();
      let all = db.selectFrom('model_ratings').where('model', '=', model).where('at_ms', '>=', fromMs).where('at_ms', '<', toMs);
      if (consumer !== undefined) all = all.where('consumer', '=', consumer);
      const rows = await all
        .select(({ eb, fn }) => [
          'version',
          eb.cast<number>(fn.countAll(), 'bigint').as('ratings'),
          fn.sum<number>('score').as('total'),
          fn.sum<number>(eb('score', '*', eb.ref('score'))).as('square'),
        ])
        .groupBy('version')
        .orderBy('version')
        .execute();
      return rows.map(({ version, ratings, total, square }) => ({ version, ratings, total, totalSquare: square }));
    },

    async claimAlert({ id, atMs, ...event }) {
      const db = await database();
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('alert_events')
        .values({ id, at_ms: atMs, ...event })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst();
      return numInsertedOrUpdatedRows === 1n;
    },

    async listAlerts(fromMs, limit) {
      const db = await database();
      return await db
        .selectFrom('alert_events')
        .select(['id', 'at_ms as atMs', 'alert', 'subject', 'message', 'used', 'amount'])
        .where('at_ms', '>=', fromMs)
        .orderBy('at_ms', 'desc')
        .orderBy('id')
        .limit(limit)
        .execute();
    },

    async addFailovers(events) {
      const db = await database();
      for (const batch of batches(events.map(toFailoverRow)))
        await db
          .insertInto('failovers')
          .values(batch)
          .onConflict((conflict) => conflict.doNothing())
          .execute();
    },

    async listFailovers({ fromMs, toMs, model, namespaces, kind, target, limit }) {
      const db = await reads();
      let found = db
        .selectFrom('failovers')
        .select(['id', 'at_ms as atMs', 'model', 'from_target as from', 'to_target as to', 'reason', 'kind'])
        .where('at_ms', '>=', fromMs)
        .where('at_ms', '<', toMs);
      if (model !== undefined) found = found.where('model', '=', model);
      if (kind !== undefined) found = found.where('kind', '=', kind);
      if (target !== undefined)
        found = found.where((eb) => eb.or([eb('from_target', '=', target), eb('to_target', '=', target)]));
      if (namespaces !== undefined) {
        if (namespaces.size === 0) return [];
        // To SQLite's LIKE upper and lower case are the same.
        const begins = ({ eb, fn }: ExpressionBuilder<Schema, 'failovers'>, name: string) =>
          eb(fn<string>('substr', ['model', eb.lit(1), eb.lit(name.length + 1)]), '=', `${name}/`);
        found = found.where((eb) => eb.or([...namespaces].map((name) => begins(eb, name))));
      }
      const rows = await found.orderBy('at_ms', 'desc').orderBy('id', 'desc').limit(limit).execute();
      return rows.map(({ to, ...row }) => ({ ...row, to: to ?? undefined }));
    },

    async prune(beforeMs) {
      const db = await database();
      const gone = await Promise.all([
        db.deleteFrom('model_calls').where('minute_ms', '<', beforeMs).executeTakeFirst(),
        db.deleteFrom('model_answers').where('at_ms', '<', beforeMs).executeTakeFirst(),
        db.deleteFrom('model_ratings').where('at_ms', '<', beforeMs).executeTakeFirst(),
        db.deleteFrom('alert_events').where('at_ms', '<', beforeMs).executeTakeFirst(),
        db.deleteFrom('failovers').where('at_ms', '<', beforeMs).executeTakeFirst(),
      ]);
      return gone.reduce((sum, { numDeletedRows }) => sum + Number(numDeletedRows), 0);
    },
  });
}

type Rows = SelectQueryBuilder<Schema, 'model_calls', object>;

function selectRows(all: Rows, { fromMs, toMs, filters = {} }: ModelCallsQuery): Rows {
  let rows = all.where('minute_ms', '>=', fromMs).where('minute_ms', '<', toMs);
  for (const dimension of modelDimensions) {
    const value = filters[dimension];
    if (value !== undefined) rows = rows.where(columns[dimension], '=', value);
  }
  return rows;
}

function toRow(row: ModelCalls): Schema['model_calls'] {
  return {
    minute_ms: row.minuteMs,
    model: row.model,
    version: row.version,
    target: row.target,
    consumer: row.consumer,
    key_id: row.key,
    ending: row.ending,
    calls: row.calls,
    failed: row.failed,
    cached: row.cached,
    failovers: row.failovers,
    total_ms: row.totalMs,
    total_square: row.totalSquare,
    first_calls: row.firstCalls,
    first_ms: row.firstMs,
    tokens_in: row.tokensIn,
    tokens_out: row.tokensOut,
    nano_usd: row.nanoUsd,
    unpriced: row.unpriced,
  };
}

function toSum(group: readonly string[], sums: Readonly<Record<(typeof numbers)[number], number>>): ModelCallsSum {
  return {
    group,
    calls: sums.calls,
    failed: sums.failed,
    cached: sums.cached,
    failovers: sums.failovers,
    totalMs: sums.total_ms,
    totalSquare: sums.total_square,
    firstCalls: sums.first_calls,
    firstMs: sums.first_ms,
    tokensIn: sums.tokens_in,
    tokensOut: sums.tokens_out,
    nanoUsd: sums.nano_usd,
    unpriced: sums.unpriced,
  };
}

function toFailoverRow({ id, atMs, model, from, to, reason, kind }: FailoverEvent): Schema['failovers'] {
  return { id, at_ms: atMs, model, from_target: from, to_target: to ?? null, reason, kind };
}
