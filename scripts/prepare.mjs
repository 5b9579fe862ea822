// Installs what package-lock.json names and builds dist/ when either is older than its sources.
// Plain JavaScript without imports from node_modules: it is the first thing a fresh clone runs, on whatever Node is there.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

function modifiedMs(path) {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

function newestMs(directory) {
  return readdirSync(directory, { recursive: true }).reduce(
    (newest, name) => Math.max(newest, modifiedMs(join(directory, name))),
    0,
  );
}

function run(command, args) {
  // stdout belongs to the command this script prepares (`gatehouse stdio` speaks MCP there).
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (status !== 0) {
    process.stderr.write(`${command} ${args.join(' ')} failed; see the lines above.\n`);
    process.exit(status ?? 1);
  }
}

const installed = modifiedMs(join(root, 'node_modules', '.package-lock.json'));
if (installed < modifiedMs(join(root, 'package-lock.json'))) {
  process.stderr.write('Installing dependencies...\n');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
}
if (process.argv.includes('--build')) {
  const built = modifiedMs(join(root, 'dist', 'gatehouse.mjs'));
  const sources = Math.max(newestMs(join(root, 'src')), modifiedMs(join(root, 'package-lock.json')));
  if (built < sources) run('npm', ['run', '--silent', 'build']);
}
