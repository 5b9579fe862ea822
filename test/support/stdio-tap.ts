/**
 * Stands between a client and a server that talk over stdio: `node stdio-tap.ts <log> <command> [argument...]` runs the command,
 * passes every line both ways unchanged and appends it to the log, one JSON object per line.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseMessages, type WireMessage } from './wire.ts';

/** The command line that puts the tap before a server. */
export function tapCommand(log: string, command: readonly string[]): string[] {
  return [process.execPath, new URL(import.meta.url).pathname, log, ...command];
}

/** What the tap has seen so far. */
export function readTap(log: string): { to: 'server' | 'client'; message: WireMessage }[] {
  if (!existsSync(log)) return [];
  return readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const { to, text } = JSON.parse(line) as { to: 'server' | 'client'; text: string };
      return parseMessages(text).map((message) => ({ to, message }));
    });
}

function run(log: string, command: string, args: readonly string[]): void {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const note = (to: 'server' | 'client', text: string): void => appendFileSync(log, `${JSON.stringify({ to, text })}\n`);
  createInterface(process.stdin)
    .on('line', (line) => {
      note('server', line);
      child.stdin.write(`${line}\n`);
    })
    .on('close', () => child.stdin.end());
  createInterface(child.stdout).on('line', (line) => {
    note('client', line);
    process.stdout.write(`${line}\n`);
  });
  child.on('exit', (code) => process.exit(code ?? 1));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
}

if (import.meta.main) {
  const [log = '', command = '', ...args] = process.argv.slice(2);
  run(log, command, args);
}
