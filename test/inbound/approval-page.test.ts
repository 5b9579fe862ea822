import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codeOf, type Gated, ran, startGated } from '../support/gated.ts';

const more = `policy:
  gates:
    - { match: support/echo, when: '!has(args.own)', reason: "Look <b>twice</b>." }
    - { match: support/echo, when: 'has(args.own)', by: caller }
`;
let gated: Gated;
let key: string;
beforeAll(async () => {
  gated = await startGated({ more });
});
beforeEach(async () => {
  gated.upstream.calls.length = 0;
  key = await gated.freshKey();
});
afterAll(() => gated?.stop());

const call = (args: object = {}) => gated.call(args, { key });
async function asked(args: object = {}): Promise<string> {
  return (await call(args)).body.result._meta['dev.gatehouse/error'].approval;
}

interface Page {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

async function open(id: string, form?: Record<string, string>, headers: Record<string, string> = {}): Promise<Page> {
  const response = await fetch(`${gated.gateway.url}/approvals/${id}`, {
    method: form === undefined ? 'GET' : 'POST',
    redirect: 'manual',
    headers: { ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }), ...headers },
    ...(form === undefined ? {} : { body: new URLSearchParams(form).toString() }),
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

const ticketOf = ({ text }: Page) => /name="ticket" value="([^"]+)"/.exec(text)?.[1] ?? '';
const stateOf = async (id: string) => (await gated.gateway.ok(`GET /approvals/${id}`)).state;

describe('the page', () => {
  test('shows nothing before somebody has signed in, and the same for what is not there', async () => {
    const [there, not] = [await open(await asked({ canary: 'c4n4ry' })), await open(`ap_${'x'.repeat(22)}`)];
    expect(there.text).toBe(not.text);
    expect(there.text).not.toContain('c4n4ry');
    expect(there.headers.get('content-security-policy')).toBe(
      "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
    expect(there.headers.get('set-cookie')).toBeNull();
    expect(there.headers.get('cache-control')).toBe('no-store');
  });

  test('shows an approver the call whole and harmless, and takes the decision', async () => {
    const id = await asked({ html: '</pre><script>alert(1)</script>', bidi: '\u202e' });
    const page = await open(id, { key: gated.keys.bob });
    expect(page.status).toBe(200);
    expect(page.text).toContain('&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page.text).toContain('\\u202e');
    expect(page.text).not.toMatch(/<script|\u202e|<b>twice/);
    expect(page.text).not.toContain(gated.keys.bob);
    const decided = await open(id, { ticket: ticketOf(page), decision: 'approve', reason: 'Fine.' });
    expect([decided.status, ticketOf(decided)]).toEqual([200, '']);
    expect(await stateOf(id)).toBe('approved');
    expect(ran(await call({ html: '</pre><script>alert(1)</script>', bidi: '\u202e' }))).toBe(true);
  });

  test('takes a denial, and its reason reaches whoever asked', async () => {
    const id = await asked({ a: 1 });
    await open(id, { ticket: ticketOf(await open(id, { key: gated.keys.bob })), decision: 'deny', reason: 'Not that one.' });
    expect((await call({ a: 1 })).body.result.content[0].text).toContain('Not that one.');
  });

  test.each(['ann', 'eve'] as const)('lets %s decide nothing', async (name) => {
    const id = await asked();
    const page = await open(id, { key: gated.keys[name] });
    expect([page.status, ticketOf(page)]).toEqual([name === 'ann' ? 200 : 404, '']);
    const tried = await open(id, { key: gated.keys[name], decision: 'approve' });
    expect(tried.status).toBe(name === 'ann' ? 403 : 404);
    expect(await stateOf(id)).toBe('pending');
  });

  test('refuses a key that is none, and one that was made for calls alone', async () => {
    const id = await asked();
    expect((await open(id, { key: 'gh_nobody_x' })).status).toBe(401);
    const scope = { toolboxes: ['box'] };
    const narrow = (await gated.gateway.ok('POST /keys', { title: 'agent', member: 'bob', scope })).secret;
    expect((await open(id, { key: narrow, decision: 'approve' })).status).toBe(404);
    expect(await stateOf(id)).toBe('pending');
  });

  test('knows a ticket for its own call and time only, and not in place of a key elsewhere', async () => {
    const [id, other] = [await asked({ a: 1 }), await asked({ a: 2 })];
    const ticket = ticketOf(await open(id, { key: gated.keys.bob }));
    expect((await open(other, { ticket, decision: 'approve' })).status).toBe(403);
    expect((await open(id, { ticket: `${ticket.slice(0, -4)}AAAA`, decision: 'approve' })).status).toBe(403);
    expect((await open(id, { decision: 'approve' })).status).toBe(403);
    expect((await gated.gateway.api('GET /approvals', undefined, ticket)).status).toBe(401);
    expect(await Promise.all([stateOf(id), stateOf(other)])).toEqual(['pending', 'pending']);
  });

  test('takes nothing that a page of another origin sends', async () => {
    const id = await asked();
    const form = { key: gated.keys.bob, decision: 'approve' };
    for (const origin of ['https://evil.example', 'null']) expect((await open(id, form, { origin })).status).toBe(403);
    expect(await stateOf(id)).toBe('pending');
    expect((await open(id, form, { origin: gated.gateway.url })).status).toBe(200);
    expect(await stateOf(id)).toBe('approved');
  });

  test('takes no key from its address', async () => {
    const id = await asked();
    const response = await fetch(`${gated.gateway.url}/approvals/${id}?key=${gated.keys.bob}&decision=approve`);
    expect(await response.text()).toContain('type="password"');
    expect(await stateOf(id)).toBe('pending');
  });

  test('is where a caller decides whose gate says so, with the very key', async () => {
    const id = await asked({ own: 1 });
    expect((await open(id, { key: gated.keys.bob })).status).toBe(404);
    await open(id, { ticket: ticketOf(await open(id, { key })), decision: 'approve' });
    expect(ran(await call({ own: 1 }))).toBe(true);
    expect(codeOf(await call({ own: 1 }))).toBe('approval_pending');
  });

  test('is one for browsers', async () => {
    const response = await fetch(`${gated.gateway.url}/approvals/x`, { method: 'DELETE' });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST']);
  });
});
