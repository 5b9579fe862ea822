import type { Clock } from '../clock.ts';
import type { RegistryPosition, RegistryStore } from './ports/registry.ts';
import { checkCommit, type RegistryRows, toNews, toState } from './registry-rows.ts';
import type { RegistryWriter } from './sql/registry.ts';

/** Says where the registry's head is, now and then, until it is stopped. */
export type HeadSource = (tell: (head: RegistryPosition) => void) => () => void;

interface RegistryParts {
  readonly rows: RegistryRows;
  readonly writer: RegistryWriter;
  readonly source: HeadSource;
  readonly clock: Clock;
}

type OpenRegistry = RegistryStore & { close(): void };

const recordsLimit = 1_000;

export function openRegistry({ rows, writer, source, clock }: RegistryParts): OpenRegistry {
  const watchers = watchHead(source);
  return {
    async load() {
      return toState(await rows.read(0, false));
    },
    async since(seen) {
      return toNews(await rows.read(seen.revision, true), seen);
    },
    async commit(changes, records) {
      checkCommit(changes, records);
      const result = await writer.commit(changes, records, clock.nowMs());
      if (result.kind === 'committed') watchers.tell(result.position);
      return result;
    },
    watch: watchers.watch,
    async changeRecords(query) {
      const limit = Math.min(Math.max(1, Math.trunc(query.limit)), recordsLimit);
      return await writer.changeRecords({ ...query, limit });
    },
    close: watchers.close,
  };
}

interface Watchers {
  readonly tell: (head: RegistryPosition) => void;
  readonly watch: RegistryStore['watch'];
  readonly close: () => void;
}

/** Hands a head on to whoever has not heard of it. The source runs only while somebody listens. */
function watchHead(source: HeadSource): Watchers {
  const told = new Map<(head: RegistryPosition) => void, RegistryPosition | undefined>();
  let newest: RegistryPosition | undefined;
  let stop: (() => void) | undefined;

  function tell(head: RegistryPosition): void {
    newest = head;
    for (const [listener, last] of told) {
      if (last?.revision === head.revision && last.mark === head.mark) continue;
      told.set(listener, head);
      listener(head);
    }
  }

  function close(): void {
    told.clear();
    stop?.();
    stop = undefined;
  }

  return {
    tell,
    close,
    watch(listener) {
      // The same function may be given twice; each has its own end.
      const own = (head: RegistryPosition) => listener(head);
      told.set(own, undefined);
      if (stop === undefined) stop = source(tell);
      else if (newest !== undefined) tell(newest);
      return () => {
        told.delete(own);
        if (told.size === 0) close();
      };
    },
  };
}

/** A source that looks again and again. */
export function pollHead(read: () => Promise<RegistryPosition>, everyMs: number, warn: (error: unknown) => void): HeadSource {
  return (tell) => {
    let isStopped = false;
    let timer: NodeJS.Timeout | undefined;
    async function look(): Promise<void> {
      try {
        const head = await read();
        if (!isStopped) tell(head);
      } catch (error) {
        if (!isStopped) warn(error);
      }
      if (!isStopped) timer = setTimeout(look, everyMs).unref();
    }
    void look();
    return () => {
      isStopped = true;
      clearTimeout(timer);
    };
  };
}
