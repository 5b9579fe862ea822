// Bundles src/ and every dependency into dist/: reading a few large files starts several times faster than resolving hundreds
// of small ones. What is imported with `import()` (databases, the portal's server) becomes a chunk that loads on first use.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
const entry = join(dist, 'gatehouse.mjs');

await build({
  cwd: root,
  input: { gatehouse: 'src/start.ts', main: 'src/main.ts' },
  platform: 'node',
  // pg tries it and goes on without; nobody here installs it.
  external: ['pg-native'],
  output: {
    dir: dist,
    cleanDir: true,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: 'chunks/[name]-[hash].mjs',
    sourcemap: true,
    // Stack traces and profiles keep the names of the source.
    minify: false,
    banner: (chunk) => (chunk.name === 'gatehouse' ? '#!/usr/bin/env node' : ''),
  },
});
chmodSync(entry, 0o755);

// Fails here and not at a user's when the bundle does not load, and leaves compiled code for the first real start.
const { status, signal } = spawnSync(process.execPath, [entry, '--version'], { stdio: ['ignore', 'ignore', 'inherit'] });
if (status !== 0) {
  process.stderr.write(
    `dist/gatehouse.mjs was built but does not start (${signal ?? `exit code ${status}`}); see the lines above.\n`,
  );
  process.exit(1);
}
