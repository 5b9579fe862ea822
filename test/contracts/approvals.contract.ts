import { afterEach, describe, expect, it } from 'vitest';
import type { ApprovalStore, StoredApproval } from '../../src/store/ports/approvals.ts';
import type { Store } from '../../src/store/ports.ts';
import type { StorePlace } from './store.contract.ts';

function approval(more: Partial<StoredApproval> = {}): StoredApproval {
  return {
    id: 'ap1',
    digest: 'd1',
    state: 'pending',
    version: 1,
    caller: 'key:ann',
    key: 'ann',
    consumer: null,
    member: 'ann',
    holders: '[{"id":"key:dora"}]',
    namespace: 'support',
    capability: 'support/delete_ticket',
    upstream: 'support/crm',
    toolbox: '',
    tool: 'support__delete_ticket',
    definition: 'def',
    policy: 'pol',
    gates: '[]',
    decisions: '[]',
    arguments: 'sealed',
    note: '',
    replacedBy: null,
    outcome: null,
    rounds: 0,
    requestedAtMs: 1_795_000_000_000,
    expiresAtMs: 1_795_000_060_000,
    updatedAtMs: 1_795_000_000_000,
    ...more,
  };
}

const event = { actor: 'key:ann', action: 'requested', detail: '{}' };

interface ApprovalTraits {
  /** Over two stores on one place. */
  readonly isShared: boolean;
  /** Two stores of one process may write at once: SQLite makes the second wait where the first could not go on. */
  readonly racesInProcess: boolean;
}

/** What every store promises of calls that wait for a person. */
export function approvalContract(
  name: string,
  makePlace: () => Promise<StorePlace>,
  { isShared, racesInProcess }: ApprovalTraits,
): void {
  describe(`${name} keeps approvals`, () => {
    const stores: Store[] = [];
    const places: StorePlace[] = [];

    /** Two replicas; the same store twice where a place cannot be shared. */
    async function replicas(): Promise<[ApprovalStore, ApprovalStore]> {
      const place = await makePlace();
      places.push(place);
      const first = await place.open();
      stores.push(first);
      if (!isShared) return [first.approvals, first.approvals];
      const second = await place.open();
      stores.push(second);
      return [first.approvals, second.approvals];
    }

    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close();
      for (const place of places.splice(0)) await place.remove?.();
    });

    it('finds what was kept, by id and by digest, on every replica', async () => {
      const [a, b] = await replicas();
      expect(await a.create(approval(), event)).toBe(true);
      expect(await b.find('ap1')).toEqual(approval());
      expect(await b.findLatest('d1')).toEqual(approval());
      expect(await b.find('other')).toBeUndefined();
      expect(await b.findLatest('other')).toBeUndefined();
      const unkept = approval({ id: 'ap2', digest: 'd2', holders: null });
      await a.create(unkept, event);
      expect(await b.find('ap2')).toEqual(unkept);
      expect(await b.events('ap1')).toEqual([{ ...event, version: 1, atMs: 1_795_000_000_000 }]);
    });

    it('keeps one open call of a digest, whoever is faster, and another once it is closed', async () => {
      const [a, b] = await replicas();
      const tries = Array.from({ length: 20 }, (_, n) =>
        (n % 2 === 0 && racesInProcess ? b : a).create(approval({ id: `ap${n}` }), event),
      );
      expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1);
      const open = await a.findLatest('d1');
      const consumed = approval({ ...open, state: 'consumed', version: 2 });
      expect(await a.replace(consumed, { ...event, action: 'consumed' })).toBe(true);
      const later = approval({ id: 'later', requestedAtMs: 1_795_000_000_001 });
      expect(await b.create(later, event)).toBe(true);
      expect(await a.findLatest('d1')).toEqual(later);
      await a.replace(approval({ ...later, state: 'consumed', version: 2 }), event);
      for (const id of ['a', 'z']) {
        const open = approval({ id, requestedAtMs: later.requestedAtMs });
        expect(await b.create(open, event)).toBe(true);
        expect(await a.findLatest('d1')).toEqual(open);
        await a.replace(approval({ ...open, state: 'void', version: 2 }), event);
      }
      expect(await b.create(approval({ id: 'other', digest: 'd2' }), event)).toBe(true);
    });

    it('changes it once from each version, whoever is faster, and keeps the event of that change alone', async () => {
      const [a, b] = await replicas();
      await a.create(approval(), event);
      const tries = Array.from({ length: 20 }, (_, n) => {
        const state = n % 3 === 0 ? 'denied' : 'approved';
        return (n % 2 === 0 && racesInProcess ? b : a).replace(approval({ state, version: 2, note: String(n) }), {
          actor: `key:${n}`,
          action: state,
          detail: '{}',
        });
      });
      const won = (await Promise.all(tries)).indexOf(true);
      expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1);
      expect(await b.find('ap1')).toMatchObject({ version: 2, note: String(won) });
      expect((await a.events('ap1')).map(({ actor }) => actor)).toEqual(['key:ann', `key:${won}`]);
      expect(await a.replace(approval({ id: 'none', version: 2 }), event)).toBe(false);
    });

    it('lists the newest first, as asked', async () => {
      const [a, b] = await replicas();
      const at = 1_795_000_000_000;
      await a.create(approval({ id: 'a', digest: 'a', requestedAtMs: at }), event);
      await a.create(approval({ id: 'b', digest: 'b', requestedAtMs: at, namespace: 'hr', capability: 'hr/pay' }), event);
      await a.create(approval({ id: 'c', digest: 'c', requestedAtMs: at + 1, caller: 'key:bob', member: null }), event);
      const gates = '[{"by":{"kind":"members","members":["eve"]}}]';
      await a.create(approval({ id: 'd', digest: 'd', requestedAtMs: at - 1, member: 'zoe', gates }), event);
      const found = async (query: Parameters<ApprovalStore['list']>[0]) => (await b.list(query)).map(({ id }) => id);
      expect(await found({ limit: 9 })).toEqual(['c', 'b', 'a', 'd']);
      expect(await found({ limit: 2 })).toEqual(['c', 'b']);
      expect(await found({ limit: 9, before: { requestedAtMs: at + 1, id: 'c' } })).toEqual(['b', 'a', 'd']);
      expect(await found({ limit: 9, before: { requestedAtMs: at, id: 'b' } })).toEqual(['a', 'd']);
      expect(await found({ limit: 9, namespaces: ['hr'] })).toEqual(['b']);
      expect(await found({ limit: 9, namespaces: [] })).toEqual([]);
      expect(await found({ limit: 9, namespaces: ['hr'], callers: ['key:bob'] })).toEqual(['c', 'b']);
      expect(await found({ limit: 9, namespaces: [], member: 'ann' })).toEqual(['b', 'a']);
      expect(await found({ limit: 9, namespaces: [], named: 'eve' })).toEqual(['d']);
      expect(await found({ limit: 9, capability: 'hr/pay' })).toEqual(['b']);
      await a.replace(approval({ id: 'a', digest: 'a', requestedAtMs: at, state: 'denied', version: 2 }), event);
      expect(await found({ limit: 9, states: ['pending'] })).toEqual(['c', 'b', 'd']);
      expect([await b.countPending(), await b.countPending('key:bob'), await b.countPending('none')]).toEqual([3, 1, 0]);
    });

    it('says which open ones are overdue', async () => {
      const [a, b] = await replicas();
      await a.create(approval({ id: 'a', digest: 'a', expiresAtMs: 20 }), event);
      await a.create(approval({ id: 'b', digest: 'b', expiresAtMs: 10, state: 'approved' }), event);
      await a.create(approval({ id: 'c', digest: 'c', expiresAtMs: 5, state: 'consumed' }), event);
      expect((await b.listOverdue(20, 10)).map(({ id }) => id)).toEqual(['b', 'a']);
      expect((await b.listOverdue(19, 10)).map(({ id }) => id)).toEqual(['b']);
      expect((await b.listOverdue(20, 1)).map(({ id }) => id)).toEqual(['b']);
    });

    it('keeps the latest of what came of a call, for every replica, and forgets it once it is old', async () => {
      const [a, b] = await replicas();
      const large = `'"\u{1f600}${'x'.repeat(100_000)}`;
      await a.keepResult('ap1', 'first', 1);
      await a.keepResult('ap1', large, 10);
      await b.keepResult('ap2', '{}', 20);
      expect([await b.findResult('ap1'), await a.findResult('ap2'), await a.findResult('none')]).toEqual([
        large,
        '{}',
        undefined,
      ]);
      expect(await a.dropResults(20)).toBe(1);
      expect([await b.findResult('ap1'), await b.findResult('ap2')]).toEqual([undefined, '{}']);
    });

    it('forgets arguments and then the whole of what was closed, and nothing that is open', async () => {
      const [a, b] = await replicas();
      await a.create(approval({ id: 'open', digest: 'a', updatedAtMs: 1 }), event);
      await a.create(approval({ id: 'old', digest: 'b', state: 'denied', updatedAtMs: 10 }), event);
      await a.create(approval({ id: 'new', digest: 'c', state: 'consumed', updatedAtMs: 20 }), event);
      expect(await b.dropArguments(20)).toBe(1);
      expect(await b.dropArguments(20)).toBe(0);
      expect((await a.find('old'))?.arguments).toBe('');
      expect((await a.find('new'))?.arguments).toBe('sealed');
      expect((await a.find('open'))?.arguments).toBe('sealed');
      expect(await b.prune(20)).toBe(1);
      expect(await a.find('old')).toBeUndefined();
      expect(await a.events('old')).toEqual([]);
      expect((await a.list({ limit: 9 })).map(({ id }) => id).sort()).toEqual(['new', 'open']);
      expect(await a.events('open')).toHaveLength(1);
    });
  });
}
