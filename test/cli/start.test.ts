import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const src = fileURLToPath(new URL('../../src', import.meta.url));

/** Every file, and every package, that is loaded before the first line of these runs. */
function loadedBy(...entries: readonly string[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    const name = relative(src, file);
    if (seen.has(name)) return;
    seen.add(name);
    for (const target of importsOf(readFileSync(file, 'utf8'))) {
      const next = join(dirname(file), target);
      if (!target.startsWith('.')) seen.add(target);
      else if (existsSync(next)) visit(next);
    }
  };
  for (const entry of entries) visit(join(src, entry));
  return seen;
}

/** What is imported for more than its types, where the file is loaded and not later. */
function importsOf(source: string): string[] {
  const pattern = /(?:^|\n)(?:import|export)\s+(?!type\b)([^'";]*?)from\s*'([^']+)'|(?:^|\n)import\s*'([^']+)'/g;
  return Array.from(source.matchAll(pattern), ([, names = '', from, bare]) => ({ names, target: from ?? bare ?? '' }))
    .filter(({ names }) => !/^\{(\s*type\s[^,}]+,?)+\s*\}\s*$/.test(names))
    .map(({ target }) => target);
}

const notAtOnce = [
  'admin/actions.ts',
  'admin/action.ts',
  'admin/action-tool.ts',
  'registry/documents.ts',
  'content/rules.ts',
  'content/look.ts',
  'cli/administration.ts',
  'cli/run-action.ts',
  'cli/exchange.ts',
  'express',
  'pg',
  'ioredis',
  'ajv',
  'yaml',
  'jose',
];

describe('what a start loads', () => {
  test.each(['serve', 'stdio'])('%s: nothing that a call does not need', (command) => {
    const loaded = loadedBy('main.ts', `cli/${command}.ts`);
    expect(loaded.size).toBeGreaterThan(100);
    expect(notAtOnce.filter((file) => loaded.has(file))).toEqual([]);
  });

  test('connect: no gateway', () => {
    const loaded = loadedBy('main.ts', 'cli/connect.ts');
    expect([...loaded].filter((file) => ['gateway.ts', 'zod', 'undici', 'pino'].includes(file))).toEqual([]);
  });

  test('a command for administration: no server', () => {
    const loaded = loadedBy('main.ts', 'cli/administration.ts');
    expect(loaded.has('admin/actions.ts')).toBe(true);
    expect([...loaded].filter((file) => ['gateway.ts', 'inbound/server.ts', 'express'].includes(file))).toEqual([]);
  });
});
