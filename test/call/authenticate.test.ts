import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { KeyRing, makeKey } from '../../src/call/authenticate/key-ring.ts';
import { TokenCallers } from '../../src/call/authenticate/token-callers.ts';
import { authenticate, authenticateLocalUser, type Caller } from '../../src/call/authenticate.ts';
import { systemClock } from '../../src/clock.ts';

function ringWith(...keys: string[]): KeyRing {
  const ring = new KeyRing(randomBytes(32), systemClock);
  for (const [index, key] of keys.entries()) ring.add(`k${index}`, ring.hash(key));
  return ring;
}

function identify(keys: KeyRing, authorization: string | undefined, apiKey?: string): Caller {
  const caller = authenticate({ keys, callers: new TokenCallers(), tokens: undefined }, { authorization, apiKey, resource: '' });
  if (caller instanceof Promise) throw new Error('a key is known at once');
  return caller;
}

test('a known key is its caller by both carriers; anything else is nobody', () => {
  const key = makeKey('admin');
  const ring = ringWith(key);
  expect(identify(ring, `Bearer ${key}`).id).toBe('key:k0');
  expect(identify(ring, `bearer   ${key}`).id).toBe('key:k0');
  expect(identify(ring, undefined, key).id).toBe('key:k0');
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
    expect(() => identify(ring, authorization, apiKey), `${authorization} ${apiKey}`).toThrow(
      expect.objectContaining({ code: 'unauthenticated' }),
    );
  }
});

test('a key with a wrong checksum is refused although its hash is known', () => {
  const forged = `${makeKey('admin').slice(0, -6)}aaaaaa`;
  expect(ringWith(forged).find(forged)).toBeUndefined();
});

test('a key that an operator chose needs no form of ours', () => {
  expect(identify(ringWith('chosen-by-an-operator-0123'), 'Bearer chosen-by-an-operator-0123').id).toBe('key:k0');
});

test('the local user may be held to one toolbox', () => {
  const mayEnter = (caller: Caller, toolbox: string) => caller.reaches.every((reach) => reach(toolbox, undefined));
  expect(mayEnter(authenticateLocalUser('all'), '')).toBe(true);
  const held = authenticateLocalUser(new Set(['triage']));
  expect(held.id).toMatch(/^local:/);
  expect(mayEnter(held, 'triage')).toBe(true);
  expect(mayEnter(held, '')).toBe(false);
});
