import type { ExpressionBuilder, Kysely } from 'kysely';
import type { ApprovalEventFacts, ApprovalQuery, ApprovalStore, StoredApproval } from '../ports/approvals.ts';
import type { Database, Schema } from '../schema.ts';

const openStates = ['pending', 'approved'] as const;
const closedStates = ['consumed', 'denied', 'expired', 'void'] as const;

export function sqlApprovals(database: Database): ApprovalStore {
  return {
    async create(approval, event) {
      const db = await database();
      return await db.transaction().execute(async (transaction) => {
        const { numInsertedOrUpdatedRows } = await transaction
          .insertInto('approvals')
          .values(toRow(approval))
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst();
        if (numInsertedOrUpdatedRows !== 1n) return false;
        await writeEvent(transaction, approval, event);
        return true;
      });
    },

    async find(id) {
      const db = await database();
      return await db.selectFrom('approvals').select(columns).where('id', '=', id).executeTakeFirst();
    },

    async findLatest(digest) {
      const db = await database();
      return await db
        .selectFrom('approvals')
        .select(columns)
        .where('digest', '=', digest)
        .orderBy(({ case: when }) => when().when('state', 'in', openStates).then(0).else(1).end())
        .orderBy('requested_at_ms', 'desc')
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirst();
    },

    async replace(next, event) {
      const db = await database();
      const { id, ...changing } = toRow(next);
      return await db.transaction().execute(async (transaction) => {
        const { numUpdatedRows } = await transaction
          .updateTable('approvals')
          .set(changing)
          .where('id', '=', id)
          .where('version', '=', next.version - 1)
          .executeTakeFirst();
        if (numUpdatedRows !== 1n) return false;
        await writeEvent(transaction, next, event);
        return true;
      });
    },

    async list(query) {
      return await readList(await database(), query);
    },

    async listOverdue(beforeMs, limit) {
      const db = await database();
      return await db
        .selectFrom('approvals')
        .select(columns)
        .where('state', 'in', openStates)
        .where('expires_at_ms', '<=', beforeMs)
        .orderBy('expires_at_ms')
        .limit(limit)
        .execute();
    },

    async countPending(caller) {
      const db = await database();
      let select = db
        .selectFrom('approvals')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('state', '=', 'pending');
      if (caller !== undefined) select = select.where('caller', '=', caller);
      return Number((await select.executeTakeFirstOrThrow()).count);
    },

    async events(id) {
      const db = await database();
      return await db
        .selectFrom('approval_events')
        .select(['version', 'at_ms as atMs', 'actor', 'action', 'detail'])
        .where('approval_id', '=', id)
        .orderBy('version')
        .execute();
    },

    async keepResult(id, result, nowMs) {
      const db = await database();
      await db
        .insertInto('approval_results')
        .values({ approval_id: id, result, kept_at_ms: nowMs })
        .onConflict((conflict) => conflict.column('approval_id').doUpdateSet({ result, kept_at_ms: nowMs }))
        .execute();
    },

    async findResult(id) {
      const db = await database();
      const row = await db.selectFrom('approval_results').select('result').where('approval_id', '=', id).executeTakeFirst();
      return row?.result;
    },

    async dropResults(beforeMs) {
      const db = await database();
      const { numDeletedRows } = await db.deleteFrom('approval_results').where('kept_at_ms', '<', beforeMs).executeTakeFirst();
      return Number(numDeletedRows);
    },

    async dropArguments(beforeMs) {
      const db = await database();
      const { numUpdatedRows } = await db
        .updateTable('approvals')
        .set({ arguments: '' })
        .where('arguments', '!=', '')
        .where('state', 'in', closedStates)
        .where('updated_at_ms', '<', beforeMs)
        .executeTakeFirst();
      return Number(numUpdatedRows);
    },

    async prune(beforeMs) {
      const db = await database();
      return await db.transaction().execute(async (transaction) => {
        const isOld = (where: ExpressionBuilder<Schema, 'approvals'>) =>
          where.and([where('state', 'in', closedStates), where('updated_at_ms', '<', beforeMs)]);
        await transaction
          .deleteFrom('approval_events')
          .where('approval_id', 'in', (select) => select.selectFrom('approvals').select('id').where(isOld))
          .execute();
        const { numDeletedRows } = await transaction.deleteFrom('approvals').where(isOld).executeTakeFirst();
        return Number(numDeletedRows);
      });
    },
  };
}

async function writeEvent(db: Kysely<Schema>, approval: StoredApproval, event: ApprovalEventFacts): Promise<void> {
  const { id, version, updatedAtMs } = approval;
  const { actor, action, detail } = event;
  await db
    .insertInto('approval_events')
    .values({ approval_id: id, version, at_ms: updatedAtMs, actor, action, detail })
    .execute();
}

async function readList(db: Kysely<Schema>, query: ApprovalQuery): Promise<StoredApproval[]> {
  const { states, namespaces, callers, member, named, capability, before, limit } = query;
  let select = db.selectFrom('approvals').select(columns).orderBy('requested_at_ms', 'desc').orderBy('id', 'desc').limit(limit);
  if (states !== undefined) select = select.where('state', 'in', states);
  if (capability !== undefined) select = select.where('capability', '=', capability);
  if (namespaces !== undefined) {
    select = select.where((where) =>
      where.or([
        ...(namespaces.length === 0 ? [] : [where('namespace', 'in', namespaces)]),
        ...(callers === undefined || callers.length === 0 ? [] : [where('caller', 'in', callers)]),
        ...(member === undefined ? [] : [where('member', '=', member)]),
        // A wildcard in a name finds too much, never too little.
        ...(named === undefined ? [] : [where('gates', 'like', `%${JSON.stringify(named)}%`)]),
      ]),
    );
  }
  if (before !== undefined) {
    const { requestedAtMs, id } = before;
    select = select.where((where) =>
      where.or([
        where('requested_at_ms', '<', requestedAtMs),
        where.and([where('requested_at_ms', '=', requestedAtMs), where('id', '<', id)]),
      ]),
    );
  }
  return await select.execute();
}

const columns = [
  'id',
  'digest',
  'state',
  'version',
  'caller',
  'key_id as key',
  'consumer',
  'member',
  'holders',
  'namespace',
  'capability',
  'upstream',
  'toolbox',
  'tool',
  'definition',
  'policy',
  'gates',
  'decisions',
  'arguments',
  'note',
  'replaced_by as replacedBy',
  'outcome',
  'rounds',
  'requested_at_ms as requestedAtMs',
  'expires_at_ms as expiresAtMs',
  'updated_at_ms as updatedAtMs',
] as const;

function toRow(approval: StoredApproval): Schema['approvals'] {
  const { key, replacedBy, requestedAtMs, expiresAtMs, updatedAtMs, ...same } = approval;
  return {
    ...same,
    key_id: key,
    replaced_by: replacedBy,
    requested_at_ms: requestedAtMs,
    expires_at_ms: expiresAtMs,
    updated_at_ms: updatedAtMs,
  };
}
