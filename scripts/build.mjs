// Bundles src/ and every dependency into dist/: reading a few large files starts several times faster than resolving hundreds
// of small ones. What is imported with `import()` (databases, the portal's server) becomes a chunk that loads on first use.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');

await bundle(root, { gatehouse: 'src/start.ts', main: 'src/main.ts' }, dist, ({ name }) =>
  name === 'gatehouse' ? '#!/usr/bin/env node' : '',
);
chmodSync(join(dist, 'gatehouse.mjs'), 0o755);

const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'warm.mjs')], { stdio: ['ignore', 'inherit', 'inherit'] });
process.exit(status ?? 1);
