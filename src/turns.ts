import { GatewayError } from './errors.ts';

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

const pieceCharacters = 512 * 1024;

/** A text of any length as UTF-8. */
export async function encodeInTurns(text: string): Promise<Buffer> {
  const turn = takeTurns();
  const pieces: Buffer[] = [];
  for (let at = 0; at < text.length; ) {
    const end = at + pieceCharacters;
    // No pair is torn apart.
    const cut = (text.charCodeAt(end - 1) & 0xfc00) === 0xd800 ? end - 1 : end;
    pieces.push(Buffer.from(text.slice(at, cut)));
    at = cut;
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
  return Buffer.concat(pieces);
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

/** Who the work is done for; there is a `reason` once they have left. */
export interface Waiting {
  readonly reason: string | undefined;
}

/**
 * Does the work as far as one turn goes, and the rest, if there is one, in turns. Stops between two turns when whoever waits for it has
 * left, and rejects with GatewayError `cancelled`.
 */
export function inTurns<Result>(steps: Steps<Result>, waiting?: Waiting): Result | Promise<Result> {
  const first = steps.next();
  if (first.done === true) return first.value;
  const untilMs = performance.now() + firstTurnMs;
  while (performance.now() < untilMs) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
  return continued(steps, waiting);
}

async function continued<Result>(steps: Steps<Result>, waiting: Waiting | undefined): Promise<Result> {
  const turn = takeTurns(furtherTurnMs);
  await nextTurn();
  for (;;) {
    if (waiting?.reason !== undefined) throw new GatewayError('cancelled', `Nobody waits for it any more: ${waiting.reason}.`);
    const step = steps.next();
    if (step.done === true) return step.value;
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
}
