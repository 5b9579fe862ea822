import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A gateway that runs for longer than this after its program was built anew should be started again. */
const keptMs = 7 * 24 * 60 * 60 * 1000;

/**
 * Leaves the chunks of earlier builds where they are for a week: a gateway that runs, and each of its worker threads, loads parts of
 * its program when they are first needed, and would find them gone after `npm test` in another terminal. Their names have a
 * hash, so builds do not meet. `written` are the names of the present build.
 */
export function removeReplaced(directory: string, written: ReadonlySet<string>, nowMs: number): void {
  const list = join(directory, 'replaced.json');
  const before = read(list);
  const replaced: Record<string, number> = {};
  for (const name of readdirSync(directory)) {
    if (written.has(name) || name === 'replaced.json') continue;
    const sinceMs = before[name] ?? nowMs;
    if (nowMs - sinceMs >= keptMs || !name.endsWith('.mjs')) rmSync(join(directory, name), { recursive: true });
    else replaced[name] = sinceMs;
  }
  writeFileSync(list, JSON.stringify(replaced));
}

function read(file: string): Readonly<Record<string, number>> {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}
