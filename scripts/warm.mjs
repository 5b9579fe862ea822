// Starts what was built once in each way, for two reasons: a bundle that does not start fails here and not at a user's, and
// Node keeps the code it compiled in dist/compile-cache (per Node version and user), so that the first real start is fast too.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const entry = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'gatehouse.mjs');
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-warm-'));
const settings = ['--data', join(directory, 'data'), '--namespaces', join(directory, 'namespaces')];
mkdirSync(join(directory, 'namespaces'));

const hello = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'build', version: '1' } },
};

/** Runs one command until its output shows `mark`, then ends it in its own way. */
function start(args, mark, end) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [entry, ...args, ...settings], { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    let isSeen = false;
    const read = (chunk) => {
      output += chunk;
      if (isSeen || !output.includes(mark)) return;
      isSeen = true;
      end(child);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.stdin.on('error', () => {});
    child.stdin.write(`${JSON.stringify(hello)}\n`);
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (isSeen) resolve();
      else reject(new Error(`gatehouse ${args[0]} did not start (${signal ?? `exit code ${code}`}):\n${output}`));
    });
  });
}

try {
  await start(['stdio'], '"result"', (child) => child.stdin.end());
  await start(['serve', '--port', '0'], 'listening', (child) => child.kill('SIGTERM'));
} catch (error) {
  process.stderr.write(`dist/gatehouse.mjs was built but does not work. ${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
