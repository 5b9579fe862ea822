import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import Provider from 'oidc-provider';
import { listenOn } from './upstreams/listen-on.ts';

/** What a resource server learns of a token. */
export interface TokenInfo {
  readonly account: string;
  readonly scopes: readonly string[];
}

/** An authorization server as others make it (oidc-provider), on a port of its own, whose people agree to everything. */
export interface TestAuthorizationServer {
  readonly issuer: string;
  /** Paths as they were asked for, without the query. */
  readonly asked: string[];
  /** Bodies of the requests to the token endpoint. */
  readonly tokenRequests: URLSearchParams[];
  /** Who sits in front of the browser from now on. */
  signInAs(account: string): void;
  /** Of an access token that is valid here and meant for this resource. */
  verify(token: string, resource: string): Promise<TokenInfo | undefined>;
  /** Ends every access token; refresh tokens stay good. */
  expireTokens(): void;
  /** From now on each answer of the token endpoint waits for this promise. */
  holdTokens(until: Promise<void>): void;
  /** While it is down, connections are dropped. */
  setDown(isDown: boolean): void;
  close(): Promise<void>;
}

export const service = { id: 'gatehouse-service', secret: 'service-secret-0123456789+/=%' };

export async function startAuthorizationServer(): Promise<TestAuthorizationServer> {
  const asked: string[] = [];
  const tokenRequests: URLSearchParams[] = [];
  let account = 'nobody';
  let isDown = false;
  const issued = new Set<string>();
  const expired = new Set<string>();
  let held: Promise<void> = Promise.resolve();
  let serve: RequestListener = (_request, response) => response.destroy();
  const listening = await listenOn(createServer((request, response) => serve(request, response)));
  const issuer = `http://127.0.0.1:${listening.port}`;
  const provider = makeProvider(issuer);
  provider.on('access_token.saved', ({ jti }) => issued.add(jti));
  provider.on('client_credentials.saved', ({ jti }) => issued.add(jti));
  const callback = provider.callback();
  serve = (request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    asked.push(path);
    if (isDown) {
      request.socket.destroy();
      return;
    }
    if (path.startsWith('/pages/')) {
      agree(provider, account, request, response).catch(() => response.destroy());
      return;
    }
    if (path !== '/token') {
      void callback(request, response);
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      tokenRequests.push(new URLSearchParams(body));
      // The provider reads a body that was parsed before it.
      Object.assign(request, { body });
      void held.then(() => callback(request, response));
    });
  };
  return {
    issuer,
    asked,
    tokenRequests,
    signInAs(next) {
      account = next;
    },
    async verify(token, resource) {
      const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
      if (found === undefined || expired.has(found.jti) || found.aud !== resource) return undefined;
      const owner = 'accountId' in found ? String(found.accountId) : `client ${found.clientId}`;
      return { account: owner, scopes: (found.scope ?? '').split(' ').filter((scope) => scope !== '') };
    },
    expireTokens() {
      for (const token of issued) expired.add(token);
    },
    holdTokens(until) {
      held = until;
    },
    setDown(next) {
      isDown = next;
    },
    close: () => listening.close(),
  };
}

function makeProvider(issuer: string): Provider {
  return new Provider(issuer, {
    cookies: { keys: ['a-key-of-the-tests-only'] },
    clients: [
      {
        client_id: service.id,
        client_secret: service.secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ['openid', 'offline_access', 'notes:read', 'notes:write'],
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ttl: { AccessToken: 3600, ClientCredentials: 3600, Grant: 3600, Interaction: 300, Session: 300, RefreshToken: 3600 },
    interactions: { url: (_ctx, { uid }) => `/pages/${uid}` },
    rotateRefreshToken: true,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: 'notes:read notes:write',
          audience: resource,
          accessTokenTTL: 3600,
          accessTokenFormat: 'opaque',
        }),
      },
    },
  });
}

/** What a person does on the provider's pages: signs in, and agrees to all that is asked for. */
async function agree(provider: Provider, account: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { params, prompt, grantId } = await provider.interactionDetails(request, response);
  const grant =
    grantId === undefined
      ? new provider.Grant({ accountId: account, clientId: String(params.client_id) })
      : ((await provider.Grant.find(grantId)) ?? new provider.Grant({ accountId: account, clientId: String(params.client_id) }));
  const { missingOIDCScope, missingResourceScopes } = prompt.details as {
    missingOIDCScope?: string[];
    missingResourceScopes?: Record<string, string[]>;
  };
  if (missingOIDCScope !== undefined) grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {}))
    grant.addResourceScope(resource, scopes.join(' '));
  await provider.interactionFinished(
    request,
    response,
    { login: { accountId: account }, consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: true },
  );
}
