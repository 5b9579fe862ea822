/** Reads a database away from the event loop. Loaded as a worker thread, and by the one who starts it to learn where it is. */
import type { SQLInputValue } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

export type ReadJob =
  | { readonly id: number; readonly sql: string; readonly parameters: readonly unknown[] }
  /** The rest of what is not sent yet. */
  | { readonly id: number; readonly sql: undefined };

export type ReadReply =
  /** Names of columns once and not for each row: whoever asks has to unpack it all. */
  | {
      readonly id: number;
      readonly columns: readonly string[];
      readonly rows: readonly (readonly unknown[])[];
      readonly isLast: boolean;
    }
  /** What of an error of SQLite's survives the way between threads. */
  | { readonly id: number; readonly error: { readonly message: string; readonly code: unknown; readonly errcode: unknown } };

/** As for the checks of arguments: this file where it runs, a chunk of its own in the built program. */
export const workerUrl = import.meta.url;
export const workerPurpose = 'gatehouse-sqlite-reads';

/** Unpacked in a few milliseconds. */
const rowsAtOnce = 1_000;

const nothing = { columns: [], rows: [] };

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
  const unsent = new Map<number, { readonly columns: readonly string[]; readonly rows: readonly (readonly unknown[])[] }>();

  const read = (sql: string, parameters: readonly unknown[]) => {
    const statement = database.prepare(sql);
    const columns = statement.columns().map(({ name }) => name);
    statement.setReturnArrays(true);
    return { columns, rows: statement.all(...(parameters as SQLInputValue[])) as unknown as unknown[][] };
  };

  const nextPart = (job: ReadJob): ReadReply => {
    const { id } = job;
    const { columns, rows } = job.sql === undefined ? (unsent.get(id) ?? nothing) : read(job.sql, job.parameters);
    const isLast = rows.length <= rowsAtOnce;
    if (isLast) unsent.delete(id);
    else unsent.set(id, { columns, rows: rows.slice(rowsAtOnce) });
    return { id, columns, rows: isLast ? rows : rows.slice(0, rowsAtOnce), isLast };
  };

  port.on('message', (job: ReadJob) => {
    let reply: ReadReply;
    try {
      reply = nextPart(job);
    } catch (error) {
      const { message, code, errcode } = error as Error & { code?: unknown; errcode?: unknown };
      reply = { id: job.id, error: { message, code, errcode } };
    }
    port.postMessage(reply);
  });
}
