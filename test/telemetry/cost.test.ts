import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const script = fileURLToPath(new URL('../support/measure-telemetry.ts', import.meta.url));

test('telemetry costs a call a few microseconds at most, tracing on or off', () => {
  const { stdout } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', script], { encoding: 'utf8' });
  const figures = Object.entries(JSON.parse(stdout) as Record<string, number>);
  for (const [what, ns] of figures) process.stdout.write(`telemetry, ${what}: ${ns} ns of CPU per call\n`);
  expect(figures).toHaveLength(7);
  // Far above what is measured on a quiet machine (docs/observability.md), and far below what a call costs.
  expect(figures.filter(([, ns]) => ns > 10_000)).toEqual([]);
});
