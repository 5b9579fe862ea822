import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type ProjectConfig, type TestSpecification } from 'vitest/node';

const tests = join(import.meta.dirname, 'test');

/**
 * Files that look for processes they left behind, or at what their own thread computed while they waited: in a process of their own
 * nothing else can have left one, or have computed. All others share a few processes, so that the sources and their dependencies are
 * loaded a few times and not hundreds of times.
 */
const apart = readdirSync(tests, { recursive: true, encoding: 'utf8' })
  .filter(
    (name) =>
      name.endsWith('.test.ts') && /expectNoneLeft|threadCpuUsage|longestTurnMs/.test(readFileSync(join(tests, name), 'utf8')),
  )
  .map((name) => `test/${name.replaceAll(sep, '/')}`);

/**
 * Begun first, so that none of them is left alone at the end: the load, which takes all that it gets, beside files that wait more than
 * they work, then whatever takes longest. The others go by their size.
 */
const early = [
  'e2e/load',
  'e2e/faults',
  'e2e/era-pairings',
  'e2e/governed-calls',
  'e2e/restless-lists',
  'e2e/chaos',
  'e2e/conformance',
  'cli/administration',
  'e2e/replicas',
  'e2e/reload',
  'e2e/kill',
  'e2e/models/killed-holders',
  'e2e/reviews',
  'e2e/canary',
  'e2e/clients',
  'dockerfile',
  'store/postgres-store',
  'admin/authorization-matrix',
  'upstreams/openapi/hostile-descriptions',
  'store/registry-followers',
  'review/held-definitions',
  'store/rotation',
  'store/redis-counters',
  'upstreams/stdio',
  'store/keyed-calls',
  'e2e/openapi',
  'upstreams/openapi/fetch-reference',
  'admin/upstreams',
].map((name) => join(tests, `${name}.test.ts`));

class EarlyFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const place = ({ moduleId, project }: TestSpecification) => {
      const at = early.indexOf(moduleId);
      // A shared process goes on only while the next file may share it.
      return (project.name === 'apart' ? 0 : early.length + 1) + (at === -1 ? early.length : at);
    };
    return sorted.toSorted((one, other) => place(one) - place(other));
  }
}

const common: ProjectConfig = {
  setupFiles: ['test/support/fast-check.ts', 'test/support/prototypes.ts'],
  pool: 'forks',
  testTimeout: 30_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    // One more than there are cores where time is short: many tests wait for something.
    maxWorkers: 3,
    teardownTimeout: 10_000,
    sequence: { sequencer: EarlyFirst },
    projects: [
      { test: { ...common, name: 'apart', include: apart } },
      { test: { ...common, name: 'together', include: ['test/**/*.test.ts'], exclude: apart, isolate: false } },
    ],
  },
});
