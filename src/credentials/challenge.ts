/** What an upstream asks for when it refuses a request (RFC 6750 section 3, RFC 9728 section 5.1). */
export interface Challenge {
  readonly resourceMetadata: string | undefined;
  readonly scopes: readonly string[] | undefined;
  readonly error: string | undefined;
}

const limit = 8192;

/** Reads the `Bearer` challenge of a header `WWW-Authenticate`; undefined where there is none. */
export function readChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined || header.length > limit) return undefined;
  const start = /(?:^|[\s,])bearer(?:\s+|$)/i.exec(withoutStrings(header));
  if (start === null) return undefined;
  const parameters = readParameters(header, start.index + start[0].length);
  return {
    resourceMetadata: parameters.get('resource_metadata'),
    scopes: readScopes(parameters.get('scope')),
    error: parameters.get('error'),
  };
}

/** Scope tokens (RFC 6749 section 3.3), once each; undefined where there is none. */
export function readScopes(text: unknown): readonly string[] | undefined {
  if (typeof text !== 'string' || text.length > limit) return undefined;
  const scopes = [...new Set(text.split(' ').filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)))];
  return scopes.length === 0 ? undefined : scopes.slice(0, 200);
}

/** Quoted text blanked out, so that a word inside it is not taken for a scheme. */
function withoutStrings(header: string): string {
  return header.replaceAll(/"(?:[^"\\]|\\.)*"/g, (text) => ' '.repeat(text.length));
}

function readParameters(header: string, from: number): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const parameter = /\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)/y;
  parameter.lastIndex = from;
  // The next scheme's name is no parameter and ends it.
  for (let match = parameter.exec(header); match !== null; match = parameter.exec(header)) {
    const [, name = '', quoted, plain = ''] = match;
    const key = name.toLowerCase();
    if (!found.has(key)) found.set(key, quoted?.replaceAll(/\\(.)/g, '$1') ?? plain);
  }
  return found;
}
