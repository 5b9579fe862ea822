import type { Logger } from 'pino';
import type { UpstreamAuth, UpstreamConfig } from '../catalog/config.ts';
import type { Clock } from '../clock.ts';
import { Secret } from '../secret.ts';
import type { CredentialStore } from '../store/ports/credentials.ts';
import type { Reach } from '../upstreams/fetch-json.ts';
import type { ConfiguredClient } from './registration.ts';

/** What credentials of every kind need of the gateway. */
export interface CredentialPorts {
  readonly store: CredentialStore;
  /** Seals everything that the store keeps of credentials. */
  readonly key: Buffer;
  readonly reach: Reach;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where people reach this gateway with a browser, without a closing slash; undefined where they cannot. */
  readonly publicUrl: () => string | undefined;
  /** Whether who signed in as this is still let in by this gateway. */
  readonly isLetIn: (principal: string) => boolean;
  /** Puts secrets in place of `${secret:NAME}`. Throws GatewayError `bad_configuration`. */
  readonly resolveSecrets: (text: string) => string;
}

/** One upstream's `auth`, with what goes with it. */
export interface Source {
  /** `namespace/name`. */
  readonly upstreamId: string;
  /** Throws GatewayError `bad_configuration` where a secret in it is missing. */
  readonly url: () => URL;
  readonly auth: UpstreamAuth;
  /** It is an HTTP API: authorization servers of such know nothing of MCP, and may refuse what only MCP asks for. */
  readonly isApi: boolean;
  /** Origins that the operator wrote down for this upstream: they are reached whatever their address. */
  readonly named: ReadonlySet<string>;
  readonly ports: CredentialPorts;
  /** Gatehouse as the file describes it. Throws GatewayError `bad_configuration` where a secret is missing. */
  client(): ConfiguredClient | undefined;
}

export function makeSource(
  { id, transport }: Pick<UpstreamConfig, 'id' | 'transport'>,
  auth: UpstreamAuth,
  ports: CredentialPorts,
): Source {
  const text = addressOf(transport) ?? auth.resource ?? auth.tokenUrl ?? auth.issuer ?? '';
  // A secret stands in the path or the query only: the origin is what is written.
  const written = text.replaceAll(/\$\{secret:[^}]*\}/g, 'secret');
  const origins = [written, auth.issuer, auth.tokenUrl].flatMap((place) => (place === undefined ? [] : [new URL(place).origin]));
  const secret = (value: string | undefined) => (value === undefined ? undefined : new Secret(ports.resolveSecrets(value)));
  return {
    upstreamId: id,
    url: () => new URL(ports.resolveSecrets(text)),
    auth,
    isApi: transport.type === 'openapi',
    // What was registered at run time goes through the guard like everything that came from outside.
    named: new Set('isGuarded' in transport && transport.isGuarded === true ? [] : origins),
    ports,
    client() {
      const { clientId, clientSecret, privateKey, clientAuth } = auth;
      if (clientId === undefined) return undefined;
      return { id: clientId, secret: secret(clientSecret), privateKey: secret(privateKey), method: clientAuth };
    },
  };
}

/** What is written of it; an API whose address only its description names has none here. */
function addressOf(transport: UpstreamConfig['transport']): string | undefined {
  if (transport.type === 'http') return transport.url;
  return transport.type === 'openapi' ? transport.baseUrl : undefined;
}
