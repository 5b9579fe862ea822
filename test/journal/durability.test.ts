import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, copyFileSync, cpSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { lockChain } from '../../src/journal/lock.ts';
import { verifyJournal } from '../../src/journal/verify-journal.ts';
import { isLong, linesOf, makeCall, open, recordsOf, segmentsOf, temporaryDirectory } from './journal-setup.ts';
import { key } from './sample-call.ts';

const program = fileURLToPath(new URL('./write-calls.ts', import.meta.url));
const rounds = isLong ? 200 : 5;
const cuts = isLong ? 500 : 40;
const timeoutMs = isLong ? 900_000 : 60_000;

interface Writer {
  readonly child: ChildProcess;
  /** `<chain> <call>` of every intent it acknowledged so far. */
  readonly calls: string[];
  readonly isReady: Promise<unknown>;
}

function startWriter(dir: string, sync: 'os' | 'disk'): Writer {
  const child = spawn(process.execPath, [program, dir, sync], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface(child.stdout);
  const calls: string[] = [];
  const isReady = once(lines, 'line');
  lines.on('line', (line) => !line.startsWith('ready') && calls.push(line));
  return { child, calls, isReady };
}

async function kill({ child }: Writer): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

function intentsOf(dir: string): Set<string> {
  const found = new Set<string>();
  for (const chain of readdirSync(dir)) {
    const records = recordsOf(dir, chain);
    for (const { kind, call } of records) if (kind === 'intent') found.add(`${records[0]?.chain} ${call}`);
  }
  return found;
}

describe('AU-01: an acknowledged intent', () => {
  it(`is there after kill -9, ${rounds} times over, and the chain is whole`, { timeout: timeoutMs }, async () => {
    const dir = temporaryDirectory();
    const acknowledged: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const running = startWriter(dir, round % 2 === 0 ? 'os' : 'disk');
      await running.isReady;
      const enough = Math.floor(Math.random() * 400);
      await expect.poll(() => running.calls.length, { timeout: 20_000, interval: 1 }).toBeGreaterThanOrEqual(enough);
      await kill(running);
      acknowledged.push(...running.calls);
      expect(await verifyJournal(dir, { key })).toMatchObject({ isIntact: true });
    }
    const intents = intentsOf(dir);
    expect(acknowledged.filter((call) => !intents.has(call))).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(0);
    expect(readdirSync(dir)).toEqual(['1']);
    const last = await open({ dir });
    await last.close();
    const report = await verifyJournal(dir, { key, heads: [last.head()] });
    expect(report).toMatchObject({ isIntact: true, chains: [{ firstSeq: 1, records: last.head().seq }] });
  });

  it('is there after kill -9 of one of two processes on one directory, each with a chain of its own', {
    timeout: timeoutMs,
  }, async () => {
    const dir = temporaryDirectory();
    const [one, two] = [startWriter(dir, 'os'), startWriter(dir, 'os')];
    await expect.poll(() => Math.min(one.calls.length, two.calls.length), { timeout: 20_000 }).toBeGreaterThan(20);
    await kill(one);
    const before = two.calls.length;
    await expect.poll(() => two.calls.length, { timeout: 20_000 }).toBeGreaterThan(before + 20);
    await kill(two);
    const intents = intentsOf(dir);
    expect([...one.calls, ...two.calls].filter((call) => !intents.has(call))).toEqual([]);
    expect(await verifyJournal(dir, { key })).toMatchObject({ isIntact: true, chains: [{ name: '1' }, { name: '2' }] });
  });
});

describe('a chain', () => {
  it('has one writer at a time, and is free when that is gone', async () => {
    const dir = temporaryDirectory();
    const first = lockChain(dir);
    expect(first).toBeDefined();
    expect(lockChain(dir)).toBeUndefined();
    first?.release();
    const second = lockChain(dir);
    expect(second).toBeDefined();
    second?.release();
    expect(readdirSync(dir)).toEqual(['lock']);
  });

  it('is taken up by the next process that finds it free', async () => {
    const dir = temporaryDirectory();
    const [one, two] = [await open({ dir }), await open({ dir })];
    const chains = [one.head().chain, two.head().chain];
    await Promise.all([makeCall(one), makeCall(two)]);
    await two.close();
    await one.close();
    const [three, four] = [await open({ dir }), await open({ dir })];
    expect([three.head().chain, four.head().chain]).toEqual(chains);
  });

  it(`with a torn tail is cut back to its last whole write, kept aside and on record: ${cuts} cuts`, {
    timeout: timeoutMs,
  }, async () => {
    const whole = temporaryDirectory();
    const journal = await open({ dir: whole });
    const acknowledgedAt: { readonly call: string; readonly sizeBytes: number }[] = [];
    for (let n = 0; n < 20; n += 1) {
      const call = await makeCall(journal);
      acknowledgedAt.push({ call, sizeBytes: readFileSync(segmentsOf(whole)[0]!).length });
    }
    await journal.close();
    const bytes = readFileSync(segmentsOf(whole)[0]!);
    for (let cut = 0; cut < cuts; cut += 1) {
      const dir = temporaryDirectory();
      cpSync(whole, dir, { recursive: true });
      const path = segmentsOf(dir)[0]!;
      const length = Math.floor((bytes.length * (cut + 1)) / (cuts + 1));
      truncateSync(path, length);
      // A torn tail is whatever was on the disk before, not a clean end.
      if (cut % 3 !== 0) appendFileSync(path, Buffer.alloc(3_000, cut % 3 === 1 ? 0 : 0xa5));
      const torn = await open({ dir });
      await torn.close();
      const intents = new Set(recordsOf(dir).map(({ call }) => call));
      const promised = acknowledgedAt.filter(({ sizeBytes }) => sizeBytes <= length);
      expect(promised.filter(({ call }) => !intents.has(call))).toEqual([]);
      expect(await verifyJournal(dir, { key, heads: [torn.head()] })).toMatchObject({ isIntact: true });
      const start = recordsOf(dir).findLast(({ kind }) => kind === 'start');
      const [tail] = (start?.torn ?? []) as { readonly bytes: number; readonly keptAs: string }[];
      const kept = tail && readFileSync(join(dir, '1', tail.keptAs));
      expect(kept?.length).toBe(tail?.bytes);
    }
  });

  it('is not taken for torn when a record before its last whole write was edited: that stays, for the verifier to find', async () => {
    const dir = temporaryDirectory();
    const first = await open({ dir });
    for (let n = 0; n < 5; n += 1) await makeCall(first);
    await first.close();
    const path = segmentsOf(dir)[0]!;
    copyFileSync(path, `${path}.before`);
    const text = readFileSync(path, 'latin1');
    const at = text.indexOf('"outcome":"done"');
    appendFileSync(path, '');
    truncateSync(path, 0);
    appendFileSync(path, `${text.slice(0, at)}"outcome":"gone"${text.slice(at + 16)}`);
    const second = await open({ dir });
    await second.close();
    expect(linesOf(dir).some((line) => line.includes('"outcome":"gone"'))).toBe(true);
    expect(await verifyJournal(dir, { key })).toMatchObject({
      isIntact: false,
      chains: [{ problem: { fault: 'edited', line: 4 } }],
    });
  });
});
