/** Reads YAML away from the event loop. Loaded as a worker thread, and by the one who starts it to learn where it is. */
import { parentPort, workerData } from 'node:worker_threads';
import { readPlacedYaml } from './yaml-file.ts';

/**
 * This file where it runs: a source in development, a chunk of its own in the built program (it is imported dynamically, and by
 * nothing else).
 */
export const workerUrl = import.meta.url;
/** Tells a thread that was started for this from any other that loads the file. */
export const workerPurpose = 'gatehouse-yaml';

function isJob(data: unknown): data is { readonly purpose: string; readonly text: string; readonly file: string } {
  return typeof data === 'object' && data !== null && 'purpose' in data && data.purpose === workerPurpose;
}

if (parentPort !== null && isJob(workerData)) {
  const placed = readPlacedYaml(workerData.text, workerData.file);
  parentPort.postMessage(placed, [placed.places.buffer]);
}
