import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mayBeRequester, mayDecide, type Person, type Requester } from '../../../src/call/approve/people.ts';
import { makeCaller } from '../../../src/call/authenticate/caller.ts';
import { holdersOf, holdersOfNew } from '../../../src/call/authenticate/key-holders.ts';
import { nobody } from '../../../src/call/authenticate/key-ring.ts';
import type { Holder, KeyDocument } from '../../../src/registry/documents.ts';
import type { Registry } from '../../../src/registry/registry.ts';

const secretOf = (handedTo?: Holder[], validUntilMs?: number): KeyDocument['secrets'][number] => ({
  ...{ hash: 'a'.repeat(64), hint: 'x', createdAtMs: 0 },
  ...(handedTo === undefined ? {} : { handedTo }),
  ...(validUntilMs === undefined ? {} : { validUntilMs }),
});
const keyOf = (more: Partial<KeyDocument>): KeyDocument => ({
  ...{ title: 'x', scope: {}, state: 'active', secrets: [secretOf()], issuedBy: 'key:admin', createdAtMs: 0 },
  ...more,
});

function registryOf(keys: Readonly<Record<string, KeyDocument>>): Pick<Registry, 'get'> {
  const get = (kind: string, id: string) =>
    kind === 'key' && Object.hasOwn(keys, id) ? { id, body: keys[id], revision: 1 } : undefined;
  return { get } as unknown as Pick<Registry, 'get'>;
}
const none = registryOf({});

describe('a key is held by', () => {
  const [ann, bob]: Holder[] = [
    { id: 'key:ann', member: 'ann' },
    { id: 'key:bob', member: 'bob' },
  ];

  test('everyone whom a secret was handed to that is valid still', () => {
    const key = keyOf({ secrets: [secretOf([ann!]), secretOf([bob!], 100)] });
    expect(holdersOf(none, key, 99)).toEqual([ann, bob]);
    expect(holdersOf(none, key, 100)).toEqual([ann]);
  });

  test('nobody where the operator made it, and whoever made it otherwise, also where that was not kept', () => {
    expect(holdersOf(none, keyOf({ secrets: [secretOf([])], issuedBy: 'key:x', issuer: 'x' }), 0)).toEqual([]);
    for (const issuedBy of ['key:admin', 'key:of-the-operator', 'local:me'])
      expect(holdersOf(none, keyOf({ issuedBy }), 0)).toEqual([]);
    expect(holdersOf(none, keyOf({ issuedBy: 'key:gone', issuer: 'ann' }), 0)).toEqual([{ id: 'key:gone', member: 'ann' }]);
    expect(holdersOf(none, keyOf({ issuedBy: 'oauth:i#s' }), 0)).toEqual([{ id: 'oauth:i#s' }]);
  });

  test('whoever made it, once it was revoked and has no secret left', () => {
    expect(holdersOf(none, keyOf({ secrets: [], issuedBy: 'key:ann', issuer: 'ann' }), 0)).toEqual([ann]);
  });

  test('whoever holds the key that it was made with, and that one was made with, round and round', () => {
    const registry = registryOf({
      first: keyOf({ issuedBy: 'key:third', issuer: 'ann' }),
      second: keyOf({ consumer: 'ops', issuedBy: 'key:first' }),
      third: keyOf({ member: 'bob', issuedBy: 'key:second' }),
    });
    const held = holdersOf(registry, keyOf({ issuedBy: 'key:third' }), 0);
    expect(held).toEqual([
      { id: 'key:third', member: 'bob' },
      { id: 'key:second', consumer: 'ops' },
      { id: 'key:first' },
      { id: 'key:third', member: 'ann' },
    ]);
  });
});

describe('a new secret is handed to', () => {
  const callerWith = (id: string, more: object) => makeCaller({ ...nobody, id, kind: 'key', ...more });

  test('whoever is shown it, and whoever holds the key that they use', () => {
    const ann = callerWith('key:ann', {
      member: 'ann',
      holders: [
        { id: 'key:root', member: 'root' },
        { id: 'key:a2', member: 'ann' },
      ],
    });
    expect(holdersOfNew(ann)).toEqual([
      { id: 'key:a2', member: 'ann' },
      { id: 'key:root', member: 'root' },
    ]);
  });

  test('nobody who counts, where that is the operator', () => {
    expect(holdersOfNew(callerWith('key:admin', { isOperator: true }))).toEqual([]);
    expect(holdersOfNew(callerWith('key:admin', {}))).toEqual([{ id: 'key:admin' }]);
  });

  test('no more people than can be kept: it is refused before anybody is forgotten', () => {
    const holders = (count: number) => Array.from({ length: count }, (_, n) => ({ id: `key:${n}`, member: `m${n}` }));
    expect(holdersOfNew(callerWith('key:x', { holders: holders(49) }))).toHaveLength(50);
    expect(() => holdersOfNew(callerWith('key:x', { holders: holders(50) }))).toThrow(/More than 50 people/);
  });
});

test('of everyone who has the role, those decide on a call who are not its caller and hold no secret of its key', () => {
  const names = ['ann', 'bob', 'cy', 'di'] as const;
  const name = fc.constantFrom(...names);
  fc.assert(
    fc.property(name, fc.uniqueArray(name), name, fc.nat({ max: 2 }), (owner, holders, decider, n) => {
      const requester: Requester = {
        ...{ id: `key:${owner}`, key: owner, consumer: undefined, member: owner },
        holders: holders.map((member) => ({ id: `key:${member}0`, member })),
      };
      const roles = [{ role: 'approver' as const }];
      const person: Person = { id: `key:${decider}${n}`, key: `${decider}${n}`, consumer: undefined, member: decider, roles };
      const may = decider !== owner && !holders.includes(decider);
      expect(mayBeRequester(requester, person)).toBe(!may);
      expect(mayDecide({ kind: 'role', role: 'approver' }, requester, person, 'hr')).toBe(may);
      expect(mayDecide({ kind: 'members', members: [...names] }, requester, person, 'hr')).toBe(may);
      expect(mayDecide({ kind: 'caller' }, requester, person, 'hr')).toBe(decider === owner);
    }),
    { numRuns: 500 },
  );
});

test('a key of an application alone is all who use it: who holds one of it decides on none of its calls, its members do', () => {
  const requester: Requester = {
    ...{ id: 'key:x', key: 'x', consumer: 'bot', member: undefined },
    holders: [{ id: 'key:ops1', consumer: 'ops' }],
  };
  const other = { id: 'oauth:i#ops2', key: undefined, consumer: 'ops' };
  expect(mayBeRequester(requester, { ...other, member: undefined })).toBe(true);
  expect(mayBeRequester(requester, { ...other, member: 'ann' })).toBe(false);
});
