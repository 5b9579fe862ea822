import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { open } from '../store/store-setup.ts';
import { type ChangingUpstream, type Listed, startChangingUpstream } from '../support/changing-upstream.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { newMasterKey, type Place, placeSettings } from '../support/registrar.ts';
import { restDone } from '../support/rest.ts';
import { type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { until } from '../support/until.ts';

const rounds = process.env.TEST_LONG === undefined ? 2 : 30;
/** What a replica may take to follow another one's change. */
const followWithinMs = 5_000;

let postgres: PostgresService;
beforeAll(async () => {
  postgres = await startPostgres();
}, servicesTimeoutMs);
afterAll(async () => {
  await postgres?.stop();
  await expectNoneLeft();
});

const find: Listed = { name: 'find_ticket', description: 'Finds a ticket.', inputSchema: { type: 'object' } };
const close: Listed = { name: 'close_ticket', description: 'Closes a ticket.', inputSchema: { type: 'object' } };

interface Submission {
  readonly id: string;
  readonly revision: number;
  readonly state: string;
}

async function listed(gateway: Gateway): Promise<string[]> {
  const { capabilities } = await restDone<{ capabilities: readonly { name: string }[] }>(
    gateway,
    'GET /capabilities?kind=tool&limit=1000',
  );
  return capabilities.map(({ name }) => name).sort();
}

async function startDesk(): Promise<{ upstream: ChangingUpstream; yaml: string }> {
  const upstream = await startChangingUpstream([find, close]);
  onTestFinished(() => upstream.close());
  return { upstream, yaml: `namespace: desk\nupstreams:\n  tickets: { kind: mcp, url: "${upstream.url}" }\n` };
}

test('three replicas: what one pins and what one approves holds on all within 5 s, and each change is one review', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-reviews-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const { upstream, yaml } = await startDesk();
  const place = { databaseUrl: await postgres.createDatabase(), masterKey: newMasterKey() };
  const gateways = await Promise.all(
    ['one', 'two', 'three'].map((name) =>
      startGateway([yaml], { ...placeSettings({ ...place, dataDir: join(directory, name) }), GATEHOUSE_LOG_LEVEL: 'warn' }),
    ),
  );
  onTestFinished(async () => void (await Promise.all(gateways.map((gateway) => gateway.stop()))));
  const [first] = gateways as [Gateway];
  const all = async (tools: readonly string[]) =>
    (await Promise.all(gateways.map(listed))).every((found) => JSON.stringify(found) === JSON.stringify(tools));
  await until('everything is listed everywhere', () => all(['desk/close_ticket', 'desk/find_ticket']));

  upstream.offer([{ ...find, description: 'Finds and closes.' }, close]);
  await until('it is held back everywhere', () => all(['desk/close_ticket']), followWithinMs);
  const waiting = async () => (await restDone<{ submissions: readonly Submission[] }>(first, 'GET /submissions')).submissions;
  await until('a review is open', async () => (await waiting()).length > 0);
  // Each replica has seen it by now.
  const [only, ...others] = await waiting();
  expect(others).toEqual([]);
  const verdict = { decision: 'approve', revision: only?.revision, comment: 'Seen.' };
  await restDone(first, `POST /submissions/${only?.id}/review`, verdict);
  await until('it is back everywhere', () => all(['desk/close_ticket', 'desk/find_ticket']), followWithinMs);
  expect((await waiting()).map(({ state }) => state)).toEqual(['approved']);
}, 60_000);

describe.each([
  ['SQLite', async () => ({})],
  ['PostgreSQL', async () => ({ databaseUrl: await postgres.createDatabase() })],
] as const)('a gateway on %s that is killed while somebody approves', (_, make) => {
  test(`has approved and published, or neither, ${rounds} times over`, { timeout: rounds * 30_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-kill-reviews-'));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const upstream = await startChangingUpstream([find]);
    onTestFinished(() => upstream.close());
    const place: Place = { dataDir: join(directory, 'data'), masterKey: newMasterKey(), ...(await make()) };
    const settings = { ...placeSettings(place), GATEHOUSE_LOG_LEVEL: 'warn', GATEHOUSE_EGRESS_ALLOW: '127.0.0.1' };
    for (let round = 0; round < rounds; round++) {
      const gateway = await startGateway([], settings);
      if (round === 0) {
        await restDone(gateway, 'POST /namespaces', { namespace: 'desk' });
        await restDone(gateway, 'POST /members', {
          id: 'dora',
          title: 'Dora',
          roles: [{ role: 'developer', namespace: 'desk' }],
        });
      }
      const { secret } = await restDone<{ secret: string }>(gateway, 'POST /keys', { title: 'x', member: 'dora' });
      const acknowledged: string[] = [];
      const submissions: Submission[] = [];
      const dora = { url: gateway.url, key: secret };
      for (let n = 0; n < 6; n++) {
        const name = `up-${round}-${n}`;
        const entry = { url: upstream.url, rename: { find_ticket: `find-${round}-${n}` } };
        const proposal = { namespace: 'desk', name, entry, justification: 'Needed.' };
        submissions.push((await restDone<{ submission: Submission }>(dora, 'POST /submissions', proposal)).submission);
      }
      const { promise: isTime, resolve: kill } = Promise.withResolvers<void>();
      const killAfter = randomInt(1, submissions.length + 1);
      const approving = Promise.allSettled(
        submissions.map(async ({ id, revision }) => {
          await restDone(gateway, `POST /submissions/${id}/review`, { decision: 'approve', revision });
          acknowledged.push(id);
          if (acknowledged.length === killAfter) kill();
        }),
      );
      await Promise.race([isTime, approving]);
      process.kill(gateway.pid, 'SIGKILL');
      await approving;
      await gateway.stop().catch(() => {});
      await expectWhole(place, acknowledged);
    }
  });
});

/** Every submission is approved exactly where its upstream and its pin are there. */
async function expectWhole({ databaseUrl, dataDir, masterKey }: Place, acknowledged: readonly string[]): Promise<void> {
  const key = Buffer.from(masterKey, 'base64');
  const store = await open({ dataDir, masterKey: key, ...(databaseUrl === undefined ? {} : { databaseUrl }) });
  const { documents } = await store.registry.load();
  const has = (kind: string, id: string) => documents.some((document) => document.kind === kind && document.id === id);
  for (const { id, body } of documents.filter(({ kind }) => kind === 'submission')) {
    const { state, upstream, pin } = JSON.parse(body) as { state: string; upstream: string; pin: string };
    const isApproved = state === 'approved';
    expect([id, has('upstream', `desk/${upstream}`), has('pin', pin)]).toEqual([id, isApproved, isApproved]);
    if (acknowledged.includes(id)) expect(isApproved).toBe(true);
  }
  await store.close();
}
