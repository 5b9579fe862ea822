import type { JudgeRow, Judges } from '../content/judge.ts';
import type { ContentHit } from '../content/screen.ts';
import { askJudges, blockingOf } from './ask-judges.ts';
import { ContentRefusal, judgeAwayMs } from './screen.ts';

/** Whose answer it is. */
interface Answered {
  /** `namespace/name`. */
  readonly capability: string;
  /** The same call once more does nothing twice. */
  readonly mayRepeat: boolean;
}

/**
 * What the judges of a policy find in an answer, for the record. Rejects with ContentRefusal where it must not be passed on:
 * `content_blocked`, and `judge_unavailable` where nobody could say so.
 */
export async function judgeAnswer(
  judges: Judges,
  rows: readonly JudgeRow[],
  answered: Answered,
  texts: readonly string[],
): Promise<readonly ContentHit[]> {
  const hits = await askJudges(judges, rows, 'out', texts);
  const blocking = blockingOf(hits);
  if (blocking.length === 0) return hits;
  if (blocking.every((rule) => rule === 'judge/unavailable')) throw unjudged(answered, hits);
  throw new ContentRefusal(
    `The answer of ${answered.capability} holds what must not be passed on (${blocking.join(', ')}). Ask for something else, or ask whoever administers it.`,
    hits,
  );
}

function unjudged({ capability, mayRepeat }: Answered, hits: readonly ContentHit[]): ContentRefusal {
  const why = 'has to be judged before it is passed on, and the judge cannot be asked right now';
  if (mayRepeat)
    return new ContentRefusal(`The answer of ${capability} ${why}. Call again later.`, hits, 'judge_unavailable', judgeAwayMs);
  const text = `The call of ${capability} was carried out; its answer ${why}. Check what was done before you call again.`;
  return new ContentRefusal(text, hits, 'judge_unavailable');
}
