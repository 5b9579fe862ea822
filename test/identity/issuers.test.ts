import { expect, test } from 'vitest';
import { readIssuers } from '../../src/identity/issuers.ts';

const issuer = 'https://login.example.com/realms/acme';

function flawsOf(...given: unknown[]): readonly (readonly [string, string])[] {
  const read = readIssuers(given);
  return 'flaws' in read ? read.flaws.map(({ path, message }) => [path.join('.'), message] as const) : [];
}

test('the issuer alone is enough', () => {
  expect(readIssuers([{ issuer }])).toEqual({
    value: [
      {
        issuer,
        audiences: undefined,
        algorithms: ['RS256', 'ES256', 'EdDSA', 'PS256'],
        jwksUrl: undefined,
        claims: { member: undefined, takesNameless: true, consumer: undefined, roles: [], scopes: undefined },
        clockToleranceMs: 30_000,
        maxTokenAgeMs: 86_400_000,
      },
    ],
  });
});

test('everything that can be said is kept', () => {
  const read = readIssuers([
    {
      issuer,
      audience: 'api://gatehouse',
      algorithms: ['ES384'],
      jwksUrl: 'https://keys.example.com/?tenant=1',
      claims: {
        member: 'user.name',
        nameless: 'refuse',
        consumer: { fixed: 'team-a' },
        roles: [{ claim: ['a.b'], values: ['x', 'y'], role: 'auditor', namespace: 'hr' }],
        scopes: { 'tools:read': { toolboxes: ['triage'], namespaces: ['hr'] }, all: 'all' },
      },
      clockToleranceMs: 0,
      maxTokenAgeMs: 1000,
    },
  ]);
  expect(read).toEqual({
    value: [
      {
        issuer,
        audiences: new Set(['api://gatehouse']),
        algorithms: ['ES384'],
        jwksUrl: 'https://keys.example.com/?tenant=1',
        claims: {
          member: { kind: 'claim', path: ['user', 'name'] },
          takesNameless: false,
          consumer: { kind: 'fixed', name: 'team-a' },
          roles: [{ path: ['a.b'], values: new Set(['x', 'y']), grant: { role: 'auditor', namespace: 'hr' } }],
          scopes: new Map<string, unknown>([
            ['tools:read', { toolboxes: new Set(['triage']), namespaces: new Set(['hr']) }],
            ['all', 'all'],
          ]),
        },
        clockToleranceMs: 0,
        maxTokenAgeMs: 1000,
      },
    ],
  });
});

test.each([
  'https://login.example.com',
  'https://login.example.com/',
  'https://login.example.com:8443/a/b',
  'http://127.0.0.1:9000',
  'http://localhost:9000/realms/x',
  'http://[::1]:9000',
])('%s can be an issuer', (text) => {
  expect(flawsOf({ issuer: text })).toEqual([]);
});

test.each([
  'http://login.example.com',
  'http://127.0.0.1.example.com',
  'http://localhost.example.com',
  'login.example.com',
  'https://login.example.com/?tenant=1',
  'https://login.example.com/#a',
  'https://login.example.com?',
  'https://user:pass@login.example.com',
  ' https://login.example.com',
  'https://login.example.com/ ',
  'file:///etc/passwd',
  'javascript:alert(1)',
  '',
  7,
])('%s cannot', (text) => {
  expect(flawsOf({ issuer: text })).toEqual([['0.issuer', expect.stringMatching(/https address|must be text/)]]);
});

test('every problem is told at once, at its place, in a sentence', () => {
  const flaws = flawsOf(
    { issuer, audiance: 'x', algorithms: ['HS256', 'none', 'RS256'], jwksUrl: 'http://keys.example.com' },
    { issuer, clockToleranceMs: 900_000, maxTokenAgeMs: '1h', audience: [] },
    {
      issuer: 'https://other.example.com',
      claims: {
        member: 7,
        consumer: { fix: 'x' },
        roles: [
          { claim: 'g', role: 'admin' },
          { claim: 'g', value: 'a', values: ['b'], role: 'admn' },
          { value: 'a', role: 'admin', namespace: 'Not A Name' },
        ],
        scopes: { offline_access: 'all', 'two words': 'all', none: {}, odd: 'some', more: { toolbox: ['x'] } },
      },
    },
    'https://login.example.com',
  );
  const at = (path: string) => flaws.filter(([place]) => place === path).map(([, message]) => message);
  expect(at('0.audiance')).toEqual(['"audiance" is not known here. Did you mean "audience"?']);
  expect(at('0.algorithms.0')).toEqual([expect.stringContaining('a shared secret (HS*) or "none" is never taken')]);
  expect(at('0.algorithms.1')).toHaveLength(1);
  expect(at('0.algorithms.2')).toEqual([]);
  expect(at('0.jwksUrl')).toEqual([expect.stringContaining('https address')]);
  expect(at('1.issuer')).toEqual(['This issuer is listed twice; put its rules into one entry.']);
  expect(at('1.clockToleranceMs')).toEqual(['"clockToleranceMs" must be at most 300000.']);
  expect(at('1.maxTokenAgeMs')).toEqual(['"maxTokenAgeMs" must be a whole number.']);
  expect(at('1.audience')).toHaveLength(1);
  expect(at('2.claims.member')).toEqual([expect.stringContaining('A claim is named by text')]);
  expect(at('2.claims.consumer')).toEqual([expect.stringContaining('A consumer is a claim')]);
  expect(at('2.claims.roles.0')).toEqual(['A rule for a role has either "value" or "values".']);
  expect(at('2.claims.roles.1')).toHaveLength(1);
  expect(at('2.claims.roles.1.role')).toEqual([
    '"role" must be one of admin, approver, developer, auditor. Did you mean "admin"?',
  ]);
  expect(at('2.claims.roles.2.claim')).toEqual([expect.stringContaining('A claim is named by text')]);
  expect(at('2.claims.roles.2.namespace')).toEqual(['This is not the name of a namespace.']);
  expect(at('2.claims.scopes.offline_access')).toEqual([expect.stringContaining('refresh token')]);
  expect(at('2.claims.scopes.two words')).toEqual([expect.stringContaining('one word')]);
  expect(at('2.claims.scopes.none')).toEqual([expect.stringContaining('reaches nothing')]);
  expect(at('2.claims.scopes.odd')).toEqual([expect.stringContaining('A scope reaches')]);
  expect(at('2.claims.scopes.more.toolbox')).toEqual(['"toolbox" is not known here. Did you mean "toolboxes"?']);
  expect(at('3')).toEqual(['This must be a map of "key: value" lines.']);
  for (const [, message] of flaws) expect(message).toMatch(/^[A-Z"].*[.?]$/);
});

test.each([null, 7, 'https://login.example.com', { issuer }])('%j is no list of issuers', (value) => {
  expect(readIssuers(value)).toEqual({
    flaws: [expect.objectContaining({ path: [], message: expect.stringContaining('must be a list') })],
  });
});
