// Bundles src/ and every dependency into dist/: reading a few large files starts several times faster than resolving hundreds
// of small ones. What is imported with `import()` (databases, the portal's server) becomes a chunk that loads on first use.
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.mjs';
import { removeReplaced } from './replaced-chunks.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');

const files = await bundle(root, { gatehouse: 'src/start.ts', main: 'src/main.ts' }, dist, ({ name }) =>
  name === 'gatehouse' ? '#!/usr/bin/env node' : '',
);
const chunks = files.filter((name) => name.startsWith('chunks/')).map((name) => name.slice('chunks/'.length));
removeReplaced(join(dist, 'chunks'), new Set(chunks), Date.now());
// What Node compiled of files that are no more.
rmSync(join(dist, 'compile-cache'), { recursive: true, force: true });
chmodSync(join(dist, 'gatehouse.mjs'), 0o755);

const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'warm.mjs')], { stdio: ['ignore', 'inherit', 'inherit'] });
process.exit(status ?? 1);
