import { createHash } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Reply, Sent } from './exchange.ts';

/**
 * Where a running gateway listens for commands of the same user on the same machine: a socket in its data directory, which only
 * that user can enter. No key is needed there; the operating system has already asked who it is.
 */
export function controlPath(dataDir: string): string {
  if (process.platform === 'win32') return `\\\\.\\pipe\\gatehouse-${shortHash(dataDir)}`;
  const path = join(dataDir, 'control.sock');
  // The address of a socket holds 107 bytes on Linux and 103 on macOS.
  if (Buffer.byteLength(path) <= 100) return path;
  return join(process.env.XDG_RUNTIME_DIR ?? sharedFallback(), `gatehouse-${shortHash(dataDir)}.sock`);
}

/** In a directory where anybody may make one of this name before us. */
function sharedFallback(): string {
  return join(tmpdir(), `gatehouse-${process.getuid?.() ?? 0}`);
}

/** Whether somebody else could put another socket in the place of ours. A link there is theirs, wherever it leads. */
function isForeignFallback(directory: string): boolean {
  const found = directory === sharedFallback() ? lstatSync(directory, { throwIfNoEntry: false }) : undefined;
  return found !== undefined && (!found.isDirectory() || found.uid !== process.getuid?.());
}

/**
 * Makes a directory that only its owner may enter. One that exists and is somebody else's stays as it is: a mounted volume often
 * belongs to root, and what is put there has permissions of its own.
 */
export function ownDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (isOurs(path) && (statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o700);
}

/** Whether what lies here is this user's own. */
function isOurs(path: string): boolean {
  if (process.platform === 'win32') return true;
  const { uid } = statSync(path);
  return uid === process.getuid?.();
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Listens on the control socket. A socket that a crash left behind is replaced, one that answers is not: resolves false then. */
export async function listenForControl(server: Server, path: string): Promise<boolean> {
  const directory = dirname(path);
  if (process.platform !== 'win32' && isForeignFallback(directory))
    throw new Error(`${directory} belongs to another user; set XDG_RUNTIME_DIR, or choose a data directory with a shorter path.`);
  if (process.platform !== 'win32') ownDirectory(directory);
  if (existsSync(path)) {
    if (!isOurs(path)) throw new Error(`${path} belongs to another user; choose another data directory with GATEHOUSE_DATA.`);
    if (await listens(path)) return false;
    rmSync(path, { force: true });
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  // Whoever may write to a socket may connect to it, whatever the directory allows.
  if (process.platform !== 'win32') chmodSync(path, 0o600);
  return true;
}

function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** What a running gateway answers; undefined when none runs on this data directory. */
export async function askRunning(dataDir: string, path: string): Promise<unknown> {
  const reply = await sendToRunning(dataDir, { method: 'GET', path }, quickly);
  return reply === undefined ? undefined : JSON.parse(reply.text);
}

/** Sends one request to the gateway that runs on this data directory; undefined when none does. */
export async function sendToRunning(dataDir: string, sent: Sent, waits = patiently): Promise<Reply | undefined> {
  // A socket that somebody else put there would tell us what it likes.
  const socketPath = controlPath(dataDir);
  if (process.platform !== 'win32' && (isForeignFallback(dirname(socketPath)) || (existsSync(socketPath) && !isOurs(socketPath))))
    return undefined;
  // For commands that ask; the gateway itself only listens here.
  const { answerLimitBytes, exchange } = await import('./exchange.ts');
  try {
    return await exchange({ socketPath }, sent, { ...waits, bytes: answerLimitBytes });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    throw new Error(`The gateway does not answer on its control socket: ${message}.`, { cause: error });
  }
}

const quickly = { idleMs: 5_000, totalMs: 10_000 };
/** The longest that an action may take, and a little more. */
export const patiently = { idleMs: 610_000, totalMs: 620_000 };
