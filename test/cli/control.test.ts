import { chmodSync, lchownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { askRunning, controlPath, listenForControl, ownDirectory } from '../../src/cli/control.ts';

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

function directory(prefix = 'gatehouse-control-'): string {
  const path = mkdtempSync(join(tmpdir(), prefix));
  cleanUps.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function serve(data: string) {
  const server = createServer((_request, response) => response.end('{"ok":true}'));
  cleanUps.push(() => server.close());
  return { server, isOwner: await listenForControl(server, controlPath(data)) };
}

test('the socket answers its own user, and nobody else may connect to it', async () => {
  const data = directory();
  chmodSync(data, 0o777);
  ownDirectory(data);
  const { isOwner } = await serve(data);
  expect(isOwner).toBe(true);
  expect(await askRunning(data, '/api/status')).toEqual({ ok: true });
  expect(statSync(data).mode & 0o077).toBe(0);
  expect(statSync(controlPath(data)).mode & 0o077).toBe(0);
});

test('a socket that is in use is left to its owner, one that a crash left behind is replaced', async () => {
  const data = directory();
  const first = await serve(data);
  expect((await serve(data)).isOwner).toBe(false);
  await new Promise((resolve) => first.server.close(resolve));
  expect((await serve(data)).isOwner).toBe(true);
});

test.runIf(process.getuid?.() === 0)('no socket is made or asked in a shared place that another user made first', async () => {
  const [shared, long] = [directory(), directory(`gatehouse-control-${'x'.repeat(100)}-`)];
  vi.stubEnv('TMPDIR', shared);
  vi.stubEnv('XDG_RUNTIME_DIR', undefined);
  cleanUps.push(() => vi.unstubAllEnvs());
  const place = join(shared, `gatehouse-${process.getuid?.()}`);
  const theirs = mkdtempSync(join(shared, 'theirs-'));
  const nobody = 65_534;
  for (const make of [() => mkdirSync(place), () => symlinkSync(theirs, place)]) {
    make();
    lchownSync(place, nobody, nobody);
    await expect(serve(long)).rejects.toThrow(/belongs to another user; set XDG_RUNTIME_DIR/);
    expect(await askRunning(long, '/')).toBeUndefined();
    rmSync(place, { recursive: true });
  }
  expect((await serve(long)).isOwner).toBe(true);
  expect(await askRunning(long, '/')).toEqual({ ok: true });
});

test('without a gateway there is no answer, and a data directory with a long name works all the same', async () => {
  expect(await askRunning(directory(), '/api/status')).toBeUndefined();
  const long = directory(`gatehouse-control-${'x'.repeat(100)}-`);
  await serve(long);
  expect(controlPath(long)).not.toContain('xxx');
  expect(await askRunning(long, '/')).toEqual({ ok: true });
});
