import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signatureOf } from '../../src/notify/webhook.ts';
import type { Answer } from '../support/admin-gateway.ts';
import { type DecisionHook, type Heard, startDecisionHook } from '../support/decision-hook.ts';
import { codeOf, type Gated, ran, startGated } from '../support/gated.ts';
import { readJournal } from '../support/read-journal.ts';
import { until } from '../support/until.ts';

// A webhook hears of a call that waits, and answers with a decision: all over real HTTP.

const more = `policy:
  gates:
    - { match: support/echo, when: '!has(args.two) && !has(args.own)' }
    - { match: support/echo, when: 'has(args.two)', by: { members: [bob, carl, eve] }, quorum: 2 }
    - { match: support/echo, when: 'has(args.own)', by: caller }
`;
const clock = { offsetMs: 0, nowMs: () => Date.now() + clock.offsetMs };
let hook: DecisionHook;
let gated: Gated;

beforeAll(async () => {
  hook = await startDecisionHook(['bob', 'carl', 'eve', 'ann']);
  gated = await startGated({ more, clock, ...hook.options });
});
beforeEach(() => {
  gated.upstream.calls.length = 0;
  clock.offsetMs = 0;
});
afterAll(async () => {
  await gated?.stop();
  await hook?.close();
});

/** A call that waits, and what the webhook heard of it. */
async function asked(args: object): Promise<Heard & { key: string; again: () => Promise<Answer> }> {
  const key = await gated.freshKey();
  const again = () => gated.call(args, { key });
  const id = (await again()).body.result._meta['dev.gatehouse/error'].approval;
  await until('the webhook heard of it', () => hook.heard.some(({ data }) => data.approval === id));
  const event = hook.heard.find(({ data }) => data.approval === id);
  if (event === undefined) throw new Error('nothing was heard');
  return { ...event.data, key, again };
}

interface Changes {
  readonly id?: string;
  readonly body?: object;
  readonly secret?: string;
  readonly atMs?: number;
  readonly headers?: Record<string, string>;
  readonly sentBody?: string;
}

async function post(about: Heard, member: string, decision: string, change: Changes = {}): Promise<Answer> {
  const body = JSON.stringify({
    approval: about.approval,
    member,
    token: about.decisions?.tokens[member] ?? 'none',
    decision,
    ...change.body,
  });
  const at = Math.floor((change.atMs ?? Date.now()) / 1000);
  const response = await fetch(`${gated.gateway.url}/api/approvals/${change.id ?? about.approval}/decisions/signed`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(at),
      'webhook-signature': `v1,AAAA ${signatureOf(Buffer.from(change.secret ?? hook.secret), 'msg_1', at, body)}`,
      ...change.headers,
    },
    body: change.sentBody ?? body,
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

const stateOf = async (id: string) => (await gated.gateway.ok(`GET /approvals/${id}`)).state;

describe('a signed decision', () => {
  test('approves the call that waits, in the name of a member, and stands in the history as theirs', async () => {
    const about = await asked({ a: 1 });
    expect(about.decisions?.url).toBe(`${gated.gateway.url}/api/approvals/${about.approval}/decisions/signed`);
    const answer = await post(about, 'bob', 'approve', { body: { reason: 'Seen in the chat.' } });
    expect([answer.status, answer.body]).toEqual([200, { id: about.approval, state: 'approved' }]);
    const { decisions } = await gated.gateway.ok(`GET /approvals/${about.approval}`);
    expect(decisions).toMatchObject([{ member: 'bob', verdict: 'approve', reason: 'Seen in the chat.' }]);
    expect(ran(await about.again())).toBe(true);
    expect(gated.upstream.calls).toHaveLength(1);
  });

  test('denies it, and whoever asked hears why', async () => {
    const about = await asked({ a: 2 });
    expect((await post(about, 'carl', 'deny', { body: { reason: 'Not on a Friday.' } })).body.state).toBe('denied');
    const told = await about.again();
    expect([codeOf(told), told.body.result.content[0].text]).toEqual([
      'approval_denied',
      expect.stringContaining('Not on a Friday.'),
    ]);
  });

  test('is one of two that are needed, and no member counts twice', async () => {
    const about = await asked({ two: 1 });
    expect((await post(about, 'bob', 'approve')).body.state).toBe('pending');
    expect((await post(about, 'bob', 'approve')).status).toBe(409);
    expect((await post(about, 'carl', 'approve')).body.state).toBe('approved');
  });

  test('tokens are told for those who may decide, and for nobody else', async () => {
    expect(Object.keys((await asked({ a: 3 })).decisions?.tokens ?? {})).toEqual(['bob', 'carl']);
    expect(Object.keys((await asked({ two: 3 })).decisions?.tokens ?? {})).toEqual(['bob', 'carl', 'eve']);
    expect((await asked({ own: 3 })).decisions).toBeUndefined();
  });
});

describe('nothing is decided by', () => {
  const refused: readonly (readonly [name: string, member: string, status: number, change: Changes])[] = [
    ['another secret', 'bob', 401, { secret: 'event-secret' }],
    ['a body that was changed', 'bob', 401, { sentBody: '{}' }],
    ['a time of six minutes ago', 'bob', 401, { atMs: Date.now() - 6 * 60_000 }],
    ['a time in six minutes', 'bob', 401, { atMs: Date.now() + 6 * 60_000 }],
    ['no signature', 'bob', 401, { headers: { 'webhook-signature': '' } }],
    ['a time that is none', 'bob', 401, { headers: { 'webhook-timestamp': 'now' } }],
    ['another time than was signed', 'bob', 401, { headers: { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 1) } }],
    ['a token that is none', 'bob', 403, { body: { token: 'dt_x' } }],
    ['a decision that is none', 'bob', 400, { body: { decision: 'maybe' } }],
    ['more than a decision', 'bob', 400, { body: { arguments: {} } }],
    ['a member with no say', 'eve', 403, {}],
    ['a member whom nobody named', 'dora', 403, {}],
    ['whoever asked', 'ann', 403, {}],
  ];
  test.each(refused)('%s', async (name, member, status, change) => {
    const about = await asked({ refused: name });
    const answer = await post(about, member, 'approve', change);
    expect(answer.status).toBe(status);
    expect(answer.body.error.message).toMatch(/\w{3,}.*\./);
    expect(await stateOf(about.approval)).toBe('pending');
    expect(codeOf(await about.again())).toBe('approval_pending');
    expect(gated.upstream.calls).toEqual([]);
  });

  test('two decisions in one body, however well signed', async () => {
    const about = await asked({ twice: 1 });
    const body = JSON.stringify({ approval: about.approval, member: 'bob', token: about.decisions?.tokens.bob });
    const at = Math.floor(Date.now() / 1000);
    for (const second of ['"decision":"approve"', '"d\\u0065cision":"approve"']) {
      const sentBody = `${body.slice(0, -1)},"decision":"deny",${second}}`;
      const signed = {
        'webhook-timestamp': String(at),
        'webhook-signature': signatureOf(Buffer.from(hook.secret), 'msg_1', at, sentBody),
      };
      const answer = await post(about, 'bob', 'deny', { sentBody, headers: signed });
      expect([answer.status, await stateOf(about.approval)]).toEqual([400, 'pending']);
    }
    expect((await post(about, 'bob', 'approve')).status).toBe(200);
  });

  test('the token of another member or another call, however well signed', async () => {
    const [one, other] = [await asked({ n: 1 }), await asked({ n: 2 })];
    const ofCarl = await post(one, 'bob', 'approve', { body: { token: one.decisions?.tokens.carl } });
    const ofOther = await post(one, 'bob', 'approve', { body: { token: other.decisions?.tokens.bob } });
    const elsewhere = await post(one, 'bob', 'approve', { id: other.approval });
    expect([ofCarl.status, ofOther.status, elsewhere.status]).toEqual([403, 403, 403]);
    expect(await Promise.all([stateOf(one.approval), stateOf(other.approval)])).toEqual(['pending', 'pending']);
    expect((await post(one, 'bob', 'approve')).status).toBe(200);
  });

  test('a request that is sent again, at once or fifty times', async () => {
    const about = await asked({ again: 1 });
    const all = await Promise.all(Array.from({ length: 50 }, () => post(about, 'bob', 'approve')));
    expect(all.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200, 409]));
    expect(ran(await about.again())).toBe(true);
    expect((await post(about, 'bob', 'approve')).status).toBe(409);
    expect(codeOf(await about.again())).toBe('approval_pending');
    expect(gated.upstream.calls).toHaveLength(1);
  });

  test('a member who was disabled, before the decision or after it', async () => {
    const [before, after] = [await asked({ disabled: 1 }), await asked({ disabled: 2 })];
    expect((await post(after, 'carl', 'approve')).body.state).toBe('approved');
    await gated.gateway.ok('PATCH /members/carl', { isDisabled: true });
    expect((await post(before, 'carl', 'approve')).status).toBe(403);
    expect(codeOf(await after.again())).toBe('approval_pending');
    expect(gated.upstream.calls).toEqual([]);
    await gated.gateway.ok('PATCH /members/carl', { isDisabled: false });
    expect((await post(before, 'carl', 'approve')).status).toBe(200);
  });

  test('anything after the time of the request is over', async () => {
    const about = await asked({ late: 1 });
    clock.offsetMs = 31 * 60_000;
    expect((await post(about, 'bob', 'approve', { atMs: clock.nowMs() })).status).toBe(409);
    expect(await stateOf(about.approval)).toBe('expired');
  });
});

test('what was refused and what was decided is on record, with the door it came through', async () => {
  const about = await asked({ recorded: 1 });
  await post(about, 'bob', 'approve', { secret: 'wrong' });
  await post(about, 'bob', 'approve');
  const records = readJournal(gated.gateway.dataDir);
  const ofThis = records.filter(({ object, door }) => object === `approval/${about.approval}` && door === 'webhook');
  expect(ofThis.map(({ action, principal }) => [action, principal])).toEqual([
    ['decide_approval:unauthenticated', 'webhook'],
    ['approve_approval', expect.stringContaining('bob')],
  ]);
});

test('a secret that is not set is not named to strangers, and nothing is decided without it', async () => {
  const { file, settings } = hook.options;
  const bare = await startGated({ more, file, settings: { HOOK: settings.HOOK ?? '' } });
  try {
    const id = codeOf(await bare.call({ bare: 1 })) === 'approval_pending' ? (await bare.pending())[0]?.id : undefined;
    const headers = {
      'webhook-id': 'm',
      'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
      'webhook-signature': 'v1,x',
    };
    const address = `${bare.gateway.url}/api/approvals/${id}/decisions/signed`;
    const response = await fetch(address, { method: 'POST', headers, body: '{}' });
    const text = await response.text();
    expect([response.status, JSON.parse(text).error.code]).toEqual([500, 'bad_configuration']);
    expect(text).toContain('notify.webhook.decisions');
    expect(text).not.toContain('DECIDE');
    expect((await bare.pending())[0]?.state).toBe('pending');
  } finally {
    await bare.stop();
  }
});

test('where nobody is to decide so, there is nothing at the address', async () => {
  const plain = await startGated({ more });
  try {
    const response = await fetch(`${plain.gateway.url}/api/approvals/ap_x/decisions/signed`, { method: 'POST', body: '{}' });
    expect(response.status).toBe(401);
  } finally {
    await plain.stop();
  }
});
