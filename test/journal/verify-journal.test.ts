import { appendFileSync, copyFileSync, cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deriveKeys, linkRecord } from '../../src/journal/chain.ts';
import { type JournalProblem, verifyJournal } from '../../src/journal/verify-journal.ts';
import { isLong, linesOf, makeCall, open, recordsOf, segmentsOf, temporaryDirectory } from './journal-setup.ts';
import { key } from './sample-call.ts';

const edits = isLong ? 20_000 : 1_000;

/** A closed journal of some segments, and its head as it would be kept elsewhere. */
async function made(calls = 40, segmentBytes = 6_000) {
  const dir = temporaryDirectory();
  const journal = await open({ dir, limits: { segmentBytes } });
  for (let n = 0; n < calls; n += 1) await makeCall(journal, { capability: `support/tool-${n}` });
  await journal.close();
  return { dir, head: journal.head() };
}

async function problemOf(
  dir: string,
  options: Parameters<typeof verifyJournal>[1] = { key },
): Promise<JournalProblem | undefined> {
  const report = await verifyJournal(dir, options);
  expect(report.isIntact).toBe(report.chains.every(({ problem }) => problem === undefined) && report.missingChains.length === 0);
  return report.chains.find(({ problem }) => problem !== undefined)?.problem;
}

/** Rewrites the second segment's lines. Returns the numbers of its records. */
function rewrite(dir: string, change: (lines: string[]) => string[]): number[] {
  const path = segmentsOf(dir)[1]!;
  const lines = readFileSync(path, 'latin1').split('\n').slice(0, -1);
  writeFileSync(path, `${change([...lines]).join('\n')}\n`, 'latin1');
  return lines.map((line) => Number(/^\{"seq":(\d+)/.exec(line)?.[1]));
}

describe('AU-03: the verifier', () => {
  it('finds nothing in a journal that nobody touched, with and without key and head', async () => {
    const { dir, head } = await made();
    expect(segmentsOf(dir).length).toBeGreaterThan(3);
    for (const options of [{}, { key }, { heads: [head] }, { key, heads: [head] }]) {
      const report = await verifyJournal(dir, options);
      expect(report).toMatchObject({
        isIntact: true,
        missingChains: [],
        chains: [{ head, firstSeq: 1, intents: 40, outcomes: 40 }],
      });
      expect(report.chains[0]?.records).toBe(linesOf(dir).length);
    }
  });

  it('has nothing to say of a directory without a journal', async () => {
    expect(await verifyJournal(join(temporaryDirectory(), 'none'))).toMatchObject({ isIntact: true, chains: [] });
  });

  it('names the record that was edited', async () => {
    const { dir } = await made();
    const numbers = rewrite(dir, (lines) =>
      lines.with(4, lines[4]!.replace('"key:admin"', '"key:nobody"').replace('done', 'down')),
    );
    const problem = await problemOf(dir);
    expect(problem).toMatchObject({ fault: 'edited', file: join('1', '00000002.jsonl'), line: 5, seq: numbers[4] });
  });

  it('names the record that was taken out', async () => {
    const { dir } = await made();
    const numbers = rewrite(dir, (lines) => lines.toSpliced(4, 1));
    expect(await problemOf(dir)).toMatchObject({ fault: 'missing', line: 5, seq: numbers[4] });
  });

  it('names the first of two records that were swapped', async () => {
    const { dir } = await made();
    const numbers = rewrite(dir, (lines) => lines.with(4, lines[6]!).with(6, lines[4]!));
    expect(await problemOf(dir)).toMatchObject({ fault: 'reordered', line: 5, seq: numbers[4] });
  });

  it('names a record that stands there twice', async () => {
    const { dir } = await made();
    const numbers = rewrite(dir, (lines) => lines.toSpliced(5, 0, lines[4]!));
    expect(await problemOf(dir)).toMatchObject({ fault: 'reordered', line: 6, seq: numbers[4] });
  });

  it('names a line that was put in', async () => {
    const { dir } = await made();
    rewrite(dir, (lines) => lines.toSpliced(5, 0, '{"seq":1}'));
    expect(await problemOf(dir)).toMatchObject({ fault: 'edited', line: 6 });
  });

  it('names the record after one that was made anew with its hash', async () => {
    const { dir } = await made();
    const numbers = rewrite(dir, (lines) => {
      const { seq, prev, mac, hash, ...fields } = JSON.parse(lines[4]!);
      const inside = JSON.stringify({ ...fields, call: 'other' }).slice(1, -1);
      return lines.with(4, linkRecord(seq, inside, prev).line);
    });
    expect(await problemOf(dir, {})).toMatchObject({ fault: 'replaced', line: 6, seq: numbers[5] });
  });

  it('notices, by the seals, that all records from one on were made anew; without the key only a head tells', async () => {
    const { dir, head } = await made();
    forge(dir, 12, undefined);
    expect(await problemOf(dir, {})).toBeUndefined();
    expect(await problemOf(dir, { heads: [head] })).toMatchObject({ fault: 'replaced', seq: head.seq });
    expect(await problemOf(dir, { key: Buffer.alloc(32, 9) })).toMatchObject({ fault: 'forged' });
    forge(dir, 12, deriveKeys(Buffer.alloc(32, 9)).seal);
    expect(await problemOf(dir)).toMatchObject({ fault: 'forged' });
  });

  it('notices a long run of records without a seal', async () => {
    const { dir } = await made(600, 1_000_000);
    forge(dir, 12, undefined);
    expect(await problemOf(dir)).toMatchObject({ fault: 'forged' });
  });

  it('notices a segment that is gone, at the start, in the middle and, with a head, at the end', async () => {
    const { dir, head } = await made();
    const [first, second, last] = [segmentsOf(dir)[0]!, segmentsOf(dir)[1]!, segmentsOf(dir).at(-1)!];
    for (const [path, fault] of [
      [first, 'missing'],
      [second, 'missing'],
      [last, 'cut'],
    ] as const) {
      const copy = temporaryDirectory();
      cpSync(dir, copy, { recursive: true });
      rmSync(path.replace(dir, copy));
      expect(await problemOf(copy, { key, heads: [head] })).toMatchObject({ fault });
    }
  });

  it('notices a segment that was replaced by that of another chain', async () => {
    const [one, other] = [await made(), await made()];
    copyFileSync(segmentsOf(other.dir)[1]!, segmentsOf(one.dir)[1]!);
    expect(await problemOf(one.dir)).toMatchObject({ fault: expect.stringMatching(/replaced|missing|reordered/), line: 1 });
  });

  it('notices a tail that was cut off at the end of a record, given a head; and a chain that is gone altogether', async () => {
    const { dir, head } = await made();
    const last = segmentsOf(dir).at(-1)!;
    const text = readFileSync(last, 'latin1');
    truncateSync(last, text.lastIndexOf('\n', text.length - 2) + 1);
    expect(await problemOf(dir, { key })).toBeUndefined();
    expect(await problemOf(dir, { key, heads: [head] })).toMatchObject({ fault: 'cut', seq: head.seq });
    rmSync(join(dir, '1'), { recursive: true });
    expect(await verifyJournal(dir, { heads: [head] })).toMatchObject({ isIntact: false, missingChains: [head] });
  });

  it('notices that a whole chain is gone where an index of this journal alone has seen it, whatever is there in its place', async () => {
    const { dir, head } = await made();
    const other = { chain: '0'.repeat(32), seq: 3, hash: 'x' };
    const seen = { key, seen: [head, other] };
    // Of another replica, whose journal is elsewhere.
    expect(await verifyJournal(dir, seen)).toMatchObject({ isIntact: true, elsewhere: [other] });
    expect(await verifyJournal(dir, { ...seen, heads: [other] })).toMatchObject({ isIntact: false, elsewhere: [] });
    expect(await verifyJournal(dir, { ...seen, isSeenHere: true })).toMatchObject({
      isIntact: false,
      missingChains: [other],
      elsewhere: [],
    });
    expect((await verifyJournal(dir, { key, seen: [head], heads: [head], isSeenHere: true })).isIntact).toBe(true);
    rmSync(join(dir, '1'), { recursive: true });
    for (const put of [() => {}, () => writeFileSync(join(dir, '1'), 'x')]) {
      put();
      const gone = await verifyJournal(dir, { key, seen: [head], heads: [head], isSeenHere: true });
      expect(gone).toMatchObject({ isIntact: false, chains: [], missingChains: [head] });
    }
  });

  it('tells a write that a crash cut off from damage', async () => {
    const { dir } = await made();
    appendFileSync(segmentsOf(dir).at(-1)!, '{"seq":999,"at":17');
    expect(await verifyJournal(dir, { key })).toMatchObject({ isIntact: true, chains: [{ tornBytes: 18 }] });
    appendFileSync(segmentsOf(dir)[0]!, '{"seq":999,"at":17');
    expect(await problemOf(dir)).toMatchObject({ fault: 'edited', file: join('1', '00000001.jsonl') });
  });

  it('does not run out of memory over a line without end', async () => {
    const { dir } = await made();
    writeFileSync(segmentsOf(dir)[1]!, Buffer.alloc(5_000_000, 0x20));
    expect(await problemOf(dir)).toMatchObject({ fault: 'edited', line: 1 });
  });

  it(`detects every one of ${edits} random edits`, { timeout: isLong ? 900_000 : 30_000 }, async () => {
    const { dir, head } = await made(12, 6_000);
    const paths = segmentsOf(dir);
    const originals = paths.map((path) => readFileSync(path));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.constantFrom('change', 'take', 'put'),
        async (file, at, byte, way) => {
          const which = file % paths.length;
          const original = originals[which]!;
          writeFileSync(paths[which]!, edit(original, at % original.length, byte, way));
          const { isIntact } = await verifyJournal(dir, { key, heads: [head] });
          writeFileSync(paths[which]!, original);
          expect(isIntact).toBe(false);
        },
      ),
      { numRuns: edits },
    );
    expect((await verifyJournal(dir, { key, heads: [head] })).isIntact).toBe(true);
  });
});

function edit(original: Buffer, at: number, byte: number, way: string): Buffer {
  const [before, after] = [original.subarray(0, at), original.subarray(at)];
  // A record cut off behind the last line's end would be a second change, and it is one that counts for nothing.
  if (way === 'put') return Buffer.concat([before, Buffer.from([byte ^ 0x80]), after]);
  if (way === 'take') return Buffer.concat([before, after.subarray(1)]);
  const changed = Buffer.from(original);
  changed[at] = original[at]! ^ byte;
  return changed;
}

/** Makes every record from this one on anew, as somebody would who knows how they hang together. */
function forge(dir: string, from: number, seal: ReturnType<typeof deriveKeys>['seal'] | undefined): void {
  let prev = '';
  for (const path of segmentsOf(dir)) {
    const lines = readFileSync(path, 'latin1').split('\n').slice(0, -1);
    const made = lines.map((line) => {
      const { seq, prev: before, mac, hash, ...fields } = JSON.parse(line);
      const linked = linkRecord(seq, JSON.stringify(fields).slice(1, -1), seq <= from ? before : prev, seal);
      if (seq < from) return line;
      prev = linked.hash;
      return linked.line;
    });
    writeFileSync(path, `${made.join('\n')}\n`, 'latin1');
  }
}

describe('rotation', () => {
  it('begins a segment when one is large enough or old enough', async () => {
    let nowMs = 1_000_000;
    const dir = temporaryDirectory();
    const journal = await open({ dir, limits: { segmentBytes: 50_000, segmentAgeMs: 10_000 }, nowMs: () => nowMs });
    await makeCall(journal);
    expect(segmentsOf(dir)).toHaveLength(1);
    nowMs += 10_000;
    await makeCall(journal);
    expect(segmentsOf(dir)).toHaveLength(2);
    for (let n = 0; n < 100; n += 1) await makeCall(journal);
    expect(segmentsOf(dir)).toHaveLength(3);
    await journal.close();
    expect(await verifyJournal(dir, { key, heads: [journal.head()] })).toMatchObject({ isIntact: true });
  });

  it.each([
    ['too much', { totalBytes: 30_000 }, 0],
    ['too old', { ageMs: 60_000 }, 3_600_000],
  ] as const)(
    'removes what is %s, with the removal on record, and the verifier knows where the chain begins',
    async (_, limit, leapMs) => {
      const dir = temporaryDirectory();
      let aheadMs = 0;
      const journal = await open({ dir, limits: { segmentBytes: 8_000, ...limit }, nowMs: () => Date.now() + aheadMs });
      for (let n = 0; n < 60; n += 1) await makeCall(journal);
      aheadMs = leapMs;
      for (let n = 0; n < 60; n += 1) await makeCall(journal);
      await expect.poll(() => recordsOf(dir)[0]?.seq).toBeGreaterThan(1);
      // Several segments that stay.
      aheadMs = 0;
      for (let n = 0; n < 60; n += 1) await makeCall(journal);
      await journal.flush();
      // A removal is on record before the first file goes.
      const isDone = () => recordsOf(dir).findLast(({ kind }) => kind === 'removed')?.firstSeq === recordsOf(dir)[0]?.seq;
      await expect.poll(isDone).toBe(true);
      await journal.close();
      const removals = recordsOf(dir).filter(({ kind }) => kind === 'removed');
      expect(removals.at(-1)?.firstSeq).toBe(recordsOf(dir)[0]?.seq);
      expect(await verifyJournal(dir, { key, heads: [journal.head()] })).toMatchObject({ isIntact: true });
      rmSync(segmentsOf(dir)[0]!);
      expect(await problemOf(dir)).toMatchObject({ fault: 'missing' });
    },
  );

  it('removes nothing within the limits', async () => {
    const { dir } = await made();
    expect(recordsOf(dir)[0]).toMatchObject({ seq: 1 });
    expect(recordsOf(dir).filter(({ kind }) => kind === 'removed')).toEqual([]);
  });
});
