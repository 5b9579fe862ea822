import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { hash, Visit } from './attempt.ts';
import { clientMetadata } from './registration.ts';
import type { SignIns } from './sign-in.ts';

/** A request for one of the pages under `/oauth/`. */
export interface PageRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The header `Cookie`. */
  readonly cookie: string | undefined;
}

export interface PageResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface PagePorts {
  readonly signIns: SignIns;
  readonly publicUrl: () => string | undefined;
  readonly clock: Clock;
}

// No script, no style, no frame, no form: text and one link. The address holds the ticket, so nobody is told where one came from.
const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const;

/** Answers `/oauth/start/<ticket>`, `/oauth/callback`, with and without a server's own part, and `/oauth/client-metadata.json`. Undefined for any other path. */
export async function servePage(ports: PagePorts, request: PageRequest): Promise<PageResponse | undefined> {
  const { path, method } = request;
  const [, ticket, step] = /^\/oauth\/start\/([A-Za-z0-9_-]{1,100})(\/continue)?$/.exec(path) ?? [];
  const isCallback = /^\/oauth\/callback(\/[A-Za-z0-9_-]{22})?$/.test(path);
  const isOurs = ticket !== undefined || isCallback || path === '/oauth/client-metadata.json';
  if (!isOurs) return undefined;
  if (method !== 'GET')
    return { ...page(405, 'Not here', ['This page is opened with a browser.']), headers: { ...pageHeaders, allow: 'GET' } };
  try {
    if (path === '/oauth/client-metadata.json') return metadataDocument(ports);
    if (ticket === undefined) return await finish(ports, request);
    return step === undefined ? await start(ports, request, ticket) : await goOn(ports, request, ticket);
  } catch (error) {
    if (error instanceof Visit) return page(error.status, 'Not signed in', [error.message]);
    throw error;
  }
}

function metadataDocument({ publicUrl }: PagePorts): PageResponse {
  const url = publicUrl();
  const document = url === undefined ? undefined : clientMetadata(url);
  if (document === undefined)
    return page(404, 'Nothing here', ['This gateway has no public https address, so it has no such document.']);
  const headers = {
    'content-type': 'application/json',
    'cache-control': 'public, max-age=3600',
    'x-content-type-options': 'nosniff',
  };
  return { status: 200, headers, body: JSON.stringify(document) };
}

/**
 * Says who signs in to what before anything happens: whoever opens somebody else's address would link their account to that
 * person's key. The link on it works in the browser that was shown the page, and in no other.
 */
async function start(ports: PagePorts, { cookie }: PageRequest, ticket: string): Promise<PageResponse> {
  const { attempt } = await ports.signIns.open(ticket);
  const known = readBrowser(ports, cookie);
  const browser = known ?? randomBytes(32).toString('base64url');
  const host = new URL(attempt.authorizationEndpoint).host;
  const answer = page(
    200,
    `Sign in to ${attempt.upstream}`,
    [
      `Gatehouse will send you to ${host}. What you allow there, ${attempt.principal} can use from then on through this gateway, in your name.`,
      `Go on only if you are ${attempt.principal} and have just been asked to sign in. If somebody sent you this address, close the page.`,
    ],
    {
      text: `Continue to ${host}`,
      href: `${ports.publicUrl() ?? ''}/oauth/start/${ticket}/continue?check=${checkOf(ticket, browser)}`,
    },
  );
  return { ...answer, headers: { ...answer.headers, 'set-cookie': browserCookie(ports, browser) } };
}

async function goOn(ports: PagePorts, { query, cookie }: PageRequest, ticket: string): Promise<PageResponse> {
  const browser = readBrowser(ports, cookie);
  if (browser === undefined || query.get('check') !== checkOf(ticket, browser)) {
    throw new Visit(403, 'Open the address that your client gave you, with cookies allowed, and go on from there.');
  }
  const location = await ports.signIns.goOn(ticket, browser);
  return { status: 303, headers: { ...pageHeaders, location }, body: '' };
}

async function finish(ports: PagePorts, { path, query, cookie }: PageRequest): Promise<PageResponse> {
  const { upstream } = await ports.signIns.finish(path, query, readBrowser(ports, cookie));
  return page(200, `Signed in to ${upstream}`, [
    'You can close this page. Go back to your client; if it does not go on by itself, repeat the call.',
  ]);
}

function checkOf(ticket: string, browser: string): string {
  return hash(`${ticket}.${browser}`);
}

/** `__Host-` keeps other hosts of the same domain from setting it (RFC 6265bis section 4.1.3); plain http has only the path. */
function browserCookie({ publicUrl }: PagePorts, browser: string): string {
  const url = publicUrl() ?? '';
  const isSecure = url.startsWith('https://');
  const attributes = isSecure ? 'Path=/; Secure' : `Path=${URL.parse(url)?.pathname.replace(/\/$/, '') ?? ''}/oauth`;
  // Lax and not strict: it has to come along when the authorization server sends the browser back.
  return `${cookieName(isSecure)}=${browser}; ${attributes}; HttpOnly; SameSite=Lax; Max-Age=3600`;
}

function readBrowser({ publicUrl }: PagePorts, cookie: string | undefined): string | undefined {
  const name = cookieName(publicUrl()?.startsWith('https://') ?? false);
  const found = (cookie ?? '').split(';').flatMap((pair) => {
    const [key, value = ''] = pair.trim().split('=', 2);
    return key === name && /^[A-Za-z0-9_-]{43}$/.test(value) ? [value] : [];
  });
  // Two of one name: one was planted.
  return found.length === 1 ? found[0] : undefined;
}

function cookieName(isSecure: boolean): string {
  return isSecure ? '__Host-gatehouse-sign-in' : 'gatehouse-sign-in';
}

function page(
  status: number,
  title: string,
  sentences: readonly string[],
  link?: { readonly text: string; readonly href: string },
): PageResponse {
  const paragraphs = sentences.map((sentence) => `<p>${escapeText(sentence)}</p>`).join('\n');
  const anchor =
    link === undefined ? '' : `\n<p><a rel="noreferrer" href="${escapeText(link.href)}">${escapeText(link.text)}</a></p>`;
  const body = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeText(title)}</title></head>
<body>
<h1>${escapeText(title)}</h1>
${paragraphs}${anchor}
</body>
</html>
`;
  return { status, headers: pageHeaders, body };
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escapeText(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
}
