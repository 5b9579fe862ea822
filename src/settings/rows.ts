import type { SearchSettings } from '../finding/search-settings.ts';
import type { TrustedIssuer } from '../identity/issuers.ts';
import type { NotifySettings } from '../notify/notify-settings.ts';
import {
  listOf,
  logLevels,
  oneOf,
  readAdminKey,
  readAllowedHost,
  readCommands,
  readEgressRule,
  readHost,
  readLogLevel,
  readMasterKey,
  readNetwork,
  readOrigin,
  readPath,
  readPublicUrl,
  share,
  urlOf,
  wholeNumber,
} from './values.ts';

// The one definition of all settings: flag, variable, key of gatehouse.yaml, help, README and parser derive from it.
export const rows = {
  host: row('Address to listen on. Anything but a loopback address needs an admin key.', '127.0.0.1', readHost),
  port: row('Port to listen on; 0 takes any free one.', '8080', wholeNumber(0, 65_535)),
  data: row('Directory for everything Gatehouse keeps.', './.gatehouse', readPath),
  namespaces: row('Directory of namespace files, one namespace each.', './namespaces', readPath),
  openapiImports: row('Directory of API descriptions as received.', './openapi-imports', readPath),
  adminKey: optionalRow(
    'Key of the first admin, at least 24 characters. One is made and shown once when left out.',
    readAdminKey,
    'secret',
  ),
  masterKey: optionalRow(
    'Key that seals what is stored: 32 bytes as base64. One is made in the data directory when left out.',
    readMasterKey,
    'secret',
  ),
  previousMasterKeys: optionalRow(
    'The master keys that the present one replaces, separated by commas, until "gatehouse rotate-master-key" has finished.',
    listOf(readMasterKey),
    'secret',
  ),
  publicUrl: optionalRow(
    'Address by which clients and browsers reach Gatehouse; tokens are issued for it. http://127.0.0.1:<port> when left out.',
    readPublicUrl,
    'plain',
  ),
  egressAllow: row(
    'Addresses that are not public but may be called: host[:port] or CIDR[:port], separated by commas.',
    '',
    listOf(readEgressRule),
  ),
  databaseUrl: optionalRow(
    'PostgreSQL URL; SQLite in the data directory when left out.',
    urlOf('postgres:', 'postgresql:'),
    'secret',
  ),
  redisUrl: optionalRow(
    'Redis URL for what several processes share: sessions, counts of limits, answers kept of models. Each counts by itself when left out.',
    urlOf('redis:', 'rediss:'),
    'secret',
  ),
  logLevel: row(`Least severe line to log: ${logLevels.join(', ')}.`, 'info', readLogLevel),
  otlpUrl: optionalRow(
    'Address of an OpenTelemetry receiver (OTLP over HTTP) for traces; no call is traced when left out.',
    urlOf('http:', 'https:'),
    'secret',
  ),
  traceSampling: row('Share of calls to trace, where the client does not say: 0 to 1.', '0.1', share),
  metricsCapabilities: row(
    'Most capabilities that get metrics of their own; 0: numbers per namespace only.',
    '0',
    wholeNumber(0, 10_000),
  ),
  bodyLimitBytes: row('Largest request body.', '4194304', wholeNumber(1024, 1024 * 1024 * 1024)),
  maxSessions: row('Most client sessions held at once.', '10000', wholeNumber(1, 10_000_000)),
  sessionIdleMs: row(
    'A client session ends after this long without a request. Most clients never open a second one.',
    '86400000',
    wholeNumber(1000, 2_147_483_647),
  ),
  drainMs: row(
    'How long calls that run may still take once Gatehouse is told to stop. Answers of models take a minute and more.',
    '10000',
    wholeNumber(0, 3_600_000),
  ),
  importCpuMs: row(
    'CPU time that the import of one API description may take. Most take under one second; of the largest known, 47 MB, some ten.',
    '5000',
    wholeNumber(1000, 60_000),
  ),
  trustedProxies: row(
    'Addresses and ranges of proxies whose X-Forwarded-For counts, separated by commas. Nobody by default.',
    '',
    listOf(readNetwork),
  ),
  auditSync: row(
    'When a call may go on: os, once its record was handed to the operating system; disk, once it is on the disk.',
    'os',
    oneOf('os', 'disk'),
  ),
  allowedCommands: row(
    'Commands that may be registered at run time, each word for word as JSON, e.g. [["npx","-y","some-server"]]. None by default.',
    '[]',
    readCommands,
  ),
  secrets: row(
    'Directory of files that hold secrets, one each, named as they are referred to. Read where there is one.',
    './secrets',
    readPath,
  ),
  allowedHosts: row(
    'Names clients may use for Gatehouse in the Host header besides its own address, separated by commas.',
    '',
    listOf(readAllowedHost),
  ),
  allowedOrigins: row('Origins of web pages that may call Gatehouse, separated by commas.', '', listOf(readOrigin)),
};

export type Key = keyof typeof rows;
export const keys = Object.keys(rows) as Key[];

// Settings that are more than a line of text: they stand in gatehouse.yaml only. What reads them is loaded when one is there.
export const structures = {
  issuers: structure<readonly TrustedIssuer[]>(
    'Authorization servers whose tokens are taken: see [docs/oauth.md](docs/oauth.md).',
    Object.freeze([]),
    async (value) => (await import('../identity/issuers.ts')).readIssuers(value),
  ),
  notify: structure<NotifySettings>(
    'Whom to tell that something waits for a person: see [docs/approvals.md](docs/approvals.md).',
    Object.freeze({}),
    async (value) => (await import('../notify/notify-settings.ts')).readNotifySettings(value),
  ),
  search: structure<SearchSettings>(
    'How tools are found where there are many: see [docs/finding-tools.md](docs/finding-tools.md).',
    Object.freeze({ everything: 'off', synonyms: Object.freeze([]) }),
    async (value) => (await import('../finding/search-settings.ts')).readSearchSettings(value),
  ),
};

export type StructureKey = keyof typeof structures;
export const structureKeys = Object.keys(structures) as StructureKey[];

interface Structure<Value> {
  readonly description: string;
  readonly fallback: Value;
  readonly read: (value: unknown) => Promise<{ readonly value: Value } | { readonly flaws: readonly Flaw[] }>;
}

/** What is wrong at a place within a structure. */
interface Flaw {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

function structure<Value>(description: string, fallback: Value, read: Structure<Value>['read']): Structure<Value> {
  return { description, fallback, read };
}

interface Row<Value> {
  readonly description: string;
  /** As a person would write it. */
  readonly fallback: string | undefined;
  readonly isSecret: boolean;
  /** `base` is the directory that relative paths start from. Throws Refusal. */
  readonly parse: (text: string, base: string) => Value;
}

function row<Value>(description: string, fallback: string, parse: (text: string, base: string) => Value): Row<Value> {
  return { description, fallback, isSecret: false, parse };
}

function optionalRow<Value>(
  description: string,
  parse: (text: string) => Value,
  kind: 'secret' | 'plain',
): Row<Value | undefined> {
  return { description, fallback: undefined, isSecret: kind === 'secret', parse };
}

export function isKey(key: string): key is Key {
  return Object.hasOwn(rows, key);
}

export function isStructure(key: string): key is StructureKey {
  return Object.hasOwn(structures, key);
}

export function variableOf(key: string): string {
  return `GATEHOUSE_${key.replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`;
}

export function flagOf(key: string): string {
  return key.replaceAll(/[A-Z]/g, '-$&').toLowerCase();
}
