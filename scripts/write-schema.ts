// Writes the JSON Schema that editors check namespace files with. Run after every change to the format: npm run schema
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { namespaceJsonSchema } from '../src/catalog/namespace-file.ts';

const file = join(import.meta.dirname, '..', 'namespaces', 'namespace.schema.json');
writeFileSync(file, `${JSON.stringify(namespaceJsonSchema(), undefined, 2)}\n`);
