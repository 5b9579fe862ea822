/** Which addresses a list of networks means, and which address a request came from. */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { GatewayError } from '../errors.ts';

/** Whether an address, as text, is in a list of networks. Anything that is not an address is in none. */
export type NetworkTest = (ip: string) => boolean;

interface Range {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6;
  readonly prefix: number;
}

interface Block {
  /** Network and mask as unsigned 32-bit numbers. */
  readonly network: number;
  readonly mask: number;
}

/** What is wrong with one entry, as a sentence that follows the entry's name; undefined where nothing is. */
export function checkNetwork(entry: string): string | undefined {
  const range = readRange(entry);
  return typeof range === 'string' ? range : undefined;
}

/**
 * The networks of a list of addresses and CIDR ranges (RFC 4632, RFC 4291). An empty list is nobody.
 * IPv4 addresses mapped into IPv6 count as the IPv4 addresses they are. Throws GatewayError `bad_configuration` with every bad entry.
 */
export function compileNetworks(entries: readonly string[]): NetworkTest {
  const ranges = entries.map(readRange);
  const problems = ranges.filter((range) => typeof range === 'string');
  if (problems.length > 0) throw new GatewayError('bad_configuration', problems.join(' '));
  const blocks: Block[] = [];
  const wide: [ipaddr.IPv6, number][] = [];
  for (const range of ranges) {
    if (typeof range === 'string') continue;
    if (range.address instanceof ipaddr.IPv6) wide.push([range.address, range.prefix]);
    else blocks.push(blockOf(range));
  }
  const isInWide = (ip: string): boolean => {
    const address = parseAddress(ip);
    if (address === undefined) return false;
    if (address instanceof ipaddr.IPv6) return wide.some((range) => address.match(range));
    return isInBlocks(blocks, readIpv4(address.toString(), 0));
  };
  const seen = new Map<string, boolean>();
  return (ip) => {
    const number = readIpv4(ip, ip.startsWith(mappedPrefix) ? mappedPrefix.length : 0);
    if (number >= 0) return isInBlocks(blocks, number);
    return seen.get(ip) ?? remember(seen, ip, isInWide(ip));
  };
}

/** Whether every address of one entry is in one of the others. Entries that `checkNetwork` complains about are in none. */
export function isWithinNetworks(entry: string, others: readonly string[]): boolean {
  const inner = readRange(entry);
  if (typeof inner === 'string') return false;
  return others.map(readRange).some((outer) => {
    if (typeof outer === 'string' || outer.address.kind() !== inner.address.kind() || outer.prefix > inner.prefix) return false;
    return inner.address instanceof ipaddr.IPv6
      ? outer.address instanceof ipaddr.IPv6 && inner.address.match(outer.address, outer.prefix)
      : outer.address instanceof ipaddr.IPv4 && inner.address.match(outer.address, outer.prefix);
  });
}

/** How a socket that serves both families shows an IPv4 client. */
const mappedPrefix = '::ffff:';
const maxSeen = 1000;

// Reading IPv6 takes microseconds; the same few clients call again and again.
function remember(seen: Map<string, boolean>, ip: string, isIn: boolean): boolean {
  if (seen.size >= maxSeen) seen.clear();
  if (ip.length <= 64) seen.set(ip, isIn);
  return isIn;
}

/** More hops than any honest chain has; further left nothing is believed. */
const maxHops = 32;

/**
 * The address of the client behind a request; empty when the socket is gone. `X-Forwarded-For` is read from the right, as each
 * proxy appends the address that it was called from, and only as long as whoever appended is trusted: what stands further left
 * was written by somebody who is not. Trust nobody (an empty list) and the header means nothing.
 */
export function clientAddress(socketAddress: string | undefined, headers: IncomingHttpHeaders, isTrusted: NetworkTest): string {
  let client = plainAddress(socketAddress ?? '');
  const header = headers['x-forwarded-for'];
  if (header === undefined || !isTrusted(client)) return client;
  const chain = typeof header === 'string' ? header : header.join(',');
  let end = chain.length;
  for (let hop = 0; hop < maxHops && end > 0; hop++) {
    const start = chain.lastIndexOf(',', end - 1) + 1;
    // What cannot be read was not written by a proxy that is set up well; the last address that is certain counts.
    const address = end - start > 64 ? undefined : canonicalAddress(withoutPort(chain.slice(start, end).trim()));
    if (address === undefined) return client;
    client = address;
    if (!isTrusted(client)) return client;
    end = start - 1;
  }
  return client;
}

// The operating system spells every address in one way; only the mapped form and a zone are taken off.
function plainAddress(text: string): string {
  if (text.startsWith(mappedPrefix) && readIpv4(text, mappedPrefix.length) >= 0) return text.slice(mappedPrefix.length);
  return text.split('%', 1)[0] ?? '';
}

// Some proxies append the port as well: 192.0.2.1:4711, [2001:db8::1]:4711.
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::[0-9]{1,5})?$/.exec(hop)?.[1] ?? /^([0-9.]+):[0-9]{1,5}$/.exec(hop)?.[1] ?? hop;
}

/** One spelling for every address: mapped IPv4 as IPv4, IPv6 shortened (RFC 5952), no zone. Undefined for what is no address. */
function canonicalAddress(text: string): string | undefined {
  return readIpv4(text, 0) >= 0 ? text : parseAddress(text)?.toString();
}

// ipaddr.js also reads 0x7f.1 and 010.0.0.1, about which programs disagree; isIP knows only what is unmistakable.
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (isIP(text) === 0) return undefined;
  const zone = text.indexOf('%');
  return fold(parse(zone < 0 ? text : text.slice(0, zone)));
}

// ipaddr.js takes the outdated ::10.1.2.3 (RFC 4291 section 2.5.5.1) for the mapped ::ffff:10.1.2.3; written out it does not.
function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 {
  return ipaddr.parse(/^::[0-9]+\./.test(text) ? `::0:${text.slice(2)}` : text);
}

function fold(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

function readRange(entry: string): Range | string {
  const name = JSON.stringify(entry.length > 64 ? `${entry.slice(0, 64)}...` : entry);
  const [text = '', prefixText, ...rest] = entry.split('/', 3);
  const version = text.includes('%') ? 0 : isIP(text);
  if (version === 0 || rest.length > 0)
    return `${name} is neither an address nor a range; write e.g. "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32".`;
  const bits = version === 4 ? 32 : 128;
  const prefix = prefixText === undefined ? bits : /^[0-9]{1,3}$/.test(prefixText) ? Number(prefixText) : -1;
  if (prefix < 0 || prefix > bits) return `${name} has a prefix that is not a number from 0 to ${bits}.`;
  const written = parse(text);
  const address = fold(written);
  const isMapped = written !== address;
  if (isMapped && prefix < 96) return `${name} mixes IPv4 and IPv6; write the two ranges as entries of their own.`;
  const range = { address, prefix: isMapped ? prefix - 96 : prefix };
  const network = networkOf(range);
  if (network !== address.toString())
    return `${name} names an address inside a range; write "${network}/${range.prefix}" for the range, or the address alone.`;
  return range;
}

function networkOf({ address, prefix }: Range): string {
  const text = `${address.toString()}/${prefix}`;
  const kind = address instanceof ipaddr.IPv6 ? ipaddr.IPv6 : ipaddr.IPv4;
  return kind.networkAddressFromCIDR(text).toString();
}

function blockOf({ address, prefix }: Range): Block {
  const mask = prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0;
  return { network: readIpv4(address.toString(), 0), mask };
}

function isInBlocks(blocks: readonly Block[], number: number): boolean {
  for (const { network, mask } of blocks) if ((number & mask) >>> 0 === network) return true;
  return false;
}

/** Four decimal numbers as one of 32 bits, or -1 for any other text. Reads from `at` on, without making strings. */
function readIpv4(text: string, at: number): number {
  const { length } = text;
  if (length - at < 7 || length - at > 15) return -1;
  let number = 0;
  let part = -1;
  let dots = 0;
  for (let index = at; index < length; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit === -2) {
      if (part < 0 || ++dots > 3) return -1;
      number = number * 256 + part;
      part = -1;
    } else if (digit < 0 || digit > 9 || part === 0) {
      return -1;
    } else {
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return -1;
    }
  }
  return dots === 3 && part >= 0 ? number * 256 + part : -1;
}

const privateNetworks = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '127.0.0.0/8',
  '169.254.0.0/16',
  'fc00::/7',
  'fe80::/10',
  '::1',
];

// Compiled when the first rule asks: that takes a start longer than reading all namespace files.
let isPrivate: NetworkTest | undefined;

/** The ranges for networks of one's own: RFC 1918, RFC 4193, link-local and loopback. Anything that is not an address is not private. */
export const isPrivateAddress: NetworkTest = (ip) => {
  isPrivate ??= compileNetworks(privateNetworks);
  return isPrivate(ip);
};
