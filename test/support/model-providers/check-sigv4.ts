import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { must, type Received } from './provider-wire.ts';

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly region: string;
}

/**
 * Throws Refusal unless the request carries a signature of these keys: AWS Signature Version 4, every segment of the path encoded
 * once more than it was sent (docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html).
 */
export function checkSigV4(request: Received, keys: AwsKeys): void {
  const { headers, bytes } = request;
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
  const found = pattern.exec(headers.authorization ?? '');
  must(found !== null, 'Missing Authentication Token', 403, 'MissingAuthenticationTokenException');
  const [, keyId = '', day = '', region = '', service = '', signedHeaders = '', signature = ''] = found;
  const isKnown = keyId === keys.accessKeyId && headers['x-amz-security-token'] === keys.sessionToken;
  must(isKnown, 'The security token included in the request is invalid.', 403, 'UnrecognizedClientException');
  const date = String(headers['x-amz-date']);
  const names = signedHeaders.split(';');
  const isScoped = date.startsWith(day) && region === keys.region && service === 'bedrock';
  must(isScoped, 'Credential should be scoped to a valid region and service.', 403, 'InvalidSignatureException');
  must(
    names.includes('host') && names.includes('x-amz-date'),
    'host and x-amz-date must be signed',
    403,
    'InvalidSignatureException',
  );
  const hash = createHash('sha256').update(bytes).digest('hex');
  const said = headers['x-amz-content-sha256'];
  must(said === undefined || said === hash, 'The hash of the body does not fit.', 403, 'InvalidSignatureException');
  const canonical = canonicalRequest(request, names, hash);
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  let key: Buffer = Buffer.from(`AWS4${keys.secretAccessKey}`);
  for (const part of [day, region, service, 'aws4_request']) key = createHmac('sha256', key).update(part).digest();
  const wanted = createHmac('sha256', key).update(toSign).digest();
  const fits = timingSafeEqual(wanted, Buffer.from(signature, 'hex'));
  must(fits, 'The request signature we calculated does not match the signature you provided.', 403, 'InvalidSignatureException');
}

function canonicalRequest({ method, rawPath, url, headers }: Received, names: readonly string[], hash: string): string {
  const path = rawPath.split('/').map(encode).join('/');
  const query = [...url.searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const lines = names
    .map(
      (name) =>
        `${name}:${String(headers[name] ?? '')
          .trim()
          .replaceAll(/ +/g, ' ')}\n`,
    )
    .join('');
  return [method, path, query, lines, names.join(';'), hash].join('\n');
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}
