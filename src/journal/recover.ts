import { open, rm, truncate } from 'node:fs/promises';
import { basename } from 'node:path';
import { batchLimitBytes, genesis, isSealedWith, type JournalKeys, readLink } from './chain.ts';
import { firstLine, listSegments, readPart, type Segment } from './segments.ts';

/** Where the next record goes. */
export interface ChainEnd {
  /** Undefined for a chain that has not begun. */
  readonly chain: string | undefined;
  readonly seq: number;
  readonly hash: string;
  /** The newest segment and what it holds; 0 before the first. */
  readonly segment: number;
  readonly sizeBytes: number;
  /** What was behind the last whole write, from a crash, and is now beside the segments. */
  readonly torn: readonly TornTail[];
}

interface TornTail {
  readonly bytes: number;
  /** The file it is kept in; undefined where there was no space for it. */
  readonly keptAs: string | undefined;
}

/** More than one write can be, so that the end of a whole one is in it. */
const windowBytes = 3 * batchLimitBytes;

/**
 * Finds the end of a chain: its last whole write, that is, the last record whose seal is right. Whatever comes after it was never
 * acknowledged; it is cut off and kept aside. Returns undefined, and changes nothing, when these records were not made with
 * this key or are damaged beyond what a crash does.
 */
export async function recoverChain(directory: string, keys: JournalKeys, nowMs: number): Promise<ChainEnd | undefined> {
  const segments = await listSegments(directory);
  for (let last = segments.length - 1; last >= 0; last -= 1) {
    const segment = segments[last]!;
    const end = await lastWholeWrite(segment, keys);
    if (end === 'foreign') return undefined;
    if (end === undefined) {
      if (segment.sizeBytes > windowBytes) return undefined;
      continue;
    }
    const chain = await chainOf(segment);
    if (chain === undefined) return undefined;
    const torn = await cutBack(segment, end.sizeBytes, nowMs);
    for (const later of segments.slice(last + 1)) torn.push(...(await cutBack(later, 0, nowMs)));
    return { chain, seq: end.seq, hash: end.hash, segment: segment.number, sizeBytes: end.sizeBytes, torn };
  }
  // A first start that was killed before its first write was whole leaves less than one write; anything else is no crash.
  if (segments.length > 1) return undefined;
  const torn: TornTail[] = [];
  for (const segment of segments) torn.push(...(await cutBack(segment, 0, nowMs)));
  return { chain: undefined, seq: 0, hash: genesis, segment: 0, sizeBytes: 0, torn };
}

async function lastWholeWrite(
  { path, sizeBytes }: Segment,
  keys: JournalKeys,
): Promise<{ readonly seq: number; readonly hash: string; readonly sizeBytes: number } | 'foreign' | undefined> {
  const from = Math.max(0, sizeBytes - windowBytes);
  const text = await readPart(path, from, sizeBytes - from);
  for (let end = text.lastIndexOf('\n'); end > 0; end = text.lastIndexOf('\n', end - 1)) {
    const line = text.slice(text.lastIndexOf('\n', end - 1) + 1, end);
    const link = readLink(line);
    if (!link?.isSealed) continue;
    return isSealedWith(keys.seal, line) ? { seq: link.seq, hash: link.hash, sizeBytes: from + end + 1 } : 'foreign';
  }
  return undefined;
}

async function chainOf({ path }: Segment): Promise<string | undefined> {
  const line = await firstLine(path);
  return line === undefined || readLink(line) === undefined ? undefined : chainId(line);
}

/** The chain that the first record of a segment says it belongs to. */
export function chainId(line: string): string | undefined {
  return /^\{"seq":\d+,"at":\d+,"kind":"segment","chain":"([0-9a-f]{32})",/.exec(line)?.[1];
}

/** Makes a segment end here; one of which nothing is left is removed. */
async function cutBack({ path, sizeBytes }: Segment, keepBytes: number, nowMs: number): Promise<TornTail[]> {
  const bytes = sizeBytes - keepBytes;
  const torn = bytes === 0 ? [] : [{ bytes, keptAs: await keepAside(path, keepBytes, bytes, nowMs) }];
  if (keepBytes === 0) await rm(path);
  else if (bytes > 0) await truncate(path, keepBytes);
  return torn;
}

async function keepAside(path: string, from: number, bytes: number, nowMs: number): Promise<string | undefined> {
  const aside = `${path}.torn-${nowMs}`;
  const text = await readPart(path, from, bytes);
  try {
    const file = await open(aside, 'wx', 0o600);
    try {
      await file.writeFile(text, 'latin1');
      await file.sync();
    } finally {
      await file.close();
    }
    return basename(aside);
  } catch {
    // The disk may be full: these bytes were never acknowledged, and without them there is space for the next.
    await rm(aside, { force: true });
    return undefined;
  }
}
