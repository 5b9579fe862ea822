// Holds schemas of tools against JSON Schema 2020-12: each against the schema of schemas, its references and patterns one by one, and
// one in twenty by compiling it, as that takes up to 50 ms. Then the way Gatehouse reads them.
import { parentPort } from 'node:worker_threads';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { cleanSchema } from '../../src/arguments/clean-schema.ts';
import { isObject, type Json, type JsonObject } from '../../src/wire/json.ts';
import type { SchemaProblem } from './schema-checkers.ts';

interface Entry {
  readonly index: number;
  readonly inputSchema: JsonObject;
  readonly outputSchema?: JsonObject;
}

const compiledShare = 20;
const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false, inlineRefs: false, addUsedSchema: false });
/** Definitions that many tools share are looked at once. */
const known = new Map<string, string | undefined>();

function checkPart(part: Json): string | undefined {
  const text = JSON.stringify(part);
  if (known.has(text)) return known.get(text);
  const problem = ajv.validateSchema(isObject(part) ? part : part === true) === true ? patternProblem(part) : ajv.errorsText();
  if (known.size > 50_000) known.clear();
  known.set(text, problem);
  return problem;
}

function patternProblem(value: Json): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (isObject(value) && typeof value.pattern === 'string') {
    try {
      new RegExp(value.pattern, 'u');
    } catch {
      return `pattern ${value.pattern}`;
    }
  }
  for (const part of Object.values(value)) {
    const problem = patternProblem(part);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function* referencesIn(value: Json): Generator<string> {
  if (typeof value !== 'object' || value === null) return;
  if (isObject(value) && typeof value.$ref === 'string') yield value.$ref;
  for (const part of Object.values(value)) yield* referencesIn(part);
}

function checkWhole(schema: JsonObject, isCompiled: boolean): string | undefined {
  const { $defs, ...root } = schema;
  const definitions = isObject($defs) ? $defs : {};
  if (root.type !== 'object') return 'is not of type object';
  for (const part of [root, ...Object.values(definitions)]) {
    const problem = checkPart(part);
    if (problem !== undefined) return problem;
  }
  for (const reference of referencesIn(schema)) {
    const name = reference.startsWith('#/$defs/') ? reference.slice('#/$defs/'.length) : '';
    if (!Object.hasOwn(definitions, name)) return `refers to ${reference}`;
  }
  return isCompiled ? compileProblem(schema) : undefined;
}

function compileProblem(schema: JsonObject): string | undefined {
  try {
    ajv.compile(schema);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    ajv.removeSchema(schema);
  }
}

function problemOf({ index, inputSchema, outputSchema }: Entry): string | undefined {
  const isCompiled = index % compiledShare === 0;
  const input = checkWhole(inputSchema, isCompiled);
  if (input !== undefined) return `input: ${input}`;
  const output = outputSchema === undefined ? undefined : checkWhole(outputSchema, isCompiled);
  if (output !== undefined) return `output: ${output}`;
  try {
    const { warnings } = cleanSchema(inputSchema);
    return warnings.length === 0 ? undefined : `input, as Gatehouse reads it: ${warnings[0]}`;
  } catch (error) {
    return `input, as Gatehouse reads it: ${error instanceof Error ? error.message : String(error)}`;
  }
}

parentPort?.on('message', (text: string) => {
  const entries: Entry[] = JSON.parse(text);
  const problems = entries.flatMap((entry): SchemaProblem[] => {
    const problem = problemOf(entry);
    return problem === undefined ? [] : [{ index: entry.index, problem: problem.slice(0, 300) }];
  });
  parentPort?.postMessage(problems);
});
