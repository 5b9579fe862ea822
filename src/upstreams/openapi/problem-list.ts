import { shorten } from '../../arguments/measure-arguments.ts';
import type { ConversionProblem } from './conversion.ts';

export interface ProblemList {
  /** Says the same about the same place only once. */
  add(kind: ConversionProblem['kind'], operation: string, pointer: string, message: string): void;
  all(): readonly ConversionProblem[];
}

const problemLimit = 2_000;

export function collectProblems(): ProblemList {
  const seen = new Set<string>();
  const problems: ConversionProblem[] = [];
  let unlisted = 0;
  return {
    add: (kind, operation, pointer, message) => {
      const key = `${operation}\n${pointer}\n${message}`;
      if (seen.has(key)) return;
      // What is lost is always said.
      if (problems.length >= problemLimit && kind === 'changed') {
        unlisted++;
        return;
      }
      seen.add(key);
      problems.push({ kind, operation: shorten(operation, 300), pointer: shorten(pointer, 500), message: shorten(message, 500) });
    },
    all: () => {
      if (unlisted === 0) return problems;
      return [...problems, { kind: 'changed', operation: '', pointer: '', message: `${unlisted} more were not listed.` }];
    },
  };
}
