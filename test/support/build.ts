import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Tests start the program that users start. It is built once, if anything changed, whichever way the tests were called. */
export function setup(): void {
  const script = join(import.meta.dirname, '..', '..', 'scripts', 'prepare.mjs');
  const { status } = spawnSync(process.execPath, [script, '--build'], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error('The program could not be built; see the lines above.');
}
