import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConfigurationError, type Problem } from '../src/problems.ts';
import { settingFlags, settingsHelp, settingsTable } from '../src/settings/describe.ts';
import { readSettings, type Settings } from '../src/settings.ts';

let directory: string;
let file: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-settings-'));
  file = join(directory, 'other.yaml');
});
afterAll(() => rm(directory, { recursive: true }));

type Values = Readonly<Record<string, string | undefined>>;

function read(environment: Values = {}, flags: Values = {}): Promise<Settings> {
  return readSettings({ flags, environment, directory });
}

async function readYaml(yaml: string, environment: Values = {}, flags: Values = {}): Promise<Settings> {
  await writeFile(file, yaml);
  return read(environment, { config: file, ...flags });
}

async function problemsOf(settings: Promise<Settings>): Promise<readonly Problem[]> {
  try {
    await settings;
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

async function messagesOf(settings: Promise<Settings>): Promise<string[]> {
  return (await problemsOf(settings)).map(({ message }) => message);
}

const key = 'b3BlbnNzbCByYW5kIC1iYXNlNjQgMzI=';
const masterKey = Buffer.from(Array.from({ length: 32 }, (_, at) => (at * 37) % 256)).toString('base64');

test('everything has a default or may be left out', async () => {
  const settings = await read();
  expect(settings).toEqual({
    host: '127.0.0.1',
    port: 8080,
    data: join(directory, '.gatehouse'),
    namespaces: join(directory, 'namespaces'),
    openapiImports: join(directory, 'openapi-imports'),
    adminKey: undefined,
    masterKey: undefined,
    publicUrl: undefined,
    egressAllow: [],
    databaseUrl: undefined,
    redisUrl: undefined,
    logLevel: 'info',
    otlpUrl: undefined,
    traceSampling: 0.1,
    metricsCapabilities: 0,
    bodyLimitBytes: 4_194_304,
    maxSessions: 10_000,
    sessionIdleMs: 86_400_000,
    drainMs: 10_000,
    importCpuMs: 5_000,
    trustedProxies: [],
    auditSync: 'os',
    allowedCommands: [],
    secrets: join(directory, 'secrets'),
    allowedHosts: [],
    allowedOrigins: [],
    issuers: [],
    notify: {},
    search: { everything: 'off', synonyms: [] },
  });
  expect(Object.isFrozen(settings)).toBe(true);
});

test('a flag wins over a variable, a variable over the file', async () => {
  const yaml = 'port: 1\nmaxSessions: 1\nlogLevel: warn\n';
  const settings = await readYaml(yaml, { GATEHOUSE_PORT: '2', GATEHOUSE_MAX_SESSIONS: '2' }, { port: '3' });
  expect([settings.port, settings.maxSessions, settings.logLevel]).toEqual([3, 2, 'warn']);
});

test('relative paths start from the working directory, in a file from the file', async () => {
  const { data } = await read({ GATEHOUSE_DATA: 'here' });
  expect(data).toBe(join(directory, 'here'));
  await writeFile(file, 'data: there\n');
  const settings = await readSettings({ flags: {}, environment: { GATEHOUSE_CONFIG: file }, directory: '/' });
  expect([settings.data, settings.namespaces]).toEqual([join(directory, 'there'), '/namespaces']);
});

test('gatehouse.yaml is read where it exists', async () => {
  const standard = join(directory, 'gatehouse.yaml');
  await writeFile(standard, 'port: 4\n');
  expect((await read()).port).toBe(4);
  await rm(standard);
  expect((await read()).port).toBe(8080);
});

test.each([
  ['0', 0],
  ['1', 1],
  ['0.25', 0.25],
  ['.5', 0.5],
])('a share may be written %s', async (text, share) => {
  expect((await read({ GATEHOUSE_TRACE_SAMPLING: text })).traceSampling).toBe(share);
});

test('lists may be written as text or as a list', async () => {
  const { allowedHosts, allowedOrigins } = await readYaml(
    'allowedHosts: [a.example, B.example]\nallowedOrigins: https://a.example, http://localhost:3000\n',
  );
  expect(allowedHosts).toEqual(['a.example', 'b.example']);
  expect(allowedOrigins).toEqual(['https://a.example', 'http://localhost:3000']);
});

test('egress rules are hosts and ranges, with or without a port', async () => {
  const { egressAllow } = await read({
    GATEHOUSE_EGRESS_ALLOW: 'CRM.internal, crm.internal:8443, 10.0.0.0/8, 10.1.2.3:80, [fd00::/8]:443, fd00::1, localhost',
  });
  expect(egressAllow).toEqual([
    { kind: 'host', host: 'crm.internal', port: undefined },
    { kind: 'host', host: 'crm.internal', port: 8443 },
    { kind: 'range', address: '10.0.0.0', prefix: 8, family: 'ipv4', port: undefined },
    { kind: 'range', address: '10.1.2.3', prefix: 32, family: 'ipv4', port: 80 },
    { kind: 'range', address: 'fd00::', prefix: 8, family: 'ipv6', port: 443 },
    { kind: 'range', address: 'fd00::1', prefix: 128, family: 'ipv6', port: undefined },
    { kind: 'host', host: 'localhost', port: undefined },
  ]);
});

test.each([
  '*',
  '10.0.0.0/33',
  'fd00::/129',
  'host/8',
  'host:0',
  'host:70000',
  '999.1.1.1',
  '10.0.0',
  'a b',
  'https://x.example',
])('the egress rule %s is refused', async (rule) => {
  expect(await messagesOf(read({ GATEHOUSE_EGRESS_ALLOW: rule }))).toEqual([expect.stringContaining(rule)]);
});

test.each([
  ['PORT', '80a', 'a whole number from 0 to 65535'],
  ['PORT', '65536', 'a whole number from 0 to 65535'],
  ['PORT', '-1', 'a whole number'],
  ['HOST', 'a b', 'an IP address or a host name'],
  ['HOST', '127.0.0.1:80', 'without a port'],
  ['LOG_LEVEL', 'debgu', 'Did you mean "debug"?'],
  ['BODY_LIMIT_BYTES', '4MB', 'a whole number'],
  ['TRACE_SAMPLING', '1.5', 'a number from 0 to 1'],
  ['TRACE_SAMPLING', '10%', 'a number from 0 to 1'],
  ['ALLOWED_HOSTS', '*', '"*" is none'],
  ['ALLOWED_ORIGINS', 'null', '"null" is none'],
  ['ALLOWED_ORIGINS', 'https://a.example/path', 'without a path'],
  ['PUBLIC_URL', 'gatehouse.example.com', 'an http or https address'],
  ['PUBLIC_URL', 'ftp://gatehouse.example.com', 'an http or https address'],
  ['PUBLIC_URL', 'https://user@gatehouse.example.com', 'without user'],
  ['PUBLIC_URL', 'https://gatehouse.example.com/?a', 'without user, query'],
])('%s=%s is refused', async (name, value, part) => {
  const [message, ...others] = await messagesOf(read({ [`GATEHOUSE_${name}`]: value }));
  expect(message).toContain(`GATEHOUSE_${name} is "${value}", but it must`);
  expect(message).toContain(part);
  expect(others).toEqual([]);
});

test.each([
  ['ADMIN_KEY', 'short', 'at least 24 characters'],
  ['ADMIN_KEY', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'at least 24 characters'],
  ['ADMIN_KEY', 'with spaces is not for headers 1234', 'may hold only'],
  ['MASTER_KEY', Buffer.alloc(16, 'x').toString('base64'), 'exactly 32 bytes'],
  ['MASTER_KEY', 'c'.repeat(43), 'exactly 32 bytes'],
  ['MASTER_KEY', Buffer.alloc(32).toString('base64'), 'not random'],
  ['DATABASE_URL', 'mysql://user:hunter2@db', 'postgres://'],
  ['REDIS_URL', 'hunter2', 'redis://'],
  ['OTLP_URL', 'ftp://hunter2', 'http:// or https://'],
])('a bad %s is refused without being shown', async (name, value, part) => {
  const [message = ''] = await messagesOf(read({ [`GATEHOUSE_${name}`]: value }));
  expect(message).toContain(`GATEHOUSE_${name} `);
  expect(message).toContain(part);
  expect(message).not.toContain(value);
});

test('secrets are held in a form that does not print', async () => {
  const settings = await read({
    GATEHOUSE_ADMIN_KEY: key,
    GATEHOUSE_MASTER_KEY: masterKey,
    GATEHOUSE_DATABASE_URL: 'postgres://user:hunter2@db/gatehouse',
    GATEHOUSE_REDIS_URL: 'rediss://:hunter2@cache',
  });
  expect(settings.adminKey?.reveal()).toBe(key);
  expect(settings.masterKey?.reveal()).toBe(masterKey);
  expect(settings.databaseUrl?.reveal()).toContain('hunter2');
  expect(JSON.stringify(settings)).not.toMatch(/hunter2|b3Blb/);
});

test('a secret is not taken from a flag, where every user of the machine sees it', async () => {
  expect(await messagesOf(read({}, { adminKey: key }))).toEqual([expect.stringMatching(/^--admin-key .*GATEHOUSE_ADMIN_KEY/)]);
});

test('every problem is reported at once, with the place of those in the file', async () => {
  const problems = await problemsOf(
    readYaml(
      'prot: 1\nport: x\nmaxSessions: { a: 1 }\n',
      { GATEHOUSE_LOGLEVEL: 'info', GATEHOUSE_BODY_LIMIT_BYTES: 'x' },
      { hots: 'x' },
    ),
  );
  expect(problems).toEqual([
    { message: '--hots is not a setting. Did you mean "host"?' },
    { message: 'GATEHOUSE_LOGLEVEL is not a setting. Did you mean "GATEHOUSE_LOG_LEVEL"?' },
    { file, line: 1, column: 1, message: '"prot" is not a setting. Did you mean "port"?' },
    { file, line: 3, column: 1, message: '"maxSessions" must be a single value or a list of single values.' },
    { file, line: 2, column: 1, message: '"port" is "x", but it must be a whole number from 0 to 65535.' },
    { message: 'GATEHOUSE_BODY_LIMIT_BYTES is "x", but it must be a whole number from 1024 to 1073741824.' },
  ]);
});

test('a settings file that is named must exist, be YAML and be a map', async () => {
  expect(await messagesOf(read({}, { config: 'nowhere.yaml' }))).toEqual([expect.stringContaining('no settings file')]);
  expect(await problemsOf(readYaml('port: [\n'))).toEqual([
    expect.objectContaining({ file, message: expect.stringContaining('not valid YAML') }),
  ]);
  expect(await messagesOf(readYaml('- port\n'))).toEqual([expect.stringContaining('"setting: value"')]);
  expect(await messagesOf(readYaml('# nothing\n'))).toEqual([]);
});

test('an empty variable is one that is not set', async () => {
  expect((await read({ GATEHOUSE_PORT: '', GATEHOUSE_REDIS_URL: '' })).port).toBe(8080);
});

test('the key of gatehouse connect is no setting, and no mistake', async () => {
  expect((await read({ GATEHOUSE_KEY: 'gh_x', GATEHOUSE_URL: 'https://gatehouse.example.com' })).port).toBe(8080);
});

test('what Kubernetes says about a service named gatehouse is no setting', async () => {
  const links = {
    GATEHOUSE_SERVICE_HOST: '10.0.0.1',
    GATEHOUSE_SERVICE_PORT: '80',
    GATEHOUSE_SERVICE_PORT_HTTP: '80',
    GATEHOUSE_PORT: 'tcp://10.0.0.1:80',
    GATEHOUSE_PORT_80_TCP: 'tcp://10.0.0.1:80',
    GATEHOUSE_PORT_80_TCP_ADDR: '10.0.0.1',
  };
  expect((await read(links)).port).toBe(8080);
  expect(await messagesOf(read({ GATEHOUSE_SERVICE: 'x' }))).toHaveLength(1);
});

test.each(['0.0.0.0', '::', '192.168.1.2', 'gatehouse.example.com'])('the host %s needs an admin key', async (host) => {
  expect(await messagesOf(read({ GATEHOUSE_HOST: host }))).toEqual([expect.stringContaining('GATEHOUSE_ADMIN_KEY must be set')]);
  expect((await read({ GATEHOUSE_HOST: host, GATEHOUSE_ADMIN_KEY: key })).host).toBe(host);
  expect(await messagesOf(read({ GATEHOUSE_HOST: host, GATEHOUSE_ADMIN_KEY: 'weak' }))).toHaveLength(1);
});

test.each(['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost'])('the host %s needs none', async (host) => {
  expect((await read({ GATEHOUSE_HOST: host })).host).toBe(host.replace(/[[\]]/g, ''));
});

test.each([
  ['https://Gatehouse.example.com/', 'https://gatehouse.example.com'],
  ['https://example.com:8443/gatehouse/', 'https://example.com:8443/gatehouse'],
  ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
])('the public address %s is %s', async (given, kept) => {
  expect((await read({ GATEHOUSE_PUBLIC_URL: given })).publicUrl).toBe(kept);
});

test('issuers stand in the file, and every problem in them has its line', async () => {
  const { issuers } = await readYaml('issuers:\n  - issuer: https://login.example.com\n    claims: { member: sub }\n');
  expect(issuers).toEqual([expect.objectContaining({ issuer: 'https://login.example.com', jwksUrl: undefined })]);
  expect((await readYaml('issuers:\n')).issuers).toEqual([]);
  const wrong =
    'port: x\nissuers:\n  - issuer: http://login.example.com\n    claims:\n      membr: sub\n  - algorithms: [HS256]\n';
  expect(await problemsOf(readYaml(wrong))).toEqual([
    expect.objectContaining({ file, line: 3, message: expect.stringContaining('An issuer is an https address') }),
    expect.objectContaining({ file, line: 5, message: '"membr" is not known here. Did you mean "member"?' }),
    expect.objectContaining({ file, line: 6, message: '"issuer" is missing; add it.' }),
    expect.objectContaining({
      file,
      line: 6,
      message: expect.stringContaining('a shared secret (HS*) or "none" is never taken'),
    }),
    expect.objectContaining({ file, line: 1 }),
  ]);
  expect(await messagesOf(read({ GATEHOUSE_ISSUERS: '[]' }, { issuers: 'x' }))).toEqual([
    '--issuers does not fit into a flag; write "issuers" into gatehouse.yaml.',
    'GATEHOUSE_ISSUERS does not fit into a variable; write "issuers" into gatehouse.yaml.',
  ]);
  expect(await messagesOf(readYaml('isuers: []\n'))).toEqual(['"isuers" is not a setting. Did you mean "issuers"?']);
});

test('issuers on a host that others reach need the address that others use', async () => {
  const yaml = 'issuers:\n  - issuer: https://login.example.com\n';
  const open = { GATEHOUSE_HOST: '0.0.0.0', GATEHOUSE_ADMIN_KEY: key };
  expect(await messagesOf(readYaml(yaml, open))).toEqual([expect.stringContaining('GATEHOUSE_PUBLIC_URL must be set')]);
  const named = await readYaml(yaml, { ...open, GATEHOUSE_PUBLIC_URL: 'https://gatehouse.example.com' });
  expect(named.issuers).toHaveLength(1);
  expect((await readYaml(yaml)).publicUrl).toBeUndefined();
});

test('help, table and flags name every setting', async () => {
  const inFileAlone = ['issuers', 'notify', 'search'];
  const count = Object.keys(await read()).length - inFileAlone.length;
  expect(settingsHelp().match(/^ {2}GATEHOUSE_/gm)).toHaveLength(count);
  expect(settingsHelp()).toContain(`In gatehouse.yaml alone: ${inFileAlone.join(', ')}.`);
  expect(settingsTable().match(/^\| `GATEHOUSE_/gm)).toHaveLength(count);
  for (const name of inFileAlone) expect(settingsTable()).toContain(`|  |  | \`${name}\` |  |`);
  expect(settingsTable()).toContain('| `GATEHOUSE_BODY_LIMIT_BYTES` | `--body-limit-bytes` | `bodyLimitBytes` | `4194304` |');
  const flags = settingFlags().map(({ flag }) => flag);
  expect(flags).toContain('--session-idle-ms <value>');
  expect(flags).toContain('--config <file>');
  expect(flags.join()).not.toMatch(/key|database|redis/);
});
