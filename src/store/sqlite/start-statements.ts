import type { SessionRows } from '../buffered-sessions.ts';
import type { MasterKeyRow, MasterKeyRows } from '../key-ring.ts';
import type { BudgetRows, StoredBudget } from '../ports/budgets.ts';
import type { KeyStore, StoredKey } from '../ports/keys.ts';
import type { RegistryPosition } from '../ports/registry.ts';
import type { RememberedUpstream, UpstreamMemory } from '../ports/upstream-memory.ts';
import type { RegistryRow, RegistryRows } from '../registry-rows.ts';
import type { SealedRow, SealedRows } from '../sealing-keys.ts';
import type { SqliteConnection } from './connection.ts';

/**
 * What a start and a client's first call after it ask of the database, as plain statements: loading Kysely takes about 20 ms
 * from the bundle and 200 ms from its sources, these take less than one. Everything else goes through Kysely in `sql/`.
 */
interface StartStatements {
  readonly listKeys: KeyStore['list'];
  readonly loadUpstreams: UpstreamMemory['load'];
  readonly loadBudgets: BudgetRows['load'];
  readonly readSession: SessionRows['read'];
  readonly sealedRows: SealedRows;
  readonly masterKeyRows: MasterKeyRows;
  readonly registry: RegistryRows;
  readonly readHead: () => Promise<RegistryPosition>;
}

export function startStatements(connection: SqliteConnection): StartStatements {
  return {
    async listKeys() {
      const rows = connection.all('select id, hash, created_at_ms as "createdAtMs" from keys order by id');
      return rows as unknown as StoredKey[];
    },

    async loadUpstreams() {
      const rows = connection.all('select id, fingerprint, state, saved_at_ms as "savedAtMs" from upstream_memory order by id');
      return rows as unknown as RememberedUpstream[];
    },

    async loadBudgets() {
      const rows = connection.all(
        'select key, window_start_ms as "windowStartMs", window_end_ms as "windowEndMs", spent from budgets order by key',
      );
      return rows as unknown as StoredBudget[];
    },

    async readSession(id) {
      const [row] = connection.all('select is_ended, state, last_used_at_ms from sessions where id = ?', [id]);
      return row && { id, isEnded: row.is_ended === 1, state: String(row.state), lastUsedAtMs: Number(row.last_used_at_ms) };
    },

    sealedRows: {
      async read() {
        return connection.all('select purpose, version, sealed from sealing_keys') as unknown as SealedRow[];
      },
      async insert(rows) {
        const release = await connection.acquire();
        try {
          connection.run(
            `insert into sealing_keys (purpose, version, sealed) values ${rows.map(() => '(?, ?, ?)').join(', ')} on conflict do nothing`,
            rows.flatMap(({ purpose, version, sealed }) => [purpose, version, sealed]),
          );
        } finally {
          release();
        }
      },
    },

    masterKeyRows: {
      async read() {
        const rows = await alone(connection, 'select version, fingerprint, retired_at_ms from master_keys order by version');
        return rows as unknown as MasterKeyRow[];
      },
      async insert({ version, fingerprint, made_at_ms }) {
        const release = await connection.acquire();
        try {
          connection.run('insert into master_keys (version, fingerprint, made_at_ms) values (?, ?, ?) on conflict do nothing', [
            version,
            fingerprint,
            made_at_ms,
          ]);
        } finally {
          release();
        }
      },
    },

    async readHead() {
      const [row] = await alone(connection, 'select revision, mark from registry_state');
      return { revision: Number(row?.revision), mark: String(row?.mark) };
    },

    registry: {
      async read(after, withRemoved) {
        const rows = await alone(
          connection,
          `select s.revision as head, s.mark, s.restored_at_ms, s.backup_made_at_ms, c.mark as seen_mark,
             d.kind, d.id, d.body, d.revision, d.is_removed, d.updated_at_ms
           from registry_state s left join registry_commits c on c.revision = ?
             left join documents d on d.revision > ? and d.is_removed <= ?`,
          [after, after, withRemoved ? 1 : 0],
        );
        return rows as unknown as RegistryRow[];
      },
    },
  };
}

/** Not in the middle of a transaction of this process, whose changes it would see although they may be undone. */
async function alone(connection: SqliteConnection, sql: string, parameters: readonly unknown[] = []) {
  const release = await connection.acquire();
  try {
    return connection.all(sql, parameters);
  } finally {
    release();
  }
}
