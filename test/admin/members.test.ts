import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AdminPorts } from '../../src/admin/action.ts';
import { updateMember } from '../../src/admin/members.ts';
import { KeyRing } from '../../src/call/authenticate/key-ring.ts';
import { authenticateLocalUser } from '../../src/call/authenticate.ts';
import { systemClock } from '../../src/clock.ts';
import { Registry } from '../../src/registry/registry.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { readableJournal } from '../support/call-ports.ts';

let gateway: AdminGateway;
let hrAdmin: string;
beforeAll(async () => {
  gateway = await openAdminGateway();
  hrAdmin = await gateway.person('hr-admin', [{ role: 'admin', namespace: 'hr' }]);
});
afterAll(async () => {
  await gateway?.stop();
});

const rolesOf = async (id: string) => {
  const { members } = await gateway.ok('GET /members');
  return members.find((member: { id: string }) => member.id === id)?.roles;
};

describe('a namespace admin', () => {
  test('grants roles in the own namespace, and no others', async () => {
    await gateway.ok('POST /members', { id: 'new', title: 'New', roles: [{ role: 'developer', namespace: 'hr' }] }, hrAdmin);
    for (const roles of [[{ role: 'auditor' }], [{ role: 'developer', namespace: 'finance' }], [{ role: 'admin' }]]) {
      const made = await gateway.api('POST /members', { id: 'newer', title: 'x', roles }, hrAdmin);
      expect({ status: made.status, code: made.body.error.code }).toEqual({ status: 403, code: 'forbidden' });
      expect((await gateway.api('PATCH /members/new', { roles }, hrAdmin)).status).toBe(403);
    }
    expect(await rolesOf('new')).toEqual([{ role: 'developer', namespace: 'hr' }]);
  });

  test('takes away what they may grant, and leaves the rest as it is', async () => {
    const other = { role: 'developer', namespace: 'finance' };
    await gateway.ok('POST /members', { id: 'both', title: 'x', roles: [other, { role: 'auditor', namespace: 'hr' }] });
    const { member } = await gateway.ok('PATCH /members/both', { roles: [] }, hrAdmin);
    expect(member.roles).toEqual([]);
    expect(await rolesOf('both')).toEqual([other]);
  });

  test.each([
    { title: 'x' },
    { identities: ['oauth:https://issuer#boss'] },
    { isDisabled: true },
    { limits: [{ per: 'member', rpm: 1 }] },
  ])('AZ-09: may not change who somebody is, or whether: %j', async (change) => {
    expect((await gateway.api('PATCH /members/new', change, hrAdmin)).body.error.code).toBe('forbidden');
    await gateway.ok('PATCH /members/new', { ...change, ...('isDisabled' in change ? { isDisabled: false } : {}) });
  });

  test('sees the members of the own namespace, with what they are there', async () => {
    const { members } = await gateway.ok('GET /members', undefined, hrAdmin);
    expect(members.map(({ id }: { id: string }) => id)).toEqual(['hr-admin', 'new']);
    expect(members[1]).not.toHaveProperty('identities');
  });
});

describe('members', () => {
  test('an identity belongs to one of them', async () => {
    const identities = ['oauth:https://issuer#ann'];
    await gateway.ok('POST /members', { id: 'ann', title: 'Ann', identities });
    const second = await gateway.api('POST /members', { id: 'ann2', title: 'Ann', identities });
    expect(second.body.error).toMatchObject({ code: 'conflict', message: expect.stringContaining('member ann') });
    await gateway.ok('PATCH /members/ann', { identities: [] });
    await gateway.ok('POST /members', { id: 'ann2', title: 'Ann', identities });
  });

  test('AZ-09: nothing but what the action knows is taken', async () => {
    for (const extra of [{ isDisabled: true }, { is_admin: true }, { tenant_id: 'x' }, { revision: 9 }, { keys: {} }]) {
      expect((await gateway.api('POST /members', { id: 'mass', title: 'x', ...extra })).status).toBe(400);
    }
    for (const extra of [{ role: 'admin' }, { createdAtMs: 1 }, { __proto__x: 1 }, { id: 'ann' }]) {
      const answer = await gateway.api('PATCH /members/new', extra);
      // What is in the path wins over what is in the body.
      if ('id' in extra) expect(answer.body.member.id).toBe('new');
      else expect(answer.status).toBe(400);
    }
  });

  test('a change of what somebody else has changed meanwhile is a conflict', async () => {
    const { member } = await gateway.ok('PATCH /members/ann', { title: 'Ann B.' });
    await gateway.ok('PATCH /members/ann', { title: 'Ann C.', revision: member.revision });
    const late = await gateway.api('PATCH /members/ann', { title: 'Ann D.', revision: member.revision });
    expect({ status: late.status, code: late.body.error.code }).toEqual({ status: 409, code: 'conflict' });
    expect(late.body.error.message).toContain('look at it again');
  });

  test('come in pages', async () => {
    const first = await gateway.ok('GET /members?limit=2');
    const second = await gateway.ok(`GET /members?limit=1000&after=${first.next}`);
    expect(first.members).toHaveLength(2);
    expect(second.next).toBeUndefined();
    const ids = [...first.members, ...second.members].map(({ id }: { id: string }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual([...ids].sort());
  });
});

describe('AZ-18: the last admin', () => {
  test('may go where the operator has a key, and hears how to get in again', async () => {
    await gateway.ok('POST /members', { id: 'last', title: 'x', roles: [{ role: 'admin' }] });
    await gateway.ok('POST /members', { id: 'other', title: 'x', roles: [{ role: 'admin' }] });
    expect((await gateway.ok('PATCH /members/other', { isDisabled: true })).note).toBeUndefined();
    const { note } = await gateway.ok('PATCH /members/last', { roles: [] });
    expect(note).toContain('GATEHOUSE_ADMIN_KEY');
    await gateway.ok('POST /members', { id: 'again', title: 'x', roles: [{ role: 'admin' }] });
  });

  test('stays where there is no other way in', async () => {
    const store = memoryStore();
    const log = pino({ level: 'silent' });
    const registry = await Registry.open(store.registry, log);
    const keys = new KeyRing(randomBytes(32), systemClock, registry);
    const member = (roles: { role: 'admin'; namespace?: string }[]) => ({ title: 'x', identities: [], roles, isDisabled: false });
    const put = (id: string, roles: { role: 'admin'; namespace?: string }[]) =>
      registry.commit([{ kind: 'member', id, body: member(roles) }], { actor: 'test', action: 'test' });
    await put('last', [{ role: 'admin' }]);
    await put('elsewhere', [{ role: 'admin', namespace: 'hr' }]);
    const ports = { registry, keys, journal: readableJournal([]), refreshed: async () => {}, clock: systemClock };
    const update = (change: object) =>
      updateMember.run(ports as unknown as AdminPorts, authenticateLocalUser('all'), { id: 'last', ...change } as never, '');
    for (const change of [{ isDisabled: true }, { roles: [] }, { roles: [{ role: 'admin', namespace: 'hr' }] }]) {
      await expect(update(change)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('GATEHOUSE_ADMIN_KEY'),
      });
    }
    await put('second', [{ role: 'admin' }]);
    await update({ isDisabled: true });
    expect(registry.require('member', 'last').body.isDisabled).toBe(true);
    registry.close();
  });
});

test('AZ-17: who disables somebody that only a name is known of hears what does not keep them out', async () => {
  const disable = async (id: string, identities: readonly string[]) => {
    await gateway.ok('POST /members', { id, title: id, identities, roles: [] });
    return (await gateway.ok(`PATCH /members/${id}`, { isDisabled: true })).note;
  };
  expect(await disable('by-mail', ['by-mail@example.com'])).toMatch(/"oauth:<issuer>#<sub>".*"nameless: refuse"/);
  expect(await disable('by-sub', ['by-sub@example.com', 'oauth:https://login.example.com#by-sub'])).toBeUndefined();
  expect(await disable('by-key', [])).toBeUndefined();
});
