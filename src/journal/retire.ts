import { rm } from 'node:fs/promises';
import { readLink } from './chain.ts';
import { firstLine, listSegments, type Segment } from './segments.ts';

export interface RetentionLimits {
  /** Of all segments of one chain together. */
  readonly totalBytes: number;
  /** Since a segment was last written to. */
  readonly ageMs: number;
}

/**
 * Removes the oldest segments beyond the limits, never the newest. `record` takes the fields of a record that says where the chain
 * begins from now on; only when that is written does anything go. Returns how many were removed.
 */
export async function retireSegments(
  directory: string,
  limits: RetentionLimits,
  nowMs: number,
  record: (fields: string) => Promise<void>,
): Promise<number> {
  const segments = await listSegments(directory);
  const removed = beyond(segments, limits, nowMs);
  const kept = segments[removed.length];
  if (removed.length === 0 || kept === undefined) return 0;
  const line = await firstLine(kept.path);
  const link = line === undefined ? undefined : readLink(line);
  // What cannot be told apart from damage is left for somebody to look at.
  if (link === undefined) return 0;
  const names = `"segments":${removed.length},"firstSegment":${kept.number},"firstSeq":${link.seq},"firstPrev":"${link.prev}"`;
  await record(`"at":${nowMs},"kind":"removed",${names}`);
  // Oldest first: what is left of a removal that was cut off is still one piece.
  for (const { path } of removed) await rm(path, { force: true });
  return removed.length;
}

function beyond(segments: readonly Segment[], { totalBytes, ageMs }: RetentionLimits, nowMs: number): readonly Segment[] {
  let keptBytes = segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let count = 0;
  for (const { sizeBytes, changedAtMs } of segments.slice(0, -1)) {
    if (keptBytes <= totalBytes && nowMs - changedAtMs <= ageMs) break;
    keptBytes -= sizeBytes;
    count += 1;
  }
  return segments.slice(0, count);
}
