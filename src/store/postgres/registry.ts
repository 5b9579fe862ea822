import { sql, type Transaction } from 'kysely';
import { GatewayError } from '../../errors.ts';
import type { RegistryRow, RegistryRows } from '../registry-rows.ts';
import type { Database, Schema } from '../schema.ts';
import type { RegistryDialect, RegistryWriter } from '../sql/registry.ts';

/** LISTEN and NOTIFY are per database, so the name is ours alone there. */
export const commitChannel = 'gatehouse_registry';

/** A standby may lag behind: what it says of keys and roles is not to be relied on. */
export function refuseStandby(isStandby: boolean, name: string): void {
  if (!isStandby) return;
  throw new GatewayError(
    'store_unavailable',
    `${name} is a read-only standby, which may not know of a key that was revoked. Point GATEHOUSE_DATABASE_URL at the primary.`,
  );
}

export function postgresRegistryRows(database: Database, name: string): RegistryRows {
  return {
    async read(after, withRemoved): Promise<readonly RegistryRow[]> {
      const db = await database();
      const rows = await db
        .selectFrom('registry_state as s')
        .leftJoin('registry_commits as c', (join) => join.on('c.revision', '=', after))
        .leftJoin('documents as d', (join) => join.on('d.revision', '>', after).on('d.is_removed', '<=', withRemoved ? 1 : 0))
        .select(['s.revision as head', 's.mark as mark', 's.restored_at_ms', 's.backup_made_at_ms', 'c.mark as seen_mark'])
        .select(['d.kind', 'd.id', 'd.body', 'd.revision', 'd.is_removed', 'd.updated_at_ms'])
        .select(sql<boolean>`pg_is_in_recovery()`.as('is_standby'))
        .execute();
      refuseStandby(rows[0]?.is_standby === true, name);
      return rows;
    },
  };
}

export const postgresDialect: RegistryDialect = {
  // Each commit waits for the one before: not without end, and for no process that hangs in the middle. And an acknowledged one
  // is on disk, whatever the server's default is.
  async prepare(transaction: Transaction<Schema>) {
    await sql`select set_config('lock_timeout', '5000', true), set_config('idle_in_transaction_session_timeout', '10000', true),
      case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end`.execute(
      transaction,
    );
  },
  async announce(transaction: Transaction<Schema>, revision: number) {
    await sql`select pg_notify(${commitChannel}, ${String(revision)})`.execute(transaction);
  },
};

/** The writer with errors that say whether to try again. */
export function explainedWriter(writer: RegistryWriter, name: string): RegistryWriter {
  return {
    async commit(changes, records, atMs) {
      try {
        return await writer.commit(changes, records, atMs);
      } catch (error) {
        throw explainUnavailable(error, name);
      }
    },
    changeRecords: writer.changeRecords,
  };
}

/** Codes: postgresql.org/docs/current/errcodes-appendix.html. */
function explainUnavailable(error: unknown, name: string): unknown {
  if (error instanceof GatewayError) return error;
  const { code = '', message } = error as { code?: string; message: string };
  if (code === '55P03') {
    return unavailable(`${name} is busy: another change took longer than 5 seconds. Nothing was changed; try again.`, error);
  }
  if (code === '25006') {
    return unavailable(`${name} takes no changes: it is a standby, or read-only. Nothing was changed.`, error);
  }
  const isAway =
    /^(08|53|57P|25P)/.test(code) || /^E[A-Z]+$/.test(code) || /timeout|terminated|ended|not queryable/i.test(message);
  if (!isAway) return error;
  return unavailable(`${name} did not confirm this change, which may or may not be there: read it before you repeat it.`, error);
}

function unavailable(sentence: string, cause: unknown): GatewayError {
  return new GatewayError('store_unavailable', sentence, { cause });
}
