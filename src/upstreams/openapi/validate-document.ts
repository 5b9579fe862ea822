/** Holds a document against the schema of its format. What it finds is for people: what can be read is read all the same. */
import type { OpenAPI } from 'openapi-types';
import { shorten } from '../../arguments/measure-arguments.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { ConversionProblem } from './conversion.ts';

const mostProblems = 20;

/** Throws nothing; takes a second for ten megabytes. The document is taken over: it may be changed. */
export async function validateDocument(document: JsonObject): Promise<readonly ConversionProblem[]> {
  const version = knownVersion(document);
  if (version === undefined) return [];
  const { default: parser } = await import('@apidevtools/swagger-parser');
  try {
    await parser.validate(toDocument({ ...document, ...version }), {
      // Neither files nor the web: what is elsewhere was fetched before, or is not looked at.
      resolve: { external: false, file: false, http: false },
      // With every reference in its place, large documents become many times larger.
      dereference: { circular: 'ignore', excludedPathMatcher: () => true },
      validate: { spec: false },
    });
    return [];
  } catch (error) {
    return describeErrors(error);
  }
}

/** The newest patch of the document's version, as patches change no schema. OpenAPI 3.2 has no validator yet. */
function knownVersion({ swagger, openapi }: JsonObject): JsonObject | undefined {
  if (openapi === undefined) return swagger === undefined ? undefined : { swagger: '2.0' };
  const version = String(openapi);
  if (/^3\.0(\.|$)/.test(version)) return { openapi: '3.0.3' };
  return /^3\.1(\.|$)/.test(version) ? { openapi: '3.1.0' } : undefined;
}

// The validator is there to say whether it is one.
function toDocument(document: JsonObject): OpenAPI.Document {
  return document as unknown as OpenAPI.Document;
}

function describeErrors(error: unknown): ConversionProblem[] {
  const details = hasDetails(error) ? error.details : undefined;
  if (details === undefined) {
    const message = error instanceof Error ? error.message : String(error);
    return [{ kind: 'changed', operation: '', pointer: '', message: `The document is not valid: ${shorten(message, 300)}` }];
  }
  // Of alternatives that all fail, each says so: the innermost place is the one that is wrong.
  const errors = details.filter(isObject).map((detail) => ({ pointer: String(detail.instancePath ?? ''), detail }));
  const innermost = errors.filter(({ pointer }) => !errors.some((other) => other.pointer.startsWith(`${pointer}/`)));
  const byPointer = new Map(innermost.map(({ pointer, detail }) => [pointer, detail]));
  const problems = [...byPointer].slice(0, mostProblems).map(
    ([pointer, detail]): ConversionProblem => ({
      kind: 'changed',
      operation: '',
      pointer: shorten(pointer, 500),
      message: `Not valid in this format: ${describeDetail(detail)}.`,
    }),
  );
  const rest = byPointer.size - problems.length;
  return rest <= 0
    ? problems
    : [...problems, { kind: 'changed', operation: '', pointer: '', message: `${rest} more places are not valid.` }];
}

function describeDetail({ message, params }: JsonObject): string {
  const name = isObject(params) ? (params.additionalProperty ?? params.unevaluatedProperty) : undefined;
  return shorten(`${String(message)}${typeof name === 'string' ? ` ("${name}")` : ''}`, 200);
}

function hasDetails(error: unknown): error is Error & { readonly details: readonly Json[] } {
  return error instanceof Error && 'details' in error && Array.isArray(error.details);
}
