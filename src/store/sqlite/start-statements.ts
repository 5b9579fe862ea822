import type { SessionRows } from '../buffered-sessions.ts';
import type { KeyStore, RememberedUpstream, StoredKey, UpstreamMemory } from '../ports.ts';
import type { SealedRow, SealedRows } from '../sealing-keys.ts';
import type { SqliteConnection } from './connection.ts';

/**
 * What a start and a client's first call after it ask of the database, as plain statements: loading Kysely takes about 20 ms
 * from the bundle and 200 ms from its sources, these take less than one. Everything else goes through Kysely in `sql/`.
 */
export interface StartStatements {
  readonly listKeys: KeyStore['list'];
  readonly loadUpstreams: UpstreamMemory['load'];
  readonly readSession: SessionRows['read'];
  readonly sealedRows: SealedRows;
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
  };
}
