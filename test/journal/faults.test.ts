import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Journal } from '../../src/journal/journal.ts';
import { verifyJournal } from '../../src/journal/verify-journal.ts';
import { until, within } from '../support/until.ts';
import { FaultyFiles, isLong, makeCall, open, recordsOf, segmentsOf, temporaryDirectory } from './journal-setup.ts';
import { done, facts, key } from './sample-call.ts';

/** Where a write hangs; a disk that is only slow has as long as it usually has. */
const writeWithinMs = 100;

async function openFaulty(sync: 'os' | 'disk' = 'os', limits: { readonly writeWithinMs?: number } = {}) {
  const dir = temporaryDirectory();
  const files = new FaultyFiles();
  const journal = await open({ dir, files, sync, limits });
  await makeCall(journal);
  await journal.flush();
  return { dir, files, journal };
}

/** What a call that may change something is told, or undefined when it may go on. */
async function refusalOf(journal: Journal): Promise<string | undefined> {
  const intent = journal.intent(journal.describe(facts), true);
  return await within(2_000, 'an answer to an intent', Promise.resolve(intent)).then(
    () => undefined,
    (error: { code: string }) => error.code,
  );
}

async function readOnly(journal: Journal): Promise<void> {
  const entry = journal.describe({ ...facts, capability: 'support/list' });
  await within(2_000, 'an intent that only reads', Promise.resolve(journal.intent(entry, false)));
  journal.outcome(entry, done);
}

async function recovered(journal: Journal): Promise<void> {
  await until('the journal can be written again', () => journal.isWritable);
}

function gapsOf(dir: string) {
  return recordsOf(dir).filter(({ kind }) => kind === 'gap');
}

describe.each(['os', 'disk'] as const)('AU-02: with sync "%s", a disk that is full', (sync) => {
  it('refuses what may change something, lets through what only reads, and recovers with the chain whole', async () => {
    const { dir, files, journal } = await openFaulty(sync);
    files.fail('append', 'ENOSPC');
    files.partBytes = 50;
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    expect(journal.isWritable).toBe(false);
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    for (let n = 0; n < 3; n += 1) await readOnly(journal);
    files.heal();
    await recovered(journal);
    expect(await refusalOf(journal)).toBeUndefined();
    await journal.flush();
    expect(gapsOf(dir)).toEqual([expect.objectContaining({ reason: 'ENOSPC', refused: 2, lost: 0 })]);
    const kinds = recordsOf(dir).map(({ kind, capability }) => [kind, capability]);
    expect(kinds.filter(([kind, capability]) => kind === 'intent' && capability === 'support/list')).toHaveLength(3);
    expect(await verifyJournal(dir, { key, heads: [journal.head()] })).toMatchObject({ isIntact: true });
  });
});

describe('a gap', () => {
  it('is the first record after it, and counts what was more than could wait', async () => {
    const dir = temporaryDirectory();
    const files = new FaultyFiles();
    const journal = await open({ dir, files, limits: { waitingBytes: 4_000 } });
    await journal.flush();
    const before = recordsOf(dir).length;
    files.fail('append', 'EIO');
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    for (let n = 0; n < 50; n += 1) await readOnly(journal);
    files.heal();
    await recovered(journal);
    await journal.flush();
    const [gap, ...after] = recordsOf(dir).slice(before);
    expect(gap).toMatchObject({ kind: 'gap', reason: 'EIO', refused: 1 });
    expect(Number(gap?.lost)).toBeGreaterThan(50);
    expect(Number(gap?.late) + Number(gap?.lost)).toBe(101);
    expect(after).toHaveLength(Number(gap?.late));
    expect(await verifyJournal(dir, { key })).toMatchObject({ isIntact: true, chains: [{ gaps: 1, lost: gap?.lost }] });
  });

  it('is of one piece while nothing but reading goes on', async () => {
    const { dir, files, journal } = await openFaulty();
    files.fail('append', 'EIO');
    await readOnly(journal);
    expect(journal.isWritable).toBe(false);
    await until('several attempts failed', () => files.steps.filter((step) => step === 'append').length > 5);
    files.heal();
    await recovered(journal);
    expect(gapsOf(dir)).toHaveLength(1);
  });
});

describe('AU-02: a write that hangs', () => {
  it('is not one that was done while this process itself was held up', async () => {
    const { journal } = await openFaulty('os', { writeWithinMs });
    const intent = journal.intent(journal.describe(facts), true);
    await new Promise(setImmediate);
    const untilMs = performance.now() + 2 * writeWithinMs;
    while (performance.now() < untilMs) {}
    await intent;
    expect(journal.isWritable).toBe(true);
  });

  it('refuses within the limit, and is on record when it comes back', async () => {
    const { dir, files, journal } = await openFaulty('os', { writeWithinMs });
    files.hang('append');
    const startMs = performance.now();
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    expect(performance.now() - startMs).toBeLessThan(writeWithinMs + 1_000);
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    await readOnly(journal);
    const begun = files.steps.length;
    files.release();
    await recovered(journal);
    expect(begun).toBe(files.steps.indexOf('append', begun));
    expect(await refusalOf(journal)).toBeUndefined();
    expect(gapsOf(dir)).toEqual([expect.objectContaining({ refused: 2, lost: 0, reason: expect.stringContaining('100 ms') })]);
    expect(await verifyJournal(dir, { key })).toMatchObject({ isIntact: true });
  });

  it('and then fails is made up for', async () => {
    const { dir, files, journal } = await openFaulty('os', { writeWithinMs });
    files.hang('append');
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    files.fail('append', 'EIO');
    files.release();
    await until('the write failed', () => files.steps.includes('truncate'));
    files.heal();
    await recovered(journal);
    expect(await refusalOf(journal)).toBeUndefined();
    expect(await verifyJournal(dir, { key })).toMatchObject({ isIntact: true });
  });

  it('does not hold up closing for longer than the limit', async () => {
    const { files, journal } = await openFaulty('os', { writeWithinMs });
    files.hang('append');
    await readOnly(journal);
    await within(2_000, 'closing', journal.close());
    files.release();
  });

  it.each(['os', 'disk'] as const)('that comes back in time refuses nothing (sync "%s")', async (sync) => {
    const { files, journal } = await openFaulty(sync);
    files.hang('append');
    const intent = journal.intent(journal.describe(facts), true);
    setImmediate(() => files.release());
    await intent;
    expect(journal.isWritable).toBe(true);
  });
});

describe('a sync', () => {
  it('that hangs refuses within the limit in mode "disk", and is not waited for in mode "os"', async () => {
    const strict = await openFaulty('disk', { writeWithinMs });
    strict.files.hang('sync');
    expect(await refusalOf(strict.journal)).toBe('audit_unavailable');
    strict.files.release();
    await recovered(strict.journal);
    expect(await refusalOf(strict.journal)).toBeUndefined();
    const loose = await openFaulty('os', { writeWithinMs });
    loose.files.hang('sync');
    expect(await refusalOf(loose.journal)).toBeUndefined();
    loose.files.release();
  });

  it('that failed is never relied on again: the record goes to another segment, and is acknowledged only there', async () => {
    const { dir, files, journal } = await openFaulty('disk');
    files.fail('sync', 'EIO');
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    expect(segmentsOf(dir)).toHaveLength(1);
    files.heal();
    await recovered(journal);
    expect(await refusalOf(journal)).toBeUndefined();
    await journal.flush();
    expect(segmentsOf(dir).length).toBeGreaterThan(1);
    expect(await verifyJournal(dir, { key, heads: [journal.head()] })).toMatchObject({ isIntact: true });
  });

  it('comes before the caller proceeds in mode "disk" only', async () => {
    for (const [sync, count] of [
      ['disk', 1],
      ['os', 0],
    ] as const) {
      const { files, journal } = await openFaulty(sync);
      const before = files.steps.length;
      await journal.intent(journal.describe(facts), true);
      expect(files.steps.slice(before).filter((step) => step === 'sync')).toHaveLength(count);
    }
  });
});

describe('a segment that was removed under its writer', () => {
  // Every reading of the clock is later than the one before, by more than there is between two looks at the file's name or by nothing.
  it.each([0, 1_500])('is noticed, refused over, and missed by the verifier, at %d ms a look', async (stepMs) => {
    let nowMs = 1_000_000;
    const dir = temporaryDirectory();
    const journal = await open({ dir, nowMs: () => (nowMs += stepMs) });
    await makeCall(journal);
    await journal.flush();
    rmSync(segmentsOf(dir)[0]!);
    nowMs += 2_000;
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    await recovered(journal);
    expect(await refusalOf(journal)).toBeUndefined();
    expect(await verifyJournal(dir, { key })).toMatchObject({ isIntact: false, chains: [{ problem: { fault: 'missing' } }] });
  });
});

describe('a start', () => {
  it('on a full disk lets reading go on and recovers by itself', async () => {
    const dir = temporaryDirectory();
    const files = new FaultyFiles();
    files.fail('append', 'ENOSPC');
    const journal = await open({ dir, files });
    expect(journal.isWritable).toBe(false);
    expect(await refusalOf(journal)).toBe('audit_unavailable');
    await readOnly(journal);
    files.heal();
    await recovered(journal);
    expect(await refusalOf(journal)).toBeUndefined();
    expect(await verifyJournal(dir, { key })).toMatchObject({ isIntact: true });
  });
});

describe('a real disk of 256 KB', () => {
  const canMount = process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0;

  it.runIf(canMount)(
    'fills up, refuses, and goes on when there is space, with every acknowledged intent there',
    async ({ skip }) => {
      const dir = join(temporaryDirectory(), 'small');
      mkdirSync(dir);
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', dir]).status !== 0) skip('may not mount here');
      onTestFinished(() => void spawnSync('umount', ['-l', dir]));
      const journal = await open({ dir });
      for (let round = 0; round < (isLong ? 20 : 3); round += 1) {
        const filler = join(dir, 'filler');
        writeFileSync(filler, Buffer.alloc(64 * 1024));
        const acknowledged: string[] = [];
        for (let n = 0; n < 2_000; n += 1) {
          const entry = journal.describe({ ...facts, capability: 'x'.repeat(round * 10) });
          const isOn = await Promise.resolve(journal.intent(entry, true)).then(
            () => true,
            () => false,
          );
          if (!isOn) break;
          acknowledged.push(entry.call);
        }
        expect(journal.isWritable).toBe(false);
        rmSync(filler);
        await recovered(journal);
        await makeCall(journal);
        const intents = new Set(recordsOf(dir).map(({ call }) => call));
        expect(acknowledged.filter((call) => !intents.has(call))).toEqual([]);
        expect(await verifyJournal(dir, { key, heads: [journal.head()] })).toMatchObject({ isIntact: true });
        expect(spawnSync('mount', ['-o', `remount,size=${256 * (round + 2)}k`, dir]).status).toBe(0);
      }
      await journal.close();
    },
  );
});
