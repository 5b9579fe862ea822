import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type Client, transportKeys } from './clients.ts';
import { EditError, parseJson, setJsonMember } from './edit-json.ts';
import { readTomlEnvironment, setTomlTable } from './edit-toml.ts';

export interface Written {
  readonly file: string;
  readonly isChanged: boolean;
  readonly isNew: boolean;
  readonly backup: string | undefined;
  /** Others on this machine can read a file that holds a key. */
  readonly isExposed: boolean;
  /** What the entry adds to the environment of a local server. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The file stays as it was. The message is a sentence; `entry` is what a person can paste. */
export class FileError extends Error {
  readonly file: string;
  readonly entry: JsonObject;
  constructor(file: string, message: string, entry: JsonObject, cause: unknown) {
    super(`${file} ${message}.`, { cause });
    this.file = file;
    this.entry = entry;
  }
}

/** Sets one server's entry in a client's file and keeps everything else of it. Throws FileError. */
export async function writeEntry(
  client: Client,
  name: string,
  wanted: string,
  entry: JsonObject,
  holdsKey: boolean,
): Promise<Written> {
  try {
    // A link stays a link: people keep these files in a repository of their own.
    const file = await realpath(wanted).catch(() => wanted);
    const old = await readIfThere(file);
    const { text, environment } = edit(
      client,
      name,
      old ?? '',
      entry,
      holdsKey ? [...transportKeys, 'env', 'cwd'] : transportKeys,
    );
    if (text === old)
      return { file, isChanged: false, isNew: false, backup: undefined, isExposed: await isExposed(file, holdsKey), environment };
    const backup = old === undefined ? undefined : await backUp(file);
    await replaceFile(file, old, text, holdsKey ? 0o600 : 0o644);
    return { file, isChanged: true, isNew: old === undefined, backup, isExposed: await isExposed(file, holdsKey), environment };
  } catch (error) {
    if (error instanceof EditError) throw new FileError(wanted, error.message, entry, error);
    if (error instanceof Error && 'code' in error)
      throw new FileError(wanted, `could not be written: ${error.message}`, entry, error);
    throw error;
  }
}

function edit(
  client: Client,
  name: string,
  old: string,
  entry: JsonObject,
  obsolete: readonly string[],
): { text: string; environment: Record<string, string> } {
  if (client.format === 'toml') {
    const text = setTomlTable(old, client.section, name, entry, obsolete);
    return { text, environment: readTomlEnvironment(text, client.section, name) };
  }
  const root = parseJson(old);
  const section = isObject(root) ? root[client.section] : undefined;
  const existing = isObject(section) && isObject(section[name]) ? section[name] : {};
  const kept = Object.fromEntries(Object.entries(existing).filter(([key]) => !obsolete.includes(key)));
  const merged = { ...entry, ...kept };
  const environment = Object.entries(isObject(merged.env) ? merged.env : {}).filter(([, value]) => typeof value === 'string');
  return {
    text: setJsonMember(old, client.section, name, merged),
    environment: Object.fromEntries(environment) as Record<string, string>,
  };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(file);
    if (!isUtf8(bytes)) throw new EditError('is not UTF-8 text');
    return bytes.toString();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function backUp(file: string): Promise<string> {
  for (let number = 1; ; number++) {
    const backup = `${file}.gatehouse-backup-${number}`;
    try {
      await copyFile(file, backup, constants.COPYFILE_EXCL);
      return backup;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

async function replaceFile(file: string, old: string | undefined, text: string, newMode: number): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const mode = old === undefined ? newMode : (await stat(file)).mode & 0o777;
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}.tmp`);
  try {
    const handle = await open(temporary, 'wx', 0o600);
    await handle.writeFile(text);
    await handle.sync();
    await handle.close();
    await chmod(temporary, mode);
    // Some clients write their file all the time; what they wrote meanwhile is not thrown away.
    if ((await readIfThere(file)) !== old) throw new EditError('was changed by another program just now; run the command again');
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function isExposed(file: string, holdsKey: boolean): Promise<boolean> {
  return holdsKey && process.platform !== 'win32' && ((await stat(file)).mode & 0o077) !== 0;
}
