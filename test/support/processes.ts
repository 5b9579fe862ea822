import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until, within } from './until.ts';

/** Handed down to every process a test starts, directly or not, so that one left behind is found. */
export const runMarker = `TEST_RUN_MARKER=${process.env.TEST_RUN_MARKER ?? `${process.pid}-${Date.now()}`}`;
const [markerName = '', markerValue = ''] = runMarker.split('=');

export interface Spawned {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly stdout: string[];
  readonly stderr: string[];
  /** Resolves with the first line of either output that `read` turns into a value. */
  line<T>(what: string, read: (line: string) => T | undefined, deadlineMs?: number): Promise<T>;
  readonly exited: Promise<number | null>;
  readonly hasExited: boolean;
  stop(): Promise<void>;
}

/** Starts a process of ours; its lines are kept, and `stop` ends it by its id. */
export function spawnMarked(command: string, args: readonly string[], options: SpawnOptions = {}): Spawned {
  const child = spawn(command, args, {
    ...options,
    env: { ...inheritedEnvironment(), ...options.env, [markerName]: markerValue },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: string[] = [];
  const stderr: string[] = [];
  const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
  failed.catch(() => {});
  if (child.stdout !== null) createInterface(child.stdout).on('line', (line) => stdout.push(line));
  if (child.stderr !== null) createInterface(child.stderr).on('line', (line) => stderr.push(line));
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  exited.catch(() => {});
  let hasExited = false;
  let ending = '';
  // `close` comes after the last line of both outputs.
  child.once('close', (code, signal) => {
    ending = signal ?? `code ${code}`;
    hasExited = true;
  });
  return {
    child,
    get pid() {
      return child.pid ?? -1;
    },
    stdout,
    stderr,
    exited,
    get hasExited() {
      return hasExited;
    },
    line: async (what, read, deadlineMs = 20_000) => {
      const lines = (): string => [...stdout, ...stderr].slice(-20).join('\n');
      const found = until(
        what,
        () => {
          if (hasExited) throw new Error(`${command} ended (${ending}) before: ${what}\n${lines()}`);
          for (const line of [...stdout, ...stderr]) {
            const value = read(line);
            if (value !== undefined) return { value };
          }
          return undefined;
        },
        deadlineMs,
      ).catch((error: Error) => {
        throw new Error(`${error.message}\n${lines()}`);
      });
      return (await Promise.race([found, failed])).value;
    },
    stop: async () => {
      if (!hasExited) {
        child.kill('SIGTERM');
        await within(20_000, `${command} ends after SIGTERM`, exited).catch(async () => {
          child.kill('SIGKILL');
          await exited;
        });
      }
      child.stdin?.destroy();
    },
  };
}

/** Without our own settings: what steers the tests, or the developer's gateway, is not for the gateway under test. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GATEHOUSE_')));
}

/** Starts a fixture that prints its URL. */
export async function startFixture(file: string, ...args: readonly string[]): Promise<Spawned & { readonly url: string }> {
  const spawned = spawnMarked(process.execPath, [new URL(`../fixtures/${file}`, import.meta.url).pathname, ...args]);
  const url = await spawned.line(`${file} prints its URL`, (line) => (line.startsWith('http://') ? line : undefined));
  return Object.assign(spawned, { url });
}

/** Processes that carry this run's marker and still run, this one excepted. Linux only: elsewhere the list is empty. */
export function listMarked(): { pid: number; parent: number; command: string }[] {
  const marked: { pid: number; parent: number; command: string }[] = [];
  for (const name of listProc()) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(runMarker)) continue;
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      if (/^State:\s+Z/m.test(status)) continue;
      const parent = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
      marked.push({ pid, parent, command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() });
    } catch {
      // Gone meanwhile, or somebody else's.
    }
  }
  return marked;
}

/** For the end of a suite: fails when a process it started, directly or not, is still there. */
export async function expectNoneLeft(): Promise<void> {
  await until('no process is left behind', () => listMarked().length === 0).catch(() => {
    throw new Error(`left behind: ${JSON.stringify(listMarked(), undefined, 2)}`);
  });
}

function listProc(): string[] {
  try {
    return readdirSync('/proc');
  } catch {
    return [];
  }
}

/** Lets `measureLiveHeap` ask a process what it holds: environment to start it with. */
export function heapEnvironment(directory: string): Record<string, string> {
  return { NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${directory}` };
}

/** Bytes of everything a process started with `heapEnvironment` still reaches, garbage collected before. */
export async function measureLiveHeap(pid: number, directory: string): Promise<number> {
  const snapshots = (): string[] => readdirSync(directory).filter((name) => name.endsWith('.heapsnapshot'));
  process.kill(pid, 'SIGUSR2');
  const file = await until('a heap snapshot', () => snapshots()[0], 60_000);
  const read = (): { snapshot: { meta: { node_fields: string[] } }; nodes: number[] } | undefined => {
    try {
      return JSON.parse(readFileSync(join(directory, file), 'utf8'));
    } catch {
      return undefined;
    }
  };
  const { snapshot, nodes } = await until('the heap snapshot is complete', read, 60_000);
  rmSync(join(directory, file));
  const width = snapshot.meta.node_fields.length;
  const sizeAt = snapshot.meta.node_fields.indexOf('self_size');
  let bytes = 0;
  for (let at = sizeAt; at < nodes.length; at += width) bytes += nodes[at] ?? 0;
  return bytes;
}

/** Resident memory and open handles of a process, from /proc. */
export function measureProcess(pid: number): { rssBytes: number; sockets: number; files: number } {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  let sockets = 0;
  let files = 0;
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${name}`).startsWith('socket:')) sockets++;
      else files++;
    } catch {
      // Closed meanwhile.
    }
  }
  return { rssBytes: pages * 4096, sockets, files };
}
