import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { backupStore } from '../../src/store/backup/backup-store.ts';
import { type Canary, findCanaries, knownCanary, plantCanary } from '../support/canaries.ts';
import { type Gateway, gatewayCommand, startGateway } from '../support/gateway.ts';
import { expectNoneLeft, spawnMarked } from '../support/processes.ts';
import { closeRawClients, connectRaw, rawEras } from '../support/raw-clients.ts';
import { newMasterKey, openRegistrar, type Place, placeSettings, type Registrar } from '../support/registrar.ts';
import {
  onPostgres,
  type PostgresService,
  type Service,
  servicesTimeoutMs,
  startPostgres,
  startRedis,
} from '../support/services.ts';
import { until } from '../support/until.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';

/** Ways in which an upstream repeats what it was sent. */
const ways = ['result', 'structured', 'error', 'refusal', 'failure', 'redirect', 'broken', 'stream', 'ending'] as const;
/** Of what a header or a variable may hold. */
const middle = '/+"&=\\';

const accessToken = plantCanary('access token');
const refreshToken = plantCanary('refresh token');
const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const signingPem = signingKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const signing = Buffer.from(String(signingKey.export({ format: 'jwk' }).d), 'base64url');
/** Lines of it are what a log or an escaped text would show. */
const signingCanary: Canary = {
  ...knownCanary('signing key', signing.toString('base64url'), signing),
  traces: [
    ...knownCanary('signing key', signing.toString('base64url'), signing).traces,
    // The first line says what kind of key it is.
    ...signingPem
      .split('\n')
      .slice(2, -2)
      .map((line) => Buffer.from(line)),
  ],
};
const kinds = {
  clientCookie: plantCanary('cookie of a client', '-._~'),
  upstreamCookie: plantCanary('cookie of an upstream', '-._~'),
  code: plantCanary('authorization code', '-._~'),
  webhook: plantCanary('webhook secret', middle),
  bearer: plantCanary('upstream bearer', middle),
  header: plantCanary('header from a secret', middle),
  literal: plantCanary('header value', '/+&='),
  query: plantCanary('query value', '-._~'),
  literalQuery: plantCanary('literal query value'),
  runTime: plantCanary('secret set at run time', middle),
  child: plantCanary('variable of a child', middle),
  clientSecret: plantCanary('client secret', middle),
  database: plantCanary('password of the database'),
  redis: plantCanary('password of Redis'),
  admin: plantCanary('admin key', '-admin-'),
};

/** Repeats all it knows of its request in the way that the arguments name, its lists and its name included. */
function reveal(request: IncomingMessage, response: ServerResponse, body: string): void {
  const {
    id = null,
    method = '',
    params = {},
  } = JSON.parse(body || '{}') as {
    id?: unknown;
    method?: string;
    params?: { arguments?: { way?: string } };
  };
  const raw = `${request.url} ${request.rawHeaders.join(' ')}`;
  const told = `${raw} ${encodeURIComponent(raw)} ${JSON.stringify(request.headers)}`;
  const send = (status: number, text: string, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  };
  const result = (value: object) =>
    send(200, JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...value } }));
  response.setHeader('set-cookie', `session=${kinds.upstreamCookie.value}; HttpOnly`);
  const cached = { ttlMs: 0, cacheScope: 'public' };
  switch (method) {
    case 'server/discover':
      result({ supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, instructions: told, ...cached });
      return;
    case 'tools/list':
      result({ tools: [{ name: 'reveal', description: told, inputSchema: { type: 'object' } }], ...cached });
      return;
    case 'tools/call':
      break;
    default:
      send(404, JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: told } }));
      return;
  }
  const content = [{ type: 'text', text: told }];
  const answers: Record<(typeof ways)[number], () => void> = {
    result: () => result({ content }),
    structured: () => result({ structuredContent: { told, [raw]: 1 } }),
    error: () => send(200, JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32000, message: told, data: { told } } })),
    refusal: () => send(401, told, { 'www-authenticate': `Bearer error_description="${encodeURIComponent(raw)}"` }),
    failure: () => send(500, told),
    redirect: () => send(302, told, { location: `/elsewhere?${encodeURIComponent(raw)}` }),
    broken: () => send(200, `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[${told}`),
    ending: () => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100000' }).write(told);
      setTimeout(() => response.destroy(), 20);
    },
    stream: () => {
      const note = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data: told } };
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`event: message\ndata: ${JSON.stringify(note)}\n\n`);
      // In two pieces, one of which ends inside of what is repeated.
      const answer = `data: ${JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', content } })}\n\n`;
      const cut = answer.indexOf(kinds.bearer.value.slice(0, 24)) + 10;
      response.write(answer.slice(0, cut));
      setTimeout(() => response.end(answer.slice(cut)), 20);
    },
  };
  answers[ways.find((way) => way === params.arguments?.way) ?? 'result']();
}

/** A child that tells its environment in its answers, its errors, its list and its log. */
const childProgram = `
import { createInterface } from 'node:readline';
const told = () => JSON.stringify(process.env) + ' ' + Object.values(process.env).join(' ');
process.stderr.write(told() + '\\n');
createInterface(process.stdin).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  const send = (body) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, ...body }) + '\\n');
  if (method === 'initialize')
    send({ result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'child', version: told().slice(0, 3000) } } });
  else if (method === 'tools/list') send({ result: { tools: [{ name: 'reveal', description: told(), inputSchema: { type: 'object' } }] } });
  else if (method === 'tools/call') {
    process.stderr.write('asked ' + told() + '\\n');
    process.stdout.write('a stray line ' + told() + '\\n');
    if (params.arguments.way === 'error') send({ error: { code: -32000, message: told() } });
    else if (params.arguments.way === 'ending') process.exit(3);
    else send({ result: { content: [{ type: 'text', text: told() }] } });
  } else if (id !== undefined) send({ error: { code: -32601, message: told() } });
});
`;

let postgres: PostgresService;
let upstream: TestServer;
let tokens: TestServer;
let collector: TestServer;
let exported: Buffer[] = [];
/** What clients of the token endpoint sent, so that the test knows that there was something to hide. */
const shown = { tokenRequests: 0, signedRequests: 0, mcpRequests: 0 };

beforeAll(async () => {
  const read = async (request: IncomingMessage): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  };
  [postgres, upstream, tokens, collector] = await Promise.all([
    startPostgres(),
    listenOn(
      createServer(async (request, response) => {
        shown.mcpRequests += 1;
        reveal(request, response, (await read(request)).toString());
      }),
    ),
    listenOn(
      createServer(async (request, response) => {
        const body = `${await read(request)} ${JSON.stringify(request.headers)}`;
        const isSigned = body.includes('client_assertion=');
        if (isSigned) shown.signedRequests += 1;
        else shown.tokenRequests += 1;
        // Every second one fails and says why at length.
        const isGood = (isSigned ? shown.signedRequests : shown.tokenRequests) % 2 === 0;
        response.writeHead(isGood ? 200 : 400, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify(
            isGood
              ? { access_token: accessToken.value, refresh_token: refreshToken.value, token_type: 'Bearer', expires_in: 3600 }
              : { error: 'invalid_client', error_description: `${kinds.clientSecret.value} ${body}` },
          ),
        );
      }),
      0,
      '/token',
    ),
    listenOn(
      createServer(async (request, response) => {
        exported.push(await read(request));
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      }),
      0,
      '',
    ),
  ]);
}, servicesTimeoutMs);

afterAll(async () => {
  await Promise.all([closeRawClients(), upstream?.close(), tokens?.close(), collector?.close(), postgres?.stop()]);
  await expectNoneLeft();
});

function namespaceFile(child: string): string {
  const url = `${upstream.url}?key=\${secret:QUERY}&api_key=${kinds.literalQuery.value}`;
  const headers = {
    Authorization: `Bearer \${secret:BEARER}`,
    'X-Api-Key': `\${secret:HEADER}`,
    'X-Run-Time': `\${secret:RUN_TIME}`,
    'X-Webhook-Secret': `\${secret:WEBHOOK_SECRET}`,
    'X-Token': kinds.literal.value,
  };
  const auth = {
    kind: 'client-credentials',
    tokenUrl: tokens.url,
    clientId: 'gatehouse',
    clientSecret: `\${secret:CLIENT_SECRET}`,
  };
  const { clientSecret: _, ...noSecret } = auth;
  const signed = { ...noSecret, clientId: 'signer', privateKey: `\${secret:SIGNING_KEY}` };
  const upstreams = {
    signed: { kind: 'mcp', url: upstream.url, auth: signed, rename: { reveal: 'signed_reveal' } },
    http: { kind: 'mcp', url, headers },
    child: {
      kind: 'mcp',
      command: [process.execPath, child],
      env: { CHILD_TOKEN: `\${secret:CHILD}` },
      rename: { reveal: 'child_reveal' },
    },
    service: { kind: 'mcp', url: upstream.url, auth, rename: { reveal: 'service_reveal' } },
    gone: { kind: 'mcp', url: `http://127.0.0.1:9/mcp?key=\${secret:QUERY}`, headers },
  };
  return JSON.stringify({ namespace: 'demo', upstreams });
}

interface Run {
  readonly place: Place;
  readonly redisUrl: string | undefined;
  readonly canaries: readonly Canary[];
  readonly sinks: Map<string, Buffer | string>;
}

/** All that goes wrong and well, with what everybody was told of it. */
async function exercise(
  { place, redisUrl, sinks }: Run,
  registrar: Registrar,
  directory: string,
  virtualKey: string,
): Promise<void> {
  const child = join(directory, 'child.mjs');
  writeFileSync(child, childProgram);
  const gateway = await startGateway(
    [namespaceFile(child)],
    {
      ...placeSettings(place),
      ...(redisUrl === undefined ? {} : { GATEHOUSE_REDIS_URL: redisUrl }),
      GATEHOUSE_ADMIN_KEY: kinds.admin.value,
      GATEHOUSE_LOG_LEVEL: 'trace',
      GATEHOUSE_EGRESS_ALLOW: '127.0.0.1',
      GATEHOUSE_OTLP_URL: collector.url,
      GATEHOUSE_TRACE_SAMPLING: '1',
      GATEHOUSE_METRICS_CAPABILITIES: '100',
      BEARER: kinds.bearer.value,
      HEADER: kinds.header.value,
      QUERY: kinds.query.value,
      CHILD: kinds.child.value,
      CLIENT_SECRET: kinds.clientSecret.value,
      SIGNING_KEY: signingPem,
    },
    { isHealthy: false },
  );
  try {
    await callEverything(gateway, sinks, virtualKey);
    await askEverything(gateway, sinks, virtualKey);
    const backup = join(directory, 'all.backup');
    await backupStore(
      {
        dataDir: place.dataDir,
        databaseUrl: place.databaseUrl === undefined ? undefined : new Secret(place.databaseUrl),
        masterKey: new Secret(place.masterKey),
        mustExist: true,
        clock: { nowMs: Date.now },
        log: { info() {}, warn: (_fields, message) => void sinks.set('a warning of the backup', message) },
      },
      backup,
    );
    sinks.set('the backup', readFileSync(backup));
    const doctor = spawnMarked(gatewayCommand[0] ?? '', [...gatewayCommand.slice(1), 'doctor', '--json'], {
      env: { GATEHOUSE_DATA: place.dataDir, GATEHOUSE_MASTER_KEY: place.masterKey },
    });
    await until('the doctor has told', () => doctor.hasExited, 20_000);
    sinks.set('doctor', [...doctor.stdout, ...doctor.stderr].join('\n'));
    await registrar.remove('secret', 'RUN_TIME');
    await until('traces were exported', () => exported.length > 0, 15_000);
    for (const [name, bytes] of filesIn(place.dataDir)) sinks.set(`${name}, while it runs`, bytes);
  } finally {
    await gateway.stop();
  }
  sinks.set('log', [...gateway.process.stdout, ...gateway.process.stderr].join('\n'));
  for (const [at, bytes] of exported.entries()) sinks.set(`trace export ${at}`, bytes);
  for (const [name, bytes] of filesIn(place.dataDir)) sinks.set(name, bytes);
}

async function callEverything(gateway: Gateway, sinks: Run['sinks'], key: string): Promise<void> {
  await until(
    'what can be reached is there',
    async () =>
      (await gateway.status()).upstreams.filter(({ id, state }) => id.startsWith('demo/') && state === 'healthy').length >= 4,
    20_000,
  );
  for (const era of rawEras) {
    const client = await connectRaw(era, {
      url: gateway.mcpUrl(),
      key,
      headers: { cookie: `session=${kinds.clientCookie.value}` },
    });
    const keep = (name: string, { status, headers, text }: Awaited<ReturnType<typeof client.send>>) => {
      sinks.set(`${era} ${name}`, `${status} ${JSON.stringify(headers)} ${text}`);
      return text;
    };
    if (era === 'modern') keep('server/discover', await client.send('server/discover'));
    expect(keep('tools/list', await client.send('tools/list'))).toContain('demo__reveal');
    for (const method of ['prompts/list', 'resources/list']) keep(method, await client.send(method));
    const meta = era === 'modern' ? { meta: { 'io.modelcontextprotocol/logLevel': 'debug' } } : {};
    if (era === 'legacy') await client.send('logging/setLevel', { level: 'debug' });
    for (const upstreamName of ['http', 'child', 'service', 'signed', 'gone'])
      for (const way of ways) {
        const answer = await client.call(`demo__${upstreamName === 'http' ? '' : `${upstreamName}_`}reveal`, { way }, meta);
        keep(`call of ${upstreamName}, ${way}`, answer);
      }
  }
}

async function askEverything(gateway: Gateway, sinks: Run['sinks'], key: string): Promise<void> {
  const get = async (path: string, credential: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${credential}`, ...headers } });
    sinks.set(
      `GET ${path.slice(0, 20)} by ${credential.slice(0, 2)}`,
      `${JSON.stringify([...response.headers])} ${await response.text()}`,
    );
  };
  for (const path of ['/api/status', '/api/consumers', '/api/openapi.json', '/metrics', '/readyz']) await get(path, gateway.key);
  for (const path of ['/api/status', '/metrics', '/api/nothing']) await get(path, key);
  // Keys where they do not belong.
  await get(`/api/nothing?key=${encodeURIComponent(key)}`, `${key}x`);
  await get(`/mcp?key=${encodeURIComponent(key)}`, `${gateway.key}x`, { cookie: `key=${key}` });
  const cookie = `__Host-gatehouse=${kinds.clientCookie.value}; session=${kinds.clientCookie.value}`;
  await get(`/oauth/callback?state=${kinds.code.value}&code=${kinds.code.value}`, key, { cookie });
  await get(`/oauth/start/${kinds.code.value}`, `${key}y`, { cookie });
  const broken = await fetch(gateway.mcpUrl(), {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'mcp-session-id': gateway.key },
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
  });
  sinks.set('a key as session id', await broken.text());
}

function filesIn(directory: string): [string, Buffer][] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).flatMap((name): [string, Buffer][] => {
    const path = join(directory, name);
    // A socket is none.
    return statSync(path).isFile() ? [[`file ${name}`, readFileSync(path)]] : [];
  });
}

async function dumpDatabase(url: string): Promise<string> {
  const tables = await onPostgres(url, `select table_name as name from information_schema.tables where table_schema = 'public'`);
  const rows = await Promise.all(tables.map(({ name }) => onPostgres(url, `select t::text as row from "${name}" t`)));
  return JSON.stringify(rows);
}

async function dumpRedis(url: string): Promise<string> {
  const redis = new Redis(url);
  const keys = await redis.keys('*');
  const values = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
  redis.disconnect();
  return JSON.stringify(keys) + Buffer.concat(values.map((value) => value ?? Buffer.alloc(0))).toString('latin1');
}

describe.each(['SQLite', 'PostgreSQL and Redis'])('on %s', (where) => {
  test('SK-01 SK-03 SK-07: no secret is in any reply, log line, record, metric, trace, error, backup or file', {
    timeout: 120_000,
  }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-canary-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    exported = [];
    let [databaseUrl, redisUrl, redis]: [string | undefined, string | undefined, Service | undefined] = [
      undefined,
      undefined,
      undefined,
    ];
    if (where !== 'SQLite') {
      databaseUrl = (await postgres.createDatabase()).replace('gatehouse@', `gatehouse:${kinds.database.value}@`);
      redis = await startRedis();
      onTestFinished(() => redis?.stop());
      await protect(redis.url, kinds.redis.value);
      redisUrl = redis.url.replace('redis://', `redis://:${kinds.redis.value}@`);
    }
    const masterKey = newMasterKey();
    const place: Place = { dataDir: join(directory, 'data'), masterKey, databaseUrl };
    const registrar = await openRegistrar(place);
    await registrar.secret('RUN_TIME', kinds.runTime.value);
    await registrar.secret('WEBHOOK_SECRET', kinds.webhook.value);
    const virtualKey = await registrar.key('canary');
    const canaries = [
      ...Object.values(kinds),
      accessToken,
      refreshToken,
      signingCanary,
      knownCanary('master key', masterKey, Buffer.from(masterKey, 'base64')),
      knownCanary('virtual key', virtualKey.slice('gh_canary_'.length)),
    ];
    const sinks: Run['sinks'] = new Map();
    const before = { ...shown };
    await exercise({ place, redisUrl, canaries, sinks }, registrar, directory, virtualKey);
    await registrar.close();
    if (databaseUrl !== undefined) sinks.set('the database', await dumpDatabase(databaseUrl));
    if (redisUrl !== undefined) sinks.set('Redis', await dumpRedis(redisUrl));
    expect(shown.tokenRequests).toBeGreaterThan(before.tokenRequests + 1);
    expect(shown.mcpRequests).toBeGreaterThan(before.mcpRequests + 10);
    expect(sinks.size).toBeGreaterThan(70);
    // There was something to hide.
    expect(shown.signedRequests).toBeGreaterThan(before.signedRequests + 1);
    for (const name of ['http', 'child', 'service', 'signed'])
      expect(String(sinks.get(`modern call of ${name}, result`)), name).toContain('*'.repeat(40));
    expect(findCanaries(canaries, sinks)).toEqual([]);
  });
});

async function protect(url: string, password: string): Promise<void> {
  const redis = new Redis(url);
  await redis.config('SET', 'requirepass', password);
  redis.disconnect();
}

test('what is searched with finds each form that a secret may take', () => {
  const canary = plantCanary('a', middle);
  const { value } = canary;
  const forms = [
    value,
    JSON.stringify(value),
    encodeURIComponent(value),
    Buffer.from(value).toString('hex'),
    Buffer.from(value).toString('hex').toUpperCase(),
    ...['', 'x', 'xy', 'xyz'].flatMap((prefix) =>
      ['base64', 'base64url'].map((encoding) => Buffer.from(`${prefix}${value}`).toString(encoding as 'base64')),
    ),
  ];
  for (const form of forms) expect(findCanaries([canary], new Map([['form', `before ${form} after`]])), form).toHaveLength(1);
  expect(findCanaries([canary], new Map([['other', randomBytes(4096).toString('base64')]]))).toEqual([]);
});

test('SK-04: a start that fails names no secret, and a wrong master key changes no file', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-canary-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const masterKey = newMasterKey();
  const place: Place = { dataDir: join(directory, 'data'), masterKey };
  const registrar = await openRegistrar(place);
  await registrar.secret('RUN_TIME', kinds.runTime.value);
  await registrar.close();
  const other = newMasterKey();
  const before = new Map(filesIn(place.dataDir));
  const sinks: Run['sinks'] = new Map();
  const start = async (name: string, settings: Record<string, string>) => {
    const environment = {
      GATEHOUSE_PORT: '0',
      GATEHOUSE_NAMESPACES: directory,
      GATEHOUSE_LOG_LEVEL: 'trace',
      GATEHOUSE_ADMIN_KEY: kinds.admin.value,
      ...settings,
    };
    const spawned = spawnMarked(gatewayCommand[0] ?? '', [...gatewayCommand.slice(1), 'serve'], {
      env: environment,
      cwd: directory,
    });
    await until(`${name} has ended`, () => spawned.hasExited, 30_000);
    expect(await spawned.exited).not.toBe(0);
    sinks.set(name, [...spawned.stdout, ...spawned.stderr].join('\n'));
  };
  await start('a wrong master key', { GATEHOUSE_DATA: place.dataDir, GATEHOUSE_MASTER_KEY: other });
  expect(
    filesIn(place.dataDir)
      .map(([name]) => name)
      .sort(),
  ).toEqual([...before.keys()].sort());
  for (const [name, bytes] of filesIn(place.dataDir)) expect(bytes.equals(before.get(name) ?? Buffer.alloc(0)), name).toBe(true);
  const unreachable = `postgres://gatehouse:${kinds.database.value}@127.0.0.1:9/nowhere`;
  await start('a database that is away', {
    GATEHOUSE_DATA: join(directory, 'b'),
    GATEHOUSE_MASTER_KEY: other,
    GATEHOUSE_DATABASE_URL: unreachable,
  });
  await start('a database that is none', { GATEHOUSE_DATABASE_URL: `mysql://gatehouse:${kinds.database.value}@127.0.0.1/x` });
  await start('a master key that is none', { GATEHOUSE_MASTER_KEY: kinds.clientSecret.value });
  await start('a Redis that is none', { GATEHOUSE_REDIS_URL: `http://:${kinds.redis.value}@127.0.0.1` });
  const canaries = [...Object.values(kinds), knownCanary('master key', masterKey), knownCanary('another master key', other)];
  expect(findCanaries(canaries, sinks)).toEqual([]);
});
