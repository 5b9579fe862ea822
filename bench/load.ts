/** The load generator: a process of its own that does what it is told over IPC, see `Job`. */
import { availableParallelism } from 'node:os';
import { Connection } from './connection.ts';
import { Histogram } from './histogram.ts';
import {
  type Address,
  callTemplate,
  endSession,
  firstId,
  initializeParams,
  lastId,
  notification,
  sessionHeader,
  type Template,
  template,
} from './messages.ts';
import { cpuMicros, machineMicros } from './meter.ts';
import { type Prompt, promptTemplate } from './prompt.ts';
import { type HeldJob, holdStreams, type StepJob, stepStreams } from './streams.ts';
import { type Expectation, findFault } from './verify.ts';

export type Job = CallJob | SessionJob | HeldJob | StepJob;

/** Calls through keep-alive connections, one at a time on each. */
export interface CallJob {
  readonly kind: 'calls';
  readonly address: Address;
  /** What is called, in turn; none stands for `tools/list`. */
  readonly tools: readonly Tool[];
  /** A model is asked instead. */
  readonly prompt?: Prompt;
  readonly callers: number;
  readonly warmMs: number;
  readonly measureMs: number;
  /** Ends the measuring early. */
  readonly maxCalls?: number;
  /** Calls are sent at this rate while a connection is free, instead of as soon as the last answer is in. */
  readonly perSecond?: number;
  readonly expected: Expectation;
  /** The process whose CPU time is read at both ends of the measuring. */
  readonly measuredPid?: number;
  /** Whatever shares the generator's core. */
  readonly otherPids?: readonly number[];
  /** The CPUs on which all of this runs; without them the whole machine. */
  readonly cpus?: readonly string[];
}

/** Opens legacy sessions and leaves them behind. */
export interface SessionJob {
  readonly kind: 'sessions';
  readonly address: Address;
  readonly count: number;
  readonly callers: number;
}

export interface Tool {
  /** What the target calls it. */
  readonly name: string;
  /** What the upstream calls it and puts before each answer. */
  readonly upstreamName: string;
}

export interface LoadResult {
  /** Right answers that came while measuring. */
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
  /** p50 of the first byte of the answer's body. */
  readonly firstByteUs: number | undefined;
  readonly cpuUsPerCall: number | undefined;
  /** Share of the time that the measured process was running. */
  readonly busy: number | undefined;
  /** The same for the generator and what shares its core. */
  readonly otherBusy: number | undefined;
  /** The share of the CPUs that went to processes which have nothing to do with the benchmark. */
  readonly foreign: number | undefined;
  /** Answers that were not what the call asked for, at any time of the run. Their latencies count nowhere. */
  readonly wrong: number;
  readonly firstWrong: string | undefined;
  /** Calls that the rate asked for but that found no free connection. */
  readonly skipped: number;
}

export interface SessionResult {
  readonly opened: number;
}

const answerWithinMs = 15_000;
const maxWrong = 1000;

let nextId = firstId;

function takeId(): number {
  nextId = nextId === lastId ? firstId : nextId + 1;
  return nextId;
}

class Caller {
  readonly #run: Run;
  readonly #listener: { onAnswer: (answer: Parameters<typeof findFault>[0]) => void; onFailure: (reason: string) => void };
  #connection: Connection;
  #session: string;
  #turn: number;
  #id = 0;
  #tool = 0;
  isBusy = false;

  static async open(run: Run, turn: number): Promise<Caller> {
    const connection = await Connection.open(run.job.address.port);
    const session = run.job.address.era === 'legacy' ? await openSession(connection, run.job.address) : '';
    return new Caller(run, turn, connection, session);
  }

  private constructor(run: Run, turn: number, connection: Connection, session: string) {
    this.#run = run;
    this.#turn = turn;
    this.#connection = connection;
    this.#session = session;
    this.#listener = {
      onAnswer: (answer) => {
        const { sentAt, firstByteAt } = this.#connection;
        const us = (performance.now() - sentAt) * 1000;
        const upstreamName = run.job.tools[this.#tool]?.upstreamName ?? '';
        this.#done(us, (firstByteAt - sentAt) * 1000, findFault(answer, run.job.expected, this.#id, upstreamName));
      },
      onFailure: (reason) => this.#done(0, 0, run.job.expected.kind === 'anything' ? undefined : reason),
    };
  }

  call() {
    this.isBusy = true;
    if (this.#connection.isClosed) return this.#reopen();
    const { templates } = this.#run;
    this.#tool = this.#turn++ % templates.length;
    this.#id = takeId();
    this.#connection.send(templates[this.#tool]!.fill(this.#id, this.#session), this.#listener);
  }

  checkAge(now: number): void {
    if (this.isBusy && now - this.#connection.sentAt > answerWithinMs)
      this.#connection.fail(`no answer within ${answerWithinMs} ms`);
  }

  async close(): Promise<void> {
    if (this.#session !== '' && !this.#connection.isClosed) {
      await this.#connection.exchange(endSession(this.#run.job.address, this.#session)).catch(() => undefined);
    }
    this.#connection.close();
  }

  #done(us: number, firstByteUs: number, fault: string | undefined): void {
    this.isBusy = false;
    this.#run.count(us, firstByteUs, fault);
    if (this.#run.goesOn) this.call();
    else this.#run.callerIsFree();
  }

  #reopen(): void {
    Connection.open(this.#run.job.address.port).then(
      (connection) => {
        this.#connection = connection;
        this.call();
      },
      // A target that refuses connections must not turn the loop into a busy one.
      (error: Error) => setTimeout(() => this.#listener.onFailure(error.message), 10),
    );
  }
}

class Run {
  readonly job: CallJob;
  readonly templates: readonly Template[];
  readonly #callers: Caller[] = [];
  readonly #latencies = new Histogram();
  readonly #firstBytes = new Histogram();
  /** Resolves when there is no point in going on before the time is over. */
  readonly #stopped = Promise.withResolvers<void>();
  readonly #idle = Promise.withResolvers<void>();
  #isMeasuring = false;
  #isOver = false;
  #wrong = 0;
  #firstWrong: string | undefined;
  #skipped = 0;

  constructor(job: CallJob) {
    this.job = job;
    this.templates = templatesOf(job);
  }

  /** Whether a caller goes on at once when its answer is in. */
  get goesOn(): boolean {
    return !this.#isOver && this.job.perSecond === undefined;
  }

  async toResult(): Promise<LoadResult> {
    // One after the other: opening is not what is measured, and a burst of 64 sessions would be.
    for (let index = 0; index < this.job.callers; index += 1) this.#callers.push(await Caller.open(this, index));
    const watch = setInterval(() => this.#checkAges(), 1000);
    const pace = this.#start();
    await this.#pass(this.job.warmMs);
    const before = readClocks(this.job);
    this.#isMeasuring = true;
    await this.#pass(this.job.measureMs);
    this.#isMeasuring = false;
    const after = readClocks(this.job);
    this.#isOver = true;
    clearInterval(pace);
    this.callerIsFree();
    await this.#idle.promise;
    clearInterval(watch);
    for (const caller of this.#callers) await caller.close();
    return this.#result(before, after);
  }

  count(us: number, firstByteUs: number, fault: string | undefined): void {
    if (fault !== undefined) {
      this.#wrong += 1;
      this.#firstWrong ??= fault;
      if (this.#wrong >= maxWrong) this.#stop();
    } else if (this.#isMeasuring) {
      this.#latencies.record(us);
      this.#firstBytes.record(firstByteUs);
      if (this.#latencies.count === this.job.maxCalls) this.#stop();
    }
  }

  callerIsFree(): void {
    if (this.#isOver && this.#callers.every((caller) => !caller.isBusy)) this.#idle.resolve();
  }

  #start(): NodeJS.Timeout | undefined {
    const { perSecond } = this.job;
    if (perSecond === undefined) {
      for (const caller of this.#callers) caller.call();
      return undefined;
    }
    const startedAt = performance.now();
    let sent = 0;
    return setInterval(() => {
      const due = ((performance.now() - startedAt) * perSecond) / 1000;
      for (; sent < due; sent += 1) {
        const free = this.#callers.find((caller) => !caller.isBusy);
        if (free === undefined) this.#skipped += 1;
        else free.call();
      }
    }, 5);
  }

  #pass(ms: number): Promise<void> {
    return Promise.race([sleep(ms), this.#stopped.promise]);
  }

  #stop(): void {
    this.#isMeasuring = false;
    this.#isOver = true;
    this.#stopped.resolve();
  }

  #checkAges(): void {
    const now = performance.now();
    for (const caller of this.#callers) caller.checkAge(now);
  }

  #result(before: Clocks, after: Clocks): LoadResult {
    const calls = this.#latencies.count;
    const ms = Math.max(1, after.ms - before.ms);
    const cpuUs = after.measuredUs - before.measuredUs;
    const otherUs = after.otherUs - before.otherUs;
    const foreignUs = after.machineUs - before.machineUs - otherUs - (this.job.measuredPid === undefined ? 0 : cpuUs);
    return {
      calls,
      callsPerSecond: (calls * 1000) / ms,
      p50Us: this.#latencies.quantile(0.5),
      p99Us: this.#latencies.quantile(0.99),
      firstByteUs: this.#firstBytes.quantile(0.5),
      cpuUsPerCall: calls === 0 ? undefined : known(cpuUs / calls),
      busy: known(cpuUs / 1000 / ms),
      otherBusy: known(otherUs / 1000 / ms),
      foreign: known(Math.max(0, foreignUs) / 1000 / ms / (this.job.cpus?.length ?? availableParallelism())),
      wrong: this.#wrong,
      firstWrong: this.#firstWrong,
      skipped: this.#skipped,
    };
  }
}

function templatesOf({ address, prompt, tools }: CallJob): readonly Template[] {
  if (prompt !== undefined) return [promptTemplate(address, prompt)];
  if (tools.length === 0) return [template(address, 'tools/list', {})];
  return tools.map(({ name }) => callTemplate(address, name));
}

/** Times are NaN where this platform does not tell them. */
interface Clocks {
  readonly ms: number;
  readonly measuredUs: number;
  readonly otherUs: number;
  readonly machineUs: number;
}

function readClocks({ measuredPid, otherPids = [], cpus }: CallJob): Clocks {
  const own = process.cpuUsage();
  return {
    ms: performance.now(),
    measuredUs: (measuredPid === undefined ? undefined : cpuMicros(measuredPid)) ?? Number.NaN,
    otherUs: otherPids.reduce((sum, pid) => sum + (cpuMicros(pid) ?? Number.NaN), own.user + own.system),
    machineUs: machineMicros(cpus) ?? Number.NaN,
  };
}

function known(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}

/** The header that names a new session. */
async function openSession(connection: Connection, address: Address): Promise<string> {
  const id = takeId();
  const answer = await connection.exchange(template(address, 'initialize', initializeParams).fill(id, ''));
  const fault = findFault(answer, { kind: 'result' }, id, '');
  if (fault !== undefined) throw new Error(`initialize: ${fault}`);
  const sessionId = answer.head.get('mcp-session-id');
  if (sessionId === undefined) throw new Error('initialize: no Mcp-Session-Id');
  const session = sessionHeader(sessionId);
  const accepted = await connection.exchange(notification(address, 'notifications/initialized', session));
  if (accepted.status !== 202) throw new Error(`notifications/initialized: HTTP ${accepted.status}`);
  return session;
}

async function openSessions(job: SessionJob): Promise<SessionResult> {
  let left = job.count;
  const work = async () => {
    const connection = await Connection.open(job.address.port);
    try {
      while (left > 0) {
        left -= 1;
        await openSession(connection, job.address);
      }
    } finally {
      connection.close();
    }
  };
  await Promise.all(Array.from({ length: job.callers }, work));
  return { opened: job.count };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function work(job: Job): Promise<unknown> {
  if (job.kind === 'calls') return new Run(job).toResult();
  if (job.kind === 'sessions') return openSessions(job);
  return job.kind === 'held' ? holdStreams(job) : stepStreams(job);
}

process.on('message', ({ id, job }: { id: number; job: Job }) => {
  work(job).then(
    (result) => process.send!({ id, result }),
    (error: Error) => process.send!({ id, error: error.message }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ ready: true });
