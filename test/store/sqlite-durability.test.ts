import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isLong, open, temporaryDataDir } from './store-setup.ts';

const writer = fileURLToPath(new URL('./write-keys.ts', import.meta.url));
const killRounds = isLong ? 200 : 3;
const cuts = isLong ? 500 : 40;
const timeoutMs = isLong ? 900_000 : 60_000;

let dataDir: string;
let remove: () => void;

beforeEach(() => {
  ({ dataDir, remove } = temporaryDataDir());
});
afterEach(() => remove());

interface Writer {
  readonly child: ChildProcess;
  /** What it acknowledged so far. */
  readonly ids: string[];
  readonly isReady: Promise<unknown>;
}

function startWriter(prefix: string): Writer {
  const child = spawn(process.execPath, [writer, dataDir, prefix], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout);
  const ids: string[] = [];
  const isReady = once(lines, 'line');
  lines.on('line', (line) => line !== 'ready' && ids.push(line));
  return { child, ids, isReady };
}

async function kill({ child }: Writer): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/** What a store says after a crash: every acknowledged key with its hash, and no upstream that is half the one and half the other. */
async function expectIntact(acknowledged: readonly string[]): Promise<void> {
  const startMs = performance.now();
  const store = await open({ dataDir });
  expect(performance.now() - startMs).toBeLessThan(5_000);
  const keys = await store.keys.list();
  const kept = new Set(keys.map(({ id }) => id));
  expect(acknowledged.filter((id) => !kept.has(id))).toEqual([]);
  for (const { id, hash } of keys) expect(hash).toBe(`hash of ${id}`);
  for (const { fingerprint, state } of await store.upstreams.load()) expect(JSON.parse(state)).toEqual({ fingerprint });
  await store.close();
}

describe('an acknowledged write', () => {
  it(`is there after kill -9, ${killRounds} times over`, { timeout: timeoutMs }, async () => {
    const acknowledged: string[] = [];
    for (let round = 0; round < killRounds; round += 1) {
      const running = startWriter(`round-${round}`);
      await running.isReady;
      const enough = Math.floor(Math.random() * 60);
      await expect.poll(() => running.ids.length, { timeout: 20_000, interval: 1 }).toBeGreaterThanOrEqual(enough);
      await kill(running);
      acknowledged.push(...running.ids);
      await expectIntact(acknowledged);
    }
    expect(acknowledged.length).toBeGreaterThan(0);
  });

  it('is there after kill -9 of one of two processes that write', { timeout: timeoutMs }, async () => {
    const [one, two] = [startWriter('one'), startWriter('two')];
    await expect.poll(() => Math.min(one.ids.length, two.ids.length), { timeout: 20_000 }).toBeGreaterThan(20);
    await kill(one);
    const before = two.ids.length;
    await expect.poll(() => two.ids.length, { timeout: 20_000 }).toBeGreaterThan(before + 20);
    await kill(two);
    await expectIntact([...one.ids, ...two.ids]);
  });

  it(`is in the log before it is acknowledged: ${cuts} torn tails`, { timeout: timeoutMs }, async () => {
    const store = await open({ dataDir });
    const log = join(dataDir, 'gatehouse.db-wal');
    const acknowledgedAt: { readonly id: string; readonly logBytes: number }[] = [];
    for (let n = 0; n < 60; n += 1) {
      const id = `key ${n}`;
      await store.keys.create({ id, hash: `hash of ${id}`, createdAtMs: n });
      acknowledgedAt.push({ id, logBytes: statSync(log).size });
    }
    const logBytes = readFileSync(log);
    const base = { dataDir: join(dataDir, 'torn') };
    for (let cut = 0; cut < cuts; cut += 1) {
      const length = Math.floor((logBytes.length * (cut + 1)) / cuts);
      mkdirSync(base.dataDir);
      for (const name of ['gatehouse.db', 'master.key']) copyFileSync(join(dataDir, name), join(base.dataDir, name));
      // A torn tail is whatever was on the disk before, not a clean end.
      const tail = Buffer.alloc(cut % 3 === 0 ? 0 : 5_000, cut % 3 === 1 ? 0 : 0xa5);
      writeFileSync(join(base.dataDir, 'gatehouse.db-wal'), Buffer.concat([logBytes.subarray(0, length), tail]));
      const torn = await open(base);
      const kept = (await torn.keys.list()).map(({ id }) => id);
      await torn.close();
      const promised = acknowledgedAt.filter((key) => key.logBytes <= length).map(({ id }) => id);
      expect(kept).toEqual(expect.arrayContaining(promised));
      rmSync(base.dataDir, { recursive: true });
    }
    await store.close();
  });

  const canTrace = process.platform === 'linux' && spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0;

  it.runIf(canTrace)('is synced to the disk before it is acknowledged', { timeout: timeoutMs }, async () => {
    await (await open({ dataDir })).close();
    const trace = join(dataDir, 'trace');
    const args = ['-f', '-o', trace, '-e', 'trace=fsync,fdatasync,write', process.execPath, writer, dataDir, 'traced'];
    const tracer = spawn('strace', args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    const lines = createInterface(tracer.stdout);
    let count = 0;
    for await (const _ of lines) if (++count > 20) break;
    const closed = once(tracer, 'close');
    process.kill(-tracer.pid!, 'SIGKILL');
    await closed;
    let isSynced = false;
    let acknowledged = 0;
    for (const line of readFileSync(trace, 'utf8').split('\n')) {
      if (/f(data)?sync\(/.test(line)) isSynced = true;
      if (!/write\(1, "traced-/.test(line)) continue;
      expect(isSynced).toBe(true);
      isSynced = false;
      acknowledged += 1;
    }
    expect(acknowledged).toBeGreaterThan(10);
  });
});

describe('a first start', () => {
  it(`that is killed does not hinder the next, ${killRounds} times over`, { timeout: timeoutMs }, async () => {
    for (let round = 0; round < killRounds; round += 1) {
      const running = startWriter('first');
      const ended = Promise.race([running.isReady, new Promise((resolve) => setTimeout(resolve, 60 + Math.random() * 240))]);
      await ended;
      await kill(running);
      await expectIntact(running.ids);
      rmSync(dataDir, { recursive: true, force: true });
    }
  });

  it('of several processes at once makes one store', { timeout: timeoutMs }, async () => {
    const writers = ['a', 'b', 'c'].map(startWriter);
    await Promise.all(writers.map(({ isReady }) => isReady));
    await expect.poll(() => Math.min(...writers.map(({ ids }) => ids.length)), { timeout: 20_000 }).toBeGreaterThan(3);
    for (const running of writers) await kill(running);
    await expectIntact(writers.flatMap(({ ids }) => ids));
  });
});
