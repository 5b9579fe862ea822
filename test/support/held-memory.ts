import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, vi } from 'vitest';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Starts to measure; what is returned fails when more than `limitBytes` are held that were not held at the start. */
export function measureHeld(): (limitBytes: number) => Promise<void> {
  const before = heldBytes();
  // Array buffers are freed some time after the collection that finds them.
  return (limitBytes) => vi.waitFor(() => expect(heldBytes() - before).toBeLessThan(limitBytes), { timeout: 4_000 });
}

function heldBytes(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
