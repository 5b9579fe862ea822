/** Headers that no description makes an argument of. */

/** RFC 9110 section 5.6.2. */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Of headers, and of cookies (RFC 6265 section 4.1.1). */
export function isToken(name: string): boolean {
  return token.test(name) && name.length <= 200;
}

/** OpenAPI says itself that parameters of these names are to be ignored. */
const ignored = new Set(['accept', 'content-type', 'authorization']);

const reserved = new Set([
  'host',
  'cookie',
  'cookie2',
  'set-cookie',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'te',
  'trailer',
  'expect',
  'date',
  'via',
  'forwarded',
  'x-real-ip',
  'accept-encoding',
  'http2-settings',
  'origin',
]);

const reservedStarts = ['content-', 'proxy-', 'x-forwarded-', 'mcp-', 'sec-', ':'];

export type HeaderVerdict = 'argument' | 'ignored' | 'reserved' | 'invalid';

export function judgeHeader(name: string): HeaderVerdict {
  const lower = name.toLowerCase();
  if (ignored.has(lower)) return 'ignored';
  if (!isToken(name)) return 'invalid';
  return reserved.has(lower) || reservedStarts.some((start) => lower.startsWith(start)) ? 'reserved' : 'argument';
}
