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
    return new Promise<void>((resolve) => {
      setImmediate(() => {
        sinceMs = performance.now();
        resolve();
      });
    });
  };
}
