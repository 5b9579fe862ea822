import type { DatabaseSync } from 'node:sqlite';

type Sqlite = typeof import('node:sqlite');

export type { DatabaseSync };

let loaded: Sqlite | undefined;

/** `node:sqlite` without the one warning that Node prints for it while it calls the module experimental. Others still appear. */
export function loadSqlite(): Sqlite {
  loaded ??= loadQuietly();
  return loaded;
}

function loadQuietly(): Sqlite {
  const emitWarning = process.emitWarning;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (String(warning).startsWith('SQLite is an experimental feature')) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}
