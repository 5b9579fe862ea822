import type { Dispatcher } from 'undici';
import Pool from 'undici/lib/dispatcher/pool.js';
import type { EgressGuard } from './egress.ts';

interface PoolTarget {
  /** Only its origin counts. */
  readonly url: URL;
  readonly egress: Pick<EgressGuard, 'connect'>;
  /** Every address is checked as it is connected to. */
  readonly isGuarded: boolean;
  /** Calls at the same time. */
  readonly concurrency: number;
}

const connectTimeoutMs = 10_000;
// No call waits for this many: it only keeps a far end that takes nothing from using up every socket there is.
const minConnections = 4_096;

/** The connections to one origin, kept open between calls. Deadlines are the caller's. */
export function openPool({ url, egress, isGuarded, concurrency }: PoolTarget): Dispatcher {
  return new Pool(url.origin, {
    // HTTP/2 would put all calls into one queue.
    allowH2: false,
    connections: Math.max(minConnections, 2 * concurrency),
    pipelining: 1,
    ...(isGuarded ? { connect: egress.connect } : { connectTimeout: connectTimeoutMs }),
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}
