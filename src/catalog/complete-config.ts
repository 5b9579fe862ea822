import { dirname, resolve } from 'node:path';
import { completeModel } from './complete-model.ts';
import type { ApiTransport, DescriptionSource, ToolboxConfig, UpstreamAuth, UpstreamConfig } from './config.ts';
import { keptDigest, sha256Of } from './description-files.ts';
import type { NamespaceConfig } from './namespace-config.ts';
import type { NamespaceFile } from './namespace-file.ts';

type UpstreamEntry = NonNullable<NamespaceFile['upstreams']>[string];
type ApiEntry = Extract<UpstreamEntry, { readonly kind: 'openapi' }>;
type ModelEntry = Extract<UpstreamEntry, { readonly kind: 'model' }>;
type McpEntry = Exclude<UpstreamEntry, ApiEntry | ModelEntry>;
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

/** A model thinks for minutes, and many may wait for theirs at the same time. */
const modelDefaults = { timeoutMs: 300_000, maxDurationMs: 1_800_000, concurrency: 2_000 };

/** API descriptions that files name, by that name. */
export type Descriptions = ReadonlyMap<string, DescriptionSource>;

/**
 * What a checked file says, complete with defaults. `path` is the file's absolute path. `guarded`: it was registered at run time, and
 * may connect to less than a file may.
 */
export function completeConfig(
  file: NamespaceFile,
  path: string,
  origin: 'file' | 'guarded' = 'file',
  descriptions: Descriptions = new Map(),
): NamespaceConfig {
  const namespace = file.namespace;
  const upstreams = Object.entries(file.upstreams ?? {});
  const toolboxes = Object.entries(file.toolboxes ?? {});
  return freezeDeep({
    name: namespace,
    description: file.description,
    file: path,
    upstreams: upstreams.map(([name, entry]) =>
      completeUpstream(
        namespace,
        name,
        entry,
        file.policy ?? {},
        transportOf(entry, dirname(dirname(path)), origin, descriptions),
        origin,
      ),
    ),
    toolboxes: toolboxes.map(([name, entry]) => completeToolbox(namespace, name, entry)),
    policy: file.policy ?? {},
  });
}

function completeUpstream(
  namespace: string,
  name: string,
  entry: UpstreamEntry,
  policy: Policy,
  transport: UpstreamConfig['transport'],
  origin: 'file' | 'guarded',
): UpstreamConfig {
  const usual = entry.kind === 'model' ? modelDefaults : defaults;
  const timeoutMs = entry.timeoutMs ?? policy.timeoutMs ?? usual.timeoutMs;
  // An API's operations are chosen and named where its description is known.
  const { era = 'auto', sessions = 'auto', include = ['*'], exclude = [], rename = {} } = entry.kind === 'mcp' ? entry : {};
  return {
    id: `${namespace}/${name}`,
    namespace,
    name,
    kind: entry.kind,
    ...(entry.title === undefined ? {} : { title: entry.title }),
    ...(entry.description === undefined ? {} : { description: entry.description }),
    transport,
    era,
    sessions,
    timeoutMs,
    maxDurationMs: entry.maxDurationMs ?? Math.max(timeoutMs, usual.maxDurationMs),
    concurrency: entry.concurrency ?? usual.concurrency,
    include,
    exclude,
    rename,
    answerLimitBytes: entry.answerLimitBytes ?? defaults.answerLimitBytes,
    // What a model offers is Gatehouse's own.
    ...(entry.kind === 'model' ? {} : { review: completeReview(entry.review, origin) }),
    breaker: completeBreaker(policy.breaker, entry.breaker),
    own: { timeoutMs: entry.timeoutMs, breaker: entry.breaker },
  };
}

function completeReview(review: McpEntry['review'], origin: 'file' | 'guarded'): UpstreamConfig['review'] {
  return {
    changes: review?.changes ?? 'hold',
    // Whoever wrote the file trusts the upstream; who registered it at run time was approved for what was seen then.
    additions: review?.additions ?? (origin === 'file' ? 'screen' : 'hold'),
  };
}

function transportOf(
  entry: UpstreamEntry,
  root: string,
  origin: 'file' | 'guarded',
  descriptions: Descriptions,
): UpstreamConfig['transport'] {
  if (entry.kind === 'model') return completeModel(entry, origin);
  return entry.kind === 'mcp' ? completeTransport(entry, root, origin) : completeApi(entry, origin, descriptions);
}

function completeTransport(entry: McpEntry, root: string, origin: 'file' | 'guarded'): UpstreamConfig['transport'] {
  if (entry.url !== undefined) {
    const { url, headers = {} } = entry;
    const guard = origin === 'guarded' ? { isGuarded: true } : {};
    return { type: 'http', url, headers, auth: completeAuth(entry.auth), ...guard };
  }
  return { type: 'stdio', command: entry.command ?? [], env: entry.env ?? {}, cwd: resolve(root, entry.cwd ?? '.') };
}

function completeApi(entry: ApiEntry, origin: 'file' | 'guarded', descriptions: Descriptions): ApiTransport {
  const { baseUrl, headers = {}, auth = {}, include = ['*'], exclude = [], rename = {}, answer = {} } = entry;
  const credentials: Record<string, ApiTransport['credentials'][string]> = {};
  let oauth: { readonly scheme: string; readonly auth: UpstreamAuth | undefined } | undefined;
  for (const [scheme, given] of Object.entries(auth)) {
    if (typeof given === 'string') credentials[scheme] = { kind: 'value', value: given };
    else if ('password' in given) credentials[scheme] = { kind: 'password', ...given };
    else oauth = { scheme, auth: completeAuth(given) };
  }
  return {
    type: 'openapi',
    description: descriptionOf(entry, descriptions),
    baseUrl,
    headers,
    credentials,
    oauthScheme: oauth?.scheme,
    auth: oauth?.auth,
    include,
    exclude,
    rename,
    defaults: entry.defaults ?? {},
    answer: { select: answer.select, trim: answer.trim ?? [], maxItems: answer.maxItems, limitBytes: answer.limitBytes },
    references: entry.references ?? [],
    ...(origin === 'guarded' ? { isGuarded: true } : {}),
  };
}

function descriptionOf({ import: name = '', document }: ApiEntry, descriptions: Descriptions): DescriptionSource {
  if (document !== undefined) return { kind: 'kept', sha256: keptDigest(document) ?? sha256Of(document) };
  return descriptions.get(name) ?? { kind: 'file', path: name, sha256: '' };
}

function completeAuth(entry: McpEntry['auth']): UpstreamAuth | undefined {
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
  const { title, description, include, exclude = [], names = 'prefixed', pinned = [] } = entry;
  return { name, namespace, title, description, include, exclude, names, search: readSearch(entry.search), pinned };
}

/** As a file writes it; a toolbox that says nothing shows a search where its list would be long. */
export function readSearch(search: unknown): ToolboxConfig['search'] {
  return search === true ? 'on' : search === false ? 'off' : 'auto';
}

function freezeDeep<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) freezeDeep(part);
  }
  return value;
}
