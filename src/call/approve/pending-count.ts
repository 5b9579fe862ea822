/** A store that hangs must hold up neither whoever asks how the gateway fares nor what collects its metrics. */
const waitMs = 500;

/**
 * How many calls wait for a person, within half a second; undefined where the store does not say by then. Never rejects. Whoever asks
 * while the store is still being asked waits for the same answer: no connection more is taken for it.
 */
export function pendingCount(ask: () => Promise<number>): () => Promise<number | undefined> {
  let asked: Promise<number | undefined> | undefined;
  return async () => {
    asked ??= ask()
      .catch(() => undefined)
      .finally(() => {
        asked = undefined;
      });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, waitMs, undefined);
    });
    try {
      return await Promise.race([asked, late]);
    } finally {
      clearTimeout(timer);
    }
  };
}
