import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { pino } from 'pino';
import type { UpstreamAuth, UpstreamConfig } from '../../src/catalog/config.ts';
import { type Credentials, openCredentials } from '../../src/credentials/credentials.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { CredentialStore } from '../../src/store/ports/credentials.ts';
import type { Authorization } from '../../src/upstreams/authorization.ts';
import { createEgressGuard, type EgressGuard } from '../../src/upstreams/egress.ts';
import { openReach } from '../../src/upstreams/fetch-json.ts';
import type { Upstream } from '../../src/upstreams/upstream.ts';
import { type Harness, overHttp } from './upstreams/harness.ts';
import { listenOn } from './upstreams/listen-on.ts';

const upstreamId = 'support/crm';

export interface ReplicaOptions {
  readonly upstreamUrl: string;
  readonly auth?: Partial<UpstreamAuth>;
  readonly count?: number;
  readonly isLetIn?: (principal: string) => boolean;
  /** What others sealed theirs with, to go on where they were. */
  readonly key?: Buffer;
  /** One each, on one place; one in memory for all when left out. */
  readonly stores?: readonly CredentialStore[];
  readonly secrets?: Readonly<Record<string, string>>;
  /** Milliseconds since 1970; the real time when left out. */
  readonly now?: () => number;
  /** What may be reached besides public addresses; everything on this machine when left out. */
  readonly egress?: Parameters<typeof createEgressGuard>[0];
  /** In place of the address the pages are served at. */
  readonly publicUrl?: string;
}

/** Gateways as far as credentials go: each with an upstream of its own, all behind one address for browsers. */
export interface Replicas {
  readonly upstreams: readonly Upstream[];
  readonly harnesses: readonly Harness[];
  readonly authorizations: readonly Authorization[];
  readonly store: CredentialStore;
  readonly publicUrl: string;
  /** Where the pages are, whatever the public URL says. */
  readonly pagesUrl: string;
  readonly key: Buffer;
  /** Serves the pages from another replica than the one that began the sign-in, from now on. */
  readonly pages: { at: number };
  close(): Promise<void>;
}

const thisMachine: Parameters<typeof createEgressGuard>[0] = [
  { kind: 'range', address: '127.0.0.0', prefix: 8, family: 'ipv4', port: undefined },
];

const userAuth: UpstreamAuth = {
  kind: 'user',
  issuer: undefined,
  tokenUrl: undefined,
  clientId: undefined,
  clientSecret: undefined,
  privateKey: undefined,
  clientAuth: undefined,
  scopes: undefined,
  resource: undefined,
};

/** Starts them; the upstreams connect, or fail to for want of credentials. */
export async function startReplicas(options: ReplicaOptions): Promise<Replicas> {
  const { upstreamUrl, auth, stores = [memoryStore().credentials], secrets = {}, now = Date.now } = options;
  const { count = stores.length } = options;
  const [store = memoryStore().credentials] = stores;
  const key = options.key ?? randomBytes(32);
  const pages = { at: 0 };
  const guards: EgressGuard[] = [];
  const all: Credentials[] = [];
  const front = await listenOn(
    createServer((request, response) => {
      const { pathname: path, searchParams: query } = new URL(request.url ?? '', 'http://front.invalid');
      const asked = { method: request.method ?? '', path, query, cookie: request.headers.cookie };
      all[pages.at % all.length]
        ?.servePage(asked)
        .then((page) => response.writeHead(page?.status ?? 404, page?.headers).end(page?.body))
        .catch((error: Error) => response.writeHead(500).end(error.stack));
    }),
    0,
    '',
  );
  const publicUrl = options.publicUrl ?? front.url;
  const transport: UpstreamConfig['transport'] = { type: 'http', url: upstreamUrl, headers: {}, auth: { ...userAuth, ...auth } };
  const harnesses: Harness[] = [];
  const authorizations: Authorization[] = [];
  for (let n = 0; n < count; n++) {
    const egress = createEgressGuard(options.egress ?? thisMachine);
    guards.push(egress);
    const credentials = openCredentials({
      store: stores[n % stores.length] ?? store,
      key,
      reach: openReach(egress),
      clock: { nowMs: now },
      log: pino({ level: 'silent' }),
      publicUrl: () => publicUrl,
      isLetIn: options.isLetIn ?? (() => true),
      resolveSecrets: (text) => text.replaceAll(/\$\{secret:([A-Z_]+)\}/g, (_match, name: string) => secrets[name] ?? ''),
    });
    all.push(credentials);
    const authorization = credentials.authorizationFor({ id: upstreamId, transport } as UpstreamConfig);
    if (authorization === undefined) throw new Error('there is no authorization');
    authorizations.push(authorization);
    const harness = overHttp(upstreamUrl, { authorization, now });
    harnesses.push(harness);
    harness.upstream.start();
  }
  await Promise.all(harnesses.map(({ upstream }) => upstream.ready()));
  return {
    upstreams: harnesses.map(({ upstream }) => upstream),
    harnesses,
    authorizations,
    store,
    publicUrl,
    pagesUrl: front.url,
    key,
    pages,
    close: async () => {
      await Promise.all(harnesses.map(({ upstream }) => upstream.close()));
      await Promise.all(guards.map((guard) => guard.close()));
      await front.close();
    },
  };
}
