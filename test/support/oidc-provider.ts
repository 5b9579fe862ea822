import { createHash, randomBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import Provider from 'oidc-provider';
import { listenOn } from './upstreams/listen-on.ts';

type Alg = 'RS256' | 'ES256';

/** An OpenID provider as others make it, on a port of its own. Its keys are known, so that tokens can be forged in its name. */
export interface TestIssuer {
  readonly issuer: string;
  /** The private key it signs with at the moment, with its `kid`. */
  readonly key: JWK;
  /** How often each path was asked for. */
  readonly asked: ReadonlyMap<string, number>;
  /** How often its keys were fetched. */
  keyFetches(): number;
  /** A token for an application of its own, by client credentials. */
  clientToken(resource: string, scope?: string): Promise<string>;
  /** What a person's client gets: authorization code with PKCE, driven through the provider's own pages. */
  personTokens(resource: string, person: string, scope?: string): Promise<{ readonly access: string; readonly id: string }>;
  /** A token that the issuer's key signed although the issuer did not make it. `undefined` leaves a claim out. */
  forge(claims: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>;
  /** From now on it signs with a new key and publishes only that. */
  rotate(): Promise<void>;
  /** While it is down, connections are dropped. */
  setDown(isDown: boolean): void;
  close(): Promise<void>;
}

const client = { id: 'agent', secret: 'agent-secret-0123456789' };
const redirectUri = 'https://client.example/callback';

export async function startOidcProvider(alg: Alg = 'ES256'): Promise<TestIssuer> {
  let serve: RequestListener = (_request, response) => response.destroy();
  let isDown = false;
  const asked = new Map<string, number>();
  const server = await listenOn(
    createServer((request, response) => {
      const path = (request.url ?? '').split('?')[0] ?? '';
      asked.set(path, (asked.get(path) ?? 0) + 1);
      if (isDown) request.socket.destroy();
      else serve(request, response);
    }),
  );
  const issuer = `http://127.0.0.1:${server.port}`;
  let key = await makeKey(alg);
  serve = makeProvider(issuer, alg, key);
  const post = async (path: string, form: Record<string, string>) => {
    const response = await fetch(`${issuer}${path}`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}` },
      body: new URLSearchParams(form),
    });
    return (await response.json()) as Record<string, string>;
  };
  return {
    issuer,
    get key() {
      return key;
    },
    asked,
    keyFetches: () => asked.get('/jwks') ?? 0,
    async clientToken(resource, scope = '') {
      const answer = await post('/token', { grant_type: 'client_credentials', resource, scope });
      return text(answer, 'access_token');
    },
    async personTokens(resource, person, scope = '') {
      const verifier = randomBytes(32).toString('base64url');
      const code = await authorize(issuer, { resource, person, verifier, scope: `openid email ${scope}`.trim() });
      const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri, resource };
      const answer = await post('/token', form);
      return { access: text(answer, 'access_token'), id: text(answer, 'id_token') };
    },
    forge: (claims, header) => forgeToken(key, { iss: issuer, ...claims }, header),
    async rotate() {
      key = await makeKey(alg);
      serve = makeProvider(issuer, alg, key);
    },
    setDown(value) {
      isDown = value;
    },
    close: () => server.close(),
  };
}

/** A signed token with the usual claims and whatever replaces them. */
export function forgeToken(key: JWK, claims: JWTPayload, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
  const nowS = Math.floor(Date.now() / 1000);
  const payload = { sub: 'somebody', client_id: 'agent', iat: nowS, exp: nowS + 300, ...claims };
  const full = { alg: String(key.alg), typ: 'at+jwt', ...(key.kid === undefined ? {} : { kid: key.kid }), ...header };
  return new SignJWT(JSON.parse(JSON.stringify(payload))).setProtectedHeader(full).sign(key);
}

export async function makeKey(alg: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: randomBytes(6).toString('hex') };
}

export function publicPart({ d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...rest }: JWK): JWK {
  return rest;
}

function makeProvider(issuer: string, alg: Alg, key: JWK): RequestListener {
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'client_credentials'],
        id_token_signed_response_alg: alg,
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['a-key-of-the-tests-only'] },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
    }),
    // Each token says what the issuer knows of the person, as most issuers can be told to.
    extraTokenClaims: (_ctx, token) =>
      'accountId' in token ? { email: `${token.accountId}@example.com`, email_verified: true, groups: ['staff'] } : undefined,
    ttl: { AccessToken: 300, ClientCredentials: 300, Grant: 300, IdToken: 300, Interaction: 300, Session: 300 },
    interactions: { url: (_ctx, { uid }) => `/pages/${uid}` },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:none',
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: 'triage hr everything',
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg } },
        }),
      },
    },
  });
  const serve = provider.callback();
  return (request, response) => {
    if (request.url?.startsWith('/pages/') === true) void agree(provider, request, response).catch(() => response.destroy());
    else void serve(request, response);
  };
}

/** The page where a person signs in and agrees: this one asks only for a name, and agrees to everything. */
async function agree(provider: Provider, ...[request, response]: Parameters<RequestListener>): Promise<void> {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: String(params.login_hint) } });
    return;
  }
  const grant = new provider.Grant({ accountId: session?.accountId ?? '', clientId: String(params.client_id) });
  grant.addOIDCScope(String(params.scope));
  grant.addResourceScope(String(params.resource), String(params.scope));
  await provider.interactionFinished(
    request,
    response,
    { consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: true },
  );
}

/** Follows the provider's redirects as a browser does, to the code. */
async function authorize(
  issuer: string,
  { resource, person, verifier, scope }: { resource: string; person: string; verifier: string; scope: string },
): Promise<string> {
  const query = new URLSearchParams({
    client_id: client.id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope,
    resource,
    nonce: 'n-of-the-tests',
    login_hint: person,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const cookies = new Map<string, string>();
  let url = `${issuer}/auth?${query}`;
  for (let hop = 0; hop < 10; hop++) {
    const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (location === null) throw new Error(`the provider stopped with ${response.status}: ${await response.text()}`);
    url = new URL(location, issuer).href;
    if (url.startsWith(redirectUri)) return text(Object.fromEntries(new URL(url).searchParams), 'code');
  }
  throw new Error('the provider redirects for ever');
}

function text(answer: Record<string, string>, name: string): string {
  const value = answer[name];
  if (value === undefined) throw new Error(`no ${name} in ${JSON.stringify(answer)}`);
  return value;
}
