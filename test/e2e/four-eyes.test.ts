import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signatureOf } from '../../src/notify/webhook.ts';
import { startCountingUpstream } from '../support/counting-upstream.ts';
import { type DecisionHook, startDecisionHook } from '../support/decision-hook.ts';
import { codeOf, type Gated, gateOfApprovers, ran, startGated } from '../support/gated.ts';
import { until } from '../support/until.ts';

// Nadia administers the namespace, and may hand out keys there; the gates stand in the policy of the whole gateway.

const clock = { offsetMs: 0, nowMs: () => Date.now() + clock.offsetMs };
let hook: DecisionHook;
let gated: Gated;
let nadia: string;
let turn = 0;

beforeAll(async () => {
  hook = await startDecisionHook(['bob', 'nadia']);
  gated = await startGated({ more: '', clock, ...hook.options });
  const { gateway } = gated;
  nadia = await gateway.person('nadia', [{ role: 'admin', namespace: 'support' }]);
  await gateway.ok('POST /consumers', { id: 'bot', title: 'Bot', kind: 'application' });
  await gateway.ok('PUT /policies/global', {
    policy: {
      gates: [
        { match: 'support/echo', when: '!has(args.named)', by: { role: 'approver' } },
        { match: 'support/echo', when: 'has(args.named)', by: { members: ['nadia', 'bob'] } },
      ],
    },
  });
});
beforeEach(() => {
  gated.upstream.calls.length = 0;
});
afterAll(async () => {
  await gated?.stop();
  await hook?.close();
});

/** A key of the application, or of a member, that somebody makes; without a name the operator. */
async function made(by?: string, whose: object = { consumer: 'bot' }): Promise<{ id: string; secret: string }> {
  const body = { title: 'made', ...whose, scope: { namespaces: ['support'] } };
  const { key, secret } = await gated.gateway.ok('POST /keys', body, by);
  return { id: key.id, secret };
}

const rotated = async (id: string, by?: string, graceS = 3_600): Promise<string> =>
  (await gated.gateway.ok(`POST /keys/${id}/rotate`, { graceS }, by)).secret;

async function asked(key: string, args: object = { n: ++turn }): Promise<{ id: string; again: () => Promise<boolean> }> {
  const answer = await gated.call(args, { key });
  expect(codeOf(answer)).toBe('approval_pending');
  const { approval } = answer.body.result._meta['dev.gatehouse/error'];
  return { id: approval, again: async () => ran(await gated.call(args, { key })) };
}

const approve = (id: string, by: string, more: object = {}) => gated.decide(id, 'approve', by, more);

async function expectRefused(id: string, by: string): Promise<void> {
  expect((await approve(id, by)).body.error).toMatchObject({ code: 'forbidden' });
  const { code } = (await approve(id, by, { arguments: { n: `other ${turn}` } })).body.error;
  // For a key that ended, nobody puts another call in its place.
  expect(['forbidden', 'conflict']).toContain(code);
  expect(await gated.gateway.ok(`GET /approvals/${id}`, undefined, by)).toMatchObject({ state: 'pending', mayDecide: false });
  expect(gated.upstream.calls).toEqual([]);
}

describe('AP-04: whoever was handed the secret of a key decides on no call of it, and others do', () => {
  test.each<[string, () => Promise<string>]>([
    ['made it for an application', async () => (await made(nadia)).secret],
    ['made it for a member', async () => (await made(nadia, { member: 'ann' })).secret],
    ['made it for another approver', async () => (await made(nadia, { member: 'dev-bob' })).secret],
    ['rotated it', async () => await rotated((await made()).id, nadia)],
    ['rotated it before, and the old secret still is good', async () => await rotated(await twice(), undefined)],
  ])('who %s', async (_what, makeIt) => {
    await gated.gateway.api('POST /members', {
      id: 'dev-bob',
      title: 'Bob',
      roles: ['approver', 'developer'].map((role) => ({ role, namespace: 'support' })),
    });
    for (const args of [undefined, { named: ++turn }]) {
      const { id, again } = await asked(await makeIt(), args);
      await expectRefused(id, nadia);
      expect((await approve(id, gated.keys.bob)).body.state).toBe('approved');
      expect(await again()).toBe(true);
      gated.upstream.calls.length = 0;
    }
  });

  /** A key that nadia rotated. */
  async function twice(): Promise<string> {
    const { id } = await made();
    await rotated(id, nadia);
    return id;
  }

  test('who gave what somebody else holds may: keys that others made are none of theirs', async () => {
    const { id, again } = await asked((await made()).secret);
    expect((await approve(id, nadia)).body.state).toBe('approved');
    expect(await again()).toBe(true);
  });

  test('the operator is whom keys are made for, not their caller: whoever approves may, the operator too', async () => {
    const first = await asked((await made()).secret);
    expect((await approve(first.id, gated.gateway.key)).body.state).toBe('approved');
    const second = await asked((await made(nadia)).secret);
    expect((await approve(second.id, gated.gateway.key)).body.state).toBe('approved');
    expect([await first.again(), await second.again()]).toEqual([true, true]);
  });

  test('by MCP and on the page neither', async () => {
    const { id, again } = await asked((await made(nadia)).secret);
    const decision = { name: 'decide_approval', arguments: { id, decision: 'approve' } };
    const byTool = await gated.gateway.mcp('admin', 'tools/call', decision, nadia);
    expect(JSON.stringify(byTool.body)).toContain('was handed');
    const onPage = (key: string) =>
      fetch(`${gated.gateway.url}/approvals/${id}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', origin: gated.gateway.url },
        body: new URLSearchParams({ key, decision: 'approve' }),
      });
    const page = await onPage(nadia);
    expect([page.status, await page.text()]).toEqual([403, expect.stringContaining('was handed')]);
    expect(gated.upstream.calls).toEqual([]);
    expect((await onPage(gated.keys.bob)).status).toBe(200);
    expect(await again()).toBe(true);
  });

  test('by a signed request neither, and no token for it is told', async () => {
    const { id, again } = await asked((await made(nadia)).secret);
    const told = await until('it was told', () => hook.heard.find(({ data }) => data.approval === id)?.data);
    expect(Object.keys(told.decisions?.tokens ?? {})).toEqual(['bob']);
    const own = await asked((await made()).secret);
    const both = await until('it was told', () => hook.heard.find(({ data }) => data.approval === own.id)?.data);
    expect(Object.keys(both.decisions?.tokens ?? {}).sort()).toEqual(['bob', 'nadia']);
    const signed = async (member: string, token: string) => {
      const body = JSON.stringify({ approval: id, member, token, decision: 'approve' });
      const [messageId, seconds] = [`msg_${++turn}`, Math.floor(clock.nowMs() / 1000)];
      const signature = signatureOf(Buffer.from(hook.secret), messageId, seconds, body);
      const headers = {
        'content-type': 'application/json',
        ...{ 'webhook-id': messageId, 'webhook-timestamp': String(seconds), 'webhook-signature': signature },
      };
      const path = `${gated.gateway.url}/api/approvals/${id}/decisions/signed`;
      return (await fetch(path, { method: 'POST', headers, body })).status;
    };
    expect(await signed('nadia', both.decisions?.tokens.nadia ?? '')).toBe(403);
    expect(await signed('bob', told.decisions?.tokens.bob ?? '')).toBe(200);
    expect(await again()).toBe(true);
  });

  test.each<[string, (id: string) => Promise<unknown>]>([
    ['revoked', (id) => gated.gateway.ok(`POST /keys/${id}/revoke`, {}, nadia)],
    ['rotated by the operator, without grace', (id) => rotated(id, undefined, 0)],
    ['disabled', (id) => gated.gateway.ok(`POST /keys/${id}/disable`, {}, nadia)],
  ])('whatever became of the key since: %s', async (_what, change) => {
    const key = await made(nadia);
    const { id } = await asked(key.secret);
    await change(key.id);
    await expectRefused(id, nadia);
    expect((await approve(id, gated.keys.bob)).body.state).toBe('approved');
  });

  test('once the operator has rotated it and the grace is over, new calls are the application’s own', async () => {
    const key = await made(nadia);
    const fresh = await rotated(key.id, undefined, 60);
    const before = await asked(fresh);
    clock.offsetMs += 61_000;
    await expectRefused(before.id, nadia);
    const after = await asked(fresh);
    expect((await approve(after.id, nadia)).body.state).toBe('approved');
    expect(await after.again()).toBe(true);
  });

  test('a key that was made with a key is held by those who hold that', async () => {
    await gated.gateway.ok('POST /members', { id: 'root', title: 'Root', roles: [{ role: 'admin' }] });
    const root = (await gated.gateway.ok('POST /keys', { title: 'root', member: 'root' })).secret;
    const sub = { id: 'sub', title: 'Sub', roles: ['admin', 'developer'].map((role) => ({ role, namespace: 'support' })) };
    await gated.gateway.ok('POST /members', sub);
    const subs = (await gated.gateway.ok('POST /keys', { title: 'sub', member: 'sub' }, root)).secret;
    const bots = await gated.gateway.ok('POST /keys', { title: 'x', consumer: 'bot' }, subs);
    expect(bots.key.secrets[0].handedTo.map(({ member }: { member: string }) => member)).toEqual(['sub', 'root']);
    const { id, again } = await asked(bots.secret);
    for (const by of [subs, root]) await expectRefused(id, by);
    expect((await approve(id, nadia)).body.state).toBe('approved');
    expect(await again()).toBe(true);
  });

  test('a call with other arguments that an approver put in its place is theirs to decide on no more', async () => {
    const key = await made(nadia);
    const { id } = await asked(key.secret);
    await rotated(key.id, undefined, 0);
    const instead = (await approve(id, gated.keys.bob, { arguments: { named: `amended ${++turn}` } })).body;
    expect(instead.state).toBe('approved');
    const { id: open } = await asked((await made(nadia)).secret);
    const byEve = await gated.gateway.person(`eve-${turn}`, [{ role: 'approver', namespace: 'support' }]);
    const waiting = (await approve(open, byEve, { arguments: { named: `amended ${++turn}` } })).body;
    expect(waiting.state).toBe('pending');
    await expectRefused(waiting.id, nadia);
    expect((await approve(waiting.id, gated.keys.bob)).body.state).toBe('approved');
  });

  test('a key that somebody got for themselves is theirs, whoever agreed to it', async () => {
    await gated.gateway.ok('PUT /policies/namespace:admin', {
      policy: { gates: [{ match: 'admin/request_key', by: { role: 'approver' } }] },
    });
    const ann = await gated.gateway.person('dev', [{ role: 'developer', namespace: 'support' }]);
    const request = () => gated.gateway.api('POST /keys/request', { title: 'mine', toolboxes: ['box'] }, ann);
    const held = await request();
    const waiting = JSON.stringify(held.body).match(/ap_[\w-]{22}/)?.[0] ?? '';
    await gated.gateway.ok(`POST /approvals/${waiting}/decision`, { decision: 'approve' }, gated.keys.dora);
    const { key } = (await request()).body;
    expect(key.secrets[0].handedTo).toMatchObject([{ member: 'dev' }]);
    await gated.gateway.ok('PUT /policies/namespace:admin', { policy: null });
  });
});

test.each([
  ['what the request says', false],
  ['what the key says, of a request of a release that did not keep it', true],
] as const)('AP-04: after a restart it goes by %s', async (_what, isForgotten) => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-four-eyes-'));
  const upstream = await startCountingUpstream();
  const first = await startGated({ more: gateOfApprovers, directory, upstream });
  const admin = await first.gateway.person('nadia', [{ role: 'admin', namespace: 'support' }]);
  const { secret: key } = await first.gateway.ok(
    'POST /keys',
    { title: 'x', member: 'ann', scope: { namespaces: ['support'] } },
    admin,
  );
  const { approval: id } = (await first.call({}, { key })).body.result._meta['dev.gatehouse/error'];
  await first.stop();
  if (isForgotten) {
    const database = new DatabaseSync(join(directory, 'data', 'gatehouse.db'));
    expect(database.prepare('update approvals set holders = null').run().changes).toBe(1);
    database.close();
  }
  const second = await startGated({ more: gateOfApprovers, directory, upstream, keys: first.keys });
  expect((await second.decide(id, 'approve', admin)).body.error).toMatchObject({ code: 'forbidden' });
  expect(ran(await second.call({}, { key }))).toBe(false);
  expect((await second.decide(id, 'approve', first.keys.carl)).body.state).toBe('approved');
  expect(ran(await second.call({}, { key }))).toBe(true);
  await second.stop();
  await upstream.close();
  rmSync(directory, { recursive: true, force: true });
});
