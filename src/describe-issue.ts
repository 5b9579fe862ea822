import type { z } from 'zod';
import { suggestName } from './problems.ts';

/** What is wrong with one entry of a file that people write, and where. */
export interface Flaw {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** What one format says in words of its own. */
interface Wording {
  /** Of a value that is wrong as a whole. */
  readonly whole: string;
  /** Of a key that the format does not have. */
  readonly unknown: (key: string, path: readonly PropertyKey[], input: unknown) => string;
  /** Of what fits none of several forms; without it, in the schema's own words. */
  readonly union?: (issue: z.core.$ZodIssueInvalidUnion) => Flaw[];
  /** Of an issue that the usual words do not fit; undefined where they do. */
  readonly special?: (issue: z.core.$ZodIssue) => string | undefined;
}

/** What zod found, in sentences for whoever wrote the file. */
export function describeIssue(issue: z.core.$ZodIssue, wording: Wording): Flaw[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...path, key], message: wording.unknown(key, path, issue.input) }));
  if (issue.code === 'invalid_union' && wording.union !== undefined) return wording.union(issue);
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => ({ path, message }));
  return [{ path, message: wording.special?.(issue) ?? describe(issue, wording) }];
}

function describe(issue: z.core.$ZodIssue, { whole }: Wording): string {
  const key = issue.path.at(-1);
  const name = key === undefined || typeof key === 'number' ? 'This' : `"${String(key)}"`;
  switch (issue.code) {
    case 'invalid_type':
      if (issue.path.length === 0) return whole;
      if (issue.input === undefined) return `${name} is missing; add it.`;
      return `${name} must be ${kindNames[issue.expected] ?? issue.expected}.`;
    case 'invalid_value': {
      const values = issue.values.map(String);
      if (issue.input === undefined) return `${name} is missing; add it: ${values.join(' or ')}.`;
      return `${name} must be one of ${values.join(', ')}.${typeof issue.input === 'string' ? suggestName(issue.input, values) : ''}`;
    }
    case 'too_small':
      return `${name} must ${verbOf(issue.origin)} ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}.`;
    case 'too_big':
      return `${name} must ${verbOf(issue.origin)} at most ${issue.maximum}${unitOf(issue.origin)}.`;
    default:
      return issue.message;
  }
}

const kindNames: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  array: 'a list, e.g. [one, two]',
  object: 'a map of "key: value" lines',
  record: 'a map of "key: value" lines',
};

function verbOf(origin: string): string {
  return origin === 'string' || origin === 'array' ? 'have' : 'be';
}

function unitOf(origin: string): string {
  return origin === 'string' ? ' characters' : origin === 'array' ? ' items' : '';
}
