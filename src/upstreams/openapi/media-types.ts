/** What media types are to a request and an answer. */

export type MediaKind = 'json' | 'form' | 'multipart' | 'text' | 'binary';

/** RFC 9110 section 8.3.1, ranges included. What has a line break or anything else that ends a header is none. */
const mediaType =
  /^[a-zA-Z0-9*][\w!#$&^.+*-]*\/[a-zA-Z0-9*][\w!#$&^.+*-]*(?:\s*;\s*[\w!#$&^.+*-]+=(?:[\w!#$&^.+*/:-]+|"[^"\\\x00-\x1f\x7f]*"))*\s*;?\s*$/;

export function isMediaType(type: string): boolean {
  return type.length <= 200 && mediaType.test(type);
}

/** Without parameters, in lower case. */
export function essenceOf(type: string): string {
  return (type.split(';', 1)[0] ?? '').trim().toLowerCase();
}

const textTypes = new Set([
  'application/xml',
  'application/x-yaml',
  'application/yaml',
  'application/javascript',
  'application/ecmascript',
  'application/graphql',
  'application/sql',
  'application/sparql-query',
  'application/sparql-update',
  'application/jwt',
  'application/jose',
  'application/jose+jwe',
  'application/x-ndjson',
  'application/ndjson',
  'application/jsonl',
  'application/jsonlines',
  'application/json-seq',
  'application/x-pem-file',
  'application/toml',
  'application/csv',
  'application/edn',
]);

export function mediaKind(type: string): MediaKind {
  const essence = essenceOf(type);
  if (essence === 'application/x-www-form-urlencoded') return 'form';
  if (essence.startsWith('multipart/')) return 'multipart';
  if (textTypes.has(essence) || /\+(xml|yaml|json-seq)$/.test(essence)) return 'text';
  if (/^[^/]+\/(?:[^/]*\+)?(?:json|x-json|json5)$/.test(essence) || essence === 'application/javascript+json') return 'json';
  if (/^application\/json[-.]/.test(essence)) return 'json';
  if (essence.startsWith('text/') || essence.startsWith('message/')) return 'text';
  return 'binary';
}

/** A type that can be sent: ranges name no one type. */
export function concreteType(type: string, kind: MediaKind): string {
  // The boundary is whoever's who writes the parts.
  if (kind === 'multipart' && !type.includes('*')) return essenceOf(type);
  if (!type.includes('*')) return type.trim().replace(/;$/, '').trim();
  const essence = essenceOf(type);
  if (kind === 'json') return 'application/json';
  if (kind === 'form') return 'application/x-www-form-urlencoded';
  if (kind === 'multipart') return 'multipart/form-data';
  if (kind === 'text') return essence.includes('xml') ? 'application/xml' : 'text/plain';
  return 'application/octet-stream';
}
