import type { UpstreamConfig } from '../../catalog/config.ts';
import { GatewayError } from '../../errors.ts';
import type { EgressGuard } from '../egress.ts';
import type { BoundedLog } from './bounded-log.ts';
import { HttpEndpoint, HttpLink } from './http.ts';
import type { Link } from './link.ts';
import type { Ways } from './probe.ts';

export interface TransportDeps {
  /** Puts secrets in place of `${secret:NAME}`. Throws GatewayError `bad_configuration` for one that is missing. */
  readonly resolveSecrets: (text: string) => string;
  readonly egress: Pick<EgressGuard, 'dispatcherFor'>;
  readonly instance: { readonly name: string; readonly version: string };
}

export interface UsedWays extends Ways {
  close(): Promise<void>;
}

interface WayOptions {
  readonly subject: string;
  readonly log: BoundedLog;
}

/** The ways to the far end that a namespace file names. Throws GatewayError `bad_configuration`. */
export function openWays(config: UpstreamConfig, deps: TransportDeps, { subject, log }: WayOptions): UsedWays {
  const { transport } = config;
  if (transport.type === 'stdio') {
    const env = resolveAll(transport.env, deps);
    const { command, cwd } = transport;
    const open = new Set<Link>();
    return {
      openLink: async () => {
        const { StdioLink } = await import('./stdio.ts');
        const link = await StdioLink.start({ command, env, cwd, subject, log });
        open.add(link);
        link.onEnd(() => open.delete(link));
        return link;
      },
      openSse: undefined,
      close: async () => {
        await Promise.allSettled([...open].map((link) => link.close()));
      },
    };
  }
  const url = URL.parse(deps.resolveSecrets(transport.url));
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new GatewayError('bad_configuration', `${subject} has an address that is not an http or https URL.`);
  }
  const headers = resolveAll(transport.headers, deps);
  const userAgent = `${deps.instance.name}/${deps.instance.version}`;
  const endpoint = new HttpEndpoint({
    url,
    headers,
    subject,
    userAgent,
    egress: deps.egress,
    log,
    concurrency: config.concurrency,
  });
  return {
    openLink: async (): Promise<Link> => new HttpLink(endpoint),
    openSse: async () => {
      const { SseLink } = await import('./sse.ts');
      return SseLink.open(endpoint);
    },
    close: () => endpoint.close(),
  };
}

function resolveAll(values: Readonly<Record<string, string>>, { resolveSecrets }: TransportDeps): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, resolveSecrets(value)]));
}
