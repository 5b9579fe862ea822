import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { lineLimitBytes } from './chain.ts';

const readBytes = 1024 * 1024;

/** One file of a chain. */
export interface Segment {
  readonly number: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly changedAtMs: number;
}

export function segmentPath(directory: string, number: number): string {
  return join(directory, `${String(number).padStart(8, '0')}.jsonl`);
}

/** The segments of one chain, oldest first; empty when there is no such directory. */
export async function listSegments(directory: string): Promise<Segment[]> {
  const numbers = (await namesIn(directory))
    .map((name) => /^(\d{8})\.jsonl$/.exec(name)?.[1])
    .filter((found) => found !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
  const segments: Segment[] = [];
  for (const number of numbers) {
    const path = segmentPath(directory, number);
    // It may be removed by its writer at this moment.
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) segments.push({ number, path, sizeBytes: found.size, changedAtMs: found.mtimeMs });
  }
  return segments;
}

/** The directories under the journal's that hold one chain each, in the order of their numbers. */
export async function listChains(directory: string): Promise<string[]> {
  const names = (await namesIn(directory)).filter((name) => /^[1-9]\d{0,3}$/.test(name));
  return names.sort((a, b) => Number(a) - Number(b));
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    // Something else under the name of a chain is none: what was there is missing, which is for the verifier to say.
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

/** The first line of a segment, without its end; undefined when there is no whole one. */
export async function firstLine(path: string): Promise<string | undefined> {
  const text = await readPart(path, 0, lineLimitBytes);
  const end = text.indexOf('\n');
  return end < 0 ? undefined : text.slice(0, end);
}

/** Bytes of a file as text, one character each. */
export async function readPart(path: string, from: number, lengthBytes: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(lengthBytes);
    let filled = 0;
    while (filled < lengthBytes) {
      const { bytesRead } = await file.read(buffer, filled, lengthBytes - filled, from + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.toString('latin1', 0, filled);
  } finally {
    await file.close();
  }
}

interface Lines {
  readonly lines: readonly string[];
  /** With the last ones: what follows the last line's end, if anything does. */
  readonly rest: string | undefined;
}

/** A file's lines, some at a time, one character per byte. A line that does not end within the limit comes as `rest`. */
export async function* readLines(path: string): AsyncGenerator<Lines> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const buffer = Buffer.allocUnsafe(Math.min(size + 1, readBytes));
    let rest = '';
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) break;
      const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n');
      rest = lines.pop()!;
      yield { lines, rest: undefined };
      if (rest.length > lineLimitBytes) break;
    }
    if (rest !== '') yield { lines: [], rest };
  } finally {
    await file.close();
  }
}
