import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** Tests start the program that users start. It is built once, if anything changed, whichever way the tests were called. */
export function setup(): void {
  const script = join(root, 'scripts', 'prepare.mjs');
  const { status } = spawnSync(process.execPath, [script, '--build'], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error('The program could not be built; see the lines above.');
  // Hundreds of processes, these tests and what they start, load the same files: only the first of them compiles each.
  process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'compiled-for-tests');
}
