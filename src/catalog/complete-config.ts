import { dirname, resolve } from 'node:path';
import type { ToolboxConfig, UpstreamAuth, UpstreamConfig } from './config.ts';
import type { NamespaceConfig } from './namespace-config.ts';
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

/**
 * What a checked file says, complete with defaults. `path` is the file's absolute path. `guarded`: it was registered at run time, and
 * may connect to less than a file may.
 */
export function completeConfig(file: NamespaceFile, path: string, origin: 'file' | 'guarded' = 'file'): NamespaceConfig {
  const namespace = file.namespace;
  const upstreams = Object.entries(file.upstreams ?? {});
  const toolboxes = Object.entries(file.toolboxes ?? {});
  return freezeDeep({
    name: namespace,
    description: file.description,
    file: path,
    upstreams: upstreams.map(([name, entry]) =>
      completeUpstream(namespace, name, entry, file.policy ?? {}, dirname(dirname(path)), origin),
    ),
    toolboxes: toolboxes.map(([name, entry]) => completeToolbox(namespace, name, entry)),
    policy: withoutDefaults(file.policy ?? {}),
  });
}

// What an upstream may say otherwise stands with the upstream; of a breaker the rest stays the namespace's.
function withoutDefaults({ timeoutMs: _timeout, breaker, ...policy }: Policy): Policy {
  const { errorRate: _rate, minimumCalls: _calls, windowMs: _window, openMs: _open, ...rest } = breaker ?? {};
  return Object.keys(rest).length === 0 ? policy : { ...policy, breaker: rest };
}

function completeUpstream(
  namespace: string,
  name: string,
  entry: UpstreamEntry,
  policy: Policy,
  root: string,
  origin: 'file' | 'guarded',
): UpstreamConfig {
  const timeoutMs = entry.timeoutMs ?? policy.timeoutMs ?? defaults.timeoutMs;
  return {
    id: `${namespace}/${name}`,
    namespace,
    name,
    kind: entry.kind,
    ...(entry.title === undefined ? {} : { title: entry.title }),
    ...(entry.description === undefined ? {} : { description: entry.description }),
    transport: completeTransport(entry, root, origin),
    era: entry.era ?? 'auto',
    sessions: entry.sessions ?? 'auto',
    timeoutMs,
    maxDurationMs: entry.maxDurationMs ?? Math.max(timeoutMs, defaults.maxDurationMs),
    concurrency: entry.concurrency ?? defaults.concurrency,
    include: entry.include ?? ['*'],
    exclude: entry.exclude ?? [],
    rename: entry.rename ?? {},
    answerLimitBytes: entry.answerLimitBytes ?? defaults.answerLimitBytes,
    review: {
      changes: entry.review?.changes ?? 'hold',
      // Whoever wrote the file trusts the upstream; who registered it at run time was approved for what was seen then.
      additions: entry.review?.additions ?? (origin === 'file' ? 'screen' : 'hold'),
    },
    breaker: completeBreaker(policy.breaker, entry.breaker),
  };
}

function completeTransport(entry: UpstreamEntry, root: string, origin: 'file' | 'guarded'): UpstreamConfig['transport'] {
  if (entry.url !== undefined) {
    const { url, headers = {} } = entry;
    const guard = origin === 'guarded' ? { isGuarded: true } : {};
    return { type: 'http', url, headers, auth: completeAuth(entry.auth), ...guard };
  }
  return { type: 'stdio', command: entry.command ?? [], env: entry.env ?? {}, cwd: resolve(root, entry.cwd ?? '.') };
}

function completeAuth(entry: UpstreamEntry['auth']): UpstreamAuth | undefined {
  if (entry === undefined) return undefined;
  const { kind, issuer, tokenUrl, clientId, clientSecret, privateKey, clientAuth, scopes, resource } = entry;
  return { kind, issuer, tokenUrl, clientId, clientSecret, privateKey, clientAuth, scopes, resource };
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
