import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Level, pino } from 'pino';
import type { Caller } from '../../src/call/authenticate.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { type Gateway, openGateway } from '../../src/gateway.ts';
import type { TrustedIssuer } from '../../src/identity/issuers.ts';
import { createGatewayServer } from '../../src/inbound/server.ts';
import { compileNetworks } from '../../src/policy/network.ts';
import { readSettings } from '../../src/settings.ts';

/** What a door answered. */
export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what a gateway answered; tests look into it.
  readonly body: any;
  readonly headers: Headers;
}

/** A gateway in this process, with its doors, and how to use its administration. */
export interface AdminGateway {
  readonly gateway: Gateway;
  readonly url: string;
  readonly dataDir: string;
  readonly masterKey: string;
  /** The operator's. */
  readonly key: string;
  /** Every line it has logged so far. */
  readonly log: readonly string[];
  /** `POST /keys`: a request under `/api`, by the operator unless another key is given; '' for none. */
  api(route: string, body?: object, key?: string): Promise<Answer>;
  /** As `api`, for what must go well: its body. */
  ok(route: string, body?: object, key?: string): Promise<Answer['body']>;
  /** A request of the modern era at `/mcp/<toolbox>`. */
  mcp(
    toolbox: string,
    method: string,
    params: object,
    key?: string,
    headers?: Record<string, string>,
    capabilities?: object,
  ): Promise<Answer>;
  /** A member with these roles, and a key of theirs. */
  person(id: string, roles: readonly object[], key?: object): Promise<string>;
  stop(): Promise<void>;
}

interface Options {
  /** By name. */
  readonly namespaces?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, string>>;
  /** Text of `gatehouse.yaml`. */
  readonly file?: string;
  readonly clock?: Clock;
  /** Goes on where another gateway was; it is left there. */
  readonly directory?: string;
}

export async function openAdminGateway({
  namespaces = {},
  settings: given = {},
  file,
  clock = systemClock,
  directory,
}: Options = {}): Promise<AdminGateway> {
  const place = directory ?? mkdtempSync(join(tmpdir(), 'gatehouse-admin-'));
  const namespaceDirectory = mkdtempSync(join(place, 'namespaces-'));
  for (const [name, yaml] of Object.entries(namespaces)) writeFileSync(join(namespaceDirectory, `${name}.yaml`), yaml);
  const key = 'operator-key-of-a-test-0123456789abcdef';
  const dataDir = join(place, 'data');
  const masterKey = Buffer.from(Array.from({ length: 32 }, (_, at) => at)).toString('base64');
  const environment = {
    GATEHOUSE_DATA: dataDir,
    GATEHOUSE_NAMESPACES: namespaceDirectory,
    GATEHOUSE_SECRETS: join(place, 'secrets'),
    GATEHOUSE_ADMIN_KEY: key,
    GATEHOUSE_MASTER_KEY: masterKey,
    GATEHOUSE_EGRESS_ALLOW: '127.0.0.1',
    ...given,
  };
  const log: string[] = [];
  const level: Level = 'trace';
  if (file !== undefined) writeFileSync(join(place, 'gatehouse.yaml'), file);
  const settings = await readSettings({ flags: {}, environment, directory: place });
  const gateway = await openGateway({
    settings,
    environment,
    log: pino({ level }, { write: (line: string) => void log.push(line) }),
    clock,
    makesAdminKey: false,
  });
  const server = doorsOf(gateway, undefined, settings.issuers);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  gateway.listensAt(url);
  await gateway.connected(10_000);
  await gateway.loadAdministration();

  const send = async (
    path: string,
    method: string,
    headers: Record<string, string>,
    body: object | undefined,
    withKey: string,
  ) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...headers,
        ...(withKey === '' ? {} : { authorization: `Bearer ${withKey}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    return { status: response.status, body: isJson ? JSON.parse(text) : lastEvent(text), headers: response.headers };
  };
  const api: AdminGateway['api'] = (route, body, withKey = key) => {
    const [method = '', path = ''] = route.split(' ');
    return send(`/api${path}`, method, {}, body, withKey);
  };
  const ok: AdminGateway['ok'] = async (route, body, withKey) => {
    const answer = await api(route, body, withKey);
    if (answer.status !== 200) throw new Error(`${route} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  return {
    gateway,
    url,
    dataDir,
    masterKey,
    key,
    log,
    api,
    ok,
    mcp(toolbox, method, params, withKey = key, more = {}, capabilities = {}) {
      const name = (params as { name?: string }).name;
      const headers = {
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(name === undefined ? {} : { 'mcp-name': name }),
        ...more,
      };
      const message = {
        jsonrpc: '2.0',
        id: 1,
        method,
        params: { ...params, _meta: { ...modernMeta, 'io.modelcontextprotocol/clientCapabilities': capabilities } },
      };
      return send(toolbox === '' ? '/mcp' : `/mcp/${toolbox}`, 'POST', headers, message, withKey);
    },
    async person(id, roles, more = {}) {
      await ok('POST /members', { id, title: id, roles });
      return (await ok('POST /keys', { id, title: id, member: id, ...more })).secret;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await gateway.close();
      if (directory === undefined) rmSync(place, { recursive: true, force: true });
    },
  };
}

/** The doors that `serve` puts on a gateway. */
function doorsOf(gateway: Gateway, local?: Caller, issuers: readonly TrustedIssuer[] = []): Server {
  return createGatewayServer(
    {
      edge: gateway.edge,
      proofs: gateway.proofs,
      oauth: { issuers, publicUrl: gateway.ownUrl },
      isTrustedProxy: compileNetworks([]),
      metricsText: gateway.metricsText,
      loadAdministration: gateway.loadAdministration,
      addressing: { host: '127.0.0.1', allowedHosts: [], allowedOrigins: [] },
      bodyLimitBytes: 1_000_000,
      startedAtMs: 0,
      ratings: gateway.ratings,
      servePage: gateway.servePage,
      status: () => gateway.status(),
      isReady: () => true,
    },
    local,
  );
}

/** A namespace file for one HTTP upstream. */
export function namespaceFor(name: string, url: string, more = ''): string {
  return `namespace: ${name}\nupstreams:\n  desk: { kind: mcp, url: "${url}" }\n${more}`;
}

const modernMeta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'admin-test', version: '1' },
};

function lastEvent(text: string): unknown {
  const data = text.split('\n').filter((line) => line.startsWith('data: '));
  const last = data.at(-1);
  return last === undefined ? text : JSON.parse(last.slice(6));
}
