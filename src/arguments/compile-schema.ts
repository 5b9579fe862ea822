/** Compiles a clean schema with Ajv: here for small ones, in a worker for all others. */
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { partsOf, UnusableSchema } from './clean-schema.ts';
import { type CheckWords, describeErrors } from './describe-error.ts';
import { shorten } from './measure-arguments.ts';

export interface Validator {
  /** Undefined, or one sentence that says what to change. */
  readonly check: (args: Json) => string | undefined;
  /** Patterns that cannot be matched in linear time and are therefore not checked, as sentences. */
  readonly warnings: readonly string[];
  /** Those that can be matched. */
  readonly patterns: ReadonlyMap<string, Matcher>;
}

/** Throws UnusableSchema. Ajv takes tens of milliseconds to load: the first schema pays them, not the start. */
export async function compileSchema(schema: JsonObject, patterns: readonly string[], words: CheckWords): Promise<Validator> {
  const [{ Ajv2020 }, matchers] = await Promise.all([import('ajv/dist/2020.js'), compilePatterns(patterns)]);
  const unreadable = [...matchers].filter(([, matcher]) => matcher === undefined).map(([pattern]) => pattern);
  const ajv = new Ajv2020({
    strict: false,
    allErrors: false,
    unicodeRegExp: false,
    ownProperties: true,
    // Every keyword was looked at when the schema was cleaned; the schemas of schemas are large.
    meta: false,
    validateSchema: false,
    addUsedSchema: false,
    // Annotations (2020-12 section 7.2.1): libraries disagree on what a date-time is, and upstreams know what they take.
    validateFormats: false,
    // A part that is referred to a hundred times is compiled once.
    inlineRefs: false,
    multipleOfPrecision: 9,
    messages: false,
    verbose: true,
    logger: false,
    code: { regExp: Object.assign((pattern: string) => matchers.get(pattern) ?? everything, { code: 'linear' }) },
  });
  try {
    const validate = ajv.compile(withoutPatterns(schema, new Set(unreadable)));
    const check = (args: Json) => (validate(args) ? undefined : describeErrors(validate.errors ?? [], words));
    const readable = new Map([...matchers].flatMap(([pattern, matcher]) => (matcher === undefined ? [] : [[pattern, matcher]])));
    return { check: (args) => guard(() => check(args), words), warnings: unreadable.map(describePattern), patterns: readable };
  } catch (error) {
    // Ajv recurses: what is too large for it overflows the stack.
    if (error instanceof RangeError) throw new UnusableSchema('is too large to be compiled');
    throw new UnusableSchema(`cannot be compiled (${shorten(error instanceof Error ? error.message : String(error), 200)})`);
  }
}

// A schema that refers to itself at the same place goes on until the stack is full; and for a few odd schemas the code that Ajv 8.20
// makes uses a name that it has not declared (`anyOf` beside `not: true`). What cannot be checked is not passed on.
function guard(check: () => string | undefined, { whole, schema }: CheckWords): string | undefined {
  try {
    return check();
  } catch (error) {
    const reason = error instanceof RangeError ? 'it refers to itself without end' : 'it contradicts itself';
    return `${whole} cannot be checked against the ${schema} of this tool: ${reason}. Its operator has to change it.`;
  }
}

export interface Matcher {
  test(text: string): boolean;
  /** Ajv takes two matchers that print alike for one. */
  toString(): string;
}

const everything: Matcher = { test: () => true, toString: () => '' };

async function compilePatterns(patterns: readonly string[]): Promise<Map<string, Matcher | undefined>> {
  const matchers = new Map<string, Matcher | undefined>();
  if (patterns.length === 0) return matchers;
  const { RE2JS } = await import('re2js');
  for (const pattern of new Set(patterns)) {
    try {
      const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
      matchers.set(pattern, { test: (text) => compiled.test(text), toString: () => pattern });
    } catch {
      matchers.set(pattern, undefined);
    }
  }
  return matchers;
}

function describePattern(pattern: string): string {
  return `The pattern "${shorten(pattern, 100)}" is not checked: it uses look-around or back-references, which cannot be matched in bounded time.`;
}

/** A copy where nothing depends on these patterns: what they name could be anything, so anything else may be named as well. */
function withoutPatterns(schema: JsonObject, patterns: ReadonlySet<string>): JsonObject {
  if (patterns.size === 0) return schema;
  const copy = structuredClone(schema);
  const queue: Json[] = [copy];
  for (const part of queue) {
    if (!isObject(part)) continue;
    queue.push(...partsOf(part));
    if (typeof part.pattern === 'string' && patterns.has(part.pattern)) delete part.pattern;
    const { patternProperties } = part;
    if (!isObject(patternProperties)) continue;
    for (const pattern of Object.keys(patternProperties).filter((name) => patterns.has(name))) {
      delete patternProperties[pattern];
      delete part.additionalProperties;
      delete part.unevaluatedProperties;
    }
  }
  return copy;
}
