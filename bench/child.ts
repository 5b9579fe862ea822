import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** A process of the benchmark. All of them are ended by `stopAll`, whichever way the benchmark ends. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  /** What it said first: `{ ready: true, ... }`. Empty for a process that does not speak IPC. */
  readonly greeting: Readonly<Record<string, unknown>>;
  /** When it was spawned, on the clock of `performance.now()`. */
  readonly spawnedAt: number;
  send(message: object): void;
  onMessage(listen: (message: unknown) => void): void;
  /** Throws when it has ended by itself. */
  check(): void;
  stop(): Promise<void>;
}

export interface Program {
  readonly name: string;
  readonly command: readonly string[];
  readonly cpu: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** A file descriptor for stdout and stderr; without one both are the benchmark's stderr. */
  readonly output?: number;
  readonly speaksIpc: boolean;
}

/** Which CPU each part runs on; undefined means wherever the system likes. */
export interface Placement {
  readonly measured: string | undefined;
  readonly generator: string | undefined;
  readonly upstream: string | undefined;
  /** All of them; undefined when nothing is pinned. */
  readonly cpus: readonly string[] | undefined;
  readonly text: string;
}

const running = new Set<ChildProcess>();

export function placeProcesses(): Placement {
  const cpus = allowedCpus();
  if (cpus.length < 2 || spawnSync('taskset', ['--version']).status !== 0) {
    const reason = cpus.length < 2 ? 'one CPU only' : 'no taskset';
    return { measured: undefined, generator: undefined, upstream: undefined, cpus: undefined, text: `not pinned (${reason})` };
  }
  const [measured, generator, upstream = generator] = cpus;
  const text =
    generator === upstream
      ? `measured process on CPU ${measured}; generator and upstream share CPU ${generator}`
      : `measured process on CPU ${measured}, generator on CPU ${generator}, upstream on CPU ${upstream}`;
  return { measured, generator, upstream, cpus: [...new Set(cpus.slice(0, 3))], text };
}

/** Keeps the benchmark's own process away from the measured one. */
export function pinSelf(cpu: string | undefined): void {
  if (cpu !== undefined) spawnSync('taskset', ['-a', '-c', '-p', cpu, String(process.pid)]);
}

function allowedCpus(): string[] {
  let list: string | undefined;
  try {
    list = readFileSync('/proc/self/status', 'latin1').match(/^Cpus_allowed_list:\s+(\S+)/m)?.[1];
  } catch {
    // Not Linux: the count will do, there is no taskset there either.
  }
  if (list === undefined) return Array.from({ length: availableParallelism() }, (_, cpu) => String(cpu));
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number) as [number, number?];
    return Array.from({ length: last - first + 1 }, (_, offset) => String(first + offset));
  });
}

/** Starts a process; with IPC, waits for its greeting. */
export async function start(program: Program): Promise<Child> {
  const { name, command, cpu, env = {}, output, speaksIpc } = program;
  const [file, ...args] = cpu === undefined ? command : ['taskset', '-c', cpu, ...command];
  const spawnedAt = performance.now();
  const process_ = spawn(file!, args, {
    stdio: ['ignore', output ?? 2, output ?? 2, ...(speaksIpc ? (['ipc'] as const) : [])],
    // Nothing of the caller's environment may change what is measured (NODE_OPTIONS, GATEHOUSE_*).
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  });
  running.add(process_);
  let ending: string | undefined;
  const ended = new Promise<void>((resolve) => {
    process_.once('error', (error) => {
      ending ??= error.message;
      resolve();
    });
    process_.once('exit', (code, signal) => {
      ending ??= `ended with ${signal ?? `code ${code}`}`;
      resolve();
    });
  }).finally(() => running.delete(process_));
  const greeting = speaksIpc ? await Promise.race([firstMessage(process_), ended]) : {};
  if (greeting === undefined || process_.pid === undefined) throw new Error(`${name} did not start: ${ending}`);
  return {
    name,
    pid: process_.pid,
    greeting,
    spawnedAt,
    send: (message) => process_.send!(message),
    onMessage: (listen) => process_.on('message', listen),
    check: () => {
      if (ending !== undefined) throw new Error(`${name} ${ending}`);
    },
    stop: async () => {
      if (ending !== undefined) return;
      process_.kill('SIGTERM');
      const force = setTimeout(() => process_.kill('SIGKILL'), 3000);
      await ended;
      clearTimeout(force);
    },
  };
}

function firstMessage(process_: ChildProcess): Promise<Record<string, unknown>> {
  return new Promise((resolve) => process_.once('message', (message) => resolve(message as Record<string, unknown>)));
}

/** For the last moment, when nothing can be waited for. */
export function killAll(): void {
  for (const process_ of running) process_.kill('SIGKILL');
}
