import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type Answered, closeRawClients, connectRaw, type RawClient } from '../support/raw-clients.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

let upstream: StagedUpstream;
let admin: AdminGateway;
let client: RawClient;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['get_it', 'send_it'] });
  const calm = 'breaker: { errorRate: 1, minimumCalls: 100000, windowMs: 1000, openMs: 100 }';
  admin = await openAdminGateway({
    namespaces: {
      desk: namespaceFor('desk', upstream.url, `policy: { retry: { match: ["desk/get_*"], attempts: 3 }, ${calm} }\n`),
    },
  });
  client = await connectRaw('modern', { url: `${admin.url}/mcp`, key: admin.key });
});
afterAll(async () => {
  await closeRawClients();
  await admin?.stop();
  await upstream?.close();
});

const isDone = ({ status, message }: Answered): boolean =>
  status === 200 && message?.result !== undefined && message.result.isError !== true;

const calls = process.env.TEST_LONG === undefined ? 300 : 3_000;

/** How often each call was made at an upstream that fails half of them: with an error, and by hanging up. */
async function load(tool: string): Promise<{ readonly sent: number[]; readonly done: number }> {
  const faults = fc.sample(fc.integer({ min: 0, max: 3 }), 4_096);
  let at = 0;
  upstream.behave = (arrival) => {
    const fault = faults[at++ % faults.length];
    if (fault === 0) return undefined;
    return fault === 1 ? { status: 502 } : upstream.echo(arrival);
  };
  const before = upstream.callsOf(tool).length;
  let done = 0;
  let next = 0;
  const caller = async () => {
    for (let n = next++; n < calls; n = next++) if (isDone(await client.call(`desk__${tool}`, { n }))) done += 1;
  };
  await Promise.all(Array.from({ length: 8 }, caller));
  const sent = new Array<number>(calls).fill(0);
  for (const { params } of upstream.callsOf(tool).slice(before)) sent[params.arguments.n] = (sent[params.arguments.n] ?? 0) + 1;
  return { sent, done };
}

test('FO-02: what may be repeated is, within its attempts, and a failing upstream gets no more than a fifth on top', async () => {
  const { sent, done } = await load('get_it');
  expect(Math.max(...sent)).toBeLessThanOrEqual(3);
  expect(Math.min(...sent)).toBe(1);
  const repeated = sent.reduce((sum, times) => sum + times - 1, 0);
  expect(repeated).toBeGreaterThan(0);
  expect(repeated).toBeLessThanOrEqual(calls / 5);
  expect(done).toBeGreaterThan(calls / 3);
});

test('FO-01: what may not be repeated is made exactly once, whatever fails', async () => {
  const { sent, done } = await load('send_it');
  expect(sent.every((times) => times === 1)).toBe(true);
  expect(done).toBeGreaterThan(calls / 4);
  expect(done).toBeLessThan(calls);
});
