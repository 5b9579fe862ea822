import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DescriptionSource } from './config.ts';

const endings = ['.yaml', '.yml', '.json'];

/** A name that files use for an API description, and what is there. */
type FoundDescription = DescriptionSource | { readonly problem: string };

/** Looks for the API description of this name in the directory of descriptions. Its bytes are hashed, not read as anything. */
export async function findDescription(directory: string | undefined, name: string): Promise<FoundDescription> {
  const names = directory === undefined ? [] : await listDescriptions(directory);
  const fitting = endings.map((ending) => `${name}${ending}`).filter((file) => names.includes(file));
  const [file, other] = fitting;
  const place = directory ?? 'the directory of API descriptions';
  if (file === undefined || directory === undefined)
    return { problem: `There is no ${name}.yaml, .yml or .json in ${place}; put the API description there.` };
  if (other !== undefined) return { problem: `There are ${fitting.join(' and ')} in ${place}; remove all but one.` };
  const path = join(directory, file);
  try {
    return { kind: 'file', path, sha256: await hashFile(path) };
  } catch (error) {
    return { problem: `${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'}); check who may read it.` };
  }
}

/** Changes when an API description of the directory does; empty where there is no such directory. */
export async function descriptionsFingerprint(directory: string): Promise<string> {
  const looks = (await listDescriptions(directory)).map(async (name) => {
    try {
      const { ino, size, mtimeMs } = await stat(join(directory, name));
      return `${name} ${ino} ${size} ${mtimeMs}`;
    } catch {
      return `${name} unreadable`;
    }
  });
  return (await Promise.all(looks)).join('\n');
}

async function listDescriptions(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).filter((name) => endings.some((ending) => name.endsWith(ending))).sort();
  } catch {
    return [];
  }
}

// In pieces: a description of many megabytes must not keep everybody waiting.
async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

export function sha256Of(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex');
}

const kept = /^sha256:([0-9a-f]{64})$/;

/** What stands in an entry of the registry in place of the text of its description, which is kept beside it. */
export function keptReference(sha256: string): string {
  return `sha256:${sha256}`;
}

export function keptDigest(document: string): string | undefined {
  return kept.exec(document)?.[1];
}
