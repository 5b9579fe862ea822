import { createHash, createHmac, type Hash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { GatewayError } from '../../errors.ts';
import { publishFile } from '../publish-file.ts';

/**
 * One file of lines of JSON: a header, one line `[table, row]` per row, a trailer with the count, the SHA-256 of all lines before it
 * and an HMAC of that under the master key. It holds no path and nothing compressed.
 */
export interface BackupHeader {
  readonly format: 'gatehouse-backup';
  readonly formatVersion: number;
  /** Of the tables. */
  readonly schemaVersion: number;
  /** Of the program. */
  readonly release: string;
  readonly madeAtMs: number;
}

export const formatVersion = 1;

export type BackupRow = Readonly<Record<string, string | number | boolean | null>>;

export interface BackupTrailer {
  readonly rows: number;
  readonly sha256: string;
  readonly mac: string;
}

/** A registered document in its worst escaping is below this; what is longer is no backup of ours. */
const lineLimitBytes = 64 * 1024 * 1024;
const chunkBytes = 1024 * 1024;

interface BackupContents {
  readonly header: BackupHeader;
  readonly rows: AsyncIterable<readonly [table: string, row: BackupRow]>;
  readonly masterKey: Buffer;
}

/** The file appears under its name when it is complete and on disk, readable by its owner alone. Throws when the name is taken. */
export async function writeBackup(path: string, contents: BackupContents): Promise<BackupTrailer> {
  const temporary = `${path}.new-${randomBytes(6).toString('hex')}`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    const trailer = await writeLines(file, contents);
    await file.close();
    if (publishFile(temporary, path)) return trailer;
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  throw new GatewayError('bad_configuration', `${path} exists already; a backup replaces nothing. Give another name.`);
}

async function writeLines(file: FileHandle, { header, rows, masterKey }: BackupContents): Promise<BackupTrailer> {
  const hash = createHash('sha256');
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let count = 0;

  async function flush(): Promise<void> {
    await file.writev(waiting);
    waiting = [];
    waitingBytes = 0;
  }

  async function line(value: unknown): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
    if (bytes.length > lineLimitBytes) {
      throw new GatewayError('internal', `A row has more than ${lineLimitBytes / 1024 / 1024} MiB, more than a backup can hold.`);
    }
    hash.update(bytes);
    waiting.push(bytes);
    waitingBytes += bytes.length;
    if (waitingBytes >= chunkBytes) await flush();
  }

  await line(header);
  for await (const row of rows) {
    await line(row);
    count += 1;
  }
  await flush();
  const sha256 = hash.digest('hex');
  const trailer = { rows: count, sha256, mac: macOf(masterKey, sha256) };
  await file.write(`${JSON.stringify(trailer)}\n`);
  return trailer;
}

/** Says that whoever held the master key wrote this: a key of an admin cannot be slipped into a backup. */
function macOf(masterKey: Buffer, sha256: string): string {
  const key = Buffer.from(hkdfSync('sha256', masterKey, '', 'gatehouse backup', 32));
  return createHmac('sha256', key).update(sha256).digest('hex');
}

interface BackupReader {
  readonly header: BackupHeader;
  /** Throws GatewayError `bad_configuration` as soon as something is not as it was written, at the latest at the end. */
  rows(): AsyncGenerator<readonly [table: string, row: BackupRow]>;
  /** Of what `rows` read to its end. */
  trailer(): BackupTrailer;
  close(): Promise<void>;
}

/** Throws GatewayError `bad_configuration` for what is no backup, or one of a newer format. */
export async function openBackup(path: string): Promise<BackupReader> {
  const file = await openRegular(path);
  try {
    const hash = createHash('sha256');
    const lines = readLines(file, path);
    const first = await lines.next();
    const header = readHeader(first.done ? undefined : first.value, path);
    if (!first.done) hash.update(first.value);
    let trailer: BackupTrailer | undefined;
    return {
      header,
      async *rows() {
        trailer = yield* readRows(lines, hash, path);
      },
      trailer() {
        if (!trailer) throw damaged(path, 'its end is missing');
        return trailer;
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Whether one of these master keys made it. */
export function isMadeUnder(trailer: BackupTrailer, masterKeys: readonly Buffer[]): boolean {
  const mac = Buffer.from(trailer.mac, 'hex');
  return masterKeys.some((key) => {
    const expected = Buffer.from(macOf(key, trailer.sha256), 'hex');
    return mac.length === expected.length && timingSafeEqual(mac, expected);
  });
}

async function openRegular(path: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    throw new GatewayError('bad_configuration', `${path} cannot be read (${(error as Error).message}).`);
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new GatewayError('bad_configuration', `${path} is not a file.`);
}

async function* readLines(file: FileHandle, path: string): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  const chunk = Buffer.alloc(chunkBytes);
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
    if (bytesRead === 0) break;
    let start = 0;
    for (;;) {
      const end = chunk.subarray(0, bytesRead).indexOf(10, start);
      const stop = end < 0 ? bytesRead : end + 1;
      // Copied: the chunk is read into again while the line is waited for.
      parts.push(Buffer.from(chunk.subarray(start, stop)));
      length += stop - start;
      if (length > lineLimitBytes) throw damaged(path, 'one of its lines is too long');
      if (end < 0) break;
      yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      parts = [];
      length = 0;
      start = stop;
    }
  }
  if (length > 0) throw damaged(path, 'its end is missing');
}

function parse(line: Buffer, path: string): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    throw damaged(path, 'a line of it is not JSON');
  }
}

function readHeader(line: Buffer | undefined, path: string): BackupHeader {
  const isOurs = line?.toString('latin1', 0, 40).startsWith('{"format":"gatehouse-backup"');
  if (line === undefined || !isOurs) throw new GatewayError('bad_configuration', `${path} is not a backup of Gatehouse.`);
  const header = parse(line, path) as BackupHeader;
  if (Number.isSafeInteger(header.formatVersion) && header.formatVersion > formatVersion) {
    throw new GatewayError(
      'bad_configuration',
      `${path} was made by a newer Gatehouse (${String(header.release)}); restore it with that release. Nothing was changed.`,
    );
  }
  const numbers = [header.formatVersion, header.schemaVersion, header.madeAtMs];
  if (numbers.every((number) => Number.isSafeInteger(number) && number > 0)) return header;
  throw damaged(path, 'its first line is not whole');
}

async function* readRows(
  lines: AsyncGenerator<Buffer>,
  hash: Hash,
  path: string,
): AsyncGenerator<readonly [string, BackupRow], BackupTrailer> {
  let count = 0;
  for await (const line of lines) {
    const value = parse(line, path);
    if (!Array.isArray(value)) return await readTrailer(value, lines, { count, sha256: hash.digest('hex'), path });
    const [table, row] = value;
    if (typeof table !== 'string' || !isRow(row)) throw damaged(path, 'a row of it is not one');
    hash.update(line);
    count += 1;
    yield [table, row];
  }
  throw damaged(path, 'its end is missing');
}

function isRow(value: unknown): value is BackupRow {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((each) => each === null || typeof each !== 'object');
}

interface Read {
  readonly count: number;
  readonly sha256: string;
  readonly path: string;
}

async function readTrailer(value: unknown, lines: AsyncGenerator<Buffer>, { count, sha256, path }: Read): Promise<BackupTrailer> {
  const trailer = value as BackupTrailer | null;
  if (trailer?.sha256 !== sha256 || trailer.rows !== count || typeof trailer.mac !== 'string') {
    throw damaged(path, 'its checksum is another one');
  }
  if (!(await lines.next()).done) throw damaged(path, 'something follows its end');
  return trailer;
}

export function damaged(path: string, finding: string): GatewayError {
  return new GatewayError('bad_configuration', `${path} is damaged: ${finding}. Use another backup. Nothing was changed.`);
}
