/** Reads a database away from the event loop. Loaded as a worker thread, and by the one who starts it to learn where it is. */
import type { SQLInputValue } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

export interface ReadJob {
  readonly id: number;
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

export type ReadReply =
  /** Names of columns once and not for each row: whoever asks has to unpack it all. */
  | { readonly id: number; readonly columns: readonly string[]; readonly rows: readonly (readonly unknown[])[] }
  /** What of an error of SQLite's survives the way between threads. */
  | { readonly id: number; readonly error: { readonly message: string; readonly code: unknown; readonly errcode: unknown } };

/** As for the checks of arguments: this file where it runs, a chunk of its own in the built program. */
export const workerUrl = import.meta.url;
export const workerPurpose = 'gatehouse-sqlite-reads';

interface Place {
  readonly purpose: typeof workerPurpose;
  readonly path: string;
}

function isPlace(data: unknown): data is Place {
  return typeof data === 'object' && data !== null && 'purpose' in data && data.purpose === workerPurpose;
}

if (parentPort !== null && isPlace(workerData)) {
  const port = parentPort;
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const database = new DatabaseSync(workerData.path, { readOnly: true });
  database.exec('pragma busy_timeout = 5000');
  port.on('message', ({ id, sql, parameters }: ReadJob) => {
    let reply: ReadReply;
    try {
      const statement = database.prepare(sql);
      const columns = statement.columns().map(({ name }) => name);
      statement.setReturnArrays(true);
      reply = { id, columns, rows: statement.all(...(parameters as SQLInputValue[])) as unknown as unknown[][] };
    } catch (error) {
      const { message, code, errcode } = error as Error & { code?: unknown; errcode?: unknown };
      reply = { id, error: { message, code, errcode } };
    }
    port.postMessage(reply);
  });
}
