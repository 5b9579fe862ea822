import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { authenticate, authenticateLocalUser, KeyRing, makeKey } from '../../src/call/authenticate.ts';

function ringWith(...keys: string[]): KeyRing {
  const ring = new KeyRing(randomBytes(32));
  for (const [index, key] of keys.entries()) ring.add(`k${index}`, ring.hash(key));
  return ring;
}

test('a known key is its caller by both carriers; anything else is nobody', () => {
  const key = makeKey('admin');
  const ring = ringWith(key);
  expect(authenticate(ring, `Bearer ${key}`, undefined).id).toBe('key:k0');
  expect(authenticate(ring, `bearer   ${key}`, undefined).id).toBe('key:k0');
  expect(authenticate(ring, undefined, key).id).toBe('key:k0');
  for (const [authorization, apiKey] of [
    [undefined, undefined],
    ['', undefined],
    [key, undefined],
    [`Basic ${key}`, undefined],
    ['Bearer ', undefined],
    [`Bearer ${makeKey('admin')}`, undefined],
    [`Bearer ${key}x`, undefined],
    ['Bearer nonsense', key],
    [undefined, `${key.slice(0, -1)}~`],
  ] as const) {
    expect(() => authenticate(ring, authorization, apiKey), `${authorization} ${apiKey}`).toThrow(
      expect.objectContaining({ code: 'unauthenticated' }),
    );
  }
});

test('a key with a wrong checksum is refused although its hash is known', () => {
  const forged = `${makeKey('admin').slice(0, -6)}aaaaaa`;
  expect(ringWith(forged).find(forged)).toBeUndefined();
});

test('a key that an operator chose needs no form of ours', () => {
  expect(authenticate(ringWith('chosen-by-an-operator-0123'), 'Bearer chosen-by-an-operator-0123', undefined).id).toBe('key:k0');
});

test('the local user may be held to one toolbox', () => {
  expect(authenticateLocalUser('all').toolboxes).toBe('all');
  expect(authenticateLocalUser(new Set(['triage'])).id).toMatch(/^local:/);
});
