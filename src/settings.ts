import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type { SearchSettings } from './finding/search-settings.ts';
import type { TrustedIssuer } from './identity/issuers.ts';
import type { NotifySettings } from './notify/notify-settings.ts';
import { ConfigurationError, type Problem, suggestName } from './problems.ts';
import { Secret } from './secret.ts';
import type { YamlFile } from './yaml-file.ts';

/** Every setting, checked and complete. Its fields are the rows below; `undefined` means that the operator left it out. */
export type Settings = { readonly [Key in keyof typeof rows]: ReturnType<(typeof rows)[Key]['parse']> } & {
  readonly [Key in StructureKey]: (typeof structures)[Key]['fallback'];
};

/** Where Gatehouse may connect although the address is not public: a host name, or a range of addresses. */
type EgressRule = {
  /** Undefined: every port. */
  readonly port: number | undefined;
} & (
  | { readonly kind: 'host'; readonly host: string }
  | { readonly kind: 'range'; readonly address: string; readonly prefix: number; readonly family: 'ipv4' | 'ipv6' }
);

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

// The one definition of all settings: flag, variable, key of gatehouse.yaml, help, README and parser derive from it.
const rows = {
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

type Key = keyof typeof rows;
const keys = Object.keys(rows) as Key[];

// Settings that are more than a line of text: they stand in gatehouse.yaml only. What reads them is loaded when one is there.
const structures = {
  issuers: structure<readonly TrustedIssuer[]>(
    'Authorization servers whose tokens are taken: see [docs/oauth.md](docs/oauth.md).',
    Object.freeze([]),
    async (value) => (await import('./identity/issuers.ts')).readIssuers(value),
  ),
  notify: structure<NotifySettings>(
    'Whom to tell that something waits for a person: see [docs/approvals.md](docs/approvals.md).',
    Object.freeze({}),
    async (value) => (await import('./notify/notify-settings.ts')).readNotifySettings(value),
  ),
  search: structure<SearchSettings>(
    'How tools are found where there are many: see [docs/finding-tools.md](docs/finding-tools.md).',
    Object.freeze({ everything: 'off', synonyms: Object.freeze([]) }),
    async (value) => (await import('./finding/search-settings.ts')).readSearchSettings(value),
  ),
};

type StructureKey = keyof typeof structures;
const structureKeys = Object.keys(structures) as StructureKey[];

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

export interface SettingSources {
  /** What followed each `--flag` on the command line, by its name in camel case; `config` names the settings file. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The working directory. */
  readonly directory: string;
}

interface Given {
  readonly text: string;
  /** As the person who has to change it knows it. */
  readonly label: string;
  readonly base: string;
  readonly place: Omit<Problem, 'message'>;
}

/** Settings from flags, then GATEHOUSE_* variables, then the settings file. Throws ConfigurationError with every problem. */
export async function readSettings({ flags, environment, directory }: SettingSources): Promise<Settings> {
  const problems: Problem[] = [];
  const outside = [readFlags(flags, directory, problems), readEnvironment(environment, directory, problems)];
  const file = await readFile(flags.config ?? environment.GATEHOUSE_CONFIG, directory, problems);
  const given = [...outside, file.given];
  const settings: Record<string, unknown> = { ...file.structures };
  for (const key of keys) {
    const { fallback, parse, isSecret } = rows[key];
    const source = given.find((source) => source.has(key))?.get(key);
    try {
      if (source !== undefined) settings[key] = parse(source.text, source.base);
      else settings[key] = fallback === undefined ? undefined : parse(fallback, directory);
    } catch (error) {
      if (!(error instanceof Refusal) || source === undefined) throw error;
      const value = isSecret || source.text.length > 100 ? '' : ` is ${JSON.stringify(source.text)}, but it`;
      problems.push({ ...source.place, message: `${source.label}${value} ${error.message}` });
    }
  }
  if (!given.some((source) => source.has('adminKey'))) refuseOpenDoor(settings.host, problems);
  if (!given.some((source) => source.has('publicUrl'))) refuseNamelessResource(settings, problems);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return Object.freeze(settings) as Settings;
}

// A key that Gatehouse makes up is shown in the log of its first start. On one machine only its user reads that; a network
// service's log goes to many people, and its data directory is often thrown away with the container.
function refuseOpenDoor(host: unknown, problems: Problem[]): void {
  if (typeof host !== 'string' || isLoopback(host)) return;
  problems.push({
    message: `The host ${host} can be reached from other machines, so ${variableOf('adminKey')} must be set: make one with "openssl rand -base64 32". To serve this machine alone, leave the host at 127.0.0.1.`,
  });
}

// A token for the wrong address is worth nothing, and the address that others use cannot be seen from here.
function refuseNamelessResource({ host, issuers }: Record<string, unknown>, problems: Problem[]): void {
  if (typeof host !== 'string' || isLoopback(host) || !Array.isArray(issuers) || issuers.length === 0) return;
  problems.push({
    message: `Tokens of "issuers" are issued for an address, so ${variableOf('publicUrl')} must be set to the one that clients use, e.g. https://gatehouse.example.com.`,
  });
}

function readFlags(flags: SettingSources['flags'], base: string, problems: Problem[]): Map<string, Given> {
  const found = new Map<string, Given>();
  for (const [key, text] of Object.entries(flags)) {
    if (text === undefined || key === 'config') continue;
    const label = `--${flagOf(key)}`;
    if (isStructure(key)) problems.push({ message: `${label} does not fit into a flag; write "${key}" into gatehouse.yaml.` });
    else if (!isKey(key)) problems.push({ message: `${label} is not a setting.${suggestName(key, keys)}` });
    else if (rows[key].isSecret)
      problems.push({ message: `${label} would show a secret in the list of processes; set ${variableOf(key)} instead.` });
    else found.set(key, { text, label, base, place: {} });
  }
  return found;
}

// The settings file's name, and the key that `gatehouse connect` writes into a client's configuration.
const readElsewhere = new Set(['GATEHOUSE_CONFIG', 'GATEHOUSE_KEY']);

function readEnvironment(environment: SettingSources['environment'], base: string, problems: Problem[]): Map<string, Given> {
  const found = new Map<string, Given>();
  const byVariable = new Map(keys.map((key) => [variableOf(key), key]));
  const structured = new Map(structureKeys.map((key) => [variableOf(key), key]));
  for (const [label, text] of Object.entries(environment)) {
    // Compose files pass what is not set as an empty variable.
    if (!label.startsWith('GATEHOUSE_') || text === undefined || text === '' || readElsewhere.has(label)) continue;
    if (isServiceLink(label, text)) continue;
    const key = byVariable.get(label);
    if (structured.has(label))
      problems.push({
        message: `${label} does not fit into a variable; write "${structured.get(label)}" into gatehouse.yaml.`,
      });
    else if (key === undefined) problems.push({ message: `${label} is not a setting.${suggestName(label, byVariable.keys())}` });
    else found.set(key, { text, label, base, place: {} });
  }
  return found;
}

// Kubernetes tells every pod about a Service named "gatehouse" in variables of this form, one of them GATEHOUSE_PORT.
function isServiceLink(name: string, text: string): boolean {
  if (/^GATEHOUSE_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)$/.test(name)) return true;
  return name === 'GATEHOUSE_PORT' && /^(tcp|udp|sctp):\/\//.test(text);
}

interface SettingsFile {
  readonly given: Map<string, Given>;
  readonly structures: Record<string, unknown>;
}

async function readFile(named: string | undefined, directory: string, problems: Problem[]): Promise<SettingsFile> {
  const defaults = Object.fromEntries(structureKeys.map((key) => [key, structures[key].fallback]));
  const found: SettingsFile = { given: new Map(), structures: defaults };
  const file = resolve(directory, named ?? 'gatehouse.yaml');
  if (!existsSync(file)) {
    if (named !== undefined)
      problems.push({ file, message: 'There is no settings file here; correct --config or GATEHOUSE_CONFIG.' });
    return found;
  }
  // Parsing YAML costs a start 20 ms that most starts do not need.
  const { readYaml } = await import('./yaml-file.ts');
  const yaml = readYaml(readFileSync(file, 'utf8'), file);
  problems.push(...yaml.problems);
  const value = yaml.value ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    problems.push({ ...yaml.locate([]), message: 'A settings file is a list of "setting: value" lines.' });
    return found;
  }
  for (const [key, entry] of Object.entries(value)) {
    const place = yaml.locate([key]);
    const text = textOf(entry);
    if (isStructure(key)) problems.push(...(await readStructure(key, entry, yaml, found.structures)));
    else if (!isKey(key))
      problems.push({ ...place, message: `"${key}" is not a setting.${suggestName(key, [...keys, ...structureKeys])}` });
    else if (text === undefined)
      problems.push({ ...place, message: `"${key}" must be a single value or a list of single values.` });
    else if (text !== '') found.given.set(key, { text, label: `"${key}"`, base: resolve(file, '..'), place });
  }
  return found;
}

async function readStructure(
  key: StructureKey,
  entry: unknown,
  yaml: Pick<YamlFile, 'locate'>,
  found: Record<string, unknown>,
): Promise<Problem[]> {
  // A key with nothing behind it is one that is not set.
  if (entry === null) return [];
  const read = await structures[key].read(entry);
  if ('flaws' in read) return read.flaws.map(({ path, message }) => ({ ...yaml.locate([key, ...path]), message }));
  found[key] = read.value;
  return [];
}

function textOf(entry: unknown): string | undefined {
  if (Array.isArray(entry)) {
    const parts = entry.map(textOf);
    return parts.every((part) => part !== undefined) ? parts.join(',') : undefined;
  }
  if (entry === null) return '';
  return typeof entry === 'object' ? undefined : String(entry);
}

function isKey(key: string): key is Key {
  return Object.hasOwn(rows, key);
}

function isStructure(key: string): key is StructureKey {
  return Object.hasOwn(structures, key);
}

function variableOf(key: string): string {
  return `GATEHOUSE_${key.replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`;
}

function flagOf(key: string): string {
  return key.replaceAll(/[A-Z]/g, '-$&').toLowerCase();
}

/** One command line flag per setting that is not a secret, and the settings file's. */
export function settingFlags(): readonly { readonly flag: string; readonly description: string }[] {
  const flags = keys
    .filter((key) => !rows[key].isSecret)
    .map((key) => ({ flag: `--${flagOf(key)} <value>`, description: describe(key) }));
  return [...flags, { flag: '--config <file>', description: 'File of settings. Default: ./gatehouse.yaml, if there is one.' }];
}

/** What `gatehouse --help` says about settings. */
export function settingsHelp(): string {
  const width = Math.max(...keys.map((key) => variableOf(key).length));
  const lines = keys.map((key) => `  ${variableOf(key).padEnd(width)}  ${describe(key)}`);
  return [
    'Settings come from flags, then these variables, then gatehouse.yaml (keys in camel case, e.g. bodyLimitBytes):',
    ...lines,
    `In gatehouse.yaml alone: ${structureKeys.join(', ')}.`,
  ].join('\n');
}

/** The README's table of settings, in Markdown. */
export function settingsTable(): string {
  const lines = keys.map((key) => {
    const { description, fallback, isSecret } = rows[key];
    const flag = isSecret ? '' : `\`--${flagOf(key)}\``;
    return `| \`${variableOf(key)}\` | ${flag} | \`${key}\` | ${fallback ? `\`${fallback}\`` : ''} | ${description} |`;
  });
  const more = structureKeys.map((key) => `|  |  | \`${key}\` |  | ${structures[key].description} |`);
  return ['| variable | flag | in gatehouse.yaml | default | meaning |', '|---|---|---|---|---|', ...lines, ...more].join('\n');
}

function describe(key: Key): string {
  const { description, fallback } = rows[key];
  return fallback ? `${description} Default: ${fallback}.` : description;
}

/** Why a value is not taken; reads on from "GATEHOUSE_X is "value", but it". */
class Refusal extends Error {}

function readPath(text: string, base: string): string {
  return resolve(base, text);
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) throw new Refusal(`must be a whole number from ${least} to ${most}.`);
    return value;
  };
}

function share(text: string): number {
  const value = /^(0|1|0?\.[0-9]{1,9}|1\.0+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw new Refusal('must be a number from 0 to 1, such as 0.25.');
  return value;
}

function listOf<Value>(parse: (text: string) => Value): (text: string) => readonly Value[] {
  return (text) =>
    Object.freeze(
      text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
        .map(parse),
    );
}

const hostName = /^(?=.{1,253}$)[a-z0-9]([a-z0-9_-]{0,62})(\.[a-z0-9]([a-z0-9_-]{0,62}))*\.?$/i;

function isHostName(text: string): boolean {
  // All digits and dots that are no address: a slip, never a name.
  return hostName.test(text) && !/^[0-9.]+$/.test(text);
}

function readHost(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) === 0 && !isHostName(host)) throw new Refusal('must be an IP address or a host name, without a port.');
  return host;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function readLogLevel(text: string): (typeof logLevels)[number] {
  const level = logLevels.find((name) => name === text);
  if (level === undefined) throw new Refusal(`must be one of ${logLevels.join(', ')}.${suggestName(text, logLevels)}`);
  return level;
}

function readAdminKey(text: string): Secret {
  // What RFC 6750 lets a bearer token hold; anything else could not be sent.
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(text))
    throw new Refusal('may hold only letters, digits and - . _ ~ + / =, since it travels in a header.');
  if (text.length < 24 || new Set(text).size < 10) {
    throw new Refusal('can be guessed: use at least 24 characters, 10 of them different. "openssl rand -base64 32" makes one.');
  }
  return new Secret(text);
}

function readMasterKey(text: string): Secret {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 32 || bytes.toString('base64') !== text) {
    throw new Refusal('must be exactly 32 bytes as base64 (44 characters). "openssl rand -base64 32" makes one.');
  }
  if (new Set(bytes).size < 10) throw new Refusal('is not random. "openssl rand -base64 32" makes one that is.');
  return new Secret(text);
}

function urlOf(...protocols: string[]): (text: string) => Secret {
  return (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || !protocols.includes(url.protocol)) {
      throw new Refusal(`must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}.`);
    }
    return new Secret(text);
  };
}

function readPublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url === undefined || !isWeb || url.username !== '' || url.password !== '' || /[?#]/.test(text))
    throw new Refusal('must be an http or https address without user, query or fragment, such as https://gatehouse.example.com.');
  return url.origin + url.pathname.replace(/\/+$/, '');
}

function readEgressRule(text: string): EgressRule {
  const parts = /^(?:\[([^\]]+)\]|([^:]+)|([^[\]]*:[^[\]]*:[^[\]]*))(?::([0-9]{1,5}))?$/.exec(text);
  const [, bracketed, plain, bare, portText] = parts ?? [];
  const port = portText === undefined ? undefined : Number(portText);
  const target = bracketed ?? plain ?? bare ?? '';
  const [address = '', prefixText] = target.split('/', 2);
  const version = isIP(address);
  const bits = version === 4 ? 32 : 128;
  const prefix = prefixText === undefined ? bits : /^[0-9]{1,3}$/.test(prefixText) ? Number(prefixText) : Number.NaN;
  if (port !== undefined && (port < 1 || port > 65_535)) throw new Refusal(`must have a port from 1 to 65535 in "${text}".`);
  if (version !== 0 && prefix >= 0 && prefix <= bits)
    return Object.freeze({ kind: 'range', address, prefix, family: version === 4 ? 'ipv4' : 'ipv6', port });
  if (version === 0 && prefixText === undefined && plain !== undefined && isHostName(target)) {
    return Object.freeze({ kind: 'host', host: target.toLowerCase().replace(/\.$/, ''), port });
  }
  throw new Refusal(
    `must list hosts and address ranges such as crm.internal:8443, 10.0.0.0/8 or [fd00::/8]:443; "${text}" is neither.`,
  );
}

function readAllowedHost(text: string): string {
  const name = text.replace(/:[0-9]{1,5}$/, '');
  const isAddress = isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
  if (!isAddress && !isHostName(name))
    throw new Refusal(`must list host names as clients write them, such as gatehouse.example.com; "${text}" is none.`);
  return text.toLowerCase();
}

function readNetwork(text: string): string {
  const [address = '', prefix] = text.split('/', 2);
  const version = isIP(address);
  const bits = version === 4 ? 32 : 128;
  const isRange = prefix === undefined || (/^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= bits);
  if (version === 0 || !isRange) throw new Refusal(`must list addresses and ranges such as 10.0.0.0/8; "${text}" is neither.`);
  return text;
}

function readCommands(text: string): readonly (readonly string[])[] {
  let commands: unknown;
  try {
    commands = JSON.parse(text);
  } catch {
    commands = undefined;
  }
  const isCommand = (command: unknown): command is string[] =>
    Array.isArray(command) && command.length > 0 && command.every((word) => typeof word === 'string');
  if (!Array.isArray(commands) || !commands.every(isCommand))
    throw new Refusal('must be a JSON list of commands, each a list of words, such as [["npx","-y","some-server"]].');
  return Object.freeze(commands.map((command) => Object.freeze([...command])));
}

function oneOf<Value extends string>(...values: readonly Value[]): (text: string) => Value {
  return (text) => {
    const value = values.find((candidate) => candidate === text);
    if (value === undefined) throw new Refusal(`must be one of ${values.join(', ')}.`);
    return value;
  };
}

function readOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.origin === 'null' || url.origin !== text.toLowerCase()) {
    throw new Refusal(`must list origins such as https://app.example.com, without a path; "${text}" is none.`);
  }
  return url.origin;
}
