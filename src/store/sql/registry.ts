import type { ExpressionBuilder, Kysely, Transaction } from 'kysely';
import type {
  ChangeQuery,
  ChangeRecord,
  CommitResult,
  DocumentChange,
  RegistryPosition,
  StoredChangeRecord,
} from '../ports/registry.ts';
import { nextMark } from '../registry-rows.ts';
import type { Database, Schema } from '../schema.ts';
import { batches } from './batches.ts';

/** What a database does beyond the common statements. */
export interface RegistryDialect {
  /** First in the transaction of each commit. */
  prepare?(transaction: Transaction<Schema>): Promise<void>;
  /** Last in it. */
  announce?(transaction: Transaction<Schema>, revision: number): Promise<void>;
}

export interface RegistryWriter {
  commit(changes: readonly DocumentChange[], records: readonly ChangeRecord[], atMs: number): Promise<CommitResult>;
  changeRecords(query: ChangeQuery): Promise<readonly StoredChangeRecord[]>;
}

class Moved extends Error {
  readonly documents: Extract<CommitResult, { kind: 'conflict' }>['moved'];

  constructor(documents: Moved['documents']) {
    super('Documents have moved.');
    this.documents = documents;
  }
}

export function sqlRegistryWriter(database: Database, { prepare, announce }: RegistryDialect = {}): RegistryWriter {
  return {
    async commit(changes, records, atMs) {
      const db = await database();
      try {
        const position = await db.transaction().execute(async (transaction) => {
          await prepare?.(transaction);
          const taken = await takeRevision(transaction, atMs);
          await refuseMoved(transaction, changes);
          await writeDocuments(transaction, changes, taken.revision, atMs);
          await writeRecords(transaction, records, taken.revision, atMs);
          await announce?.(transaction, taken.revision);
          return taken;
        });
        return { kind: 'committed', position };
      } catch (error) {
        if (error instanceof Moved) return { kind: 'conflict', moved: error.documents };
        throw error;
      }
    },

    async changeRecords(query) {
      return await readRecords(await database(), query);
    },
  };
}

/** Before anything is read: every other commit waits here, so that what is read stays so. */
export async function takeRevision(transaction: Kysely<Schema>, atMs: number): Promise<RegistryPosition> {
  const position = await transaction
    .updateTable('registry_state')
    .set(({ eb }) => ({ revision: eb('revision', '+', 1), mark: nextMark() }))
    .returning(['revision', 'mark'])
    .executeTakeFirstOrThrow();
  await transaction
    .insertInto('registry_commits')
    .values({ ...position, at_ms: atMs })
    .execute();
  return position;
}

async function refuseMoved(transaction: Transaction<Schema>, changes: readonly DocumentChange[]): Promise<void> {
  const revisions = new Map<string, number>();
  for (const batch of batches(changes)) {
    const rows = await transaction
      .selectFrom('documents')
      .select(['kind', 'id', 'revision'])
      .where('is_removed', '=', 0)
      .where((where) => where.or([...Map.groupBy(batch, ({ kind }) => kind)].map(([kind, some]) => isOneOf(where, kind, some))))
      .execute();
    for (const { kind, id, revision } of rows) revisions.set(`${kind}|${id}`, revision);
  }
  const moved = changes
    .map(({ kind, id, expects }) => ({ kind, id, expects, revision: revisions.get(`${kind}|${id}`) }))
    .filter(({ expects, revision }) => expects !== revision)
    .map(({ kind, id, revision }) => ({ kind, id, revision }));
  if (moved.length > 0) throw new Moved(moved);
}

function isOneOf(where: ExpressionBuilder<Schema, 'documents'>, kind: string, changes: readonly DocumentChange[]) {
  const ids = changes.map(({ id }) => id);
  return where.and([where('kind', '=', kind), where('id', 'in', ids)]);
}

async function writeDocuments(
  transaction: Transaction<Schema>,
  changes: readonly DocumentChange[],
  revision: number,
  atMs: number,
): Promise<void> {
  for (const batch of batches(changes)) {
    await transaction
      .insertInto('documents')
      .values(
        batch.map(({ kind, id, body }) => ({
          kind,
          id,
          body: body ?? '',
          revision,
          // A removed document stays as a row without its body, so that followers hear of it.
          is_removed: body === undefined ? 1 : 0,
          updated_at_ms: atMs,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['kind', 'id']).doUpdateSet((row) => ({
          body: row.ref('excluded.body'),
          revision: row.ref('excluded.revision'),
          is_removed: row.ref('excluded.is_removed'),
          updated_at_ms: row.ref('excluded.updated_at_ms'),
        })),
      )
      .execute();
  }
}

async function writeRecords(
  transaction: Transaction<Schema>,
  records: readonly ChangeRecord[],
  revision: number,
  atMs: number,
): Promise<void> {
  const rows = records.map(({ actor, action, kind, id, detail }, place) => ({
    revision,
    place,
    at_ms: atMs,
    actor,
    action,
    kind,
    id,
    detail,
  }));
  for (const batch of batches(rows)) await transaction.insertInto('change_records').values(batch).execute();
}

async function readRecords(db: Kysely<Schema>, query: ChangeQuery): Promise<StoredChangeRecord[]> {
  const { actor, kind, id, fromMs, untilMs, before, limit } = query;
  let select = db
    .selectFrom('change_records')
    .select(['revision', 'place', 'at_ms as atMs', 'actor', 'action', 'kind', 'id', 'detail'])
    .orderBy('revision', 'desc')
    .orderBy('place', 'desc')
    .limit(limit);
  if (actor !== undefined) select = select.where('actor', '=', actor);
  if (kind !== undefined) select = select.where('kind', '=', kind);
  if (id !== undefined) select = select.where('id', '=', id);
  if (fromMs !== undefined) select = select.where('at_ms', '>=', fromMs);
  if (untilMs !== undefined) select = select.where('at_ms', '<', untilMs);
  if (before !== undefined) {
    select = select.where((where) =>
      where.or([
        where('revision', '<', before.revision),
        where.and([where('revision', '=', before.revision), where('place', '<', before.place)]),
      ]),
    );
  }
  return await select.execute();
}
