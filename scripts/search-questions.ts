// The questions that search is measured with, and how it fares with them.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readQuery } from '../src/finding/query.ts';
import { rank } from '../src/finding/rank.ts';
import type { Synonyms } from '../src/finding/synonyms.ts';
import type { View } from '../src/finding/view.ts';
import type { CorpusEntry } from './search-corpus.ts';

export interface Question {
  readonly text: string;
  /** What answers it, as `api:operationId`. */
  readonly answers: ReadonlySet<string>;
  readonly isHeldOut: boolean;
}

/** Least share of questions with a right tool among the first five: of all, and of those that nothing was tuned with. */
export const bars = { all: 0.87, heldOut: 0.83 };

const file = join(import.meta.dirname, '..', 'test', 'fixtures', 'search', 'questions.txt');

export function readQuestions(): readonly Question[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [text = '', answers = ''] = line.split(' | ');
      const [byte = 0] = createHash('sha256').update(text).digest();
      return { text, answers: new Set(answers.split(', ')), isHeldOut: byte % 3 === 0 };
    });
}

/** Throws where a question names a tool that is not among the entries: it could never be found. */
export function assertAnswerable(questions: readonly Question[], entries: readonly CorpusEntry[]): void {
  const known = new Set(entries.map(({ id }) => id));
  const unknown = questions.flatMap(({ text, answers }) =>
    [...answers].filter((id) => !known.has(id)).map((id) => `${id} (${text})`),
  );
  if (unknown.length > 0) throw new Error(`the questions name operations that are not there: ${unknown.join(', ')}`);
}

export interface Measured {
  readonly question: Question;
  /** Of the first right tool, from 1; infinite where none is among ten. */
  readonly place: number;
  readonly found: readonly string[];
  readonly elapsedMs: number;
}

export function measure(view: View<CorpusEntry>, synonyms: Synonyms, questions: readonly Question[]): readonly Measured[] {
  return questions.map((question) => {
    const startedAtMs = performance.now();
    const found = rank(view, readQuery(question.text, synonyms), 10);
    const elapsedMs = performance.now() - startedAtMs;
    const place = found.findIndex(({ id }) => question.answers.has(id));
    return { question, place: place === -1 ? Number.POSITIVE_INFINITY : place + 1, found: found.map(({ id }) => id), elapsedMs };
  });
}

/** The share with a right tool among the first so many. */
export function hitsAt(most: number, measured: readonly Measured[]): number {
  return measured.filter(({ place }) => place <= most).length / measured.length;
}
