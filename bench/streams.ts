/** Jobs of the load generator for answers in parts, besides calls: streams that are held, and streams that go step by step. */
import { chunks, machineUs, sentUsIn } from './completion.ts';
import { Connection } from './connection.ts';
import { Histogram } from './histogram.ts';
import { type Address, firstId, marker } from './messages.ts';
import { cpuMicros, machineMicros, memoryBytes } from './meter.ts';
import { type Prompt, promptTemplate } from './prompt.ts';

/** Opens streams that do not end, holds them for a while, and goes. */
export interface HeldJob {
  readonly kind: 'held';
  readonly address: Address;
  readonly prompt: Prompt;
  readonly count: number;
  readonly holdMs: number;
  readonly measuredPid: number;
  readonly otherPids: readonly number[];
  readonly cpus?: readonly string[];
}

export interface HeldResult {
  /** Streams that were under way to the end. */
  readonly held: number;
  readonly chunks: number;
  /** Of the measured process, while it holds them. */
  readonly memoryBytes: number | undefined;
  /** From a chunk's sending to its coming, once all were open. */
  readonly p50Us: number | undefined;
  readonly longestUs: number;
  /** The share of the CPUs that others had meanwhile. */
  readonly foreign: number | undefined;
}

/** Lets the provider send a chunk only when the one before has come. */
export interface StepJob {
  readonly kind: 'steps';
  readonly address: Address;
  readonly prompt: Prompt;
  readonly providerPort: number;
  readonly count: number;
  /** From when on a chunk that has not come counts as held: long enough for whatever is only slow. */
  readonly lateAfterMs: number;
}

export interface StepResult {
  readonly chunks: number;
  /** Chunks that did not come before the next was sent. */
  readonly late: number;
}

const openAtOnce = 20;

export async function holdStreams(job: HeldJob): Promise<HeldResult> {
  const delays = new Histogram();
  const connections: Connection[] = [];
  const template = promptTemplate(job.address, job.prompt);
  let longestUs = 0;
  let isMeasuring = false;
  let failure: string | undefined;
  const open = async (turn: number) => {
    const connection = await Connection.open(job.address.port);
    connections.push(connection);
    await new Promise<void>((resolve) => {
      connection.send(template.fill(firstId + turn, ''), {
        onAnswer: ({ status }) => fail(`a stream ended with HTTP ${status}`),
        onFailure: fail,
        onPart: (bytes) => {
          resolve();
          const sentUs = isMeasuring ? sentUsIn(bytes) : undefined;
          if (sentUs === undefined) return;
          const us = Number(machineUs()) - sentUs;
          delays.record(us);
          longestUs = Math.max(longestUs, us);
        },
      });
      function fail(reason: string): void {
        failure ??= reason;
        resolve();
      }
    });
  };
  for (let turn = 0; turn < job.count; turn += openAtOnce)
    await Promise.all(Array.from({ length: Math.min(openAtOnce, job.count - turn) }, (_, at) => open(turn + at)));
  if (failure !== undefined) throw new Error(failure);
  await sleep(500);
  const before = readShares(job);
  isMeasuring = true;
  await sleep(job.holdMs);
  isMeasuring = false;
  const after = readShares(job);
  const memory = memoryBytes(job.measuredPid);
  const held = connections.filter(({ isClosed }) => !isClosed).length;
  for (const connection of connections) connection.close();
  const foreign = (after.foreignUs - before.foreignUs) / (after.us - before.us) / (job.cpus?.length ?? 1);
  return {
    held,
    chunks: delays.count,
    memoryBytes: memory,
    p50Us: delays.quantile(0.5),
    longestUs,
    foreign: Number.isNaN(foreign) ? undefined : Math.max(0, foreign),
  };
}

function readShares({ measuredPid, otherPids, cpus }: HeldJob): { readonly us: number; readonly foreignUs: number } {
  const own = process.cpuUsage();
  const ours = [measuredPid, ...otherPids].reduce((sum, pid) => sum + (cpuMicros(pid) ?? Number.NaN), own.user + own.system);
  return { us: performance.now() * 1000, foreignUs: (machineMicros(cpus) ?? Number.NaN) - ours };
}

export async function stepStreams(job: StepJob): Promise<StepResult> {
  const template = promptTemplate(job.address, job.prompt);
  const control = await Connection.open(job.providerPort);
  let late = 0;
  for (let turn = 0; turn < job.count; turn += 1) {
    const connection = await Connection.open(job.address.port);
    const step = () => control.exchange(stepRequest(job, turn));
    late += await stepStream(connection, template.fill(firstId + turn, ''), step, job.lateAfterMs);
    connection.close();
  }
  control.close();
  return { chunks: chunks * job.count, late };
}

async function stepStream(
  connection: Connection,
  request: string,
  step: () => Promise<unknown>,
  lateAfterMs: number,
): Promise<number> {
  let came = 0;
  let late = 0;
  let failure: string | undefined;
  let notify = () => {};
  connection.send(request, {
    onAnswer: () => notify(),
    onFailure: (reason) => {
      failure = reason;
      notify();
    },
    onPart: (bytes) => {
      came += bytes.toString('latin1').split('\n\n').length - 1;
      notify();
    },
  });
  for (let sent = 1; sent <= chunks; sent += 1) {
    if (sent > 1) await step();
    const deadline = performance.now() + lateAfterMs;
    while (came < sent && failure === undefined && performance.now() < deadline) {
      await Promise.race([new Promise<void>((resolve) => (notify = resolve)), sleep(lateAfterMs / 10)]);
    }
    if (failure !== undefined) throw new Error(failure);
    if (came < sent) late += 1;
  }
  return late;
}

function stepRequest({ providerPort }: StepJob, turn: number): string {
  return `POST /step/${marker(firstId + turn)} HTTP/1.1\r\nHost: 127.0.0.1:${providerPort}\r\nContent-Length: 0\r\n\r\n`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
