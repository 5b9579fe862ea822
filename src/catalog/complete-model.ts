import type { ModelCredential, ModelTarget, ModelTransport } from './config.ts';
import { nameTargets } from './model-entry.ts';
import type { NamespaceFile } from './namespace-file.ts';

type UpstreamEntry = NonNullable<NamespaceFile['upstreams']>[string];
type ModelEntry = Extract<UpstreamEntry, { readonly kind: 'model' }>;
type TargetEntry = ModelEntry['targets'][number];

const usual = {
  errorRate: 0.5,
  minimumCalls: 10,
  windowMs: 60_000,
  consecutiveErrors: 3,
  ejectMs: 5_000,
  longestEjectMs: 300_000,
};

/** What a checked entry says of a model, complete with defaults. */
export function completeModel(entry: ModelEntry, origin: 'file' | 'guarded'): ModelTransport {
  const { aliases = [], targets, contextWindow, maxOutputTokens, can = ['text'] } = entry;
  const names = nameTargets(targets);
  return {
    type: 'model',
    aliases,
    targets: targets.map((target, at) => completeTarget(target, names[at] ?? target.provider)),
    routing: completeRouting(entry.routing),
    contextWindow,
    maxOutputTokens,
    can,
    defaults: { maxTokens: entry.defaults?.maxTokens },
    hostedTools: entry.hostedTools ?? [],
    heldIds: entry.heldIds ?? [],
    cache: completeCache(entry.cache),
    ...(origin === 'guarded' ? { isGuarded: true } : {}),
  };
}

function completeTarget(target: TargetEntry, name: string): ModelTarget {
  const {
    provider,
    model,
    url,
    headers = {},
    location,
    project,
    apiVersion,
    region,
    weight = 1,
    dialects,
    limits,
    price,
  } = target;
  return {
    name,
    provider,
    model,
    url,
    headers,
    credential: credentialOf(target),
    location,
    project,
    apiVersion,
    region,
    weight,
    version: target.version ?? name,
    dialects,
    limits: { rpm: limits?.rpm, tpm: limits?.tpm, concurrency: limits?.concurrency },
    price: price && { ...price, cacheRead: price.cacheRead ?? price.input, cacheWrite: price.cacheWrite ?? price.input },
  };
}

function credentialOf(target: TargetEntry): ModelCredential | undefined {
  const { key, accessKeyId, secretAccessKey, sessionToken, serviceAccount } = target;
  if (key !== undefined) return { kind: 'key', key };
  if (serviceAccount !== undefined) return { kind: 'google', account: serviceAccount };
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  return { kind: 'aws', accessKeyId, secretAccessKey, sessionToken };
}

function completeRouting(routing: ModelEntry['routing'] = {}): ModelTransport['routing'] {
  const { mode = 'priority', sticky, rules = [], regions, attempts = 3 } = routing;
  return { mode, sticky, rules, regions, attempts, failover: completeFailover(routing.failover) };
}

function completeFailover(own: NonNullable<ModelEntry['routing']>['failover']): ModelTransport['routing']['failover'] {
  const longestEjectMs = own?.longestEjectMs ?? Math.max(usual.longestEjectMs, own?.ejectMs ?? 0);
  return {
    errorRate: own?.errorRate ?? usual.errorRate,
    minimumCalls: own?.minimumCalls ?? usual.minimumCalls,
    windowMs: own?.windowMs ?? usual.windowMs,
    consecutiveErrors: own?.consecutiveErrors ?? usual.consecutiveErrors,
    latencyMs: own?.latencyMs,
    firstByteMs: own?.firstByteMs,
    ejectMs: own?.ejectMs ?? Math.min(usual.ejectMs, longestEjectMs),
    longestEjectMs,
  };
}

function completeCache(cache: ModelEntry['cache']): ModelTransport['cache'] {
  if (cache === undefined) return undefined;
  const { ttlMs, share = 'consumer', semantic, tools = false } = cache;
  return { ttlMs, share, semantic: semantic && { model: semantic.model, threshold: semantic.threshold ?? 0.95 }, tools };
}
