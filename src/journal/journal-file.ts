import { fstat, fsync, write } from 'node:fs';
import { type FileHandle, open, truncate } from 'node:fs/promises';

/** A segment as its writer needs it. Tests pass one that fails or hangs. */
export interface JournalFile {
  /** Appends all of it. After a failure any part of it may be in the file. */
  append(bytes: Buffer): Promise<void>;
  /** Resolves when all that was appended is on the disk. */
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** False when the file has no name any more: what is written to it goes nowhere. */
  isThere(): Promise<boolean>;
  close(): Promise<void>;
}

export interface SegmentFiles {
  /** Opens a segment for appending; `isNew` makes it, readable by its owner alone, and refuses one that exists. */
  open(path: string, isNew: boolean): Promise<JournalFile>;
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>;
}

export const realFiles: SegmentFiles = {
  async open(path, isNew) {
    return journalFile(path, await open(path, isNew ? 'ax' : 'a', 0o600));
  },
  async syncDirectory(path) {
    // Windows neither allows nor needs this.
    if (process.platform === 'win32') return;
    const directory = await open(path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
};

// Of a FileHandle's methods the promises alone cost more than the callbacks with one promise around them.
function journalFile(path: string, handle: FileHandle): JournalFile {
  const { fd } = handle;
  return {
    append: (bytes) =>
      new Promise((resolve, reject) => {
        function writeFrom(offset: number): void {
          write(fd, bytes, offset, bytes.length - offset, null, (error, written) => {
            if (error !== null) reject(error);
            // A disk that runs full takes what still fits and refuses the next byte.
            else if (offset + written < bytes.length) writeFrom(offset + written);
            else resolve();
          });
        }
        writeFrom(0);
      }),
    sync: () => new Promise((resolve, reject) => fsync(fd, (error) => (error === null ? resolve() : reject(error)))),
    // Windows cuts nothing off through what was opened for appending.
    truncate: (sizeBytes) => (process.platform === 'win32' ? truncate(path, sizeBytes) : handle.truncate(sizeBytes)),
    isThere: () => new Promise((resolve) => fstat(fd, (error, found) => resolve(error === null && found.nlink > 0))),
    close: () => handle.close(),
  };
}
