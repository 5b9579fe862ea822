import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { removeReplaced } from '../../scripts/replaced-chunks.ts';

const dayMs = 86_400_000;

test('a build leaves the chunks of those before to gateways that run, for a week after they were replaced', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-chunks-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const build = (names: readonly string[], nowMs: number) => {
    for (const name of names) writeFileSync(join(directory, name), '');
    removeReplaced(directory, new Set(names), nowMs);
    return readdirSync(directory).filter((name) => name !== 'replaced.json');
  };
  expect(build(['pg-1.mjs', 'pg-1.mjs.map', 'web-1.mjs'], 0)).toEqual(['pg-1.mjs', 'pg-1.mjs.map', 'web-1.mjs']);
  expect(build(['pg-2.mjs', 'web-1.mjs'], 30 * dayMs)).toEqual(['pg-1.mjs', 'pg-2.mjs', 'web-1.mjs']);
  expect(build(['pg-2.mjs', 'web-2.mjs'], 36 * dayMs)).toEqual(['pg-1.mjs', 'pg-2.mjs', 'web-1.mjs', 'web-2.mjs']);
  expect(build(['pg-2.mjs', 'web-2.mjs'], 37 * dayMs)).toEqual(['pg-2.mjs', 'web-1.mjs', 'web-2.mjs']);
  expect(build(['pg-1.mjs', 'web-2.mjs'], 38 * dayMs)).toEqual(['pg-1.mjs', 'pg-2.mjs', 'web-1.mjs', 'web-2.mjs']);
});
