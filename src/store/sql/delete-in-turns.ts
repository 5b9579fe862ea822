import { takeTurns } from '../../turns.ts';

/** So many are gone in a few milliseconds. */
const mostAtOnce = 250;

/** Deletes what may be very much: a few rows at a time, so that nobody waits for long. Returns how many went. */
export async function deleteInTurns(deleteSome: (most: number) => Promise<number>): Promise<number> {
  const turn = takeTurns();
  for (let removed = 0; ; ) {
    const gone = await deleteSome(mostAtOnce);
    removed += gone;
    if (gone < mostAtOnce) return removed;
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
}
