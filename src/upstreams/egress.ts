import { type LookupAddress, type LookupAllOptions, lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { buildConnector, Dispatcher } from 'undici';
import type { Settings } from '../settings.ts';

/** Lets requests go to addresses that came from outside our own settings and files. What files say does not pass through it. */
export interface EgressGuard {
  /**
   * A way to this origin on which every address is checked as it is connected to; undefined when it must not be reached.
   * `named`: origins that the operator wrote down, which are reached whatever their address.
   */
  dispatcherFor(url: URL, named?: ReadonlySet<string>): Promise<Dispatcher | undefined>;
  /**
   * The same for a pool of connections to one origin. Fails in the same words for every address that must not be reached, and for a
   * name that leads nowhere: nobody learns from it what is inside.
   */
  readonly connect: buildConnector.connector;
  /** Ends every connection; what runs over them fails. */
  close(): Promise<void>;
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** One entry of the setting `egressAllow`. */
type EgressRule = Settings['egressAllow'][number];

/** Asks for every address of a name, as `dns.lookup` does. */
type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** Reaches public addresses and, beyond them, exactly what the operator allows. */
export function createEgressGuard(rules: readonly EgressRule[], resolve: Resolve = lookup): EgressGuard {
  let agent: Promise<Dispatcher> | undefined;
  let plainAgent: Promise<Dispatcher> | undefined;
  let connector: Promise<buildConnector.connector> | undefined;
  return {
    connect(options, callback) {
      connector ??= openConnector(rules, resolve);
      connector.then(
        (connect) => connect(options, sayingLittle(callback)),
        (error: Error) => callback(error, null),
      );
    },
    async dispatcherFor(url, named) {
      if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined;
      if (named?.has(url.origin)) {
        plainAgent ??= openPlainAgent();
        return plainAgent;
      }
      const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
      const host = bareHost(url.hostname);
      if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isNamed(rules, host, port))) return undefined;
      if (isIP(host) !== 0 && !isReachable(rules, host, host, port)) return undefined;
      agent ??= openAgent(rules, resolve);
      return agent;
    },
    async close() {
      // Whatever still runs over it has nobody left to answer to.
      await Promise.all([(await agent)?.destroy(), (await plainAgent)?.destroy()]);
    },
  };
}

/** Whether `address`, which `host` stands for, may be connected to: public unicast, or allowed by a rule. */
function isReachable(rules: readonly EgressRule[], host: string, address: string, port: number): boolean {
  const parsed = parseAddress(address);
  if (parsed === undefined) return false;
  if (isPublic(parsed)) return true;
  return rules.some((rule) => matches(rule, host, parsed, port));
}

function matches(rule: EgressRule, host: string, address: Address, port: number): boolean {
  if (rule.port !== undefined && rule.port !== port) return false;
  if (rule.kind === 'host') return rule.host === host;
  const block = parseAddress(rule.address);
  // A mapped range (::ffff:10.0.0.0/104) was folded to the IPv4 range it means.
  const prefix = block?.kind() === 'ipv4' && rule.family === 'ipv6' ? rule.prefix - 96 : rule.prefix;
  return block !== undefined && block.kind() === address.kind() && prefix >= 0 && address.match(block as never, prefix);
}

function isNamed(rules: readonly EgressRule[], host: string, port: number): boolean {
  const address = parseAddress(host);
  return rules.some((rule) => {
    if (rule.kind === 'host') return rule.host === host && (rule.port === undefined || rule.port === port);
    return address !== undefined && matches(rule, host, address, port);
  });
}

// The part of IPv6 that is given out to the public (IANA, "IPv6 Global Unicast Address Assignments"); ipaddr.js knows the special ranges in
// it. What lies elsewhere, such as ::127.0.0.1, leads nowhere or to somebody's own network.
const global = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address.kind() === 'ipv4' || (address as ipaddr.IPv6).match(global);
}

/** Mapped IPv4 addresses count as the IPv4 address they are. A zone (`%eth0`) is never public. */
function parseAddress(text: string): Address | undefined {
  if (text.includes('%') || isIP(text) === 0) return undefined;
  return ipaddr.process(text);
}

function bareHost(hostname: string): string {
  const host = hostname.toLowerCase().replace(/\.$/, '');
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

async function openPlainAgent(): Promise<Dispatcher> {
  const { Agent } = await import('undici');
  return new Agent({ allowH2: false, headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 10_000 } });
}

async function openAgent(rules: readonly EgressRule[], resolve: Resolve): Promise<Dispatcher> {
  // Rarely needed, and half of the start-up time of a program that loads it.
  const { Agent } = await import('undici');
  return new Agent({ allowH2: false, headersTimeout: 0, bodyTimeout: 0, connect: await openConnector(rules, resolve) });
}

async function openConnector(rules: readonly EgressRule[], resolve: Resolve): Promise<buildConnector.connector> {
  const { default: build } = await import('undici/lib/core/connect.js');
  const connectors = new Map<string, buildConnector.connector>();
  return (options, callback) => {
    const host = bareHost(options.hostname);
    const port = Number(options.port || (options.protocol === 'https:' ? 443 : 80));
    const isPlain = options.protocol !== 'https:' && !isNamed(rules, host, port);
    if (isPlain || (isIP(host) !== 0 && !isReachable(rules, host, host, port))) {
      callback(refused(), null);
      return;
    }
    // One per target, so that a name is looked up for the port it is asked for.
    const key = `${host}:${port}`;
    let connector = connectors.get(key);
    if (connector === undefined) {
      connector = build({ timeout: 10_000, lookup: guardedLookup(rules, resolve, port) } as never);
      if (connectors.size < 256) connectors.set(key, connector);
    }
    connector(options, callback);
  };
}

function sayingLittle(callback: buildConnector.Callback): buildConnector.Callback {
  return (...outcome) => {
    const [error] = outcome;
    const { code = '', syscall } = (error ?? {}) as NodeJS.ErrnoException;
    if (syscall === 'getaddrinfo' || nameErrors.has(code)) callback(refused(), null);
    else callback(...outcome);
  };
}

const nameErrors = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ENODATA', 'ESERVFAIL']);

/** Looks a name up once and hands on what it checked: the address connected to is the address judged. */
function guardedLookup(rules: readonly EgressRule[], resolve: Resolve, port: number): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, '', 0);
        return;
      }
      const host = bareHost(hostname);
      const [first] = addresses;
      // One bad address spoils the answer: which one is taken would be a matter of timing.
      if (first === undefined || !addresses.every(({ address }) => isReachable(rules, host, address, port))) {
        callback(refused(), '', 0);
      } else if (options.all === true) {
        callback(null, addresses);
      } else {
        callback(null, first.address, first.family);
      }
    });
  };
}

// The same words for everything, so that nobody learns from them what is inside.
function refused(): NodeJS.ErrnoException {
  return Object.assign(new Error('this address may not be reached'), { code: 'EGRESS_REFUSED' });
}
