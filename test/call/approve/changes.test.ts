import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Secret } from '../../../src/secret.ts';
import { backupStore } from '../../../src/store/backup/backup-store.ts';
import { restoreStore } from '../../../src/store/backup/restore-store.ts';
import { type CallOptions, codeOf, type Gated, ran, startGated } from '../../support/gated.ts';
import { startStagedUpstream } from '../../support/staged-upstream.ts';

// Our own time runs on beside it, so that steps here are longer than a test may take.
const clock = { at: Date.parse('2026-08-03T12:00:00Z'), nowMs: () => clock.at };
const more = `policy:
  gates:
    - { match: support/echo, reason: Somebody has to look., expiresMs: 60000 }
`;

let gated: Gated;
let key: string;
beforeAll(async () => {
  gated = await startGated({ more, clock });
});
beforeEach(async () => {
  gated.upstream.calls.length = 0;
  key = await gated.freshKey();
});
afterAll(() => gated?.stop());

const call = (args: object = {}, options: CallOptions = {}) => gated.call(args, { key, ...options });

async function asked(args: object = {}, options: CallOptions = {}): Promise<string> {
  const answer = await call(args, options);
  expect(codeOf(answer)).toBe('approval_pending');
  return answer.body.result._meta['dev.gatehouse/error'].approval;
}

async function approved(args: object = {}, options: CallOptions = {}): Promise<string> {
  const id = await asked(args, options);
  expect((await gated.decide(id, 'approve')).body).toMatchObject({ state: 'approved' });
  return id;
}

const stateOf = async (id: string) => (await gated.gateway.ok(`GET /approvals/${id}`)).state;

describe('AP-03: time', () => {
  test('a decision that comes in time counts, one that comes late does not', async () => {
    await approved();
    clock.at += 30_000;
    expect(ran(await call())).toBe(true);
    const id = await asked();
    clock.at += 120_000;
    expect((await gated.decide(id, 'approve')).body.error).toMatchObject({ code: 'conflict' });
    expect(await stateOf(id)).toBe('expired');
    expect(gated.upstream.calls).toHaveLength(1);
  });

  test('a call that comes late is not made, and asks anew', async () => {
    const id = await approved();
    clock.at += 120_000;
    expect(await asked()).not.toBe(id);
    expect(await stateOf(id)).toBe('expired');
    expect(gated.upstream.calls).toEqual([]);
  });

  test('a clock that is put back revives nothing', async () => {
    const id = await approved();
    clock.at += 120_000;
    expect(await stateOf(id)).toBe('expired');
    const other = await approved({ a: 1 });
    clock.at += 120_000;
    await asked({ b: 1 });
    clock.at -= 3_600_000;
    expect(await asked()).not.toBe(id);
    expect(await asked({ a: 1 })).not.toBe(other);
    expect((await gated.decide(other, 'approve')).body.error).toMatchObject({ code: 'conflict' });
    expect(gated.upstream.calls).toEqual([]);
    clock.at += 3_600_000;
  });
});

describe('AP-04: who decides', () => {
  test.each([
    ['whoever asked', 'ann', 'forbidden'],
    ['another key of whoever asked', 'ann2', 'forbidden'],
    ['an approver of another namespace', 'eve', 'no_such_object'],
  ] as const)('%s does not', async (_who, name, code) => {
    const id = await asked();
    expect((await gated.decide(id, 'approve', gated.keys[name])).body.error).toMatchObject({ code });
    expect(await stateOf(id)).toBe('pending');
    expect(codeOf(await call())).toBe('approval_pending');
    expect(gated.upstream.calls).toEqual([]);
  });

  test('an approver who asks does not decide on that, and may on the rest', async () => {
    const both = await gated.gateway.person('both', [
      { role: 'developer', namespace: 'support' },
      { role: 'approver', namespace: 'support' },
    ]);
    const own = await asked({}, { key: both });
    const second = (await gated.gateway.ok('POST /keys', { title: 'second', member: 'both' })).secret;
    for (const by of [both, second])
      expect((await gated.decide(own, 'approve', by)).body.error).toMatchObject({ code: 'forbidden' });
    expect((await gated.decide(await asked(), 'approve', both)).body.state).toBe('approved');
    expect((await gated.decide(own, 'approve', gated.keys.carl)).body.state).toBe('approved');
    expect(ran(await call({}, { key: both }))).toBe(true);
  });

  test.each(['bob', 'carl', 'dora'] as const)('%s does', async (name) => {
    const id = await asked();
    expect((await gated.decide(id, 'approve', gated.keys[name])).body.state).toBe('approved');
    expect(ran(await call())).toBe(true);
  });
});

describe('AP-05: what was true when it was approved must be true when it is made', () => {
  const person = async (id: string, role: string) => gated.gateway.person(id, [{ role, namespace: 'support' }]);

  test.each<[string, (id: string) => Promise<unknown>]>([
    ['an approver who lost the role', (id) => gated.gateway.ok(`PATCH /members/${id}`, { roles: [{ role: 'developer' }] })],
    ['an approver who was disabled', (id) => gated.gateway.ok(`PATCH /members/${id}`, { isDisabled: true })],
    ['an approver whose key was revoked', (id) => gated.gateway.ok(`POST /keys/${id}/revoke`, {})],
  ])('the consent of %s is none', async (what, revoke) => {
    const name = `approver-${what.length}`;
    const approver = await person(name, 'approver');
    const id = await asked();
    expect((await gated.decide(id, 'approve', approver)).body.state).toBe('approved');
    await revoke(name);
    expect(await asked()).not.toBe(id);
    expect(await stateOf(id)).toBe('void');
    expect(gated.upstream.calls).toEqual([]);
    await approved();
    expect(ran(await call())).toBe(true);
  });

  test('whoever asked and may no longer call does not', async () => {
    const asking = await person('asking', 'developer');
    await approved({}, { key: asking });
    await gated.gateway.ok('PATCH /members/asking', { roles: [{ role: 'developer', namespace: 'finance' }] });
    expect((await call({}, { key: asking })).body.error).toBeDefined();
    await gated.gateway.ok('POST /keys/asking/revoke', {});
    expect((await call({}, { key: asking })).status).toBe(401);
    expect(gated.upstream.calls).toEqual([]);
  });

  test('a policy that was tightened since, or changed at all, voids it, whether it waits or was approved', async () => {
    const id = await approved();
    const waiting = await asked({ b: 1 });
    await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: { gates: [{ quorum: 2 }] } });
    expect((await gated.decide(waiting, 'approve')).body.error.message).toContain('policy was changed');
    const again = await asked();
    expect([await stateOf(id), await stateOf(waiting)]).toEqual(['void', 'void']);
    expect((await gated.decide(again, 'approve')).body.state).toBe('pending');
    expect((await gated.decide(again, 'approve')).body.error).toMatchObject({ code: 'conflict' });
    expect(codeOf(await call())).toBe('approval_pending');
    expect((await gated.decide(again, 'approve', gated.keys.carl)).body.state).toBe('approved');
    expect(ran(await call())).toBe(true);
    expect(gated.upstream.calls).toHaveLength(1);
    await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: null });
  });

  test('a rule that allows it no longer is looked at before any gate', async () => {
    await approved();
    await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: { allow: ['args.never == 1'] } });
    expect(codeOf(await call())).toBe('not_allowed');
    expect(gated.upstream.calls).toEqual([]);
    await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: null });
  });
});

describe('AP-06: another definition', () => {
  test('voids what was approved of the one before', async () => {
    const tools = (description: string) => ({ tools: [{ name: 'wipe', description }] });
    const [before, after] = await Promise.all([startStagedUpstream(tools('one')), startStagedUpstream(tools('two'))]);
    const entry = (url: string) => ({ kind: 'mcp', url });
    await gated.gateway.ok('POST /upstreams', { namespace: 'support', name: 'late', entry: entry(before.url) });
    await gated.gateway.ok('PUT /policies/capability:support%2Fwipe', { policy: { gates: [{ reason: 'It wipes.' }] } });
    const tool = { tool: 'support__wipe' };
    const id = await approved({}, tool);
    await gated.gateway.ok('PUT /upstreams/support/late', { entry: entry(after.url) });
    const again = await asked({}, tool);
    expect(await stateOf(id)).toBe('void');
    expect([before.callsOf('wipe'), after.callsOf('wipe')]).toEqual([[], []]);
    await gated.decide(again, 'approve');
    expect(ran(await call({}, tool))).toBe(true);
    expect([before.callsOf('wipe').length, after.callsOf('wipe').length]).toEqual([0, 1]);
    await Promise.all([before.close(), after.close()]);
  });
});

describe('BK-02: a restored store', () => {
  test('has no open approvals', async () => {
    const id = await approved();
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-restored-'));
    const common = {
      masterKey: new Secret(gated.gateway.masterKey),
      previousMasterKeys: undefined,
      clock,
      log: { info() {}, warn() {} },
    };
    const file = join(directory, 'backup');
    await backupStore({ ...common, dataDir: gated.gateway.dataDir }, file);
    await restoreStore({ ...common, dataDir: join(directory, 'data') }, { file, replaces: false, keys: 'keep' });
    const restored = await startGated({ more, clock, directory, upstream: gated.upstream, keys: gated.keys });
    expect((await restored.gateway.ok(`GET /approvals/${id}`)).state).toBe('void');
    expect(codeOf(await restored.call({}, { key }))).toBe('approval_pending');
    expect(gated.upstream.calls).toEqual([]);
    expect(ran(await call())).toBe(true);
    await restored.stop();
    rmSync(directory, { recursive: true, force: true });
  });
});
