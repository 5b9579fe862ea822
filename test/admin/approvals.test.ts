import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CallOptions, codeOf, type Gated, ran, startGated } from '../support/gated.ts';

const more = `policy:
  gates:
    - { match: support/echo, when: '!has(args.free)', reason: Somebody has to look. }
    - { match: support/echo, when: 'has(args.both)', by: { members: [bob, carl] }, quorum: 2 }
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

const call = (args: object | string = {}, options: CallOptions = {}) => gated.call(args, { key, ...options });
async function asked(args: object | string = {}): Promise<string> {
  return (await call(args)).body.result._meta['dev.gatehouse/error'].approval;
}

async function openPage(id: string, key: string): Promise<string> {
  const response = await fetch(`${gated.gateway.url}/approvals/${id}`, {
    method: 'POST',
    headers: { origin: gated.gateway.url },
    body: new URLSearchParams({ key }),
  });
  return await response.text();
}

describe('an approval shows', () => {
  test('its arguments whole, with everything that would not show written out', async () => {
    const long = 'x'.repeat(50_000);
    const id = await asked({ 'b\u202e': 'safe\u202eelif.exe', a: `\u200b\u0000${long}`, n: null });
    const { arguments: shown, besides } = await gated.gateway.ok(`GET /approvals/${id}`, undefined, gated.keys.bob);
    expect(shown).toBe(`{\n  "a": "\\u200b\\u0000${long}",\n  "b\\u202e": "safe\\u202eelif.exe",\n  "n": null\n}`);
    expect(besides).toBeNull();
  });

  test('what else the upstream would get, and what happened', async () => {
    const answer = await call({ a: 1 }, { meta: { 'example.com/x': { y: 1 } } });
    const id = answer.body.result._meta['dev.gatehouse/error'].approval;
    await gated.decide(id, 'deny', gated.keys.bob, { reason: 'no\u202e' });
    const found = await gated.gateway.ok(`GET /approvals/${id}`, undefined, gated.keys.ann);
    expect(JSON.parse(found.besides)).toEqual({ _meta: { 'example.com/x': { y: 1 } } });
    expect(found.decisions).toMatchObject([{ by: 'key:bob', verdict: 'deny', reason: 'no\\u202e' }]);
    expect(found.history.map(({ action }: { action: string }) => action)).toEqual(['request', 'deny']);
  });

  test('itself to those whom it concerns, and to nobody else', async () => {
    const id = await asked();
    const seenBy = async (who: string) => {
      const list = await gated.gateway.api('GET /approvals', undefined, who);
      const one = await gated.gateway.api(`GET /approvals/${id}`, undefined, who);
      const isListed = list.body.approvals?.some((item: { id: string }) => item.id === id) ?? false;
      expect([list.status, isListed]).toEqual([200, one.status === 200]);
      return isListed;
    };
    const { ann, ann2, bob, eve, dora } = gated.keys;
    const stranger = await gated.gateway.person('stranger', [{ role: 'developer', namespace: 'support' }]);
    expect(await Promise.all([ann, ann2, bob, dora].map(seenBy))).toEqual([true, true, true, true]);
    expect(await Promise.all([eve, stranger].map(seenBy))).toEqual([false, false]);
    await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: { gates: [{ by: { members: ['stranger'] } }] } });
    const named = await asked({ named: 1 });
    await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: null });
    expect((await gated.gateway.api(`GET /approvals/${named}`, undefined, stranger)).status).toBe(200);
  });

  test('page by page', async () => {
    for (let n = 0; n < 3; n++) await asked({ n });
    const seen: string[] = [];
    let before = '';
    do {
      const page = await gated.gateway.ok(`GET /approvals?limit=2${before}`);
      seen.push(...page.approvals.map(({ id }: { id: string }) => id));
      before = page.next === undefined ? '' : `&before=${page.next}`;
    } while (before !== '');
    const all = await gated.gateway.ok('GET /approvals?limit=200');
    expect(seen).toEqual(all.approvals.map(({ id }: { id: string }) => id));
  });
});

describe('several gates', () => {
  test('are each satisfied by those who have a say there; nobody counts twice', async () => {
    const id = await asked({ both: true });
    const bob2 = (await gated.gateway.ok('POST /keys', { title: 'second', member: 'bob' })).secret;
    expect((await gated.decide(id, 'approve', gated.keys.bob)).body.state).toBe('pending');
    expect((await gated.decide(id, 'approve', bob2)).body.error.code).toBe('conflict');
    // An admin has every role, and is not one of the members.
    expect((await gated.decide(id, 'approve', gated.keys.dora)).body.state).toBe('pending');
    expect(codeOf(await call({ both: true }))).toBe('approval_pending');
    expect((await gated.decide(id, 'approve', gated.keys.carl)).body.state).toBe('approved');
    expect(ran(await call({ both: true }))).toBe(true);
  });

  test('name who is to agree still, wherever that is told, and nobody who has', async () => {
    const id = await asked({ both: true });
    const told = async () => {
      const [shown, listed, inbox, called, page] = await Promise.all([
        gated.gateway.ok(`GET /approvals/${id}`),
        gated.pending(),
        gated.gateway.ok('GET /notifications'),
        call({ both: true }),
        openPage(id, gated.keys.bob),
      ]);
      const title = inbox.notifications.find(({ approval }: { approval?: string }) => approval === id).title;
      const text = called.body.result.content[0].text;
      return {
        shown: shown.waitsFor,
        listed: listed.find((one) => one.id === id)?.waitsFor,
        title: / waits for (.*)$/.exec(title)?.[1],
        called: /not made yet: (.*?) must agree/.exec(text)?.[1],
        page: /waits for ([^<]*)</.exec(page)?.[1],
      };
    };
    const everywhere = (who: string) => ({ shown: who, listed: who, title: who, called: who, page: who });
    expect(await told()).toEqual(everywhere('somebody with the role approver, and bob and carl'));
    await gated.decide(id, 'approve', gated.keys.bob);
    expect(await told()).toEqual(everywhere('carl'));
    const { gates } = await gated.gateway.ok(`GET /approvals/${id}`);
    expect(gates).toMatchObject([{ missing: 0 }, { by: 'bob and carl', missing: 1 }]);
    expect((await gated.decide(id, 'approve', gated.keys.carl)).body.waitsFor).toBeNull();
  });

  test('are closed by one who denies', async () => {
    const id = await asked({ both: true });
    await gated.decide(id, 'approve', gated.keys.bob);
    expect((await gated.decide(id, 'deny', gated.keys.carl)).body.state).toBe('denied');
    expect(codeOf(await call({ both: true }))).toBe('approval_denied');
  });
});

describe('other arguments', () => {
  test('make another call, whose caller is told what to send, and which runs as it was agreed to', async () => {
    const id = await asked({ amount: 1000 });
    const made = (await gated.decide(id, 'approve', gated.keys.bob, { arguments: { amount: 10 }, reason: 'Less.' })).body;
    expect(made).toMatchObject({ state: 'approved', caller: expect.stringMatching(/^key:/) });
    expect(await gated.gateway.ok(`GET /approvals/${id}`)).toMatchObject({ state: 'denied', replacedBy: made.id });
    const told = await call({ amount: 1000 });
    expect(codeOf(told)).toBe('approval_denied');
    expect(told.body.result.content[0].text).toMatch(/Less\.[\s\S]*"amount": 10/);
    expect(gated.upstream.calls).toEqual([]);
    expect(ran(await call({ amount: 10 }))).toBe(true);
    expect(codeOf(await call({ amount: 10 }))).toBe('approval_pending');
    expect(gated.upstream.calls).toHaveLength(1);
  });

  test('pass what a call passes: schema, rules and gates', async () => {
    const id = await asked({ a: 1 });
    const wrong = await gated.decide(id, 'approve', gated.keys.bob, { arguments: { region: 5 } });
    expect(wrong.body.error.code).toBe('bad_arguments');
    expect((await gated.gateway.ok(`GET /approvals/${id}`)).state).toBe('pending');
    const two = (await gated.decide(id, 'approve', gated.keys.bob, { arguments: { both: true } })).body;
    expect(two.state).toBe('pending');
    expect((await gated.decide(two.id, 'approve', gated.keys.carl)).body.state).toBe('approved');
    expect(ran(await call({ both: true }))).toBe(true);
  });

  test('that no gate holds need nobody else', async () => {
    const made = (await gated.decide(await asked({ a: 1 }), 'approve', gated.keys.bob, { arguments: { free: 1 } })).body;
    expect(made.state).toBe('approved');
    expect(ran(await call({ free: 1 }))).toBe(true);
  });

  test.each(['ann', 'eve'] as const)('cannot be put there by %s', async (name) => {
    const id = await asked({ a: 1 });
    const refused = await gated.decide(id, 'approve', gated.keys[name], { arguments: { a: 2 } });
    expect(refused.status).toBeGreaterThanOrEqual(403);
    expect((await gated.gateway.ok(`GET /approvals/${id}`)).state).toBe('pending');
  });
});

test('a decision is in the journal and in the audit trail, with who, on what, and before anything runs', async () => {
  const id = await asked({ a: 1 });
  await gated.decide(id, 'approve');
  await call({ a: 1 });
  await expect
    .poll(async () => JSON.stringify(await gated.gateway.ok(`GET /audit?capability=${encodeURIComponent(`approval/${id}`)}`)), {
      timeout: 8_000,
    })
    .toMatch(/consume_approval[\s\S]*approve_approval[\s\S]*request_approval/);
  await expect
    .poll(async () => JSON.stringify(await gated.gateway.ok('GET /audit?capability=support/echo')), { timeout: 8_000 })
    .toContain(`"approval":"${id}"`);
});

test('explain_call says which gates would hold a call, and asks nobody', async () => {
  const explain = (args: object) =>
    gated.gateway.ok('POST /explain', { caller: 'member:ann', capability: 'support/echo', arguments: args });
  const before = (await gated.pending()).length;
  const held = await explain({ both: true });
  expect(held.decision).toBe('wait');
  expect(held.steps.at(-1)).toMatchObject({
    step: 'approve',
    why: 'It would wait for somebody with the role approver, and bob and carl.',
  });
  expect(held.steps.at(-1).details).toHaveLength(2);
  expect((await explain({ free: 1 })).decision).toBe('allow');
  expect((await gated.pending()).length).toBe(before);
});

test('health and metrics say how many wait', async () => {
  await asked({ waiting: true });
  const count = (await gated.gateway.ok('GET /approvals?limit=200')).approvals.length;
  expect((await gated.gateway.ok('GET /health')).approvals).toEqual({ pending: count });
  const metrics = await fetch(`${gated.gateway.url}/metrics`, { headers: { authorization: `Bearer ${gated.gateway.key}` } });
  expect(await metrics.text()).toContain(`gatehouse_approvals_pending ${count}`);
});

test('one caller cannot make everybody else wait', { timeout: 30_000 }, async () => {
  const answers = await Promise.all(Array.from({ length: 110 }, (_, n) => call({ flood: n })));
  expect(answers.map(codeOf)).toContain('limit_reached');
  expect(codeOf(await gated.call({ other: 1 }, { key: await gated.freshKey() }))).toBe('approval_pending');
});
