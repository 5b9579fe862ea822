import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Store } from '../../src/store/ports.ts';
import { type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { isLong, open, temporaryDataDir } from './store-setup.ts';

const writer = fileURLToPath(new URL('./commit-changes.ts', import.meta.url));
const rounds = isLong ? 50 : 3;
const timeoutMs = isLong ? 900_000 : 90_000;
const masterKey = Buffer.alloc(32, 1);
let postgres: PostgresService;

beforeAll(async () => {
  postgres = await startPostgres();
}, servicesTimeoutMs);
afterAll(async () => await postgres?.stop());

interface Writer {
  readonly child: ChildProcess;
  /** Ids with the revision that each was acknowledged with. */
  readonly acknowledged: Map<string, number>;
}

function start(place: Place, prefix: string): Writer {
  const args = [writer, place.dataDir, prefix, ...(place.databaseUrl === undefined ? [] : [place.databaseUrl])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const acknowledged = new Map<string, number>();
  createInterface(child.stdout).on('line', (line) => {
    const [id = '', revision] = line.split(' ');
    if (revision !== undefined) acknowledged.set(id, Number(revision));
  });
  return { child, acknowledged };
}

async function kill({ child }: Writer): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

interface Place {
  readonly dataDir: string;
  readonly databaseUrl?: string;
}

async function openPlace(place: Place): Promise<Store> {
  return await open(place.databaseUrl === undefined ? place : { ...place, masterKey });
}

/** Every acknowledged commit with its record, each revision with exactly one key, and twins that are alike. */
async function expectIntact(place: Place, acknowledged: ReadonlyMap<string, number>): Promise<void> {
  const { registry, close } = await openPlace(place);
  const { documents, position } = await registry.load();
  const keys = new Map(documents.filter(({ kind }) => kind === 'key').map((document) => [document.id, document]));
  for (const [id, revision] of acknowledged) expect(keys.get(id)).toMatchObject({ revision, body: JSON.stringify({ id }) });
  const revisions = [...keys.values()].map(({ revision }) => revision).sort((a, b) => a - b);
  expect(revisions).toEqual(Array.from({ length: position.revision }, (_, n) => n + 1));
  const twins = documents.filter(({ kind }) => kind === 'twin');
  expect(new Set(twins.map(({ body }) => body)).size).toBe(1);
  expect(twins.map(({ revision }) => revision)).toEqual([position.revision, position.revision]);
  const records = await registry.changeRecords({ kind: 'key', limit: 1_000 });
  expect(records.map(({ revision }) => revision)).toEqual(revisions.toReversed().slice(0, 1_000));
  await close();
}

describe('a commit that was acknowledged', () => {
  const places: readonly (readonly [string, () => Promise<Place>])[] = [
    ['SQLite', async () => makeDirectory()],
    ['PostgreSQL', async () => ({ dataDir: '/nowhere', databaseUrl: await postgres.createDatabase() })],
  ];

  function makeDirectory(): Place {
    const { dataDir, remove } = temporaryDataDir();
    onTestFinished(remove);
    return { dataDir };
  }

  it.each(places)(
    `is there on %s after kill -9, ${rounds} times over, and nothing is half there`,
    { timeout: timeoutMs },
    async (_, make) => {
      const place = await make();
      const acknowledged = new Map<string, number>();
      for (let round = 0; round < rounds; round += 1) {
        const running = start(place, `round-${round}`);
        const enough = 1 + Math.floor(Math.random() * 30);
        await expect.poll(() => running.acknowledged.size, { timeout: 30_000, interval: 1 }).toBeGreaterThanOrEqual(enough);
        await kill(running);
        for (const [id, revision] of running.acknowledged) acknowledged.set(id, revision);
        await expectIntact(place, acknowledged);
      }
      expect(acknowledged.size).toBeGreaterThanOrEqual(rounds);
    },
  );

  it.each(places)(
    'is there on %s with those of another process that commits, when one is killed',
    { timeout: timeoutMs },
    async (_, make) => {
      const place = await make();
      await (await openPlace(place)).close();
      const [one, two] = [start(place, 'one'), start(place, 'two')];
      await expect.poll(() => Math.min(one.acknowledged.size, two.acknowledged.size), { timeout: 30_000 }).toBeGreaterThan(5);
      await kill(one);
      const before = two.acknowledged.size;
      await expect.poll(() => two.acknowledged.size, { timeout: 30_000 }).toBeGreaterThan(before + 5);
      await kill(two);
      await expectIntact(place, new Map([...one.acknowledged, ...two.acknowledged]));
    },
  );
});
