import { lookup as resolve } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Dispatcher } from 'undici';
import type { Settings } from '../settings.ts';

/** Lets requests go to addresses that came from outside our own settings. Addresses in namespace files do not pass through it. */
export interface EgressGuard {
  /** A way to this origin on which every address is checked as it is connected to; undefined when it must not be reached. */
  dispatcherFor(url: URL): Promise<Dispatcher | undefined>;
  /** Ends every connection; what runs over them fails. */
  close(): Promise<void>;
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** One entry of the setting `egressAllow`. */
type EgressRule = Settings['egressAllow'][number];

/** Reaches public addresses and, beyond them, exactly what the operator allows. */
export function createEgressGuard(rules: readonly EgressRule[]): EgressGuard {
  let agent: Promise<Dispatcher> | undefined;
  return {
    async dispatcherFor(url) {
      const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
      const host = bareHost(url.hostname);
      if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isNamed(rules, host, port))) return undefined;
      if (isIP(host) !== 0 && !isReachable(rules, host, host, port)) return undefined;
      agent ??= openAgent(rules);
      return agent;
    },
    async close() {
      // Whatever still runs over it has nobody left to answer to.
      await (await agent)?.destroy();
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

// ipaddr.js knows every special range but the IPv4-compatible one, where ::127.0.0.1 lives.
const compatible = ipaddr.parseCIDR('::/96') as [ipaddr.IPv6, number];

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address.kind() === 'ipv4' || !(address as ipaddr.IPv6).match(compatible);
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

async function openAgent(rules: readonly EgressRule[]): Promise<Dispatcher> {
  // Rarely needed, and half of the start-up time of a program that loads it.
  const { Agent, buildConnector } = await import('undici');
  const connectors = new Map<string, ReturnType<typeof buildConnector>>();
  return new Agent({
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (options, callback) => {
      const host = bareHost(options.hostname);
      const port = Number(options.port || (options.protocol === 'https:' ? 443 : 80));
      if (isIP(host) !== 0 && !isReachable(rules, host, host, port)) {
        callback(refused(), null);
        return;
      }
      // One per target, so that a name is looked up for the port it is asked for.
      const key = `${host}:${port}`;
      let connector = connectors.get(key);
      if (connector === undefined) {
        connector = buildConnector({ timeout: 10_000, lookup: guardedLookup(rules, port) } as never);
        if (connectors.size < 256) connectors.set(key, connector);
      }
      connector(options, callback);
    },
  });
}

/** Looks a name up once and hands on what it checked: the address connected to is the address judged. */
function guardedLookup(rules: readonly EgressRule[], port: number): LookupFunction {
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
