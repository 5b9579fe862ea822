import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-bundle-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const expected = ['/id must be text that matches ^T-[0-9]+$.', null, '/p7 must be text.', null];

function run(file: string): { readonly sentences: readonly unknown[] } {
  const { stdout, stderr, status } = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 60_000 });
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as { sentences: readonly unknown[] };
}

describe('a program that checks arguments', () => {
  beforeAll(() => {
    const script = `const { bundle } = await import(${JSON.stringify(join(root, 'scripts', 'bundle.mjs'))});
      await bundle(${JSON.stringify(root)}, { program: 'test/fixtures/argument-program.ts' }, ${JSON.stringify(directory)});`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: root,
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
  });

  test('finds its worker from the sources', () => {
    expect(run(join(root, 'test', 'fixtures', 'argument-program.ts')).sentences).toEqual(expected);
  });

  test('finds its worker when it is bundled, and ends by itself', () => {
    expect(run(join(directory, 'program.mjs')).sentences).toEqual(expected);
  });

  test('says that files of the program are gone, and nothing against what was to be checked', () => {
    const moved = mkdtempSync(join(tmpdir(), 'gatehouse-moved-'));
    onTestFinished(() => rmSync(moved, { recursive: true }));
    cpSync(directory, moved, { recursive: true });
    for (const name of readdirSync(join(moved, 'chunks')))
      if (name.startsWith('check-worker-')) rmSync(join(moved, 'chunks', name));
    const { stderr, status } = spawnSync(process.execPath, [join(moved, 'program.mjs')], { encoding: 'utf8', timeout: 60_000 });
    expect([status, stderr]).toEqual([1, expect.stringContaining('Its operator has to start it again')]);
  });

  test('loads what compiles schemas only when it is used', () => {
    const chunks = readdirSync(join(directory, 'chunks')).filter((name) => name.endsWith('.mjs'));
    for (const name of ['check-worker', '2020']) expect(chunks.some((chunk) => chunk.startsWith(`${name}-`))).toBe(true);
  });
});
