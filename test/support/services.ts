import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Client } from 'pg';

/** For `beforeAll`: the first start on a machine may have to install the servers. */
export const servicesTimeoutMs = 300_000;

export interface Service {
  readonly url: string;
  readonly port: number;
  /** Of the server itself, for tests that stop or kill it. */
  readonly pid: number;
  /** Ends the server and removes its files. Without this call both happen when the test process ends, however it ends. */
  stop(): Promise<void>;
}

export interface PostgresService extends Service {
  /** A new database of a random name, empty or as the one at the address `like`, which nobody may be connected to; returns its address. */
  createDatabase(like?: string): Promise<string>;
}

/** A PostgreSQL server of its own on a free loopback port, with fsync on. */
export async function startPostgres(): Promise<PostgresService> {
  const find = () => findBinary('postgres', postgresDirectories());
  const binary = await findOrInstall(find, 'postgresql', 'PostgreSQL (postgres, initdb)');
  // PostgreSQL refuses to run as root.
  const user = process.getuid?.() === 0 ? userIds('postgres') : undefined;
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-postgres-'));
  if (user) chownSync(directory, user.uid, user.gid);
  const data = join(directory, 'data');
  const initialized = spawnSync(
    join(binary, '..', 'initdb'),
    ['-D', data, '-U', 'gatehouse', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { cwd: directory, encoding: 'utf8', ...user },
  );
  if (initialized.status !== 0) {
    rmSync(directory, { recursive: true, force: true });
    throw new Error(`initdb failed: ${initialized.stderr || initialized.error}`);
  }
  const port = await freePort();
  const settings = [`port=${port}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories='];
  const args = ['-D', data, ...settings.flatMap((setting) => ['-c', setting])];
  const url = `postgres://gatehouse@127.0.0.1:${port}/postgres`;
  // Its files go with it: nothing has to be written to them at the end.
  const service = await startServer({ binary, args, directory, stopSignal: 'QUIT', user }, url, port, async () => {
    await onPostgres(url, 'select 1');
  });
  return {
    ...service,
    async createDatabase(like) {
      const name = `test_${crypto.randomUUID().replaceAll('-', '')}`;
      const template = like === undefined ? '' : ` template ${new URL(like).pathname.slice(1)}`;
      await onPostgres(url, `create database ${name}${template}`);
      return url.replace(/postgres$/, name);
    },
  };
}

/** A Redis server of its own on a free loopback port (or on that of one that was stopped), keeping nothing on disk. */
export async function startRedis(port?: number): Promise<Service> {
  const binary = await findOrInstall(() => findBinary('redis-server'), 'redis-server', 'Redis (redis-server)');
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-redis-'));
  const chosen = port ?? (await freePort());
  const args = ['--port', String(chosen), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory];
  const url = `redis://127.0.0.1:${chosen}/0`;
  return await startServer({ binary, args, directory, stopSignal: 'TERM', user: undefined }, url, chosen, async () => {
    const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
    redis.on('error', () => {});
    try {
      await redis.connect();
      await redis.ping();
    } finally {
      redis.disconnect();
    }
  });
}

/** Runs one statement on a connection of its own. */
export async function onPostgres(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

interface Server {
  readonly binary: string;
  readonly args: readonly string[];
  /** Removed when the server ends. */
  readonly directory: string;
  readonly stopSignal: 'QUIT' | 'TERM';
  readonly user: UserIds | undefined;
}

interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

// The shell's stdin is a pipe from this process: it ends when we close it and when we die, even by SIGKILL, and the server with it.
const keeper = `
  directory=$1 signal=$2; shift 2
  "$@" </dev/null >"$directory/log" 2>&1 &
  server=$!
  echo $server
  cat >/dev/null
  kill -$signal $server 2>/dev/null && kill -CONT $server 2>/dev/null
  wait $server 2>/dev/null
  rm -rf "$directory"
`;

async function startServer(server: Server, url: string, port: number, ping: () => Promise<void>): Promise<Service> {
  const { directory, stopSignal, binary, args, user } = server;
  const child = spawn('sh', ['-c', keeper, 'sh', directory, stopSignal, binary, ...args], {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'ignore'],
    ...user,
  });
  const pid = Number(await firstLine(child));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  async function stop(): Promise<void> {
    child.stdin?.end();
    await exited;
  }
  const deadlineMs = Date.now() + 30_000;
  for (;;) {
    try {
      await ping();
      return { url, port, pid, stop };
    } catch (error) {
      if (Date.now() > deadlineMs) {
        const log = readFileSync(join(directory, 'log'), 'utf8').slice(-2_000);
        await stop();
        throw new Error(`${binary} did not become ready (${error}); its log ends with:\n${log}`);
      }
    }
    await pause(50);
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const chunk of child.stdout!) return String(chunk).trim();
  throw new Error('The shell that keeps the server ended at once.');
}

function userIds(name: string): UserIds {
  const id = (option: string) =>
    Number(execFileSync('id', [option, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    throw new Error(`Tests run as root and PostgreSQL does not: the user "${name}" is missing.`);
  }
}

/** Debian keeps PostgreSQL's programs out of the PATH. The newest version comes first. */
function postgresDirectories(): string[] {
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return [];
  const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(root, version, 'bin'));
}

function findBinary(name: string, directories: readonly string[] = []): string | undefined {
  const candidates = [...directories, ...(process.env.PATH ?? '').split(':')].map((directory) => join(directory, name));
  return candidates.find((candidate) => existsSync(candidate));
}

async function findOrInstall(find: () => string | undefined, debianPackage: string, what: string): Promise<string> {
  const found = find() ?? (canInstall() ? await withInstallLock(() => find() ?? install(debianPackage, find)) : undefined);
  if (found) return found;
  throw new Error(`The tests need ${what}; install it, e.g. with: sudo apt-get install ${debianPackage}`);
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && findBinary('apt-get') !== undefined;
}

function install(debianPackage: string, find: () => string | undefined): string | undefined {
  process.stderr.write(`Installing ${debianPackage} for the tests...\n`);
  const withoutServices = forbidServices();
  try {
    // The package lists of a fresh image are empty or old.
    if (!aptInstall(debianPackage)) {
      aptGet('update');
      aptInstall(debianPackage);
    }
  } finally {
    withoutServices.undo();
  }
  return find();
}

function aptInstall(debianPackage: string): boolean {
  return aptGet('install', '-y', '--no-install-recommends', debianPackage);
}

function aptGet(...args: readonly string[]): boolean {
  const { status } = spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=240', ...args], {
    stdio: 'ignore',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  return status === 0;
}

/** Debian's hook (invoke-rc.d) that keeps a package from starting a service of its own when it is installed. */
function forbidServices(): { undo(): void } {
  const hook = '/usr/sbin/policy-rc.d';
  if (existsSync(hook)) return { undo() {} };
  writeFileSync(hook, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return { undo: () => rmSync(hook, { force: true }) };
}

/** Test files run in parallel; one of them installs, the others wait. */
async function withInstallLock<T>(work: () => T): Promise<T> {
  const lock = join(tmpdir(), 'gatehouse-test-install.lock');
  while (!takeLock(lock)) await pause(250);
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function takeLock(lock: string): boolean {
  try {
    const file = openSync(lock, 'wx');
    writeFileSync(file, String(process.pid));
    closeSync(file);
    return true;
  } catch {
    if (!isHeld(lock)) rmSync(lock, { force: true });
    return false;
  }
}

function isHeld(lock: string): boolean {
  try {
    const holder = Number(readFileSync(lock, 'utf8'));
    // Taken, and its owner's number not written yet.
    if (holder === 0) return true;
    process.kill(holder, 0);
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No free port.');
  return address.port;
}

async function pause(durationMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, durationMs));
}
