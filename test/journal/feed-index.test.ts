import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { rowsOf } from '../../src/journal/audit-rows.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { AuditIndex } from '../../src/store/ports/audit-index.ts';
import { open as openStore, temporaryDataDir } from '../store/store-setup.ts';
import { linesOf, makeCall, open, recordsOf, type Said, segmentsOf, temporaryDirectory } from './journal-setup.ts';
import { done, facts } from './sample-call.ts';

const waiting = { timeout: 20_000, interval: 20 };

async function calls(index: AuditIndex): Promise<number> {
  return (await index.search({ limit: 10_000 })).length;
}

describe('the audit index', () => {
  it('has, after a while, every call as one row, with all that the journal says of it', async () => {
    const dir = temporaryDirectory();
    const index = memoryStore().audit;
    const journal = await open({ dir, index });
    await makeCall(journal);
    const denied = { ...facts, decision: 'deny', capability: undefined } as const;
    journal.outcome(journal.describe(denied), { outcome: 'refused', code: 'unknown_capability', ms: 0.2 });
    await journal.change({ principal: 'key:admin', door: 'http', action: 'create-key', object: 'key/ci' });
    const running = journal.describe({ ...facts, capability: 'support/slow' });
    await journal.intent(running, true);
    await expect.poll(() => calls(index), waiting).toBe(4);
    const [slow, change, refused, first] = await index.search({ limit: 10 });
    expect(slow).toMatchObject({ capability: 'support/slow', outcome: null, result: null });
    expect(change).toMatchObject({ kind: 'change', caller: 'key:admin', capability: 'key/ci' });
    expect(refused).toMatchObject({ decision: 'deny', code: 'unknown_capability', outcome: 'refused', caller: 'key:admin' });
    expect(first).toMatchObject({ caller: 'key:admin', outcome: 'done', ms: 12.35, trace: facts.trace });
    expect(JSON.parse(first?.record ?? '')).toMatchObject(facts);
    expect(JSON.parse(first?.result ?? '')).toMatchObject({ outcome: 'done', bytesOut: 412 });
    journal.outcome(running, { ...done, outcome: 'failed', code: 'upstream_timeout' });
    await expect.poll(async () => (await index.search({ limit: 1 }))[0]?.code, waiting).toBe('upstream_timeout');
    expect(await calls(index)).toBe(4);
    expect((await index.search({ limit: 1 }))[0]).toMatchObject({ capability: 'support/slow', caller: 'key:admin' });
  });

  it('takes up after a start what it missed, over many segments, and nothing twice', async () => {
    const dir = temporaryDirectory();
    const limits = { segmentBytes: 20_000 };
    const first = await open({ dir, limits });
    for (let n = 0; n < 300; n += 1) await makeCall(first);
    await first.close();
    const index = memoryStore().audit;
    let added = 0;
    const counting = {
      ...index,
      add: async (...args: Parameters<AuditIndex['add']>) => {
        added += args[0].length;
        await index.add(...args);
      },
    };
    const second = await open({ dir, limits, index: counting });
    await expect.poll(() => calls(index), waiting).toBe(300);
    await makeCall(second);
    await second.close();
    expect(await calls(index)).toBe(301);
    expect(await index.heads()).toEqual([second.head()]);
    added = 0;
    const third = await open({ dir, limits, index: counting });
    await makeCall(third);
    await third.close();
    expect(await calls(index)).toBe(302);
    expect(added).toBeLessThan(3);
  });

  it('lags while its database is away, says so once, and catches up; no call hears of it', async () => {
    const dir = temporaryDirectory();
    const index = memoryStore().audit;
    const said: Said[] = [];
    let isAway = true;
    const away: AuditIndex = {
      ...index,
      async heads() {
        if (isAway) throw new Error('the database is away');
        return await index.heads();
      },
    };
    const journal = await open({ dir, index: away, said });
    await makeCall(journal);
    await expect.poll(() => said.length, waiting).toBe(1);
    expect(said[0]).toMatchObject({ level: 'warn', message: expect.stringContaining('lags behind') });
    isAway = false;
    for (let n = 0; n < 10; n += 1) await makeCall(journal);
    await journal.close();
    expect(await calls(index)).toBe(11);
    expect(said).toHaveLength(1);
  });

  it('of SQLite is fed without harm to what else is kept there', async () => {
    const { dataDir, remove } = temporaryDataDir();
    onTestFinished(remove);
    const store = await openStore({ dataDir });
    const dir = temporaryDirectory();
    const journal = await open({ dir, index: store.audit });
    for (let n = 0; n < 500; n += 1) await makeCall(journal);
    await store.keys.create({ id: 'ci', hash: 'h', createdAtMs: 1 });
    await expect.poll(() => calls(store.audit), waiting).toBe(500);
    await journal.close();
    await store.close();
    const again = await openStore({ dataDir });
    expect(await calls(again.audit)).toBe(500);
    expect(await again.keys.list()).toHaveLength(1);
    await again.close();
  });

  it('does without a line that somebody spoilt, and goes on behind it', async () => {
    const dir = temporaryDirectory();
    const first = await open({ dir });
    for (let n = 0; n < 3; n += 1) await makeCall(first);
    await first.close();
    const path = segmentsOf(dir)[0]!;
    const lines = readFileSync(path, 'latin1').split('\n');
    writeFileSync(path, lines.with(2, '{"seq":3,spoilt').join('\n'), 'latin1');
    const index = memoryStore().audit;
    const second = await open({ dir, index });
    await makeCall(second);
    await second.close();
    expect((await index.search({ limit: 10 })).map(({ caller }) => caller)).toEqual([...Array(3).fill('key:admin'), null]);
  });

  it('begins again where the journal ends, and says so, when the journal lost its end', async () => {
    const dir = temporaryDirectory();
    const index = memoryStore().audit;
    const first = await open({ dir, index });
    for (let n = 0; n < 5; n += 1) await makeCall(first);
    await first.close();
    const path = segmentsOf(dir)[0]!;
    const lines = readFileSync(path, 'latin1').split('\n');
    writeFileSync(path, `${lines.slice(0, 5).join('\n')}\n`, 'latin1');
    const said: Said[] = [];
    const second = await open({ dir, index, said });
    await makeCall(second, { capability: 'support/after' });
    await second.close();
    expect(await index.search({ capability: 'support/after', limit: 10 })).toHaveLength(1);
    expect(await index.heads()).toEqual([second.head()]);
    expect(said.map(({ message }) => message)).toContainEqual(expect.stringContaining('ends before'));
  });

  it('reads every line of a journal, and skips what is no call', async () => {
    const dir = temporaryDirectory();
    const journal = await open({ dir });
    await makeCall(journal, { capability: '","prev":"x","call":"9.9' });
    await journal.close();
    const rows = rowsOf('c', linesOf(dir));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ capability: '","prev":"x","call":"9.9', outcome: 'done' });
    const intent = recordsOf(dir).find(({ kind }) => kind === 'intent');
    expect({ ...intent, ...JSON.parse(rows[0]?.record ?? '') }).toEqual(intent);
  });
});
