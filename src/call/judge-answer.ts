import type { JudgeRow, Judges } from '../content/judge.ts';
import type { ContentHit } from '../content/screen.ts';
import { askJudges, blockingOf } from './ask-judges.ts';
import { ContentRefusal } from './screen.ts';

/** What the judges of a policy find in an answer, for the record. Rejects with ContentRefusal where it must not be passed on. */
export async function judgeAnswer(
  judges: Judges,
  rows: readonly JudgeRow[],
  capability: string,
  texts: readonly string[],
): Promise<readonly ContentHit[]> {
  const hits = await askJudges(judges, rows, 'out', texts);
  const blocking = blockingOf(hits);
  if (blocking.length === 0) return hits;
  const isUnjudged = blocking.every((rule) => rule === 'judge/unavailable');
  throw new ContentRefusal(
    isUnjudged
      ? `The answer of ${capability} has to be judged first, and the judge cannot be asked right now. Call again later.`
      : `The answer of ${capability} holds what must not be passed on (${blocking.join(', ')}). Ask for something else, or ask whoever administers it.`,
    hits,
  );
}
