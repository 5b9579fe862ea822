import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Conversion, Operation } from '../../src/upstreams/openapi/conversion.ts';
import { type ConversionLimits, conversionLimits } from '../../src/upstreams/openapi/conversion-limits.ts';
import { convertWhole } from '../../src/upstreams/openapi/convert-document.ts';
import { readDescription } from '../../src/upstreams/openapi/read-description.ts';

const examples = dirname(createRequire(import.meta.url).resolve('@readme/oas-examples/package.json'));

/** `3.0/json/petstore.json` of @readme/oas-examples. */
export function exampleBytes(name: string): Buffer {
  return readFileSync(join(examples, name));
}

export function bytesOf(document: unknown): Uint8Array {
  return new TextEncoder().encode(typeof document === 'string' ? document : JSON.stringify(document));
}

/** Without a thread, and as it comes out of one. */
export function convert(document: unknown, limits: Partial<ConversionLimits> = {}): Conversion {
  const all = { ...conversionLimits, ...limits };
  const bytes = document instanceof Uint8Array ? document : bytesOf(document);
  const conversion = convertWhole({ root: readDescription(bytes, all), rootUrl: undefined, others: new Map() }, all);
  return JSON.parse(JSON.stringify(conversion));
}

/** A document of OpenAPI 3.1 (or another) around some paths and schemas. */
export function describeApi(parts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { schemas, ...rest } = parts;
  return {
    openapi: '3.1.0',
    info: { title: 'An API', version: '1' },
    ...(schemas === undefined ? {} : { components: { schemas } }),
    ...rest,
  };
}

/** Converts one operation, `POST /things` with these members. */
export function convertOperation(
  operation: object,
  parts: Readonly<Record<string, unknown>> = {},
): Operation & Pick<Conversion, 'problems'> {
  const conversion = convert(describeApi({ paths: { '/things': { post: operation } }, ...parts }));
  const [found] = conversion.operations;
  if (found === undefined) throw new Error(`No tool: ${JSON.stringify(conversion.problems)}`);
  return { ...found, problems: conversion.problems };
}

/** The schema that a body of this schema gets, and what it refers to. */
export function convertBodySchema(
  schema: unknown,
  parts: Readonly<Record<string, unknown>> = {},
): { readonly body: unknown; readonly definitions: unknown } {
  const { tool } = convertOperation({ requestBody: { content: { 'application/json': { schema } } } }, parts);
  const { properties, $defs } = tool.inputSchema as { properties: { body: unknown }; $defs?: unknown };
  return { body: properties.body, definitions: $defs };
}

const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false, inlineRefs: false, addUsedSchema: false });

/** Undefined for a schema that compiles by itself, valid by the schema of 2020-12. */
export function compileProblem(schema: object): string | undefined {
  try {
    ajv.compile(schema);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    ajv.removeSchema(schema);
  }
}

/** Whether the value fits the schema. */
export function fits(schema: object, value: unknown): boolean {
  return ajv.validate(schema, value);
}

/** Every schema of every tool that does not compile. */
export function invalidSchemas({ operations }: Conversion): string[] {
  return operations.flatMap(({ id, tool }) => {
    const { inputSchema, outputSchema } = tool;
    const schemas = outputSchema === undefined ? [inputSchema] : [inputSchema, outputSchema as object];
    return schemas.flatMap((schema) => {
      const problem = compileProblem(schema);
      return problem === undefined ? [] : [`${id}: ${problem}`];
    });
  });
}
