/** What checking costs, known before anything is checked: small things are done at once, everything else by a worker. */
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import type { CleanSchema } from './clean-schema.ts';
import type { ArgumentSize } from './measure-arguments.ts';
import { listKeywords, mapKeywords, partKeywords } from './schema-keywords.ts';

// Measured with Ajv 8.20 on Node 24, one shared core: compiling takes 0.15 to 0.3 ms per part, so that 100 parts are 30 ms at most;
// evaluating one part takes 10 to 50 ns, so that 100,000 of them are 5 ms at most.
const quickNodes = 100;
const quickEvaluations = 100_000;
const quickPatterns = 10;
const quickPatternLength = 100;
/** Comparing each item with each other. */
const quickUniqueValues = 300;
/** A text is measured in a nanosecond per character, and matched in up to a microsecond. */
const quickCharacters = 5_000_000;
const quickPatternCharacters = 20_000;

/** Whether it may be compiled where everybody waits for it. */
export function compilesQuickly({ nodes, patterns }: CleanSchema): boolean {
  if (nodes > quickNodes || patterns.length > quickPatterns) return false;
  // Large counts and Unicode classes are unrolled into programs of thousands of steps.
  return patterns.every(
    (pattern) => pattern.length <= quickPatternLength && !/[{,][0-9]{3}|\{[0-9]{2}.*\{[0-9]{2}|\\[pP]/.test(pattern),
  );
}

/** Whether arguments of this size may be checked where everybody waits for it; `cost` as `evaluationsPerValue` has it. */
export function checksQuickly(clean: CleanSchema, cost: number, { values, characters }: ArgumentSize): boolean {
  if (clean.hasUniqueItems && values > quickUniqueValues) return false;
  const mostCharacters = clean.patterns.length > 0 ? quickPatternCharacters : quickCharacters;
  return cost * values <= quickEvaluations && cost * characters <= mostCharacters;
}

/** How often parts of the schema are evaluated for one value, at most. Infinite where it refers to itself. */
export function evaluationsPerValue(schema: JsonObject): number {
  const { $defs } = schema;
  const known = new Map<string, number>();
  const costOf = (part: Json): number => {
    if (!isObject(part)) return 1;
    let cost =
      1 + (Array.isArray(part.enum) ? part.enum.length / 10 : 0) + (Array.isArray(part.required) ? part.required.length / 10 : 0);
    for (const key of Object.keys(part)) {
      const value = part[key]!;
      if (key === '$ref') cost += typeof value === 'string' ? costOfReference(value) : 0;
      else if (partKeywords.has(key)) cost += costOf(value);
      else if (listKeywords.has(key) && Array.isArray(value)) for (const inner of value) cost += costOf(inner);
      else if ((mapKeywords.has(key) || key === '$defs') && isObject(value))
        for (const name of Object.keys(value)) cost += costOf(value[name]!);
    }
    return cost;
  };
  const costOfReference = (reference: string): number => {
    const before = known.get(reference);
    if (before !== undefined) return before;
    // Until it is known, whoever comes here again is inside of it.
    known.set(reference, Number.POSITIVE_INFINITY);
    const target = isObject($defs) ? $defs[reference.slice('#/$defs/'.length)] : undefined;
    const cost = target === undefined ? Number.POSITIVE_INFINITY : costOf(target);
    known.set(reference, cost);
    return cost;
  };
  try {
    const { $defs: _, ...own } = schema;
    return costOf(own);
  } catch (error) {
    // References to references to references, by the thousand.
    if (error instanceof RangeError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}
