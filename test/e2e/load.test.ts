import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Agent } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { connectLightLegacy, connectLightModern, createPool, type LightClient, pick } from '../support/light-clients.ts';
import {
  expectNoneLeft,
  heapEnvironment,
  measureLiveHeap,
  measureProcess,
  type Spawned,
  startFixture,
} from '../support/processes.ts';
import { until } from '../support/until.ts';
import type { WireMessage } from '../support/wire.ts';

const seconds = Number(process.env.TEST_LOAD_SECONDS ?? 60);
const clientsPerEra = 200;
/** Kept-alive connections to upstreams and to this test. */
const spareHandles = 16;
/** Far above what is needed: V8 takes memory as long as it gets some. What must not climb is the live heap. */
const residentLimitMb = 600;

let fixtures: (Spawned & { url: string })[];
let gateway: Gateway;
let heapDirectory: string;

beforeAll(async () => {
  heapDirectory = mkdtempSync(join(tmpdir(), 'gatehouse-heap-'));
  fixtures = await Promise.all([startFixture('everything-legacy.ts'), startFixture('everything-modern.ts')]);
  gateway = await startGateway(
    ['old', 'new'].map(
      (namespace, index) => `
namespace: ${namespace}
upstreams:
  fixture: { kind: mcp, url: "${fixtures[index]?.url}", concurrency: 1000 }
`,
    ),
    { GATEHOUSE_LOG_LEVEL: 'warn', ...heapEnvironment(heapDirectory) },
  );
});

afterAll(async () => {
  await gateway?.stop();
  await Promise.all((fixtures ?? []).map((fixture) => fixture.stop()));
  rmSync(heapDirectory, { recursive: true, force: true });
  await expectNoneLeft();
});

interface Tally {
  echoes: number;
  progress: number;
  cancellations: number;
  lists: number;
  readonly wrong: string[];
}

/** One caller's life: whatever it hears must be its own. */
async function live(client: LightClient, marker: string, until: number, tally: Tally): Promise<void> {
  let round = 0;
  const expectText = (answer: WireMessage, text: string): void => {
    const heard = answer.result?.content?.[0]?.text;
    if (heard !== text) tally.wrong.push(`${marker} expected ${text}, heard ${JSON.stringify(answer).slice(0, 300)}`);
  };
  const call = (tool: string, args: object, hear?: (message: WireMessage) => void, signal?: AbortSignal): Promise<WireMessage> =>
    client.send(
      'tools/call',
      {
        name: `${pick([
          [1, 'old'],
          [1, 'new'],
        ])}__${tool}`,
        arguments: args,
      },
      hear,
      signal,
    );

  const echo = async (): Promise<void> => {
    const text = `${marker}/${round}`;
    expectText(await call('test_echo', { text }), text);
    tally.echoes++;
  };
  const progress = async (): Promise<void> => {
    const words: string[] = [];
    const answer = await call('test_progress_steps', { steps: 5, marker: `${marker}/${round}` }, ({ params }) =>
      words.push(params.message),
    );
    expectText(answer, `${marker}/${round} 5`);
    const own = [1, 2, 3, 4, 5].map((step) => `${marker}/${round} ${step}`);
    if (words.join() !== own.join()) tally.wrong.push(`${marker} heard progress ${words.join()}`);
    tally.progress++;
  };
  const cancel = async (): Promise<void> => {
    const key = `${marker}/${round}`;
    const controller = new AbortController();
    const begun = (message: WireMessage): void => {
      if (message.params?.message !== `holding ${key}`) tally.wrong.push(`${marker} heard ${JSON.stringify(message)}`);
      client.cancel(controller).catch((error: Error) => tally.wrong.push(`${marker} cancel: ${error.message}`));
    };
    const outcome = await call('test_hold', { key }, begun, controller.signal).then(
      (answer) => `answered ${JSON.stringify(answer).slice(0, 200)}`,
      (error: Error) => (controller.signal.aborted ? 'cancelled' : error.message),
    );
    // In the legacy era the answer to a cancelled call may still come, or the stream may end without one.
    if (client.era === 'modern' && outcome !== 'cancelled') tally.wrong.push(`${marker} held call ${outcome}`);
    tally.cancellations++;
  };
  const list = async (): Promise<void> => {
    const { result } = await client.send('tools/list', {});
    if (!(result?.tools?.length > 20)) tally.wrong.push(`${marker} listed ${JSON.stringify(result).slice(0, 100)}`);
    tally.lists++;
  };

  while (Date.now() < until) {
    round++;
    await pick([
      [70, echo],
      [20, progress],
      [8, cancel],
      [2, list],
    ] as const)().catch((error: Error) => {
      tally.wrong.push(`${marker} ${error.message}`);
    });
  }
}

/** A crowd comes, lives for a time and leaves without a trace. */
async function runCrowd(pool: Agent, durationMs: number, tally: Tally): Promise<void> {
  const url = gateway.mcpUrl();
  const legacy = await Promise.all(Array.from({ length: clientsPerEra }, () => connectLightLegacy(pool, url, gateway.key)));
  const modern = Array.from({ length: clientsPerEra }, () => connectLightModern(pool, url, gateway.key));
  const crowd = [...legacy, ...modern];
  const end = Date.now() + durationMs;
  await Promise.all(crowd.map((client, index) => live(client, `${client.era}-${index}`, end, tally)));
  for (const { unasked } of crowd) tally.wrong.push(...unasked.map((message) => `unasked: ${JSON.stringify(message)}`));
  await Promise.all(crowd.map((client) => client.close()));
}

test(
  `${clientsPerEra} sessions and ${clientsPerEra} modern callers hear only their own, and leave nothing behind`,
  async () => {
    const before = { ...measureProcess(gateway.pid), status: await gateway.status() };
    const tally: Tally = { echoes: 0, progress: 0, cancellations: 0, lists: 0, wrong: [] };
    const heaps: number[] = [];
    const residents: number[] = [];
    const handles: number[] = [];
    // Several crowds, so that what one leaves behind shows as a climb and not as a first filling of pools and compiled code.
    const crowds = 5;
    for (let crowd = 0; crowd < crowds; crowd++) {
      const pool = createPool();
      await runCrowd(pool, (seconds * 1000) / crowds, tally);
      await pool.destroy();
      await until('every session and stream is gone', async () => {
        const { sessions, streams } = await gateway.status();
        return sessions === 0 && streams === 0;
      });
      await until('every socket is closed', () => measureProcess(gateway.pid).sockets <= before.sockets + spareHandles, 30_000);
      const { rssBytes, sockets, files } = measureProcess(gateway.pid);
      residents.push(Math.round(rssBytes / 1e6));
      handles.push(sockets + files);
      // A snapshot stops everything for seconds: what counts is what the last crowd leaves beside what the first one did.
      if (crowd === 0 || crowd === crowds - 1)
        heaps.push(Math.round((await measureLiveHeap(gateway.pid, heapDirectory)) / 1e5) / 10);
    }
    const report = { ...tally, wrong: tally.wrong.length, seconds, liveHeapMb: heaps, residentMb: residents, handles };
    process.stdout.write(`${JSON.stringify(report)}\n`);

    expect(tally.wrong.slice(0, 10)).toEqual([]);
    for (const count of [tally.echoes, tally.progress, tally.cancellations, tally.lists])
      expect(count).toBeGreaterThan(clientsPerEra / 10);
    expect(handles.at(-1)).toBeLessThanOrEqual(before.sockets + before.files + spareHandles);
    expect(heaps.at(-1)).toBeLessThan((heaps[0] ?? 0) * 1.1 + 2);
    expect(residents.at(-1)).toBeLessThan(residentLimitMb);
    const after = await gateway.status();
    expect(after.upstreams.map(({ state, connections }) => ({ state, connections }))).toEqual(
      before.status.upstreams.map(({ state, connections }) => ({ state, connections })),
    );
  },
  (seconds * 3 + 120) * 1000,
);
