import type { SessionStore, StoredSession } from './ports/sessions.ts';

/** Where sessions end up; one implementation per place. */
export interface SessionRows {
  read(id: string): Promise<StoredSession | undefined>;
  /** Each id once. Nothing that was ended before becomes open again. */
  write(batch: readonly StoredSession[]): Promise<void>;
  prune(beforeMs: number): Promise<number>;
}

const flushEveryMs = 200;
/** Keeps one statement below SQLite's and PostgreSQL's limits on parameters. */
const batchSize = 500;
/** About 10 MB of usual sessions: what may wait while the database is away. */
const waitingLimit = 20_000;
/** A call waits for this read: better to know nothing of its session than to hang with the database. */
const loadLimitMs = 250;

interface BufferedSessionStore extends SessionStore {
  /** Stops the timer after a last flush. */
  close(): Promise<void>;
}

/**
 * Writes sessions behind the call: at most every 200 ms, each id once per batch. A batch that fails waits for the next turn;
 * when too many wait, the ones saved longest ago are dropped. A read that fails or takes longer than 250 ms knows nothing of
 * the session. Only `prune` throws; `warn` hears of every other failure.
 */
export function bufferSessions(rows: SessionRows, warn: (error: unknown) => void): BufferedSessionStore {
  /** In the order of saving, which is the order of dropping. */
  const waiting = new Map<string, StoredSession>();
  let inFlight: readonly StoredSession[] = [];
  let timer: NodeJS.Timeout | undefined;
  let lastFlush = Promise.resolve();
  let isClosed = false;

  function keep(session: StoredSession): void {
    const earlier = waiting.get(session.id);
    waiting.delete(session.id);
    waiting.set(session.id, earlier?.isEnded ? { ...session, isEnded: true } : session);
    if (waiting.size <= waitingLimit) return;
    waiting.delete(waiting.keys().next().value as string);
    warn(new Error(`More than ${waitingLimit} sessions wait to be written; the oldest are dropped.`));
  }

  function schedule(): void {
    if (isClosed) return;
    timer ??= setTimeout(flush, flushEveryMs).unref();
  }

  /** One after the other, so that a caller's own flush covers whatever it saved before. */
  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    lastFlush = lastFlush.then(writeAll);
    return lastFlush;
  }

  async function writeAll(): Promise<void> {
    while (waiting.size > 0) {
      inFlight = [...waiting.values()].slice(0, batchSize);
      for (const { id } of inFlight) waiting.delete(id);
      try {
        await rows.write(inFlight);
      } catch (error) {
        warn(error);
        putBack(inFlight);
        schedule();
        return;
      } finally {
        inFlight = [];
      }
    }
  }

  /** A failed batch goes before what was saved meanwhile, and gives way to it. */
  function putBack(batch: readonly StoredSession[]): void {
    const later = [...waiting.values()];
    waiting.clear();
    for (const session of [...batch, ...later]) keep(session);
  }

  /** What was saved here and may not be in `rows` yet. */
  function unwritten(id: string): StoredSession | undefined {
    const older = inFlight.find((session) => session.id === id);
    const newer = waiting.get(id);
    return newer && older?.isEnded ? { ...newer, isEnded: true } : (newer ?? older);
  }

  return {
    async load(id) {
      const own = unwritten(id);
      if (own?.isEnded) return own;
      const kept = await within(loadLimitMs, rows.read(id)).catch(warn);
      // Another replica may have ended what was only changed here.
      return own ? { ...own, isEnded: kept?.isEnded === true } : (kept ?? undefined);
    },
    save(session) {
      keep(session);
      schedule();
    },
    async prune(beforeMs) {
      await flush();
      return await rows.prune(beforeMs);
    },
    flush,
    async close() {
      isClosed = true;
      await flush();
    },
  };
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer within ${limitMs} ms.`)), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
