import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { GatewayError } from '../errors.ts';

/** Which names and web pages may address this gateway. */
export interface Addressing {
  /** The address it listens on. */
  readonly host: string;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
}

/**
 * Refuses requests that a web page tricked a browser into sending (DNS rebinding, cross-site calls). Host and Origin are checked
 * each on its own. Of two hosts (RFC 9112, sections 3.2 and 3.2.2) a proxy may have looked at the other one. Throws GatewayError
 * `forbidden_host` or `forbidden_origin`.
 */
export function checkAddressing(addressing: Addressing, { headers, rawHeaders, url = '' }: IncomingMessage): void {
  const { host = '', origin } = headers;
  if (hasTwoHosts(rawHeaders) || namesAnother(url, host))
    throw new GatewayError('forbidden_host', 'A request names one Host; this one names several.');
  if (!isOwnHost(addressing, host)) {
    throw new GatewayError(
      'forbidden_host',
      'This host name is not served here; the operator can add it to GATEHOUSE_ALLOWED_HOSTS.',
    );
  }
  if (origin !== undefined && !isAllowedOrigin(addressing, origin, host)) {
    throw new GatewayError(
      'forbidden_origin',
      'Web pages of this origin may not call this gateway; the operator can add it to GATEHOUSE_ALLOWED_ORIGINS.',
    );
  }
}

function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') count += 1;
  }
  return count > 1;
}

// A target in absolute form names the host once more.
function namesAnother(target: string, host: string): boolean {
  if (target.startsWith('/')) return false;
  const named = URL.parse(target);
  return named !== null && named.host !== URL.parse(`${named.protocol}//${host}`)?.host;
}

const loopbackNames: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);
// The same few header values come with every request.
const decided = new WeakMap<Addressing, Map<string, boolean>>();

function isOwnHost(addressing: Addressing, host: string): boolean {
  let known = decided.get(addressing);
  if (known === undefined) {
    known = new Map();
    decided.set(addressing, known);
  }
  let verdict = known.get(host);
  if (verdict === undefined) {
    verdict = judgeHost(addressing, host.toLowerCase());
    if (known.size < 1000) known.set(host, verdict);
  }
  return verdict;
}

function judgeHost({ host: own, allowedHosts }: Addressing, host: string): boolean {
  const name = host.replace(/:[0-9]{1,5}$/, '');
  if (loopbackNames.has(name) || name === own.toLowerCase() || name === `[${own.toLowerCase()}]`) return true;
  if (allowedHosts.includes(host) || allowedHosts.includes(name)) return true;
  // On a network the address itself is a good name: rebinding needs a name that somebody else controls.
  return !loopbackNames.has(own) && own !== '::1' && isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}

function isAllowedOrigin({ allowedOrigins }: Addressing, origin: string, host: string): boolean {
  if (allowedOrigins.includes(origin)) return true;
  if (!URL.canParse(origin)) return false;
  const { protocol, hostname, host: originHost } = new URL(origin);
  if (protocol !== 'http:' && protocol !== 'https:') return false;
  return loopbackNames.has(hostname)
    ? loopbackNames.has(host.toLowerCase().replace(/:[0-9]{1,5}$/, ''))
    : originHost === host.toLowerCase();
}
