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

/** Of comparisons for one suggestion: about a twentieth of a second, while nobody else is served. What was found by then counts. */
const mostCells = 4_000_000;

/** ` Did you mean "x"?` for the known name that is closest to what was written; empty when none is close. */
export function suggestName(given: string, known: Iterable<string>): string {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  let cells = mostCells;
  const wanted = given.toLowerCase();
  const counts = countsOf(wanted);
  for (const name of known) {
    const limit = Math.min(bestDistance - 1, Math.ceil(Math.min(given.length, name.length) / 3));
    if (Math.abs(name.length - given.length) > limit) continue;
    const other = name.toLowerCase();
    if (leastDistance(counts, other) > limit) continue;
    cells -= wanted.length * other.length;
    if (cells < 0) break;
    const distance = editDistance(wanted, other, limit);
    if (distance <= limit) [best, bestDistance] = [name, distance];
  }
  return best === undefined ? '' : ` Did you mean "${best}"?`;
}

const kinds = 128;

function countsOf(text: string): Int32Array {
  const counts = new Int32Array(kinds);
  for (let i = 0; i < text.length; i++) counts[text.charCodeAt(i) % kinds]! += 1;
  return counts;
}

const left = new Int32Array(kinds);

/** Characters that one has and the other has not: so many changes it takes at least. Most names differ by more than is looked for. */
function leastDistance(counts: Int32Array, other: string): number {
  left.set(counts);
  for (let i = 0; i < other.length; i++) left[other.charCodeAt(i) % kinds]! -= 1;
  let missing = 0;
  let surplus = 0;
  for (const count of left) {
    if (count > 0) missing += count;
    else surplus -= count;
  }
  return Math.max(missing, surplus);
}

// Levenshtein with neighbours swapped counted as one: the usual slip of the fingers. Anything above the limit is only that.
function editDistance(a: string, b: string, limit: number): number {
  let beforeLast = new Int32Array(b.length + 1);
  let last = Int32Array.from({ length: b.length + 1 }, (_, index) => index);
  let row = new Int32Array(b.length + 1);
  let lastLeast = 0;
  for (let i = 1; i <= a.length; i++) {
    const least = fillRow(row, last, beforeLast, a, b, i);
    // What comes below is made of these two rows.
    if (least > limit && lastLeast >= limit) return limit + 1;
    [beforeLast, last, row, lastLeast] = [last, row, beforeLast, least];
  }
  return last[b.length] ?? 0;
}

/** Returns the least of it. */
function fillRow(row: Int32Array, last: Int32Array, beforeLast: Int32Array, a: string, b: string, i: number): number {
  const mine = a.charCodeAt(i - 1);
  const before = i > 1 ? a.charCodeAt(i - 2) : -1;
  row[0] = i;
  let least = i;
  for (let j = 1; j <= b.length; j++) {
    const theirs = b.charCodeAt(j - 1);
    let distance = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (mine === theirs ? 0 : 1));
    const isSwapped = j > 1 && before === theirs && mine === b.charCodeAt(j - 2);
    if (isSwapped) distance = Math.min(distance, beforeLast[j - 2]! + 1);
    row[j] = distance;
    if (distance < least) least = distance;
  }
  return least;
}
