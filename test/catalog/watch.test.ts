import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LoadResult, loadNamespaces } from '../../src/catalog/load.ts';
import { NamespaceWatch } from '../../src/catalog/watch.ts';

let scratch: string;
let watching: NamespaceWatch | undefined;
let results: LoadResult[];
let arrived: PromiseWithResolvers<LoadResult>;

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'gatehouse-watch-'));
  results = [];
  arrived = Promise.withResolvers();
});
afterEach(async () => {
  await watching?.close();
  await rm(scratch, { recursive: true });
});

async function watch(directory: string, pollMs: number): Promise<LoadResult> {
  const onLoad = (result: LoadResult) => {
    results.push(result);
    arrived.resolve(result);
  };
  const since = await loadNamespaces(directory);
  watching = new NamespaceWatch(directory, onLoad, { since, pollMs, settleMs: 5 });
  watching.start();
  return since;
}

async function next(): Promise<LoadResult> {
  const result = await arrived.promise;
  arrived = Promise.withResolvers();
  return result;
}

const names = (result: LoadResult) => (result.kind === 'loaded' ? result.namespaces.map(({ name }) => name) : result.kind);

test('a file added, changed or removed is loaded anew', async () => {
  await writeFile(join(scratch, 'a.yaml'), 'namespace: a\n');
  expect(names(await watch(scratch, 10))).toEqual(['a']);
  await writeFile(join(scratch, 'b.yaml'), 'namespace: b\n');
  expect(names(await next())).toEqual(['a', 'b']);
  await writeFile(join(scratch, 'b.yaml'), 'namespace: changed\n');
  expect(names(await next())).toEqual(['a', 'changed']);
  await rm(join(scratch, 'a.yaml'));
  expect(names(await next())).toEqual(['changed']);
});

test('a change is noticed long before the next look', async () => {
  await watch(scratch, 3_600_000);
  await writeFile(join(scratch, 'a.yaml'), 'namespace: a\n');
  expect(names(await next())).toEqual(['a']);
});

test('a bad file is reported, and so is its repair', async () => {
  await watch(scratch, 10);
  await writeFile(join(scratch, 'a.yaml'), 'namespace: [\n');
  expect(names(await next())).toBe('problems');
  await writeFile(join(scratch, 'a.yaml'), 'namespace: a\n');
  expect(names(await next())).toEqual(['a']);
});

test('the swapped link of a config map is noticed', async () => {
  const directory = join(scratch, 'mounted');
  for (const version of ['v1', 'v2']) {
    await mkdir(join(directory, `..${version}`), { recursive: true });
    await writeFile(join(directory, `..${version}`, 'a.yaml'), `namespace: ${version}\n`);
  }
  await symlink('..v1', join(directory, '..data'));
  await symlink('..data/a.yaml', join(directory, 'a.yaml'));
  expect(names(await watch(directory, 10))).toEqual(['v1']);
  await symlink('..v2', join(directory, '..next'));
  await rename(join(directory, '..next'), join(directory, '..data'));
  expect(names(await next())).toEqual(['v2']);
});

test('a directory that comes later is noticed', async () => {
  const directory = join(scratch, 'later');
  expect(names(await watch(directory, 10))).toBe('problems');
  await mkdir(directory);
  expect(names(await next())).toEqual([]);
});

test('nothing is reported when nothing changed, nor after close', async () => {
  await writeFile(join(scratch, 'a.yaml'), 'namespace: a\n');
  await watch(scratch, 1);
  await writeFile(join(scratch, 'notes.txt'), 'not a namespace');
  await writeFile(join(scratch, 'b.yaml'), 'namespace: b\n');
  expect(names(await next())).toEqual(['a', 'b']);
  await watching?.close();
  await writeFile(join(scratch, 'c.yaml'), 'namespace: c\n');
  expect(results).toHaveLength(1);
});

test('without an earlier load the first look reports what is there', async () => {
  await writeFile(join(scratch, 'a.yaml'), 'namespace: a\n');
  watching = new NamespaceWatch(scratch, (result) => arrived.resolve(result), { pollMs: 3_600_000, settleMs: 5 });
  watching.start();
  expect(names(await next())).toEqual(['a']);
});
