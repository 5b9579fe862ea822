import { afterEach, beforeEach, expect, test } from 'vitest';
import { Secret } from '../../src/secret.ts';
import type { KeptTrace } from '../../src/telemetry/call-trace.ts';
import { TraceExport, type TraceTimes } from '../../src/telemetry/trace-export.ts';
import { until, within } from '../support/until.ts';
import { type OtlpReceiver, startOtlpReceiver } from './otlp-receiver.ts';
import { course, logInto, noon, type Said } from './telemetry-setup.ts';

let receiver: OtlpReceiver;
let said: Said[];
let exports: TraceExport;

beforeEach(async () => {
  receiver = await startOtlpReceiver();
  said = [];
  exports = openExport(receiver.url);
});
afterEach(async () => {
  await exports.close();
  await receiver.close();
});

function openExport(url: string, times: Partial<TraceTimes> = {}): TraceExport {
  return new TraceExport({
    url: new Secret(url),
    version: '1.2.3',
    clock: { nowMs: () => noon },
    log: logInto(said),
    times: { exportEveryMs: 10, exportWithinMs: 4000, closeWithinMs: 4000, ...times },
  });
}

/** Calls that ended one millisecond apart. */
function kept(at = 0): KeptTrace {
  return {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    parent: undefined,
    link: undefined,
    upstreamSpanId: undefined,
    startedAtMs: at,
    endedAtMs: at + 1,
    steps: ['authorize'],
    stepsAtMs: [at],
    course: course(),
  };
}

const warnings = () => said.filter(({ level }) => level === 'warn');

test('traces go out by themselves after a while, in requests of 64 calls', async () => {
  for (let n = 0; n < 150; n += 1) exports.offer(kept(n));
  await until('all are out', () => exports.exported === 150);
  expect(receiver.requests).toHaveLength(3);
  expect(receiver.spans).toHaveLength(300);
  expect(said).toEqual([]);
});

test('a receiver that refuses costs its traces and one line in the log', async () => {
  receiver.answer = (response) => response.writeHead(400).end();
  exports.offer(kept());
  await exports.flush();
  exports.offer(kept());
  await exports.flush();
  expect([exports.exported, exports.dropped]).toEqual([0, 2]);
  expect(warnings()).toHaveLength(1);
});

test('a receiver that is gone holds up neither calls nor the end', async () => {
  await receiver.close();
  const gone = openExport(receiver.url, { closeWithinMs: 300 });
  for (let n = 0; n < 500; n += 1) gone.offer(kept(n));
  await within(5000, 'it closes', gone.close());
  expect([gone.exported, gone.dropped]).toEqual([0, 500]);
});

test('a receiver that hangs holds up neither calls nor the end', async () => {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  receiver.answer = () => resolve();
  const hung = openExport(receiver.url, { closeWithinMs: 300 });
  for (let n = 0; n < 100; n += 1) hung.offer(kept(n));
  await within(5000, 'the receiver is asked', asked);
  hung.offer(kept(100));
  await within(2000, 'it closes', hung.close());
  expect([hung.exported, hung.dropped]).toEqual([0, 101]);
  expect(receiver.requests).toHaveLength(1);
});

test('a receiver that trickles its answer is given up', async () => {
  const trickles: NodeJS.Timeout[] = [];
  receiver.answer = (response) => {
    response.writeHead(200);
    trickles.push(setInterval(() => response.write('x'), 50));
  };
  const trickled = openExport(receiver.url, { exportWithinMs: 300 });
  trickled.offer(kept());
  await until('the batch is given up', () => trickled.dropped === 1);
  await trickled.close();
  for (const trickle of trickles) clearInterval(trickle);
  expect(warnings()).toHaveLength(1);
});

test('a receiver that is back is sent to again, and the log says so', async () => {
  receiver.answer = (response) => response.writeHead(404).end();
  exports.offer(kept());
  await until('the first batch is given up', () => warnings().length === 1);
  receiver.answer = (response) => response.writeHead(200).end();
  exports.offer(kept());
  await until('the second batch is out', () => exports.exported === 1);
  expect(said.at(-1)).toMatchObject({ level: 'info', fields: { failures: 1 } });
});

test('what waits is bounded', async () => {
  const waiting = openExport(receiver.url, { exportEveryMs: 60_000 });
  for (let n = 0; n < 3000; n += 1) waiting.offer(kept(n));
  expect(waiting.dropped).toBe(3000 - 2048);
  await waiting.close();
  expect(waiting.exported + waiting.dropped).toBe(3000);
});

test('a thousand calls per second are kept, and no more, whatever clients ask for', async () => {
  const waiting = openExport(receiver.url, { exportEveryMs: 60_000 });
  for (let n = 0; n < 1500; n += 1) waiting.offer(kept(7000));
  expect(waiting.dropped).toBe(500);
  for (let n = 0; n < 10; n += 1) waiting.offer(kept(8000));
  expect(waiting.dropped).toBe(500);
  await waiting.close();
});

test('nothing is taken after the end', async () => {
  await exports.close();
  exports.offer(kept());
  expect(exports.dropped).toBe(1);
  expect(receiver.requests).toEqual([]);
});

test('the log is told no credential', async () => {
  const failing = openExport('http://user:canary@127.0.0.1:1/canary?token=canary', { exportWithinMs: 300 });
  failing.offer(kept());
  await until('it fails', () => failing.dropped === 1);
  await failing.close();
  expect(warnings()).toHaveLength(1);
  expect(JSON.stringify(said)).not.toContain('canary');
});
