/**
 * The page on which people decide on a call that waits. No script, no style, no cookie: whoever signs in gets a form that holds what
 * they signed in with, sealed, for a quarter of an hour and this one call. Another site's page has no such form to send.
 */
import { besidesOf } from '../admin/approvals.ts';
import type { Approvals } from '../call/approve/approvals.ts';
import { showJson, showText } from '../call/approve/exact-call.ts';
import { isSamePerson, mayAdminister, mayBeRequester, mayDecide } from '../call/approve/people.ts';
import { isDecider, type Request } from '../call/approve/request.ts';
import { whoMustAgree } from '../call/approve/say.ts';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';

interface PagePorts {
  readonly approvals: Approvals;
  /** Who a key or a token is. Throws, or rejects with, GatewayError `unauthenticated` or `issuer_unavailable`. */
  readonly identify: (credential: string) => Caller | Promise<Caller>;
}

interface PageAsked {
  readonly method: string;
  readonly id: string;
  /** Of a form that was sent. */
  readonly form: Readonly<Record<string, unknown>>;
  readonly ip: string;
}

interface PageAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

// The address holds nothing secret. Where a form came from has to be said, or every browser would say "null" (Fetch, "append a request
// Origin header").
const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const;

const longestReason = 500;

/** Answers `/approvals/<id>`. */
export async function serveApprovalPage(ports: PagePorts, { method, id, form, ip }: PageAsked): Promise<PageAnswer> {
  if (method === 'GET' || method === 'HEAD') return signInPage(200, '');
  if (method !== 'POST')
    return {
      ...page(405, 'Not here', '<p>This page is opened with a browser.</p>'),
      headers: { ...headers, allow: 'GET, POST' },
    };
  const credential = text(form.key)?.trim() || ports.approvals.credentialOf(id, text(form.ticket) ?? '');
  if (!credential) return signInPage(403, 'The time of this form is over; sign in again.');
  try {
    const caller = await ports.identify(credential);
    if (caller.isInNetwork !== undefined && ip !== '' && !caller.isInNetwork(ip)) throw unknown();
    const request = await ports.approvals.find(id);
    if (request === undefined || !mayLook(request, caller))
      return page(404, 'Nothing here', '<p>There is no such call, or it is not for you.</p>');
    return await serveKnown(ports, request, caller, credential, form);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code === 'internal') throw error;
    return error.code === 'unauthenticated'
      ? signInPage(401, error.message)
      : page(error.row.http === 200 ? 503 : error.row.http, 'Not decided', paragraph(error.message));
  }
}

async function serveKnown(
  { approvals }: PagePorts,
  request: Request,
  caller: Caller,
  credential: string,
  form: PageAsked['form'],
): Promise<PageAnswer> {
  const { id } = request.row;
  const { decision } = form;
  if (decision !== 'approve' && decision !== 'deny') return callPage(approvals, request, caller, credential);
  const reason = text(form.reason)?.slice(0, longestReason) ?? '';
  const decided = await approvals.decide(id, caller, decision, reason);
  return callPage(approvals, decided, caller, credential);
}

function unknown(): GatewayError {
  return new GatewayError('unauthenticated', 'This key is not known here, or no longer valid.');
}

/**
 * Whoever made the call, and whoever could decide on it with the tool decide_approval: a key that was made for an agent alone opens
 * nothing here that it would not open there.
 */
function mayLook(request: Request, caller: Caller): boolean {
  if (mayBeRequester(request.requester, caller)) return true;
  return mayAdminister(caller) && isDecider(request, caller);
}

/** Whether the form is of use to them. */
function maySay(request: Request, caller: Caller): boolean {
  const { row, requester, requirements, decisions } = request;
  if (row.state !== 'pending' || decisions.some(({ by }) => isSamePerson(by, caller))) return false;
  return requirements.some(
    ({ by }) => mayDecide(by, requester, caller, row.namespace) && (by.kind === 'caller' || mayAdminister(caller)),
  );
}

function callPage(approvals: Approvals, request: Request, caller: Caller, credential: string): PageAnswer {
  const { row, requirements } = request;
  const call = approvals.callOf(row);
  const besides = call === undefined ? null : besidesOf(call);
  const reasons = requirements.flatMap(({ reason }) => reason ?? []);
  const facts: readonly (readonly [string, string])[] = [
    ['State', row.state === 'pending' ? `waits for ${whoMustAgree(request, approvals.agreed(request))}` : row.state],
    ['Tool', `${row.capability} (upstream ${row.upstream})`],
    ['Called by', row.caller],
    ['Asked', new Date(row.requestedAtMs).toISOString()],
    ['Until', new Date(row.expiresAtMs).toISOString()],
    ...reasons.map((reason) => ['Why it waits', reason] as const),
    ...request.decisions.map(
      ({ by, verdict, reason }) =>
        [verdict === 'approve' ? 'Agreed' : 'Denied', reason === '' ? by.id : `${by.id}: ${reason}`] as const,
    ),
    ...(row.note === '' ? [] : [['Note', row.note] as const]),
  ];
  const list = facts.map(([name, value]) => `<dt>${name}</dt><dd>${escapeText(showText(value))}</dd>`).join('\n');
  const shown = call === undefined ? 'They were forgotten.' : showJson(call.params.arguments ?? {});
  const more = besides === null ? '' : `<h2>Besides</h2>\n<pre>${escapeText(besides)}</pre>\n`;
  return page(
    200,
    `A call of ${row.capability}`,
    `<dl>\n${list}\n</dl>\n<h2>Arguments</h2>\n<pre>${escapeText(shown)}</pre>\n${more}${maySay(request, caller) ? decisionForm(approvals, row.id, credential) : ''}`,
  );
}

function decisionForm(approvals: Approvals, id: string, credential: string): string {
  return `<form method="post" autocomplete="off">
<input type="hidden" name="ticket" value="${escapeText(approvals.ticketFor(id, credential))}">
<p><label>Reason (whoever makes the call will read it)<br><input name="reason" maxlength="${longestReason}" size="60"></label></p>
<p><button name="decision" value="approve">Approve exactly this call</button> <button name="decision" value="deny">Deny it</button></p>
</form>`;
}

function signInPage(status: number, complaint: string): PageAnswer {
  return page(
    status,
    'A call waits for a decision',
    `${complaint === '' ? '' : paragraph(complaint)}<form method="post" autocomplete="off">
<p><label>Your Gatehouse key or access token<br><input type="password" name="key" required size="60"></label></p>
<p><button>Show the call</button></p>
</form>`,
  );
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function paragraph(sentence: string): string {
  return `<p>${escapeText(showText(sentence))}</p>\n`;
}

function page(status: number, title: string, content: string): PageAnswer {
  const body = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeText(title)}</title></head>
<body>
<h1>${escapeText(title)}</h1>
${content}
</body>
</html>
`;
  return { status, headers, body };
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escapeText(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
}
