import type { RegistryNews, RegistryPosition, RegistryStore } from './ports/registry.ts';

interface Follower {
  /** What was loaded. */
  readonly from: RegistryPosition;
  /** Takes up news in order, one after the other; when it throws, the same news come again. */
  readonly take: (news: RegistryNews) => void | Promise<void>;
  /** Hears of every read or `take` that failed; each is tried again. */
  readonly warn: (error: unknown) => void;
  readonly retryMs?: number;
}

/**
 * Keeps up with a registry: hands on what every commit changed, in order, also after reads that failed. After `regressed` it goes on
 * from where the store is now: what that means for what is known only by this process is `take`'s to decide. Returns how to stop.
 */
export function followRegistry(registry: RegistryStore, { from, take, warn, retryMs = 500 }: Follower): () => void {
  let position = from;
  let isStopped = false;
  let isReading = false;
  let isStale = false;
  let timer: NodeJS.Timeout | undefined;

  async function read(): Promise<void> {
    isStale = true;
    if (isReading) return;
    isReading = true;
    clearTimeout(timer);
    try {
      while (isStale && !isStopped) {
        isStale = false;
        await takeNews();
      }
    } catch (error) {
      warn(error);
      if (!isStopped) timer = setTimeout(read, retryMs).unref();
    } finally {
      isReading = false;
    }
  }

  async function takeNews(): Promise<void> {
    const news = await registry.since(position);
    if (isStopped || isSame(news.position, position)) return;
    await take(news);
    position = news.position;
  }

  const stop = registry.watch((head) => {
    if (!isSame(head, position)) void read();
  });
  return () => {
    isStopped = true;
    clearTimeout(timer);
    stop();
  };
}

function isSame(a: RegistryPosition, b: RegistryPosition): boolean {
  return a.revision === b.revision && a.mark === b.mark;
}
