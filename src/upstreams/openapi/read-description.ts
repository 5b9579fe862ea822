/**
 * Reads the bytes of an API description, JSON or YAML, whatever somebody says they are. Refuses what is too large or too deep, is not
 * text, has a key twice, or grows when its aliases are followed.
 */
import { CORE_SCHEMA, load, mergeTag, YAMLException } from 'js-yaml';
import { shorten } from '../../arguments/measure-arguments.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { checkSize, megabytes, refuse } from './check-size.ts';
import { type ConversionLimits, depthLimit } from './conversion-limits.ts';
import { findDuplicateKey, type KeyProblem, lineAt } from './scan-json.ts';

/** Throws GatewayError `bad_description`, with the line where there is one. */
export function readDescription(bytes: Uint8Array, limits: ConversionLimits): JsonObject {
  checkSize(bytes, limits);
  const text = decode(bytes);
  const start = text.slice(0, 4_096).trimStart().charAt(0);
  if (start === '') throw refuse('is empty.');
  if (start === '<') throw refuse('is HTML or XML, not an API description. Give the address or file of the description itself.');
  const document = start === '{' || start === '[' ? readJson(text) : readYaml(text, bytes.byteLength, limits);
  if (!isObject(document)) throw refuse(`is ${nameOf(document)} where an object with "openapi" or "swagger" belongs.`);
  return document;
}

function nameOf(document: Json): string {
  if (Array.isArray(document)) return 'a list';
  return document === null ? 'empty' : `a ${typeof document}`;
}

const signatures: readonly (readonly [readonly number[], string])[] = [
  [[0x1f, 0x8b], 'compressed with gzip; unpack it first.'],
  [[0x50, 0x4b, 0x03, 0x04], 'a ZIP archive; unpack it first.'],
  [[0x25, 0x50, 0x44, 0x46], 'a PDF, not an API description.'],
  [[0xff, 0xfe], 'UTF-16; save it as UTF-8.'],
  [[0xfe, 0xff], 'UTF-16; save it as UTF-8.'],
];

function decode(bytes: Uint8Array): string {
  for (const [signature, what] of signatures) {
    if (signature.every((byte, index) => bytes[index] === byte)) throw refuse(`is ${what}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw refuse('is not text in UTF-8.', error);
  }
}

function readJson(text: string): Json {
  let document: Json;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw refuse(`cannot be read as JSON: ${describeSyntaxError(error, text)}`, error);
  }
  const problem = findDuplicateKey(text, depthLimit);
  if (problem !== undefined) throw refuse(describeKeyProblem(problem, text));
  return document;
}

function describeSyntaxError(error: unknown, text: string): string {
  const message = error instanceof Error ? error.message : '';
  const position = /at position (\d+)/.exec(message)?.[1];
  if (position !== undefined) return `line ${lineAt(text, Number(position))} is not valid.`;
  return message.includes('end of') ? 'it ends too early.' : 'it is not valid.';
}

function describeKeyProblem({ kind, key, offset }: KeyProblem, text: string): string {
  const line = `(line ${lineAt(text, offset)})`;
  switch (kind) {
    case 'duplicate':
      return `has the key ${quote(key)} twice in one object ${line}; remove one of the two.`;
    case 'prototype':
      return `has a key named "__proto__" ${line}; rename it.`;
    case 'depth':
      return `is nested deeper than ${depthLimit} levels ${line}.`;
  }
}

function quote(key: string): string {
  return JSON.stringify(shorten(key, 60));
}

const yamlOptions = {
  schema: CORE_SCHEMA.withTags(mergeTag),
  maxDepth: depthLimit,
  maxAliases: 10_000,
  maxTotalMergeKeys: 10_000,
};

function readYaml(text: string, bytes: number, limits: ConversionLimits): Json {
  if (bytes > limits.yamlBytes) {
    throw refuse(
      `has ${megabytes(bytes)} MB of YAML; at most ${megabytes(limits.yamlBytes)} MB are read. Give it as JSON, which is read faster.`,
    );
  }
  let document: unknown;
  try {
    document = load(text, yamlOptions);
  } catch (error) {
    throw refuse(`cannot be read as YAML: ${describeYamlError(error)}`, error);
  }
  return expandAliases(document);
}

function describeYamlError(error: unknown): string {
  if (!(error instanceof YAMLException)) return 'it is not valid.';
  const line = error.mark === undefined ? '' : ` (line ${error.mark.line + 1})`;
  return `${error.reason.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?').slice(0, 200)}${line}.`;
}

const valueLimit = 8_000_000;
/** What aliases may add: nobody writes more by hand, and nine levels of nine are four hundred million. */
const aliasedValueLimit = 200_000;

/**
 * The same document as plain JSON. What an alias stands for is one object in two places: it is counted as often as it would be
 * written, so that nothing further on walks more than was counted.
 */
function expandAliases(document: unknown): Json {
  const seen = new Set<object>();
  let values = 0;
  let aliased = 0;
  const visit = (value: unknown, depth: number, isAliased: boolean): Json => {
    if (++values > valueLimit) throw refuse(`holds more than ${valueLimit} values.`);
    if (isAliased && ++aliased > aliasedValueLimit) {
      throw refuse(`grows by more than ${aliasedValueLimit} values when its aliases (*name) are followed; write them out.`);
    }
    if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
    if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
    if (typeof value !== 'object') return null;
    if (depth > depthLimit) throw refuse(`is nested deeper than ${depthLimit} levels, its aliases followed.`);
    const isAgain = isAliased || seen.has(value);
    seen.add(value);
    if (Array.isArray(value)) return value.map((item: unknown) => visit(item, depth + 1, isAgain));
    if (Object.hasOwn(value, '__proto__')) throw refuse('has a key named "__proto__"; rename it.');
    return Object.fromEntries(
      Object.entries(value).map(([key, member]: [string, unknown]) => [key, visit(member, depth + 1, isAgain)]),
    );
  };
  return visit(document, 1, false);
}
