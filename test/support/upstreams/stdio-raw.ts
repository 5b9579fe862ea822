import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

// A server written by hand, for what no library would do; started as a program of its own. Arguments: how it behaves.
const [opening = 'legacy', pidFile = ''] = process.argv.slice(2);
const send = (message: object): void => void process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const sleeper = 'setInterval(() => {}, 1000)';

if (opening === 'exits') process.exit(3);
if (opening === 'stubborn') {
  process.on('SIGTERM', () => {});
  process.stdin.on('end', () => {});
  setInterval(() => {}, 1000);
}
if (pidFile !== '') {
  const grandchild = spawn(process.execPath, ['-e', sleeper], { stdio: 'ignore' });
  writeFileSync(pidFile, JSON.stringify({ pid: process.pid, grandchild: grandchild.pid }));
}

let question: number | undefined;
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params, result } = JSON.parse(line) as {
    id?: number;
    method?: string;
    params?: { name?: string; arguments?: Record<string, unknown> };
    result?: unknown;
  };
  if (method === 'server/discover') {
    if (opening === 'exits-at-discover') process.exit(1);
    if (opening === 'silent-at-discover') return;
    const capabilities = { tools: {} };
    if (opening === 'modern') send({ id, result: { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities } });
    else send({ id, error: { code: -32601, message: 'Method not found' } });
  } else if (method === 'initialize') {
    const serverInfo = { name: 'raw', version: '0' };
    send({ id, result: { protocolVersion: '2024-11-05', capabilities: { tools: {} }, serverInfo } });
  } else if (method === 'tools/list') {
    send({ id, result: { tools: [{ name: 'poke', inputSchema: { type: 'object' } }] } });
  } else if (method === 'tools/call') {
    poke(id ?? 0, String(params?.arguments?.how ?? 'ok'), params?.arguments);
  } else if (method === undefined && question !== undefined) {
    send({ id: question, result: { content: [{ type: 'text', text: JSON.stringify(result ?? 'refused') }] } });
    question = undefined;
  }
});

function poke(id: number, how: string, args: Record<string, unknown> | undefined): void {
  const ok = { content: [{ type: 'text', text: 'ok' }] };
  if (how === 'ok') send({ id, result: ok });
  else if (how === 'argv') send({ id, result: { content: [{ type: 'text', text: JSON.stringify(process.argv.slice(4)) }] } });
  else if (how === 'env') send({ id, result: { content: [{ type: 'text', text: JSON.stringify(Object.keys(process.env)) }] } });
  else if (how === 'pid') send({ id, result: { content: [{ type: 'text', text: String(process.pid) }] } });
  else if (how === 'wrong-id') {
    send({ id: id + 1000, result: ok });
    send({ id: String(id), result: ok });
    send({ id, result: { content: [{ type: 'text', text: 'the right one' }] } });
  } else if (how === 'twice') {
    send({ id, result: ok });
    send({ id, result: { content: [{ type: 'text', text: 'second' }] } });
  } else if (how === 'noise') {
    process.stdout.write('starting up...\n{"half":\n\n[1,2]\n');
    process.stdout.write(Buffer.from([0x7b, 0xff, 0xfe, 0x7d, 0x0a]));
    send({ id, result: ok });
  } else if (how === 'newlines') send({ id, result: { content: [{ type: 'text', text: 'a\nb\r\nc\u2028d' }] } });
  else if (how === 'proto')
    process.stdout.write(`{"jsonrpc":"2.0","id":${id},"result":{"__proto__":{"polluted":true},"content":[]}}\n`);
  else if (how === 'flood') {
    for (let line = 0; line < 400; line++) process.stdout.write(`this is not MCP ${line}\n`);
  } else if (how === 'giant-line') process.stdout.write('x'.repeat(Number(args?.bytes)));
  else if (how === 'die') process.exit(7);
  else if (how === 'split') {
    const bytes = Buffer.from(
      `${JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'grüße' }] } })}\n`,
    );
    let at = 0;
    const step = (): void => {
      if (at >= bytes.length) return;
      process.stdout.write(bytes.subarray(at, at + 7), step);
      at += 7;
    };
    step();
  } else if (how === 'ask') {
    question = id;
    send({ id: 'q-1', method: 'elicitation/create', params: { message: String(args?.marker) } });
  } else if (how === 'log') {
    send({ method: 'notifications/message', params: { level: 'error', data: String(args?.marker) } });
    send({ id, result: ok });
  } else if (how === 'stderr') {
    process.stderr.write('a line for the log\n');
    send({ id, result: ok });
  }
  // 'hang': no answer at all.
}
