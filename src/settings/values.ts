import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { suggestName } from '../problems.ts';
import { Secret } from '../secret.ts';

/** Where Gatehouse may connect although the address is not public: a host name, or a range of addresses. */
type EgressRule = {
  /** Undefined: every port. */
  readonly port: number | undefined;
} & (
  | { readonly kind: 'host'; readonly host: string }
  | { readonly kind: 'range'; readonly address: string; readonly prefix: number; readonly family: 'ipv4' | 'ipv6' }
);

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Why a value is not taken; reads on from "GATEHOUSE_X is "value", but it". */
export class Refusal extends Error {}

export function readPath(text: string, base: string): string {
  return resolve(base, text);
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) throw new Refusal(`must be a whole number from ${least} to ${most}.`);
    return value;
  };
}

export function share(text: string): number {
  const value = /^(0|1|0?\.[0-9]{1,9}|1\.0+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw new Refusal('must be a number from 0 to 1, such as 0.25.');
  return value;
}

export function listOf<Value>(parse: (text: string) => Value): (text: string) => readonly Value[] {
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

export function readHost(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) === 0 && !isHostName(host)) throw new Refusal('must be an IP address or a host name, without a port.');
  return host;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

export function readLogLevel(text: string): (typeof logLevels)[number] {
  const level = logLevels.find((name) => name === text);
  if (level === undefined) throw new Refusal(`must be one of ${logLevels.join(', ')}.${suggestName(text, logLevels)}`);
  return level;
}

export function readAdminKey(text: string): Secret {
  // What RFC 6750 lets a bearer token hold; anything else could not be sent.
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(text))
    throw new Refusal('may hold only letters, digits and - . _ ~ + / =, since it travels in a header.');
  if (text.length < 24 || new Set(text).size < 10) {
    throw new Refusal('can be guessed: use at least 24 characters, 10 of them different. "openssl rand -base64 32" makes one.');
  }
  return new Secret(text);
}

export function readMasterKey(text: string): Secret {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 32 || bytes.toString('base64') !== text) {
    throw new Refusal('must be exactly 32 bytes as base64 (44 characters). "openssl rand -base64 32" makes one.');
  }
  if (new Set(bytes).size < 10) throw new Refusal('is not random. "openssl rand -base64 32" makes one that is.');
  return new Secret(text);
}

export function urlOf(...protocols: string[]): (text: string) => Secret {
  return (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || !protocols.includes(url.protocol)) {
      throw new Refusal(`must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}.`);
    }
    return new Secret(text);
  };
}

export function readPublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url === undefined || !isWeb || url.username !== '' || url.password !== '' || /[?#]/.test(text))
    throw new Refusal('must be an http or https address without user, query or fragment, such as https://gatehouse.example.com.');
  return url.origin + url.pathname.replace(/\/+$/, '');
}

export function readEgressRule(text: string): EgressRule {
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

export function readAllowedHost(text: string): string {
  const name = text.replace(/:[0-9]{1,5}$/, '');
  const isAddress = isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
  if (!isAddress && !isHostName(name))
    throw new Refusal(`must list host names as clients write them, such as gatehouse.example.com; "${text}" is none.`);
  return text.toLowerCase();
}

export function readNetwork(text: string): string {
  const [address = '', prefix] = text.split('/', 2);
  const version = isIP(address);
  const bits = version === 4 ? 32 : 128;
  const isRange = prefix === undefined || (/^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= bits);
  if (version === 0 || !isRange) throw new Refusal(`must list addresses and ranges such as 10.0.0.0/8; "${text}" is neither.`);
  return text;
}

export function readCommands(text: string): readonly (readonly string[])[] {
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

export function oneOf<Value extends string>(...values: readonly Value[]): (text: string) => Value {
  return (text) => {
    const value = values.find((candidate) => candidate === text);
    if (value === undefined) throw new Refusal(`must be one of ${values.join(', ')}.`);
    return value;
  };
}

export function readOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.origin === 'null' || url.origin !== text.toLowerCase()) {
    throw new Refusal(`must list origins such as https://app.example.com, without a path; "${text}" is none.`);
  }
  return url.origin;
}
