import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { ArgumentChecks } from '../../../src/arguments/argument-check.ts';
import type { ApiTransport, UpstreamConfig } from '../../../src/catalog/config.ts';
import { hmacKey } from '../../../src/hmac.ts';
import type { RememberedUpstream, UpstreamMemory } from '../../../src/store/ports/upstream-memory.ts';
import type { Authorization } from '../../../src/upstreams/authorization.ts';
import type { EgressGuard } from '../../../src/upstreams/egress.ts';
import { connectUpstream } from '../../../src/upstreams/kinds.ts';
import type { Conversion } from '../../../src/upstreams/openapi/conversion.ts';
import type { Answer, CallMethod, Upstream, UpstreamCall, UpstreamChange } from '../../../src/upstreams/upstream.ts';
import { Cancel } from '../../../src/wire/cancel.ts';
import type { JsonObject } from '../../../src/wire/json.ts';

type Overrides = Partial<Omit<UpstreamConfig, 'transport'>> & {
  readonly remembered?: RememberedUpstream | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly egress?: EgressGuard;
  readonly authorization?: Authorization | undefined;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly now?: () => number;
  /** What its API description comes to. */
  readonly conversion?: Conversion | Promise<Conversion>;
};

/** An upstream under test, with everything it said about itself. */
export interface Harness {
  readonly upstream: Upstream;
  readonly changes: UpstreamChange[];
  readonly saved: RememberedUpstream[];
  readonly logged: string[];
  /** Resolves when a change of this kind has come since the last time it was asked for. */
  next(kind: UpstreamChange['kind']): Promise<UpstreamChange>;
}

export function overHttp(url: string, overrides: Overrides = {}): Harness {
  return connect({ type: 'http', url, headers: overrides.headers ?? {} }, overrides);
}

/** An HTTP API at this address, whose description came to this. */
export function overApi(
  baseUrl: string | undefined,
  conversion: Conversion | Promise<Conversion>,
  api: Partial<ApiTransport> = {},
  overrides: Overrides = {},
): Harness {
  const transport: ApiTransport = {
    type: 'openapi',
    description: { kind: 'file', path: 'description.yaml', sha256: '00' },
    baseUrl,
    headers: {},
    credentials: {},
    oauthScheme: undefined,
    auth: undefined,
    include: ['*'],
    exclude: [],
    rename: {},
    defaults: {},
    answer: { select: undefined, trim: [], maxItems: undefined, limitBytes: undefined },
    references: [],
    ...api,
  };
  return connect(transport, { kind: 'openapi', ...overrides, conversion });
}

export function overStdio(command: readonly string[], overrides: Overrides & { env?: Record<string, string> } = {}): Harness {
  return connect({ type: 'stdio', command, env: overrides.env ?? {}, cwd: undefined }, overrides);
}

/** Reaches nothing beyond the address that is under test. */
export const closedEgress: Pick<EgressGuard, 'dispatcherFor' | 'connect'> = {
  dispatcherFor: async () => undefined,
  connect: (_options, callback) => callback(new Error('closed'), null),
};

function connect(transport: UpstreamConfig['transport'], overrides: Overrides): Harness {
  const { remembered, headers: _, egress, authorization, secrets = {}, now = Date.now, conversion, ...rest } = overrides;
  const saved: RememberedUpstream[] = [];
  const logged: string[] = [];
  const memory: UpstreamMemory = {
    load: async () => saved,
    save: async (upstream) => void saved.push(upstream),
    forget: async () => {},
  };
  const config: UpstreamConfig = {
    id: 'support/crm',
    namespace: 'support',
    name: 'crm',
    kind: 'mcp',
    transport,
    era: 'auto',
    sessions: 'auto',
    timeoutMs: 5_000,
    maxDurationMs: 60_000,
    concurrency: 64,
    include: [],
    exclude: [],
    rename: {},
    answerLimitBytes: 4 * 1024 * 1024,
    breaker: { errorRate: 0.5, minimumCalls: 10, windowMs: 60_000, openMs: 30_000 },
    ...rest,
  };
  const upstream = connectUpstream(config, {
    memory,
    remembered,
    log: collectingLog(logged),
    clock: { nowMs: now },
    responseKey: hmacKey(Buffer.alloc(32, 5)),
    egress: egress ?? closedEgress,
    authorization,
    resolveSecrets: (text) => text.replaceAll(/\$\{secret:([A-Z_]+)\}/g, (_match, name: string) => secrets[name] ?? ''),
    admin: () => {
      throw new Error('nothing here is administered');
    },
    instance: { name: 'gatehouse', version: '0.0.0-test' },
    checks: new ArgumentChecks(),
    readDescription: async () => Buffer.from('{}'),
    convert: async () => (await conversion) ?? Promise.reject(new Error('there is no API description')),
  });
  const changes: UpstreamChange[] = [];
  const waiting = new Map<string, ((change: UpstreamChange) => void)[]>();
  const unseen: UpstreamChange[] = [];
  upstream.onChange((change) => {
    changes.push(change);
    const waiters = waiting.get(change.kind);
    if (waiters === undefined) unseen.push(change);
    waiting.delete(change.kind);
    for (const waiter of waiters ?? []) waiter(change);
  });
  return {
    upstream,
    changes,
    saved,
    logged,
    next: (kind) => {
      const at = unseen.findIndex((change) => change.kind === kind);
      const [seen] = at < 0 ? [] : unseen.splice(at, 1);
      if (seen !== undefined) return Promise.resolve(seen);
      return new Promise((resolve) => waiting.set(kind, [...(waiting.get(kind) ?? []), resolve]));
    },
  };
}

/** Starts an upstream and waits for its first offer or failure. */
export async function started(harness: Harness): Promise<Harness> {
  harness.upstream.start();
  await harness.upstream.ready();
  return harness;
}

/** Resolves when the condition holds, looking again after each change of the upstream and every few milliseconds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface CallOverrides {
  readonly method?: CallMethod;
  readonly params?: JsonObject;
  readonly meta?: JsonObject;
  readonly principal?: string;
  readonly session?: string;
  readonly capabilities?: JsonObject;
  readonly progress?: (params: JsonObject) => void;
  readonly logLevel?: string;
  readonly log?: (params: JsonObject) => void;
  readonly notify?: (method: string, params: JsonObject) => void;
  readonly takesRounds?: boolean;
  readonly ask?: (method: string, params: JsonObject) => Promise<JsonObject>;
  readonly retry?: UpstreamCall['retry'];
  readonly cancel?: Cancel;
  readonly limitBytes?: number;
  readonly tool?: UpstreamCall['tool'];
}

/** A `tools/call` as the call path would hand it over. */
export function toolCall(name: string, args: JsonObject = {}, overrides: CallOverrides = {}): UpstreamCall {
  return {
    method: overrides.method ?? 'tools/call',
    params: overrides.params ?? { name, arguments: args },
    meta: overrides.meta,
    client: {
      principal: overrides.principal ?? 'alice',
      session: overrides.session,
      capabilities: overrides.capabilities ?? {},
    },
    conversation: {
      progress: overrides.progress,
      logLevel: overrides.logLevel,
      log: overrides.log ?? (() => {}),
      notify: overrides.notify ?? (() => {}),
      takesRounds: overrides.takesRounds ?? false,
      ask: overrides.ask ?? (() => Promise.reject(new Error('nobody expected to be asked'))),
    },
    tool: overrides.tool,
    retry: overrides.retry,
    cancel: overrides.cancel ?? new Cancel(),
    limitBytes: overrides.limitBytes ?? 4 * 1024 * 1024,
  };
}

/** The text of a tool's result, or the error it ended in. */
export function textOf(answer: Answer): string {
  if (answer.kind === 'error') return `error ${answer.error.code}: ${answer.error.message}`;
  if (answer.kind === 'input-required') return 'input required';
  if (answer.kind !== 'result') throw new Error(`a ${answer.kind} has no text`);
  const { content } = answer.result.value as { content?: { text?: string }[] };
  return content?.map(({ text }) => text ?? '').join('\n') ?? '';
}

function collectingLog(lines: string[]): Logger {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return pino({ level: 'debug' }, stream);
}
