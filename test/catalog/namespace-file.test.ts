import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { namespaceJsonSchema } from '../../src/catalog/namespace-file.ts';

const directory = join(import.meta.dirname, '..', '..', 'namespaces');

interface SchemaPart {
  readonly properties?: Readonly<Record<string, { readonly description?: string }>>;
  readonly additionalProperties?: unknown;
  readonly items?: unknown;
}

test('the JSON Schema for editors is up to date (npm run schema writes it)', async () => {
  const shipped = JSON.parse(await readFile(join(directory, 'namespace.schema.json'), 'utf8'));
  expect(shipped).toEqual(JSON.parse(JSON.stringify(namespaceJsonSchema())));
});

test('every field of the format is described', () => {
  const bare: string[] = [];
  function look(schema: unknown, path: string): void {
    if (typeof schema !== 'object' || schema === null) return;
    const { properties, additionalProperties, items } = schema as SchemaPart;
    for (const [name, property] of Object.entries(properties ?? {})) {
      if (property.description === undefined) bare.push(`${path}.${name}`);
      look(property, `${path}.${name}`);
    }
    look(additionalProperties, `${path}.*`);
    look(items, `${path}[]`);
  }
  look(namespaceJsonSchema(), '');
  expect(bare).toEqual([]);
});

test('every shipped namespace tells editors about its schema', async () => {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.yaml'));
  expect(names.length).toBeGreaterThan(1);
  for (const name of names) {
    const text = await readFile(join(directory, name), 'utf8');
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./namespace.schema.json');
  }
});
