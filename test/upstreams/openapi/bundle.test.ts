import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-bundle-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const examples = dirname(createRequire(import.meta.url).resolve('@readme/oas-examples/package.json'));
const names = ['2.0/json/petstore.json', '3.0/yaml/petstore.yaml', '3.1/json/train-travel.json'];

function run(program: string): readonly { readonly tools: readonly string[]; readonly problems: number }[] {
  const files = names.map((name) => join(examples, name));
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, ...files], { encoding: 'utf8', timeout: 120_000 });
  expect([status, stderr]).toEqual([0, '']);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('a program that imports descriptions', () => {
  beforeAll(() => {
    const script = `const { bundle } = await import(${JSON.stringify(join(root, 'scripts', 'bundle.mjs'))});
      await bundle(${JSON.stringify(root)}, { program: 'test/fixtures/openapi-program.ts' }, ${JSON.stringify(directory)});`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: root,
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
  }, 120_000);

  test.each([
    ['from the sources', () => join(root, 'test', 'fixtures', 'openapi-program.ts')],
    ['bundled', () => join(directory, 'program.mjs')],
  ])(
    'finds its import process %s, holds documents against their format, and ends by itself',
    (_how, program) => {
      const [old, yaml, travel] = run(program());
      expect([old?.tools.length, yaml?.tools.length]).toEqual([20, 20]);
      expect(travel?.tools).toContain('create-booking');
      expect([old?.problems, travel?.problems]).toEqual([0, 0]);
    },
    120_000,
  );

  test('loads what reads and validates documents only in that process', () => {
    const program = readFileSync(join(directory, 'program.mjs'), 'utf8');
    expect(program).not.toMatch(/swagger-parser|js-yaml/);
  });
});
