import { GatewayError } from '../../errors.ts';

/** SQLite's primary result codes (sqlite.org/rescode.html) that an operator can do something about. */
const sentences: Readonly<Record<number, string>> = {
  5: 'is locked by another process and stayed so for 5 seconds: nothing was written. Repeat, and look for a process that hangs.',
  8: 'cannot be written: it, its directory or its file system is read-only. Nothing was changed.',
  10: 'cannot be read or written: the disk reported an error. Nothing of this write is kept; check the disk.',
  11: 'is damaged. Do not start with it: restore it from a backup.',
  13: 'cannot grow, the disk is full: nothing of this write is kept, earlier data is intact. Free some space and repeat.',
  14: 'cannot be opened. Check that its directory is there and that this user may read and write it.',
  26: 'is not a SQLite database. Restore it from a backup, or move it away to start with an empty store.',
};

/** Says in one sentence what failed and what to do; anything else, such as a bug in a statement, stays as it is. */
export function explainSqliteError(error: unknown, path: string): unknown {
  const resultCode = (error as { errcode?: unknown }).errcode;
  // Extended codes carry the primary one in their low byte.
  const sentence = typeof resultCode === 'number' ? sentences[resultCode & 0xff] : undefined;
  if (sentence === undefined) return error;
  return new GatewayError('internal', `The database ${path} ${sentence}`, { cause: error });
}
