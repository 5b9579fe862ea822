import type { UpstreamConfig } from '../catalog/config.ts';
import type { Authorization } from '../upstreams/authorization.ts';
import { type PageRequest, type PageResponse, servePage } from './pages.ts';
import { ServiceCredentials } from './service-credentials.ts';
import { SignIns } from './sign-in.ts';
import { type CredentialPorts, makeSource } from './source.ts';
import { UserCredentials } from './user-credentials.ts';

/** Credentials towards upstreams: one set per upstream whose file says `auth`, and the pages people sign in on. */
export interface Credentials {
  /** Undefined where fixed headers are all there is. Throws GatewayError `bad_configuration` for a secret that is missing. */
  authorizationFor(config: UpstreamConfig): Authorization | undefined;
  /** Undefined for a path that is not one of ours. */
  servePage(request: PageRequest): Promise<PageResponse | undefined>;
}

export function openCredentials(ports: CredentialPorts): Credentials {
  const signIns = new SignIns(ports);
  const { publicUrl, clock } = ports;
  return {
    authorizationFor(config) {
      const { transport } = config;
      if (!('auth' in transport) || transport.auth === undefined) return undefined;
      const source = makeSource(config, transport.auth, ports);
      if (transport.auth.kind === 'client-credentials') return new ServiceCredentials(source);
      const credentials = new UserCredentials(source, signIns);
      signIns.use(credentials);
      return credentials;
    },
    servePage: (request) => servePage({ signIns, publicUrl, clock }, request),
  };
}
