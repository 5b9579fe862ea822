import { hasTooManyKeys, maxDifferentKeys } from './different-keys.ts';
import type { MessageScan } from './json-scan.ts';

/**
 * How much a request may hold. Nothing else runs while it is parsed, and that takes its time by what there is to make, not by its bytes:
 * 4 MB of `[],` take half a second. A list or an object costs some 150 ns, with what has to be cleaned up after it, any other value some
 * 30 ns (Node 24): so many take 30 ms at most. A tool is passed 100,000 values in all; a request for embeddings has up to 300,000 numbers.
 */
export const maxContainers = 100_000;
export const maxValues = 400_000;

/** Why a request is not parsed; reads on from "it". `bytes` are those that were scanned. */
export function findExcess(bytes: Buffer, scan: MessageScan): string | undefined {
  const tooMany = findTooMany(scan);
  if (tooMany !== undefined) return tooMany;
  return hasTooManyKeys(bytes, scan.keys) ? `has more than ${maxDifferentKeys} different keys` : undefined;
}

/** The same, whatever its keys are called. */
export function findTooMany({ containers, values }: MessageScan): string | undefined {
  if (containers > maxContainers) return `has more than ${maxContainers} lists and objects`;
  return values > maxValues ? `has more than ${maxValues} values` : undefined;
}
