import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { ConfigurationError, type Problem, suggestName } from './problems.ts';
import { Secret } from './secret.ts';

/** Every setting, checked and complete. Its fields are the rows below; `undefined` means that the operator left it out. */
export type Settings = { readonly [Key in keyof typeof rows]: ReturnType<(typeof rows)[Key]['parse']> };

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
  redisUrl: optionalRow('Redis URL for the state of sessions; the database when left out.', urlOf('redis:', 'rediss:'), 'secret'),
  logLevel: row(`Least severe line to log: ${logLevels.join(', ')}.`, 'info', readLogLevel),
  bodyLimitBytes: row('Largest request body.', '4194304', wholeNumber(1024, 1024 * 1024 * 1024)),
  maxSessions: row('Most client sessions held at once.', '10000', wholeNumber(1, 10_000_000)),
  sessionIdleMs: row(
    'A client session ends after this long without a request. Most clients never open a second one.',
    '86400000',
    wholeNumber(1000, 2_147_483_647),
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

function optionalRow<Value>(description: string, parse: (text: string) => Value, kind: 'secret'): Row<Value | undefined> {
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
  const given: Map<string, Given>[] = [
    readFlags(flags, directory, problems),
    readEnvironment(environment, directory, problems),
    await readFile(flags.config ?? environment.GATEHOUSE_CONFIG, directory, problems),
  ];
  const settings: Record<string, unknown> = {};
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

function readFlags(flags: SettingSources['flags'], base: string, problems: Problem[]): Map<string, Given> {
  const found = new Map<string, Given>();
  for (const [key, text] of Object.entries(flags)) {
    if (text === undefined || key === 'config') continue;
    const label = `--${flagOf(key)}`;
    if (!isKey(key)) problems.push({ message: `${label} is not a setting.${suggestName(key, keys)}` });
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
  for (const [label, text] of Object.entries(environment)) {
    // Compose files pass what is not set as an empty variable.
    if (!label.startsWith('GATEHOUSE_') || text === undefined || text === '' || readElsewhere.has(label)) continue;
    if (isServiceLink(label, text)) continue;
    const key = byVariable.get(label);
    if (key === undefined) problems.push({ message: `${label} is not a setting.${suggestName(label, byVariable.keys())}` });
    else found.set(key, { text, label, base, place: {} });
  }
  return found;
}

// Kubernetes tells every pod about a Service named "gatehouse" in variables of this form, one of them GATEHOUSE_PORT.
function isServiceLink(name: string, text: string): boolean {
  if (/^GATEHOUSE_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)$/.test(name)) return true;
  return name === 'GATEHOUSE_PORT' && /^(tcp|udp|sctp):\/\//.test(text);
}

async function readFile(named: string | undefined, directory: string, problems: Problem[]): Promise<Map<string, Given>> {
  const found = new Map<string, Given>();
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
    if (!isKey(key)) problems.push({ ...place, message: `"${key}" is not a setting.${suggestName(key, keys)}` });
    else if (text === undefined)
      problems.push({ ...place, message: `"${key}" must be a single value or a list of single values.` });
    else if (text !== '') found.set(key, { text, label: `"${key}"`, base: resolve(file, '..'), place });
  }
  return found;
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
  ].join('\n');
}

/** The README's table of settings, in Markdown. */
export function settingsTable(): string {
  const lines = keys.map((key) => {
    const { description, fallback, isSecret } = rows[key];
    const flag = isSecret ? '' : `\`--${flagOf(key)}\``;
    return `| \`${variableOf(key)}\` | ${flag} | \`${key}\` | ${fallback ? `\`${fallback}\`` : ''} | ${description} |`;
  });
  return ['| variable | flag | in gatehouse.yaml | default | meaning |', '|---|---|---|---|---|', ...lines].join('\n');
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

function readOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.origin === 'null' || url.origin !== text.toLowerCase()) {
    throw new Refusal(`must list origins such as https://app.example.com, without a path; "${text}" is none.`);
  }
  return url.origin;
}
