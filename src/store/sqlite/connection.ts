import type { SQLInputValue } from 'node:sqlite';
import { explainSqliteError } from './explain-error.ts';
import { type DatabaseSync, loadSqlite } from './load-sqlite.ts';

type Row = Record<string, unknown>;

/**
 * One open database file. Statements run at once, on this thread; `acquire` keeps whatever spans several turns of the event
 * loop, such as a transaction, apart from the rest.
 */
export class SqliteConnection {
  readonly path: string;
  readonly #database: DatabaseSync;
  #lastHolder: Promise<void> = Promise.resolve();

  /** Throws GatewayError when the file cannot be opened or is no database. */
  constructor(path: string) {
    this.path = path;
    this.#database = this.#explained(() => new (loadSqlite().DatabaseSync)(path));
    // A commit is on disk before it returns, on macOS too, where fsync alone does not reach the medium.
    this.execute('pragma busy_timeout = 5000; pragma synchronous = full; pragma fullfsync = on');
  }

  async acquire(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#lastHolder;
    this.#lastHolder = promise;
    await before;
    return resolve;
  }

  /** Several statements without parameters or results. */
  execute(sql: string): void {
    this.#explained(() => this.#database.exec(sql));
  }

  all(sql: string, parameters: readonly unknown[] = []): Row[] {
    return this.#explained(() => this.#database.prepare(sql).all(...(parameters as SQLInputValue[])));
  }

  /** Returns how many rows changed. */
  run(sql: string, parameters: readonly unknown[] = []): number {
    return this.#explained(() => Number(this.#database.prepare(sql).run(...(parameters as SQLInputValue[])).changes));
  }

  /** The number that a pragma answers with. */
  pragma(name: 'user_version' | 'application_id'): number {
    return Number(this.all(`pragma ${name}`)[0]?.[name]);
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #explained<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw explainSqliteError(error, this.path);
    }
  }
}
