import type { UpstreamConfig } from '../catalog/config.ts';
import type { UpstreamHealth } from './upstream.ts';

// Parts of Gatehouse that are upstreams like any other, so that each call of them takes the whole path.

/** The entry under which the catalog has one. */
export function builtInConfig(
  entry: Pick<UpstreamConfig, 'namespace' | 'name' | 'kind' | 'timeoutMs' | 'maxDurationMs'>,
): UpstreamConfig {
  return {
    ...entry,
    id: `${entry.namespace}/${entry.name}`,
    transport: { type: 'http', url: '', headers: {} },
    era: 'auto',
    sessions: 'shared',
    concurrency: 64,
    include: ['*'],
    exclude: [],
    rename: {},
    answerLimitBytes: 64 * 1024 * 1024,
    // A mistake of whoever calls it says nothing about the gateway's health.
    breaker: { errorRate: 1, minimumCalls: 1_000_000, windowMs: 60_000, openMs: 1_000 },
  };
}

export function builtInHealth(calls: UpstreamHealth['calls']): UpstreamHealth {
  return {
    state: 'healthy',
    protocolVersion: undefined,
    era: undefined,
    transport: 'built in',
    server: undefined,
    lastError: undefined,
    lastSuccessAtMs: undefined,
    calls,
    callsInFlight: 0,
    nextAttemptAtMs: undefined,
    connections: 0,
  };
}
