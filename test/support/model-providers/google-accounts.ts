import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { jwtVerify } from 'jose';
import { certifyLoopback } from '../certificate.ts';
import { listenOn } from '../upstreams/listen-on.ts';
import type { Gate } from './script.ts';

/** Google's token endpoint for one service account, over https, as its documentation has it. */
export interface GoogleAccounts {
  /** The key file, JSON. */
  readonly account: string;
  /** PEM. */
  readonly privateKey: string;
  /** Statements that came, in order; a wrong one is an error in `faults`. */
  readonly assertions: readonly string[];
  readonly faults: readonly unknown[];
  /** Tokens that were given out, in order. */
  readonly tokens: readonly string[];
  /** Whether a token may be used now. */
  takes(token: string): boolean;
  /** No token that was given out so far is good any more. */
  revoke(): void;
  /** Answers like this from now on; undefined: with tokens. */
  answers(given: { readonly status: number; readonly body: string } | undefined): void;
  /** Answers nothing before it is open. */
  waitFor(gate: Gate | undefined): void;
  close(): Promise<void>;
}

const scope = 'https://www.googleapis.com/auth/cloud-platform';
const lifeS = 3_599;

/** `nowMs`: by what tokens and statements run out. */
export async function startGoogleAccounts(project: string, nowMs: () => number): Promise<GoogleAccounts> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const email = `gate@${project}.iam.gserviceaccount.com`;
  const certified = certifyLoopback();
  setDefaultCACertificates([...getCACertificates('default'), certified.cert]);
  const assertions: string[] = [];
  const faults: unknown[] = [];
  const issued = new Map<string, number>();
  const tokens: string[] = [];
  let instead: { readonly status: number; readonly body: string } | undefined;
  let gate: Gate | undefined;
  let url = '';

  async function check(form: URLSearchParams): Promise<void> {
    const assertion = form.get('assertion') ?? '';
    assertions.push(assertion);
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') throw new Error('unsupported_grant_type');
    const { payload, protectedHeader } = await jwtVerify(assertion, publicKey, {
      algorithms: ['RS256'],
      audience: url,
      issuer: email,
      currentDate: new Date(nowMs()),
      requiredClaims: ['iat', 'exp', 'scope'],
    });
    if (protectedHeader.kid !== 'key-1' || payload.scope !== scope) throw new Error('invalid_scope');
    // Google takes none for longer than an hour.
    if ((payload.exp ?? 0) - (payload.iat ?? 0) > 3_600) throw new Error('invalid_grant');
  }

  const server = createServer(certified, async (request, response) => {
    const form = new URLSearchParams(await text(request));
    let answer = instead;
    await check(form).catch((error: unknown) => {
      faults.push(error);
      answer ??= { status: 400, body: '{"error":"invalid_grant"}' };
    });
    await gate?.opened;
    if (answer === undefined) {
      const token = `ya29.${randomUUID()}${randomUUID()}`;
      issued.set(token, nowMs() + lifeS * 1000);
      tokens.push(token);
      answer = { status: 200, body: JSON.stringify({ access_token: token, expires_in: lifeS, token_type: 'Bearer' }) };
    }
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  });
  const listening = await listenOn(server, 0, '/token');
  url = listening.url.replace('http:', 'https:');
  return {
    account: JSON.stringify({
      type: 'service_account',
      project_id: project,
      private_key_id: 'key-1',
      private_key: pem,
      client_email: email,
      token_uri: url,
    }),
    privateKey: pem,
    assertions,
    faults,
    tokens,
    takes: (token) => (issued.get(token) ?? 0) > nowMs(),
    revoke: () => issued.clear(),
    answers(given) {
      instead = given;
    },
    waitFor(given) {
      gate = given;
    },
    close: listening.close,
  };
}
