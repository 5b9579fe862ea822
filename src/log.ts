import { type DestinationStream, type Logger, pino } from 'pino';

/** How long the last lines may take to get out. */
const flushWithinMs = 500;

interface Log {
  readonly log: Logger;
  /** Writes what is left, as far as somebody still reads it. Never rejects. */
  close(): Promise<void>;
}

/** JSON lines on standard error: standard output belongs to people, and on stdio to the protocol. */
export function openLog(level: string): Log {
  // Lines are gathered and written by timer: a write per call would cost as much as the call's own work.
  const destination = pino.destination({ dest: 2, sync: false, minLength: 65_536, maxWrite: 262_144, periodicFlush: 250 });
  let isBroken = false;
  // Whoever read the log may be gone before us (`gatehouse serve | head`): that ends the log, not the gateway.
  destination.on('error', () => {
    isBroken = true;
  });
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.epochTime }, destination as DestinationStream);
  const close = () =>
    new Promise<void>((resolve) => {
      if (isBroken) return resolve();
      // `flushSync` would try for ever on a pipe that nobody reads.
      setTimeout(resolve, flushWithinMs).unref();
      destination.flush(() => resolve());
    });
  return { log, close };
}
