import { z } from 'zod';
import type { Flaw } from '../describe-issue.ts';
import { isObject } from '../wire/json.ts';
import { secretOnly, serverUrl } from './entry-fields.ts';

export const auth = z
  .strictObject({
    kind: z
      .enum(['client-credentials', 'user'])
      .describe(
        'client-credentials: Gatehouse has a token of its own, the same for all callers. user: every caller signs in with a browser and has a token of their own.',
      ),
    issuer: serverUrl
      .optional()
      .describe(
        'The only authorization server to use, as it names itself. Default for "user": the one that the upstream names; required where there is a secret to send.',
      ),
    tokenUrl: serverUrl
      .optional()
      .describe("For client-credentials: the token endpoint, in place of what the issuer's metadata says."),
    clientId: z
      .string()
      .regex(/^[\x20-\x7e]{1,2048}$/, 'A client id is one line of plain ASCII.')
      .optional()
      .describe(
        'What the authorization server calls Gatehouse. Default for "user": the address of its client metadata document where the server takes one, or what it registers itself as.',
      ),
    clientSecret: secretOnly.optional().describe(`The client secret, as \${secret:NAME}.`),
    privateKey: secretOnly
      .optional()
      .describe(`In place of a client secret: the private key (PKCS #8, PEM) to sign with, as \${secret:NAME}.`),
    clientAuth: z
      .enum(['client_secret_basic', 'client_secret_post'])
      .optional()
      .describe("How the secret is sent. Default: as the server's metadata says, else client_secret_basic."),
    scopes: z
      .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, 'A scope is one word of plain ASCII without quotes.'))
      .max(100)
      .optional()
      .describe('Scopes to ask for. Default for "user": those that the upstream asks for.'),
    resource: serverUrl
      .optional()
      .describe('What the token is for (RFC 8707). Default: what the upstream publishes, else its address.'),
  })
  .describe('How requests to the url are authorized.');

export function checkAuth(
  path: readonly string[],
  auth: Readonly<Record<string, unknown>>,
  { headers, sessions }: Readonly<Record<string, unknown>>,
): Flaw[] {
  const flaws: Flaw[] = [];
  const { kind, issuer, tokenUrl, clientId, clientSecret, privateKey } = auth;
  const has = (value: unknown) => value !== undefined;
  const flaw = (key: string, message: string) => flaws.push({ path: key === '' ? path : [...path, key], message });
  if (kind === 'client-credentials') {
    if (!has(issuer) && !has(tokenUrl))
      flaw('', 'Client credentials need "issuer" or "tokenUrl", to say where the token comes from; add one.');
    if (!has(clientId)) flaw('', 'Client credentials need "clientId"; add it.');
    if (!has(clientSecret) && !has(privateKey)) flaw('', 'Client credentials need "clientSecret" or "privateKey"; add one.');
  } else if (kind === 'user') {
    if (has(tokenUrl)) flaw('tokenUrl', '"tokenUrl" goes with client-credentials only; write "issuer".');
    // The upstream's metadata may name any server: a secret goes to the one that its owner meant.
    if ((has(clientSecret) || has(privateKey)) && !has(issuer))
      flaw('', 'A client secret or private key is for one authorization server; add "issuer", so that no other one gets it.');
    if (sessions === 'shared') flaw('kind', 'With "user" no session is shared between callers; remove "sessions: shared".');
  }
  if (has(clientSecret) && has(privateKey)) flaw('privateKey', 'There is either "clientSecret" or "privateKey"; remove one.');
  if ((has(clientSecret) || has(privateKey)) && !has(clientId))
    flaw('', 'A client secret or private key needs its "clientId"; add it.');
  const fixed = Object.keys(isObject(headers) ? headers : {}).find((name) => name.toLowerCase() === 'authorization');
  if (fixed !== undefined) flaw('', `The header "${fixed}" says the same as "auth"; remove one of them.`);
  return flaws;
}
