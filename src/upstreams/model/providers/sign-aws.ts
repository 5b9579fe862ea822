import { createHmac, hash } from 'node:crypto';
import { type HmacKey, hmac, hmacKey } from '../../../hmac.ts';
import type { Secret } from '../../../secret.ts';
import { encodeStrictly } from './address.ts';

export interface AwsCredential {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret | undefined;
}

export interface SignedRequest {
  readonly method: string;
  /** With the path as it is sent: each segment percent-encoded once. */
  readonly url: URL;
  /** Names in lower case; all are signed. `host` and what signing itself adds are not among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly region: string;
  readonly service: string;
  readonly nowMs: number;
}

/** The headers that AWS Signature Version 4 adds to a request (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html). */
export function signAws(request: SignedRequest, credential: AwsCredential): Record<string, string> {
  const { method, url, region, service } = request;
  // 20150830T123600Z
  const time = `${new Date(request.nowMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
  const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
  const added: Record<string, string> = { 'x-amz-date': time };
  if (credential.sessionToken !== undefined) added['x-amz-security-token'] = credential.sessionToken.reveal();
  const headers = Object.entries({ ...request.headers, ...added, host: url.host }).sort(byName);
  const names = headers.map(([name]) => name).join(';');
  const canonical = [
    method,
    canonicalPath(url.pathname),
    canonicalQuery(url.searchParams),
    ...headers.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, ' ')}`),
    '',
    names,
    hash('sha256', request.body),
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, hash('sha256', canonical)].join('\n');
  const signature = hmac(signingKey(credential, scope), toSign, 'hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  return { ...added, authorization };
}

function byName([first]: readonly [string, string], [second]: readonly [string, string]): number {
  return first < second ? -1 : first > second ? 1 : 0;
}

/** Each segment is encoded once more: only S3 signs paths as they are sent. */
function canonicalPath(path: string): string {
  return path.replace(/\/+/g, '/').split('/').map(encodeStrictly).join('/');
}

function canonicalQuery(query: URLSearchParams): string {
  const pairs = Array.from(query, ([name, value]) => [encodeStrictly(name), encodeStrictly(value)] as const);
  return pairs
    .sort((first, second) => byName(first, second) || byName([first[1], ''], [second[1], '']))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

interface HeldKey {
  readonly secret: string;
  readonly scope: string;
  readonly key: HmacKey;
}

/** Four hashes that come out the same for a whole day. */
const keys = new Map<string, HeldKey>();
const mostKeys = 256;

function signingKey({ accessKeyId, secretAccessKey }: AwsCredential, scope: string): HmacKey {
  const secret = secretAccessKey.reveal();
  const held = keys.get(accessKeyId);
  if (held !== undefined && held.scope === scope && held.secret === secret) return held.key;
  const start = Buffer.from(`AWS4${secret}`);
  const key = hmacKey(scope.split('/').reduce<Buffer>((last, part) => createHmac('sha256', last).update(part).digest(), start));
  if (held === undefined && keys.size >= mostKeys) keys.clear();
  keys.set(accessKeyId, { secret, scope, key });
  return key;
}
