/** Reads YAML away from the event loop. Loaded as a worker thread, and by the one who starts it to learn where it is. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Problem } from './problems.ts';
import { readYaml, type YamlFile } from './yaml-file.ts';

export interface ReadText {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Of each value, in the order in which `Object.keys` walks through them: line, column, and how many there are with all in it. */
  readonly places: Int32Array<ArrayBuffer>;
}

/**
 * This file where it runs: a source in development, a chunk of its own in the built program (it is imported dynamically, and by
 * nothing else).
 */
export const workerUrl = import.meta.url;
/** Tells a thread that was started for this from any other that loads the file. */
export const workerPurpose = 'gatehouse-yaml';

/** What aliases repeat counts each time. */
const mostPlaces = 1_000_000;

function isJob(data: unknown): data is { readonly purpose: string; readonly text: string; readonly file: string } {
  return typeof data === 'object' && data !== null && 'purpose' in data && data.purpose === workerPurpose;
}

if (parentPort !== null && isJob(workerData)) {
  const yaml = readYaml(workerData.text, workerData.file);
  const places = placesIn(yaml);
  const read: ReadText = { value: yaml.value, problems: yaml.problems, places };
  parentPort.postMessage(read, [places.buffer]);
}

function placesIn({ value, locate }: YamlFile): Int32Array<ArrayBuffer> {
  const places: number[] = [];
  const visit = (part: unknown, path: readonly PropertyKey[]) => {
    const at = places.length;
    const { line, column } = locate(path);
    places.push(line, column, 1);
    if (typeof part !== 'object' || part === null || places.length > mostPlaces * 3) return;
    for (const [key, inner] of Object.entries(part)) visit(inner, [...path, key]);
    places[at + 2] = (places.length - at) / 3;
  };
  visit(value, []);
  return Int32Array.from(places.length > mostPlaces * 3 ? [1, 1, 1] : places);
}
