import { closeSync, fsyncSync, linkSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Gives a finished file its name, durably and all at once: whoever sees the name sees the whole file, and of several processes
 * that start together one wins. Returns false when another file has the name already; `temporary` is gone in any case.
 */
export function publishFile(temporary: string, path: string): boolean {
  syncPath(temporary);
  try {
    linkSync(temporary, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // File systems without hard links (FAT, some network mounts): the name is still given all at once, but a second process
    // that starts in the same instant is not kept out.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS' && code !== 'EOPNOTSUPP') throw error;
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
  // Windows neither allows nor needs this.
  if (process.platform !== 'win32') syncPath(dirname(path));
  return true;
}

export function syncPath(path: string): void {
  // Windows flushes only what was opened for writing; a directory can only be opened for reading.
  const file = openSync(path, process.platform === 'win32' ? 'r+' : 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
