import type { SQLInputValue } from 'node:sqlite';
import { type DatabaseSync, loadSqlite } from '../../load-sqlite.ts';
import { explainSqliteError } from './explain-error.ts';

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

  /** Row by row, for what may be too much at once. Numbers, texts and nulls only. */
  *iterate(sql: string): Generator<Readonly<Record<string, string | number | null>>> {
    const rows = this.#explained(() => this.#database.prepare(sql).iterate());
    for (;;) {
      const { done, value } = this.#explained(() => rows.next());
      if (done) return;
      yield value as Record<string, string | number | null>;
    }
  }

  /** One statement for many rows of parameters. */
  runMany(sql: string, rows: readonly (readonly SQLInputValue[])[]): void {
    this.#explained(() => {
      const statement = this.#database.prepare(sql);
      for (const row of rows) statement.run(...row);
    });
  }

  /** Returns how many rows changed. */
  run(sql: string, parameters: readonly unknown[] = []): number {
    return this.#explained(() => Number(this.#database.prepare(sql).run(...(parameters as SQLInputValue[])).changes));
  }

  /**
   * The same without waiting for the disk: a kill loses nothing of it, a power cut perhaps the last few. Not within a transaction,
   * where SQLite does not change how it writes.
   */
  runUnsynced(sql: string, parameters: readonly unknown[] = []): number {
    this.execute('pragma synchronous = normal');
    try {
      return this.run(sql, parameters);
    } finally {
      this.execute('pragma synchronous = full');
    }
  }

  /** A full disk makes SQLite roll back by itself: that is what is to be reported then, not that nothing is left to undo. */
  rollback(): void {
    try {
      this.#database.exec('rollback');
    } catch (error) {
      if (!String(error).includes('no transaction is active')) throw explainSqliteError(error, this.path);
    }
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
