import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type IncomingMessage, request, type Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Where a running gateway listens for commands of the same user on the same machine: a socket in its data directory, which only
 * that user can enter. No key is needed there; the operating system has already asked who it is.
 */
export function controlPath(dataDir: string): string {
  if (process.platform === 'win32') return `\\\\.\\pipe\\gatehouse-${shortHash(dataDir)}`;
  const path = join(dataDir, 'control.sock');
  // The address of a socket holds 107 bytes on Linux and 103 on macOS.
  return Buffer.byteLength(path) <= 100
    ? path
    : join(tmpdir(), `gatehouse-${process.getuid?.() ?? 0}-${shortHash(dataDir)}.sock`);
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Listens on the control socket. A socket that a crash left behind is replaced, one that answers is not: resolves false then. */
export async function listenForControl(server: Server, path: string): Promise<boolean> {
  if (await listens(path)) return false;
  if (process.platform !== 'win32') rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
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
export function askRunning(dataDir: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: controlPath(dataDir), path, timeout: 5000 }, (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
      response.on('error', reject);
    });
    asking.on('timeout', () => asking.destroy(new Error('The gateway does not answer on its control socket.')));
    asking.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(error);
    });
    asking.end();
  });
}
