// Bundles src/ and every dependency into dist/: reading a few large files starts several times faster than resolving hundreds
// of small ones. What is imported with `import()` (databases, the portal's server) becomes a chunk that loads on first use.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');

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
chmodSync(join(dist, 'gatehouse.mjs'), 0o755);

const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'warm.mjs')], { stdio: ['ignore', 'inherit', 'inherit'] });
process.exit(status ?? 1);
