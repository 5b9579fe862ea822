import { afterEach, describe, expect, it } from 'vitest';
import type { AuditIndex, AuditQuery, AuditRow } from '../../src/store/ports/audit-index.ts';
import type { Store } from '../../src/store/ports.ts';
import type { StorePlace } from './store.contract.ts';

/** What every audit index promises, whatever is behind it. */
export function auditIndexContract(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`the audit index of ${name}`, () => {
    const stores: Store[] = [];
    const places: StorePlace[] = [];

    async function open(): Promise<AuditIndex> {
      const place = await makePlace();
      places.push(place);
      const store = await place.open();
      stores.push(store);
      return store.audit;
    }

    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close();
      for (const place of places.splice(0)) await place.remove?.();
    });

    it('is empty at first', async () => {
      const index = await open();
      expect(await index.heads()).toEqual([]);
      expect(await index.search({ limit: 10 })).toEqual([]);
    });

    it('gives back what it was given, newest first', async () => {
      const index = await open();
      const rows = [row(1), row(2, { record: JSON.stringify({ text: 'ünïcode \u{1F600} " \' \\ ' }) }), row(3, emptied)];
      await index.add(rows, head('a', 3));
      expect(await index.search({ limit: 10 })).toEqual(rows.toReversed());
      expect(await index.search({ limit: 2 })).toEqual(rows.slice(1).toReversed());
    });

    it('knows how far it reaches in every chain', async () => {
      const index = await open();
      await index.add([row(1)], head('a', 1));
      await index.add([row(1, { chain: 'b' })], head('b', 1));
      await index.add([], head('a', 9));
      expect(await index.heads()).toEqual([head('a', 9), head('b', 1)]);
    });

    it('keeps a call one row, whose outcome may come later and more than once', async () => {
      const index = await open();
      const intent = row(1, { outcome: null, ms: null, result: null });
      const outcome = { outcome: 'failed', code: 'upstream_failed', ms: 12.5, result: '{"seq":7}' };
      await index.add([intent], head('a', 1));
      expect(await index.search({ limit: 10 })).toEqual([intent]);
      await index.add([row(7, { ...emptied, ...outcome, id: intent.id })], head('a', 7));
      expect(await index.search({ limit: 10 })).toEqual([{ ...intent, ...outcome }]);
      await index.add([intent], head('a', 7));
      await index.add([intent], head('a', 7));
      expect(await index.search({ limit: 10 })).toEqual([{ ...intent, ...outcome }]);
    });

    it('does not take calls of different chains for one', async () => {
      const index = await open();
      await index.add([row(1)], head('a', 1));
      await index.add([row(1, { chain: 'b' })], head('b', 1));
      expect(await index.search({ limit: 10 })).toHaveLength(2);
    });

    it('finds by each field, by time, and by all together', async () => {
      const index = await open();
      const rows = [
        row(1, { caller: 'key:ci' }),
        row(2, { capability: 'support/other' }),
        row(3, { decision: 'deny', code: 'not_found' }),
        row(4, { trace: 'ab'.repeat(16) }),
        row(5, { caller: 'key:ci', decision: 'deny', code: 'not_found' }),
      ];
      await index.add(rows, head('a', 5));
      async function found(query: Omit<AuditQuery, 'limit'>): Promise<number[]> {
        return (await index.search({ ...query, limit: 10 })).map(({ seq }) => seq);
      }
      expect(await found({ caller: 'key:ci' })).toEqual([5, 1]);
      expect(await found({ capability: 'support/other' })).toEqual([2]);
      expect(await found({ decision: 'deny' })).toEqual([5, 3]);
      expect(await found({ code: 'not_found' })).toEqual([5, 3]);
      expect(await found({ trace: 'ab'.repeat(16) })).toEqual([4]);
      expect(await found({ calls: [row(2).id, 'another'] })).toEqual([2]);
      expect(await found({ calls: [row(2).id], callers: ['key:nobody'] })).toEqual([]);
      expect(await found({ calls: ['another'] })).toEqual([]);
      expect(await found({ fromMs: 1_002, toMs: 1_004 })).toEqual([3, 2]);
      expect(await found({ caller: 'key:ci', decision: 'deny', fromMs: 1_000, toMs: 2_000 })).toEqual([5]);
      expect(await found({ callers: ['key:ci', 'key:nobody'] })).toEqual([5, 1]);
      expect(await found({ callers: [] })).toEqual([]);
      expect(await found({ namespaces: ['support'], callers: ['key:ci'] })).toEqual([5, 1]);
      expect(await found({ namespaces: ['suppor', 'other'] })).toEqual([]);
      expect(await found({ namespaces: [] })).toEqual([]);
      expect(await found({ caller: "' or 1=1 --" })).toEqual([]);
    });

    it('finds by a content rule that matched, and by its category', async () => {
      const index = await open();
      const [intent, outcome] = [row(4, { outcome: null }), row(5, { ...emptied, id: row(4).id })];
      await index.add(
        [
          row(1, { contentRules: ['secrets/github-token', 'personal-data/email'] }),
          row(2, { contentRules: ['secrets/password'] }),
          row(3, { contentRules: ['judge/self-harm'] }),
          intent,
        ],
        head('a', 4),
      );
      await index.add([{ ...outcome, contentRules: ['self-harm/method'] }], head('a', 5));
      await index.add([intent], head('a', 5));
      async function found(contentRule: string, more: Partial<AuditQuery> = {}): Promise<number[]> {
        return (await index.search({ contentRule, ...more, limit: 10 })).map(({ seq }) => seq);
      }
      expect(await found('secrets/github-token')).toEqual([1]);
      expect(await found('personal-data/email')).toEqual([1]);
      expect(await found('secrets')).toEqual([2, 1]);
      expect(await found('secrets', { toMs: 1_002 })).toEqual([1]);
      expect(await found('self-harm')).toEqual([4]);
      expect(await found('secrets/git')).toEqual([]);
      expect(await found('secret')).toEqual([]);
      expect(await found('profanity')).toEqual([]);
      expect((await index.search({ limit: 10 })).map(({ contentRules }) => contentRules.length)).toEqual([1, 1, 1, 2]);
    });

    it('gives page after page without leaving out or repeating a row, also of one moment', async () => {
      const index = await open();
      const rows = ['a', 'b', 'c'].flatMap((chain) => [1, 2, 3, 4].map((n) => row(n, { chain, atMs: n < 4 ? 1_000 : 1_001 })));
      for (const chain of ['a', 'b', 'c'])
        await index.add(
          rows.filter((one) => one.chain === chain),
          head(chain, 4),
        );
      const pages: (readonly AuditRow[])[] = [];
      for (let before: AuditRow | undefined; pages.length < 10; before = pages.at(-1)?.at(-1)) {
        const page = await index.search({ limit: 5, before });
        if (page.length === 0) break;
        pages.push(page);
      }
      expect(pages.map((page) => page.length)).toEqual([5, 5, 2]);
      expect(new Set(pages.flat().map(({ chain, id }) => `${chain} ${id}`)).size).toBe(rows.length);
    });

    it('prunes what is from before a time, and nothing else', async () => {
      const index = await open();
      await index.add([row(1), row(2), row(3)], head('a', 3));
      expect(await index.prune(1_003)).toBe(2);
      expect((await index.search({ limit: 10 })).map(({ seq }) => seq)).toEqual([3]);
      expect(await index.prune(1_003)).toBe(0);
      expect(await index.heads()).toEqual([head('a', 3)]);
    });

    it('takes a thousand rows at once', async () => {
      const index = await open();
      await index.add(
        Array.from({ length: 1_000 }, (_, n) => row(n + 1)),
        head('a', 1_000),
      );
      expect(await index.search({ limit: 2_000 })).toHaveLength(1_000);
    });
  });
}

/** Of an outcome whose intent is elsewhere, or not any more. */
const emptied = { caller: null, consumer: null, capability: null, upstream: null, decision: null, trace: null, record: null };

function row(seq: number, changes: Partial<AuditRow> = {}): AuditRow {
  return {
    chain: 'a',
    id: `0.${seq}`,
    seq,
    atMs: 1_000 + seq,
    kind: 'call',
    caller: 'key:admin',
    consumer: 'billing',
    capability: 'support/get_ticket',
    upstream: 'support/tickets',
    decision: 'allow',
    outcome: 'done',
    code: null,
    ms: 0.25,
    trace: null,
    record: '{"kind":"intent"}',
    result: '{"kind":"outcome"}',
    contentRules: [],
    ...changes,
  };
}

function head(chain: string, seq: number) {
  return { chain, seq, hash: `hash of ${chain} ${seq}` };
}
