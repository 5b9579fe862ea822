// Writes the JSON Schemas that editors check files with. Run after every change to a format: npm run schema
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationJsonSchema } from '../src/admin/configuration-format.ts';
import { namespaceJsonSchema } from '../src/catalog/namespace-file.ts';

for (const [name, schema] of [
  ['namespace', namespaceJsonSchema()],
  ['configuration', configurationJsonSchema()],
] as const) {
  const file = join(import.meta.dirname, '..', 'namespaces', `${name}.schema.json`);
  writeFileSync(file, `${JSON.stringify(schema, undefined, 2)}\n`);
}
