import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Claims, type MappedClaims, mapClaims } from '../../src/identity/map-claims.ts';
import { trust } from './verifier.ts';

const principal = 'oauth:https://login.example.com#ann';

function mapped(rules: Record<string, unknown>, claims: Claims): MappedClaims {
  const [issuer] = trust({ issuer: 'https://login.example.com', claims: rules });
  return mapClaims(issuer!.claims, claims, principal);
}

test('without rules a token says who, and nothing else', () => {
  expect(mapped({}, { sub: 'ann', email: 'a@b.example', email_verified: true, roles: ['admin'], scope: 'admin' })).toEqual({
    member: undefined,
    isNameless: false,
    consumer: undefined,
    roles: [],
    scopes: [],
    reach: 'all',
  });
});

describe('member', () => {
  test('sub is the principal, which no other issuer can name', () => {
    expect(mapped({ member: 'sub' }, { sub: 'x' }).member).toBe(principal);
  });

  test.each([
    [{ email: 'Ann@Example.com', email_verified: true }, 'ann@example.com'],
    [{ email: 'ann@example.com' }, principal],
    [{ email: 'ann@example.com', email_verified: false }, principal],
    [{ email: 'ann@example.com', email_verified: 'true' }, principal],
    [{ email: 'ann', email_verified: true }, principal],
    [{ email: ['ann@example.com'], email_verified: true }, principal],
    // The Kelvin sign: two people, not one.
    [{ email: '\u212aelvin@example.com', email_verified: true }, '\u212aelvin@example.com'],
  ])('email of %j is %s', (claims, member) => {
    expect(mapped({ member: 'email' }, claims).member).toBe(member);
  });

  test('a claim is taken as it is, nested ones by their path', () => {
    expect(mapped({ member: 'preferred_username' }, { preferred_username: 'Ann' }).member).toBe('Ann');
    expect(mapped({ member: ['email'] }, { email: 'Ann@Example.com' }).member).toBe('Ann@Example.com');
    expect(mapped({ member: 'user.name' }, { user: { name: 'ann' }, 'user.name': 'eve' }).member).toBe('ann');
    expect(mapped({ member: ['user.name'] }, { user: { name: 'eve' }, 'user.name': 'ann' }).member).toBe('ann');
    const address = 'https://example.com/name';
    expect(mapped({ member: address }, { [address]: 'ann' }).member).toBe('ann');
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', 7],
    ['a list', ['ann']],
    ['an object', { toString: () => 'ann' }],
    ['empty text', ''],
    ['a megabyte', 'x'.repeat(1_000_000)],
    ['a line break', 'ann\nrole: admin'],
    ['a NUL', 'ann\0'],
    ['an invisible character', 'a\u200bnn'],
    ['text that turns round', 'a\u202enna'],
    ['half a character', 'ann\ud800'],
  ])('%s is no name, and no consumer', (_name, value) => {
    expect(mapped({ member: 'who', consumer: 'who' }, { who: value })).toMatchObject({ member: principal, consumer: undefined });
    expect(mapped({ member: 'who', consumer: 'who' }, { who: 'ann' })).toMatchObject({ member: 'ann', consumer: 'ann' });
  });

  test.each(['__proto__', 'constructor', 'constructor.name', 'toString', 'x.length'])(
    '%s is a claim only if the token has it',
    (path) => {
      expect(
        mapped({ member: path, consumer: path, roles: [{ claim: path, value: 'Object', role: 'admin' }] }, { x: 'y' }),
      ).toMatchObject({
        member: principal,
        consumer: undefined,
        roles: [],
      });
      expect(mapped({ member: '__proto__' }, JSON.parse('{"__proto__":"ann"}')).member).toBe('ann');
    },
  );
});

describe('AZ-17: a token that names nobody is of who it is about', () => {
  test.each(['email', 'who'])('unless a client got it for itself: member %s', (member) => {
    for (const claims of [{ sub: 'x' }, { sub: 'x', client_id: 'y', azp: 'x' }, { client_id: 'y' }, { sub: 7, client_id: 7 }])
      expect(mapped({ member }, claims).member).toBe(principal);
    for (const claims of [
      { sub: 'x', client_id: 'x' },
      { sub: 'x', azp: 'x' },
    ]) {
      expect(mapped({ member }, claims).member).toBeUndefined();
      // Somebody is named, although not as it must be.
      expect(mapped({ member }, { ...claims, [member]: 7 }).member).toBe(principal);
    }
  });

  test.each(['oauth:https://other.example.com#ann', 'key:admin', 'local:root'])('and so is one that names %s', (name) => {
    expect(mapped({ member: 'who' }, { who: name }).member).toBe(principal);
    expect(mapped({ member: 'email' }, { email: `${name}@example.com`, email_verified: true }).member).toBe(principal);
    expect(mapped({ member: 'who' }, { who: `x-${name}` }).member).toBe(`x-${name}`);
  });
});

test('a consumer is fixed, or what a claim says', () => {
  expect(mapped({ consumer: { fixed: 'team-a' } }, {}).consumer).toBe('team-a');
  expect(mapped({ consumer: 'azp' }, { azp: 'app' }).consumer).toBe('app');
});

describe('roles', () => {
  const rules = {
    roles: [
      { claim: 'groups', value: 'admins', role: 'admin' },
      { claim: 'realm.roles', values: ['hr-lead', 'hr-deputy'], role: 'approver', namespace: 'hr' },
    ],
  };
  const admin = { role: 'admin', namespace: undefined };
  const approver = { role: 'approver', namespace: 'hr' };
  test.each<[unknown, unknown[]]>([
    [{ groups: 'admins' }, [admin]],
    [{ groups: ['x', 'admins', 'admins'] }, [admin]],
    [{ groups: ['admins'], realm: { roles: ['hr-deputy'] } }, [admin, approver]],
    [{ realm: { roles: ['hr-lead', 'hr-deputy'] } }, [approver]],
    [{ groups: 'Admins' }, []],
    [{ groups: 'admins x' }, []],
    [{ groups: 'admin' }, []],
    [{ groups: ['admins '] }, []],
    [{ groups: [['admins']] }, []],
    [{ groups: { admins: true } }, []],
    [{ groups: { 0: 'admins', length: 1 } }, []],
    [{ groups: true }, []],
    [{ 'realm.roles': ['hr-lead'] }, []],
    [{ realm: [{ roles: ['hr-lead'] }] }, []],
    [{ groups: [...Array(1000).fill('x'), 'admins'] }, []],
    [{ groups: ['x'.repeat(1_000_000), 'admins'] }, [admin]],
  ])('%#', (claims, expected) => {
    expect(mapped(rules, claims as Claims).roles).toEqual(expected);
  });
});

describe('scopes', () => {
  const rules = {
    scopes: { triage: { toolboxes: ['triage'] }, hr: { toolboxes: ['onboarding'], namespaces: ['hr'] }, everything: 'all' },
  };
  const reach = (toolboxes: string[], namespaces: string[]) => ({
    toolboxes: new Set(toolboxes),
    namespaces: new Set(namespaces),
  });
  test.each<[Claims, readonly string[], unknown]>([
    [{ scope: 'triage' }, ['triage'], reach(['triage'], [])],
    [{ scope: 'openid triage hr other' }, ['triage', 'hr'], reach(['triage', 'onboarding'], ['hr'])],
    [{ scp: 'hr' }, ['hr'], reach(['onboarding'], ['hr'])],
    [{ scp: ['hr', 7, null] }, ['hr'], reach(['onboarding'], ['hr'])],
    [{ scope: 'triage', scp: ['triage', 'everything'] }, ['triage', 'everything'], 'all'],
    [{ scope: ['triage'] }, ['triage'], reach(['triage'], [])],
    [{}, [], reach([], [])],
    [{ scope: 'TRIAGE triag triage,hr constructor __proto__' }, [], reach([], [])],
    [{ scope: { triage: true } }, [], reach([], [])],
    [{ scope: `${'x '.repeat(500_000)}triage` }, [], reach([], [])],
  ])('%#', (claims, scopes, expected) => {
    expect(mapped(rules, claims)).toMatchObject({ scopes, reach: expected });
  });
});

test('no claims give a right that their values do not name, and none make it throw', () => {
  const rules = {
    member: 'm',
    consumer: 'c',
    roles: [{ claim: 'r', value: 'let-me-in', role: 'admin' }],
    scopes: { 'let-me-in': 'all' },
  };
  const key = fc.constantFrom('m', 'c', 'r', 'scope', 'scp', '__proto__', 'constructor', 'x');
  fc.assert(
    fc.property(fc.dictionary(key, fc.jsonValue()), (claims) => {
      const result = mapped(rules, JSON.parse(JSON.stringify(claims)));
      expect(result.roles).toEqual([]);
      expect(result.reach).toEqual({ toolboxes: new Set(), namespaces: new Set() });
      for (const name of [result.member, result.consumer])
        if (name !== undefined && name !== principal) expect(name.length).toBeLessThanOrEqual(256);
    }),
  );
});
