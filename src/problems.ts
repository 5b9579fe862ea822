import { isAbsolute, relative } from 'node:path';

/** Something a person has to change in a file, a flag or the environment. */
export interface Problem {
  /** What is wrong and what to do about it, in sentences. Never holds a secret. */
  readonly message: string;
  readonly file?: string | undefined;
  /** From 1. */
  readonly line?: number | undefined;
  /** From 1. */
  readonly column?: number | undefined;
}

/** Every problem of one configuration at once: a person repairs them in one go instead of one start per mistake. */
export class ConfigurationError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

/** `file:line:column: message`, the form editors and terminals make a link of. */
export function formatProblem({ file, line, column, message }: Problem): string {
  if (file === undefined) return message;
  const short = relative(process.cwd(), file);
  const name = short === '' || short.startsWith('..') || isAbsolute(short) ? file : short;
  return `${[name, line, column].filter((part) => part !== undefined).join(':')}: ${message}`;
}

/** ` Did you mean "x"?` for the known name that is closest to what was written; empty when none is close. */
export function suggestName(given: string, known: Iterable<string>): string {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const name of known) {
    const limit = Math.min(bestDistance - 1, Math.ceil(Math.min(given.length, name.length) / 3));
    if (Math.abs(name.length - given.length) > limit) continue;
    const distance = editDistance(given.toLowerCase(), name.toLowerCase());
    if (distance <= limit) [best, bestDistance] = [name, distance];
  }
  return best === undefined ? '' : ` Did you mean "${best}"?`;
}

// Levenshtein with neighbours swapped counted as one: the usual slip of the fingers.
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let distance = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        distance = Math.min(distance, at(beforeLast, j - 2) + 1);
      row.push(distance);
    }
    beforeLast = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? 0;
}
