/** What the rest of the gateway knows and telemetry only asks for when it is scraped. */
export interface Gauges {
  readonly version: string;
  readonly startedAtMs: number;
  sessions(): number;
  /** Open event streams. */
  streams(): number;
  /** How far what is on disk is behind what happened; undefined without a journal. */
  journalLagMs(): number | undefined;
  /** Calls that wait for a person, over all replicas; undefined where the store does not say. */
  approvalsPending?(): number | undefined;
  upstreams(): Iterable<UpstreamGauge>;
  /** Servers that replicas share. */
  stores?(): Iterable<{ readonly kind: string; readonly isReachable: boolean }>;
}

export interface UpstreamGauge {
  /** `namespace/name`. */
  readonly id: string;
  /** Calls succeed. */
  readonly isHealthy: boolean;
  readonly breaker: BreakerState;
}

type BreakerState = 'closed' | 'half-open' | 'open';
