import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { convertDescription } from '../../../src/upstreams/openapi/convert-description.ts';
import { importProcesses } from '../../support/import-processes.ts';
import { bytesOf, describeApi } from '../../support/openapi.ts';
import { spawnMarked } from '../../support/processes.ts';
import { until } from '../../support/until.ts';

vi.setConfig({ testTimeout: 120_000 });

const directory = mkdtempSync(join(tmpdir(), 'gatehouse-given-up-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const small = bytesOf(describeApi({ paths: { '/a': { get: {} } } }));
const waiting = bytesOf(describeApi({ paths: { '/a': { get: { parameters: [{ $ref: 'https://example.com/slow.json' }] } } } }));

/** Asks for another document, and waits for it until somebody gives up. */
function slowly(): {
  readonly asked: Promise<AbortSignal | undefined>;
  fetchReference(url: string, signal?: AbortSignal): Promise<Uint8Array>;
} {
  const { promise: asked, resolve } = Promise.withResolvers<AbortSignal | undefined>();
  return {
    asked,
    fetchReference(_url, signal) {
      resolve(signal);
      return new Promise(() => {});
    },
  };
}

test('an import that is given up ends its process at once, and the next one has its turn', async () => {
  const given = new AbortController();
  const { asked, fetchReference } = slowly();
  const converting = convertDescription(waiting, { fetchReference, signal: given.signal });
  const next = convertDescription(small);
  const signal = await asked;
  expect(importProcesses()).toHaveLength(1);
  given.abort();
  await expect(converting).rejects.toMatchObject({ code: 'cancelled' });
  // What it waited for is not fetched any more.
  expect(signal?.aborted).toBe(true);
  expect((await next).operations).toHaveLength(1);
  await until('no process is left', () => importProcesses().length === 0);
});

test('one that is given up while it waits for another, or before, is never begun', async () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const { asked, fetchReference } = slowly();
  const converting = convertDescription(waiting, { fetchReference, signal: first.signal });
  const onUsage = vi.fn();
  const behind = convertDescription(small, { signal: second.signal, onUsage });
  await asked;
  second.abort();
  await expect(behind).rejects.toMatchObject({ code: 'cancelled' });
  await expect(convertDescription(small, { signal: second.signal, onUsage })).rejects.toMatchObject({ code: 'cancelled' });
  first.abort();
  await expect(converting).rejects.toMatchObject({ code: 'cancelled' });
  expect((await convertDescription(small, { signal: new AbortController().signal })).operations).toHaveLength(1);
  expect(onUsage).not.toHaveBeenCalled();
});

test('a program that is killed leaves no import behind, however busy that is', async () => {
  const lines = Array.from({ length: 300_000 }, (_, n) => `x-${n}: [a, {b: c}, 'd', "e", 1.5, true]`);
  const file = join(directory, 'heavy.yaml');
  writeFileSync(file, ['openapi: 3.1.0', 'paths: {}', ...lines].join('\n'));
  const before = importProcesses('all');
  const program = spawnMarked(process.execPath, [join(import.meta.dirname, '../../fixtures/openapi-program.ts'), file]);
  const id = await until('it converts', () => importProcesses('all').find((one) => !before.includes(one)));
  const busyMs = await until('it reads the file', () => cpuMsOf(id) > 1_500 && cpuMsOf(id), 60_000);
  program.child.kill('SIGKILL');
  await program.exited;
  let lastMs = busyMs;
  await until(
    'its import is gone',
    () => {
      lastMs = Math.max(lastMs, cpuMsOf(id));
      return !importProcesses('all').includes(id);
    },
    60_000,
  );
  // Reading all of the file takes several seconds.
  expect(lastMs - busyMs).toBeLessThan(1_000);
});

/** Of another process; 0 where it is gone. */
function cpuMsOf(pid: number): number {
  try {
    const [user = 0, system = 0] =
      readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ').slice(11, 13).map(Number) ?? [];
    return (user + system) * 10;
  } catch {
    return 0;
  }
}
