/** How long one piece of work may hold up everybody else. */
const turnMs = 8;

/**
 * For work that is done piece by piece: the function is asked between two pieces, and answers with something to wait for once the turn is
 * over, so that others have theirs.
 */
export function takeTurns(forMs = turnMs): () => Promise<void> | undefined {
  let sinceMs = performance.now();
  return () => {
    if (performance.now() - sinceMs < forMs) return undefined;
    return nextTurn().then(() => {
      sinceMs = performance.now();
    });
  };
}

/** `map` over what may be much, in turns with everybody else's work. */
export async function mapInTurns<Item, Made>(
  items: Iterable<Item>,
  make: (item: Item) => Made | Promise<Made>,
  turn: () => Promise<void> | undefined = takeTurns(),
): Promise<Made[]> {
  const all: Made[] = [];
  for (const item of items) {
    const made = make(item);
    all.push(made instanceof Promise ? await made : made);
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
  return all;
}

const waiting: (() => void)[] = [];

/** One at a time: between two turns, whoever has them, everything else that happened is looked at. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(giveTurn);
  });
}

function giveTurn(): void {
  waiting[0]?.();
  waiting.shift();
  if (waiting.length > 0) setImmediate(giveTurn);
}

/** Work in pieces of at most some milliseconds, which may stop for a while between any two. */
export type Steps<Result> = Generator<void, Result, void>;

/** Does the work in one go. */
export function atOnce<Result>(steps: Steps<Result>): Result {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** So much of a work is done before anybody else has a turn; nearly all is done by then. */
const firstTurnMs = 2;
const furtherTurnMs = 4;

/** Does the work as far as one turn goes, and the rest, if there is one, in turns. */
export function inTurns<Result>(steps: Steps<Result>): Result | Promise<Result> {
  const first = steps.next();
  if (first.done === true) return first.value;
  const untilMs = performance.now() + firstTurnMs;
  while (performance.now() < untilMs) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
  return continued(steps);
}

async function continued<Result>(steps: Steps<Result>): Promise<Result> {
  const turn = takeTurns(furtherTurnMs);
  await nextTurn();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
}
