import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { listenOn } from './listen-on.ts';

const require = createRequire(import.meta.url);

/** The command that runs an installed MCP server package over stdio. */
export function packageCommand(name: string, ...args: string[]): string[] {
  const manifest = require.resolve(`${name}/package.json`);
  const { bin } = require(manifest) as { bin: Record<string, string> };
  return [process.execPath, join(dirname(manifest), Object.values(bin)[0] ?? ''), ...args];
}

/** Starts a program that listens on `PORT` and resolves when it says that it does. */
export async function startListening([program = '', ...args]: readonly string[]): Promise<{
  port: number;
  stop(): Promise<void>;
}> {
  const free = await listenOn(createServer());
  await free.close();
  const child: ChildProcess = spawn(program, args, {
    env: { ...process.env, PORT: String(free.port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  await new Promise<void>((resolve, reject) => {
    const look = (chunk: Buffer) => /(listening|running) on port/.test(chunk.toString()) && resolve();
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    child.once('exit', (code) => reject(new Error(`the program ended with exit code ${code}`)));
  });
  return {
    port: free.port,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
