/** YAML of any size, read where it holds up nobody: a reader that knows where each value stands takes a second for a megabyte. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type PlacedYaml, readYaml, type YamlFile } from './yaml-file.ts';

/** Read at once: some 10 ms, and 40 at most, whatever it is. A thread takes as long to start. */
const shortCharacters = 8 * 1024;
const deadlineMs = 60_000;
const memoryMegabytes = 512;

let last: Promise<unknown> = Promise.resolve();

/** The same as `readYaml`, but for a text that takes too long or too much memory, which is a problem of its own. Long ones are read one by one. */
export async function readYamlApart(text: string, file: string): Promise<YamlFile> {
  if (text.length <= shortCharacters) return readYaml(text, file);
  const read = last.then(() => readInThread(text, file));
  last = read.catch(() => {});
  return await read;
}

async function readInThread(text: string, file: string): Promise<YamlFile> {
  const { workerUrl, workerPurpose } = await import('./yaml-worker.ts');
  const worker = new Worker(new URL(workerUrl), {
    workerData: { purpose: workerPurpose, text, file },
    resourceLimits: { maxOldGenerationSizeMb: memoryMegabytes },
    // Nothing of ours is in there but the text.
    env: {},
    execArgv: [],
  });
  try {
    const [read]: PlacedYaml[] = await once(worker, 'message', { signal: AbortSignal.timeout(deadlineMs) });
    return read === undefined ? unread(file) : { ...read, locate: locator(read, file) };
  } catch {
    return unread(file);
  } finally {
    void worker.terminate();
  }
}

function unread(file: string): YamlFile {
  const message = 'This file takes too long, or too much memory, to be read as YAML; split it, or write it as plain JSON.';
  return { value: undefined, problems: [{ file, line: 1, column: 1, message }], locate: () => ({ file, line: 1, column: 1 }) };
}

/** Where each member's place is, counted from that of the whole: the same wherever aliases repeat it. */
type Members = ReadonlyMap<string, number>;

function locator({ value, places }: PlacedYaml, file: string): YamlFile['locate'] {
  const indexed = new WeakMap<object, Members>();
  const membersOf = (part: object, at: number): Members => {
    const known = indexed.get(part);
    if (known !== undefined) return known;
    const members = new Map<string, number>();
    const end = at + (places[at * 3 + 2] ?? 1);
    let next = at + 1;
    for (const key of Object.keys(part)) {
      if (next >= end) break;
      members.set(key, next - at);
      next += places[next * 3 + 2] ?? 1;
    }
    indexed.set(part, members);
    return members;
  };
  return (path) => {
    let at = 0;
    let part: unknown = value;
    for (const step of path) {
      if (typeof part !== 'object' || part === null) break;
      const offset = membersOf(part, at).get(String(step));
      if (offset === undefined) break;
      at += offset;
      part = Reflect.get(part, step);
    }
    return { file, line: places[at * 3] ?? 1, column: places[at * 3 + 1] ?? 1 };
  };
}
