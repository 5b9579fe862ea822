import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hmac } from '../../src/hmac.ts';
import { deriveKeys } from '../../src/journal/chain.ts';
import { journalPath } from '../../src/journal/journal.ts';
import { verifyJournal } from '../../src/journal/verify-journal.ts';
import { canonicalJson } from '../../src/wire/canonical-json.ts';
import { open } from '../store/store-setup.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { closeRawClients, connectRaw } from '../support/raw-clients.ts';
import { readJournal } from '../support/read-journal.ts';
import { newMasterKey, type Place, placeSettings } from '../support/registrar.ts';
import { type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

const isLong = process.env.TEST_LONG !== undefined;
const rounds = isLong ? 50 : 3;

let postgres: PostgresService;
let upstream: StagedUpstream;

beforeAll(async () => {
  [postgres, upstream] = await Promise.all([startPostgres(), startStagedUpstream()]);
}, servicesTimeoutMs);

afterAll(async () => {
  await Promise.all([closeRawClients(), upstream?.close(), postgres?.stop()]);
  await expectNoneLeft();
});

/** What was asked of consumers, and what of it was acknowledged. */
class Consumers {
  readonly asked = new Map<string, string[]>();
  readonly acknowledged = new Map<string, number>();

  /** Creates one and renames it twice, until the gateway is gone. */
  async write(gateway: Gateway, id: string): Promise<void> {
    for (const [n, title] of [`${id} 0`, `${id} 1`, `${id} 2`].entries()) {
      this.asked.set(id, [...(this.asked.get(id) ?? []), title]);
      const request = n === 0 ? { id, title, kind: 'team' } : { title };
      const response = await fetch(`${gateway.url}/api/consumers${n === 0 ? '' : `/${id}`}`, {
        method: n === 0 ? 'POST' : 'PATCH',
        headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
        body: JSON.stringify(request),
      });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${response.status} ${text}`);
      this.acknowledged.set(id, n);
    }
  }

  get writes(): number {
    return [...this.acknowledged.values()].reduce((sum, n) => sum + n + 1, 0);
  }

  /** Each as it was last acknowledged, or as it was asked for after that; no other. */
  expectKept(titles: ReadonlyMap<string, string>): void {
    for (const [id, n] of this.acknowledged) expect(this.asked.get(id)?.slice(n), id).toContain(titles.get(id));
    for (const [id, title] of titles) expect(this.asked.get(id), id).toContain(title);
  }
}

/** Repeats work until it fails because the gateway is gone; whatever else goes wrong is told. */
async function untilKilled(isKilled: () => boolean, work: (n: number) => Promise<void>): Promise<void> {
  for (let n = 0; ; n += 1) {
    try {
      await work(n);
    } catch (error) {
      if (isKilled()) return;
      throw error;
    }
  }
}

async function listTitles(gateway: Gateway): Promise<Map<string, string>> {
  const response = await fetch(`${gateway.url}/api/consumers`, { headers: { authorization: `Bearer ${gateway.key}` } });
  const { consumers } = (await response.json()) as { consumers: { id: string; title: string }[] };
  return new Map(consumers.map(({ id, title }) => [id, title]));
}

/** Documents and records are of the same commits: nothing was written by half. */
async function expectWhole(place: Place): Promise<void> {
  const { databaseUrl, dataDir, masterKey } = place;
  const key = Buffer.from(masterKey, 'base64');
  const store = await open({ dataDir, masterKey: key, ...(databaseUrl === undefined ? {} : { databaseUrl }) });
  const { documents, position } = await store.registry.load();
  const records = await store.registry.changeRecords({ limit: 1000 });
  const oldest = records.at(-1)?.revision ?? 0;
  expect(records.map(({ revision }) => revision)).toEqual(
    Array.from({ length: records.length }, (_, n) => position.revision - n),
  );
  for (const { kind, id, revision } of documents) {
    if (revision >= oldest) expect(records.find((record) => record.revision === revision)).toMatchObject({ kind, id });
  }
  await store.close();
}

/** What the upstream heard of has an intent, and the journal is whole. */
async function expectRecorded(place: Place, calls: readonly object[]): Promise<void> {
  const { databaseUrl, dataDir, masterKey } = place;
  const key = Buffer.from(masterKey, 'base64');
  const store = await open({ dataDir, masterKey: key, ...(databaseUrl === undefined ? {} : { databaseUrl }) });
  const journalKey = await store.sealing.get('journal');
  await store.close();
  const report = await verifyJournal(journalPath(dataDir), { key: journalKey });
  expect(report).toMatchObject({ isIntact: true, hasCheckedSeals: true });
  const { digest } = deriveKeys(journalKey);
  const intents = new Set(
    readJournal(dataDir).flatMap(({ kind, argumentsDigest }) => (kind === 'intent' ? [argumentsDigest] : [])),
  );
  const unrecorded = calls.filter((args) => !intents.has(hmac(digest, canonicalJson(args as never), 'base64url')));
  expect(unrecorded).toEqual([]);
}

const places: readonly (readonly [string, () => Promise<Pick<Place, 'databaseUrl'>>])[] = [
  ['SQLite', async () => ({})],
  ['PostgreSQL', async () => ({ databaseUrl: await postgres.createDatabase() })],
];

describe.each(places)('a gateway on %s that is killed', (store, make) => {
  test(`AU-01: keeps what it acknowledged and has on record what it sent, ${rounds} times over`, {
    timeout: rounds * 60_000,
  }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-kill-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const place: Place = { dataDir: join(directory, 'data'), masterKey: newMasterKey(), ...(await make()) };
    const namespace = `namespace: demo\nupstreams:\n  staged: { kind: mcp, url: "${upstream.url}" }\n`;
    const settings = { ...placeSettings(place), GATEHOUSE_LOG_LEVEL: 'warn' };
    const consumers = new Consumers();
    const heard = () => upstream.arrivals.filter(({ params }) => params.arguments.store === store);
    for (let round = 0; round < rounds; round += 1) {
      const gateway = await startGateway([namespace], settings);
      let isKilled = false;
      try {
        consumers.expectKept(await listTitles(gateway));
        const client = await connectRaw('modern', { url: gateway.mcpUrl(), key: gateway.key });
        const [writesBefore, callsBefore] = [consumers.writes, heard().length];
        const working = [
          ...[0, 1, 2].map((worker) =>
            untilKilled(
              () => isKilled,
              (n) => consumers.write(gateway, `c-${round}-${worker}-${n}`),
            ),
          ),
          ...[0, 1, 2, 3].map((worker) =>
            untilKilled(
              () => isKilled,
              async (n) => void (await client.call('demo__echo', { store, round, worker, n })),
            ),
          ),
        ];
        const ended = Promise.all(working);
        const [writes, calls] = [randomInt(3, 40), randomInt(5, 100)];
        const enough = () => consumers.writes - writesBefore >= writes && heard().length - callsBefore >= calls;
        await Promise.race([ended, until('enough was written and called', enough, 60_000)]);
        isKilled = true;
        gateway.process.child.kill('SIGKILL');
        await ended;
      } finally {
        isKilled = true;
        gateway.process.child.kill('SIGKILL');
        await gateway.process.exited;
        await gateway.stop().catch(() => {});
      }
      await expectWhole(place);
      await expectRecorded(
        place,
        heard().map(({ params }) => params.arguments),
      );
    }
    const last = await startGateway([namespace], settings);
    consumers.expectKept(await listTitles(last));
    await last.stop();
    expect(consumers.writes).toBeGreaterThanOrEqual(3 * rounds);
    expect(heard().length).toBeGreaterThanOrEqual(5 * rounds);
  });
});
