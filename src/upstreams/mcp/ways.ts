import type { UpstreamConfig } from '../../catalog/config.ts';
import { GatewayError } from '../../errors.ts';
import type { Authorization } from '../authorization.ts';
import { secretForms, secretsByName } from '../blank-out.ts';
import type { BoundedLog } from '../bounded-log.ts';
import type { EgressGuard } from '../egress.ts';
import { resolveAll, secretsOf } from '../fill-secrets.ts';
import { AuthorizedLink } from './authorized-link.ts';
import { HttpEndpoint, HttpLink } from './http.ts';
import type { Link } from './link.ts';
import type { Ways } from './probe.ts';

export interface TransportDeps {
  /** Puts secrets in place of `${secret:NAME}`. Throws GatewayError `bad_configuration` for one that is missing. */
  readonly resolveSecrets: (text: string) => string;
  readonly egress: Pick<EgressGuard, 'dispatcherFor' | 'connect'>;
  /** What requests to this upstream are let in with, beyond fixed headers. */
  readonly authorization?: Authorization | undefined;
  /** `hop`: what this gateway, in all its replicas, is known by to itself. */
  readonly instance: { readonly name: string; readonly version: string; readonly hop?: string };
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
    const secrets = secretForms([...secretsOf(Object.values(transport.env), deps), ...secretsByName(Object.entries(env))]);
    const open = new Set<Link>();
    return {
      openLink: async () => {
        const { StdioLink } = await import('./stdio.ts');
        const link = await StdioLink.start({ command, env, cwd, secrets, subject, log });
        open.add(link);
        link.onEnd(() => open.delete(link));
        return link;
      },
      openSse: undefined,
      isPerUser: false,
      close: async () => {
        await Promise.allSettled([...open].map((link) => link.close()));
      },
    };
  }
  const url = transport.type === 'http' ? URL.parse(deps.resolveSecrets(transport.url)) : null;
  if (transport.type !== 'http' || url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new GatewayError('bad_configuration', `${subject} has an address that is not an http or https URL.`);
  }
  const headers = resolveAll(transport.headers, deps);
  const userAgent = `${deps.instance.name}/${deps.instance.version}`;
  const { authorization } = deps;
  const endpoint = new HttpEndpoint({
    url,
    headers,
    secrets: secretForms([
      ...secretsOf([transport.url, ...Object.values(transport.headers)], deps),
      ...secretsByName([...Object.entries(headers), ...url.searchParams]),
    ]),
    isAuthorized: authorization !== undefined,
    subject,
    userAgent,
    hop: deps.instance.hop,
    egress: deps.egress,
    isGuarded: transport.isGuarded ?? false,
    log,
    concurrency: config.concurrency,
  });
  if (authorization !== undefined) {
    return {
      openLink: async (principal) => new AuthorizedLink(new HttpLink(endpoint), authorization, principal),
      // It carries all callers' answers on one stream: there is no way to tell there whose credentials count.
      openSse: undefined,
      isPerUser: authorization.isPerUser,
      close: () => endpoint.close(),
    };
  }
  return {
    openLink: async (): Promise<Link> => new HttpLink(endpoint),
    isPerUser: false,
    openSse: async () => {
      const { SseLink } = await import('./sse.ts');
      return SseLink.open(endpoint);
    },
    close: () => endpoint.close(),
  };
}
