import { type DestinationStream, type Logger, pino } from 'pino';

/** JSON lines on standard error: standard output belongs to people, and on stdio to the protocol. */
export function openLog(level: string): { readonly log: Logger; readonly close: () => void } {
  // Lines are gathered and written by timer: a write per call would cost as much as the call's own work.
  const destination = pino.destination({ dest: 2, sync: false, minLength: 8192, periodicFlush: 250 });
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.epochTime }, destination as DestinationStream);
  return { log, close: () => destination.flushSync() };
}
