import type { ExpressionBuilder, Kysely } from 'kysely';
import type { AuditCursor, AuditHead, AuditIndex, AuditRow } from '../ports/audit-index.ts';
import type { Database, Schema } from '../schema.ts';
import { deleteInTurns } from './delete-in-turns.ts';

type Row = Schema['audit_calls'];

/** `reads`: where searches run. */
export function sqlAuditIndex(database: Database, reads = database): AuditIndex {
  return {
    async add(batch, reached) {
      const db = await database();
      await db.transaction().execute(async (transaction) => {
        if (batch.length > 0) await insert(transaction, batch);
        await reach(transaction, reached);
      });
    },

    async heads() {
      const db = await database();
      return await db.selectFrom('audit_heads').selectAll().orderBy('chain').execute();
    },

    async search(wanted) {
      const { caller, callers, capability, namespaces, decision, code, trace, calls, contentRule, fromMs, toMs, limit, before } =
        wanted;
      if (callers?.length === 0 || namespaces?.length === 0) return [];
      const db = await reads();
      let query = db.selectFrom('audit_calls').selectAll();
      const equal = { caller, capability, decision, code, trace };
      for (const column of ['caller', 'capability', 'decision', 'code', 'trace'] as const) {
        const value = equal[column];
        if (value !== undefined) query = query.where(column, '=', value);
      }
      // The chains are few, and with one an id is found by the table's key.
      if (calls !== undefined)
        query = query.where('id', 'in', calls).where('chain', 'in', db.selectFrom('audit_heads').select('chain'));
      if (callers !== undefined) query = query.where('caller', 'in', callers);
      if (contentRule !== undefined)
        query = query.where('content_rules', 'like', `% ${contentRule}${contentRule.includes('/') ? ' ' : '/'}%`);
      // Names of namespaces hold no wildcards.
      if (namespaces !== undefined)
        query = query.where((row) => row.or(namespaces.map((name) => row('capability', 'like', `${name}/%`))));
      if (fromMs !== undefined) query = query.where('at_ms', '>=', fromMs);
      if (toMs !== undefined) query = query.where('at_ms', '<', toMs);
      if (before !== undefined) query = query.where((row) => isBefore(row, before));
      const rows = await query.orderBy('at_ms', 'desc').orderBy('chain', 'desc').orderBy('seq', 'desc').limit(limit).execute();
      return rows.map(fromRow);
    },

    async prune(beforeMs) {
      const db = await database();
      return await deleteInTurns(async (most) => {
        const old = db.selectFrom('audit_calls').select(['chain', 'id']).where('at_ms', '<', beforeMs).limit(most);
        const { numDeletedRows } = await db
          .deleteFrom('audit_calls')
          .where(({ eb, refTuple }) => eb(refTuple('chain', 'id'), 'in', old.$asTuple('chain', 'id')))
          .executeTakeFirst();
        return Number(numDeletedRows);
      });
    },
  };
}

async function insert(db: Kysely<Schema>, batch: readonly AuditRow[]): Promise<void> {
  await db
    .insertInto('audit_calls')
    .values(batch.map(toRow))
    .onConflict((conflict) =>
      conflict.columns(['chain', 'id']).doUpdateSet((row) => ({
        // An intent that is read once more must not undo its outcome.
        outcome: row.fn.coalesce('excluded.outcome', 'audit_calls.outcome'),
        code: row.fn.coalesce('excluded.code', 'audit_calls.code'),
        ms: row.fn.coalesce('excluded.ms', 'audit_calls.ms'),
        result: row.fn.coalesce('excluded.result', 'audit_calls.result'),
        content_rules: row.fn.coalesce('excluded.content_rules', 'audit_calls.content_rules'),
      })),
    )
    .execute();
}

async function reach(db: Kysely<Schema>, { chain, seq, hash }: AuditHead): Promise<void> {
  await db
    .insertInto('audit_heads')
    .values({ chain, seq, hash })
    .onConflict((conflict) => conflict.column('chain').doUpdateSet({ seq, hash }))
    .execute();
}

function isBefore(row: ExpressionBuilder<Schema, 'audit_calls'>, { atMs, chain, seq }: AuditCursor) {
  const isEarlier = row.or([
    row('at_ms', '<', atMs),
    row('chain', '<', chain),
    row.and([row('chain', '=', chain), row('seq', '<', seq)]),
  ]);
  // The time stands alone as well: no index helps with what stands in an "or".
  return row.and([row('at_ms', '<=', atMs), isEarlier]);
}

function toRow({ atMs, contentRules, ...rest }: AuditRow): Row {
  return { ...rest, at_ms: atMs, content_rules: writeRules(contentRules) };
}

function fromRow({ at_ms, content_rules, ...rest }: Row): AuditRow {
  return { ...rest, atMs: at_ms, contentRules: content_rules?.trim().split(' ') ?? [] };
}

/** Each between blanks, so that `like` finds a whole name. */
export function writeRules(rules: readonly string[]): string | null {
  return rules.length === 0 ? null : ` ${rules.join(' ')} `;
}
