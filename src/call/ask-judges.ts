/** Asks the judges that a policy names about the texts of a call. */
import type { Direction } from '../content/content-check.ts';
import {
  categoriesOf,
  defaultDeadlineMs,
  failureOf,
  hitsOf,
  type JudgeRow,
  type Judges,
  lastOf,
  NoVerdict,
} from '../content/judge.ts';
import type { ContentHit } from '../content/screen.ts';
import { textsIn } from '../content/texts-in.ts';
import type { Json } from '../wire/json.ts';

/** Where no judge can be asked: what a policy says of that then holds. */
export const noJudges: Judges = { of: () => ({ verdict: () => Promise.reject(new NoVerdict('no judge can be asked here')) }) };

/** What all the judges say, asked at the same time. Never rejects: what cannot be asked is a hit, too. */
export async function askJudges(
  judges: Judges,
  rows: readonly JudgeRow[],
  direction: Direction,
  texts: readonly string[],
): Promise<readonly ContentHit[]> {
  const judged = lastOf(texts.filter((text) => text.trim() !== ''));
  if (judged.length === 0) return [];
  const asked = rows.map(async (row) => {
    const { settings } = row;
    const deadlineMs = settings.deadlineMs ?? defaultDeadlineMs;
    try {
      const verdict = judges.of(settings).verdict(judged, categoriesOf(settings), deadlineMs);
      return hitsOf(row, await within(verdict, deadlineMs), direction);
    } catch {
      return [failureOf(row, direction)];
    }
  });
  return (await Promise.all(asked)).flat();
}

/** The same for what a client sends. */
export function askJudgesOf(
  judges: Judges,
  rows: readonly JudgeRow[],
  direction: Direction,
  value: Json,
): Promise<readonly ContentHit[]> {
  return askJudges(judges, rows, direction, textsIn(value));
}

/** Ids of the rules that say it must not pass. */
export function blockingOf(hits: readonly ContentHit[]): readonly string[] {
  return [...new Set(hits.filter(({ action }) => action === 'block').map(({ ruleId }) => ruleId))];
}

// A judge is given its deadline; this one holds as well where it does not keep to it.
async function within<Value>(promise: Promise<Value>, deadlineMs: number): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no verdict within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
