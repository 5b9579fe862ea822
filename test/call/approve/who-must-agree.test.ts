import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Person, Requirement } from '../../../src/call/approve/people.ts';
import { type Request, stillAsked } from '../../../src/call/approve/request.ts';
import { whoMustAgree } from '../../../src/call/approve/say.ts';
import type { RoleGrant } from '../../../src/registry/documents.ts';

const person = (member: string, role: RoleGrant['role'] = 'approver'): Person => ({
  ...{ id: `key:${member}`, key: member, consumer: undefined, member },
  roles: [{ role }],
});

function requestOf(requirements: readonly Pick<Requirement, 'by' | 'quorum'>[], member?: string): Request {
  const requester = { id: 'key:agent', key: 'agent', consumer: undefined, member, holders: [] };
  const whole = requirements.map((requirement) => ({ source: 'global', reason: undefined, ...requirement }));
  return { row: { namespace: 'hr' }, requester, requirements: whole, decisions: [] } as unknown as Request;
}

const members = (names: string, quorum = 1) => ({ by: { kind: 'members' as const, members: names.split(' ') }, quorum });
const role = (quorum = 1) => ({ by: { kind: 'role' as const, role: 'approver' as const }, quorum });
const caller = { by: { kind: 'caller' as const }, quorum: 1 };

describe('who is to agree still', () => {
  test.each([
    [[members('ann bob', 2)], [], 'ann and bob'],
    [[members('ann bob', 2)], ['ann'], 'bob'],
    [[members('ann bob carl', 2)], ['bob'], '1 of ann, carl'],
    [[members('ann bob carl', 3)], ['bob'], 'ann and carl'],
    [[role()], [], 'somebody with the role approver'],
    [[role(2)], ['ann'], 'somebody else with the role approver'],
    [[role(4)], ['ann'], '3 other people with the role approver'],
    [[role(), members('ann bob', 2)], ['ann'], 'bob'],
    [[caller, role()], ['ann'], 'whoever makes the call'],
  ])('%j, agreed: %j: %s', (requirements, agreed, who) => {
    expect(
      whoMustAgree(
        requestOf(requirements),
        agreed.map((name) => person(name)),
      ),
    ).toBe(who);
  });

  test('is not whoever makes the call, as long as the others are enough', () => {
    expect(whoMustAgree(requestOf([members('ann bob')], 'ann'), [])).toBe('bob');
    expect(whoMustAgree(requestOf([members('ann bob', 2)], 'ann'), [])).toBe('ann and bob');
  });

  test('somebody who agreed and has no say does not count', () => {
    expect(whoMustAgree(requestOf([role()]), [person('ann', 'auditor')])).toBe('somebody with the role approver');
  });

  test('names exactly as many as are missing, nobody twice, and nobody who agreed', () => {
    const names = ['ann', 'bob', 'carl', 'dora', 'eve'];
    const some = fc.subarray(names);
    fc.assert(
      fc.property(fc.subarray(names, { minLength: 1 }), fc.integer({ min: 1, max: 5 }), some, (asked, most, agreed) => {
        const quorum = Math.min(most, asked.length);
        const open = stillAsked(
          requestOf([{ by: { kind: 'members', members: asked }, quorum }]),
          agreed.map((name) => person(name)),
        );
        const missing = Math.max(0, quorum - asked.filter((name) => agreed.includes(name)).length);
        const left = asked.filter((name) => !agreed.includes(name));
        expect(open).toEqual(
          missing === 0 ? [] : [{ by: { kind: 'members', members: left }, quorum: missing, hasSome: missing < quorum }],
        );
      }),
    );
  });
});
