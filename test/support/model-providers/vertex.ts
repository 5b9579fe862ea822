import { generateKeyPairSync, verify } from 'node:crypto';
import { googleFailure, googleOperation } from './gemini.ts';
import { openaiOperation } from './openai.ts';
import { type Lookup, must, type ProviderWire, presented, type Received } from './provider-wire.ts';
import { type StandIn, startStandIn } from './stand-in.ts';

export interface VertexStandIn extends StandIn {
  /** The key file of a service account whose tokens it takes; they come from its own `/token`. */
  readonly account: string;
}

interface VertexOptions {
  readonly project: string;
  readonly location: string;
  /** An API key that it takes as well. */
  readonly key?: string;
  /** Tokens that it takes in place of those of its own `/token`. */
  readonly takes?: (token: string) => boolean;
  readonly port?: number;
}

const accessToken = 'ya29.stand-in-token';

/** Vertex AI below /v1/projects/{project}/locations/{location}, with the token endpoint of its accounts. */
export async function startVertex({ project, location, key, takes, port }: VertexOptions): Promise<VertexStandIn> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const email = `stand-in@${project}.iam.gserviceaccount.com`;
  const place = `/v1/projects/${project}/locations/${location}`;
  const base = `${place}/publishers/google/models/`;
  let tokenUrl = '';
  const token = ({ bytes }: Received): Lookup => {
    const form = new URLSearchParams(bytes.toString());
    must(form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer', 'unsupported_grant_type');
    const [head = '', claims = '', signature = ''] = (form.get('assertion') ?? '').split('.');
    const isGood = verify('RSA-SHA256', Buffer.from(`${head}.${claims}`), publicKey, Buffer.from(signature, 'base64url'));
    must(isGood, 'invalid_grant: Invalid JWT Signature.');
    const { iss, aud, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString());
    must(iss === email && aud === tokenUrl && typeof exp === 'number', 'invalid_grant: Invalid JWT.');
    const answer = { access_token: accessToken, expires_in: 3599, token_type: 'Bearer' };
    return { kind: 'token', model: undefined, answer, usage: undefined };
  };
  const wire: ProviderWire = {
    name: 'vertex',
    headers: () => ({ 'server-timing': 'gfet4t7; dur=7' }),
    authorize: ({ headers, url }) => {
      if (url.pathname === '/token') return '';
      const apiKey = presented(headers, 'x-goog-api-key');
      if (apiKey !== undefined && apiKey === key) return apiKey;
      const given = presented(headers, 'authorization');
      const isTaken = given !== undefined && (takes?.(given) ?? given === accessToken);
      must(isTaken, 'Request had invalid authentication credentials.', 401);
      return given ?? '';
    },
    operationOf: (request) => {
      const { pathname } = request.url;
      if (request.method !== 'POST') return undefined;
      if (pathname === '/token') return token(request);
      const compatible = `${place}/endpoints/openapi`;
      if (pathname.startsWith(`${compatible}/`)) return openaiOperation(pathname.slice(compatible.length), request, undefined);
      const [, model, action] = pathname.startsWith(base) ? (/^([^/:]+):(\w+)$/.exec(pathname.slice(base.length)) ?? []) : [];
      return model === undefined || action === undefined
        ? undefined
        : googleOperation(action, decodeURIComponent(model), request);
    },
    failure: googleFailure,
  };
  const standIn = await startStandIn(wire, port);
  tokenUrl = `${standIn.url}/token`;
  const account = JSON.stringify({
    type: 'service_account',
    project_id: project,
    private_key_id: 'stand-in',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    client_email: email,
    token_uri: tokenUrl,
  });
  return { ...standIn, account };
}
