import { isBackedUp, quoted, type Snapshot } from '../backup/snapshot.ts';
import { openDatabase, refuseMissing, refuseUnsound } from './database-file.ts';

/** Reads on a connection of its own, in one transaction: WAL lets everybody else go on. */
export function openSqliteSnapshot(dataDir: string): Snapshot {
  refuseMissing(dataDir);
  const connection = openDatabase(dataDir);
  try {
    refuseUnsound(connection);
    connection.execute('begin');
    // The snapshot is taken by the first read.
    const version = connection.pragma('user_version');
    const tables = connection
      .all("select name from sqlite_master where type = 'table' order by name")
      .map(({ name }) => String(name));
    return {
      name: connection.path,
      version,
      tables: tables.filter(isBackedUp),
      async *rows(table) {
        yield* connection.iterate(`select * from ${quoted(table)}`);
      },
      async close() {
        connection.close();
      },
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}
