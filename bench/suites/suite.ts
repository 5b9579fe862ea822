import type { Values } from '../bars.ts';
import type { Lab } from '../lab.ts';
import type { Row } from '../rounds.ts';

export type Suite = (lab: Lab) => Promise<SuiteResult>;

export interface SuiteResult {
  readonly rows: readonly Row[];
  /** What is not a load: times, memory, counts. */
  readonly figures: readonly Figure[];
  /** What is held against a bar. */
  readonly values: Values;
}

export interface Figure {
  readonly text: string;
  readonly value: number | undefined;
  readonly unit: string;
}

export const megabyte = 1024 * 1024;
