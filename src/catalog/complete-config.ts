import { dirname, resolve } from 'node:path';
import type { NamespaceConfig, ToolboxConfig, UpstreamConfig } from './config.ts';
import type { NamespaceFile } from './namespace-file.ts';

type UpstreamEntry = NonNullable<NamespaceFile['upstreams']>[string];
type ToolboxEntry = NonNullable<NamespaceFile['toolboxes']>[string];
type Policy = NonNullable<NamespaceFile['policy']>;

/** Used where neither an upstream nor its file's policy says otherwise. */
const defaults = {
  timeoutMs: 60_000,
  maxDurationMs: 600_000,
  concurrency: 64,
  answerLimitBytes: 16 * 1024 * 1024,
  breaker: { errorRate: 0.5, minimumCalls: 10, windowMs: 60_000, openMs: 30_000 },
};

/** What a checked file says, complete with defaults. `path` is the file's absolute path. */
export function completeConfig(file: NamespaceFile, path: string): NamespaceConfig {
  const namespace = file.namespace;
  const upstreams = Object.entries(file.upstreams ?? {});
  const toolboxes = Object.entries(file.toolboxes ?? {});
  return freezeDeep({
    name: namespace,
    description: file.description,
    file: path,
    upstreams: upstreams.map(([name, entry]) =>
      completeUpstream(namespace, name, entry, file.policy ?? {}, dirname(dirname(path))),
    ),
    toolboxes: toolboxes.map(([name, entry]) => completeToolbox(namespace, name, entry)),
  });
}

function completeUpstream(namespace: string, name: string, entry: UpstreamEntry, policy: Policy, root: string): UpstreamConfig {
  const timeoutMs = entry.timeoutMs ?? policy.timeoutMs ?? defaults.timeoutMs;
  return {
    id: `${namespace}/${name}`,
    namespace,
    name,
    kind: entry.kind,
    transport: completeTransport(entry, root),
    era: entry.era ?? 'auto',
    sessions: entry.sessions ?? 'auto',
    timeoutMs,
    maxDurationMs: entry.maxDurationMs ?? Math.max(timeoutMs, defaults.maxDurationMs),
    concurrency: entry.concurrency ?? defaults.concurrency,
    include: entry.include ?? ['*'],
    exclude: entry.exclude ?? [],
    rename: entry.rename ?? {},
    answerLimitBytes: entry.answerLimitBytes ?? defaults.answerLimitBytes,
    breaker: completeBreaker(policy.breaker, entry.breaker),
  };
}

function completeTransport(entry: UpstreamEntry, root: string): UpstreamConfig['transport'] {
  if (entry.url !== undefined) return { type: 'http', url: entry.url, headers: entry.headers ?? {} };
  return { type: 'stdio', command: entry.command ?? [], env: entry.env ?? {}, cwd: resolve(root, entry.cwd ?? '.') };
}

function completeBreaker(policy: Policy['breaker'], own: Policy['breaker']): UpstreamConfig['breaker'] {
  const { breaker } = defaults;
  return {
    errorRate: own?.errorRate ?? policy?.errorRate ?? breaker.errorRate,
    minimumCalls: own?.minimumCalls ?? policy?.minimumCalls ?? breaker.minimumCalls,
    windowMs: own?.windowMs ?? policy?.windowMs ?? breaker.windowMs,
    openMs: own?.openMs ?? policy?.openMs ?? breaker.openMs,
  };
}

function completeToolbox(namespace: string, name: string, entry: ToolboxEntry): ToolboxConfig {
  const { title, description, include, exclude = [], names = 'prefixed' } = entry;
  return { name, namespace, title, description, include, exclude, names };
}

function freezeDeep<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) freezeDeep(part);
  }
  return value;
}
