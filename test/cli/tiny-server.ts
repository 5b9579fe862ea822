// Stands where dist/gatehouse.mjs would: `node tiny-server.ts stdio [--toolbox <what to do wrong>] --data <dir>`.
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

interface Request {
  readonly id?: number;
  readonly method: string;
  readonly params: Record<string, unknown>;
}

const [command, ...flags] = process.argv.slice(2);
const fault = flag('--toolbox');
if (command !== 'stdio') process.exit(9);
if (fault === 'missing') {
  process.stderr.write('There is no toolbox "missing" here.\n');
  process.exit(3);
}
writeFileSync(join(flag('--data') ?? '', 'environment.json'), JSON.stringify(process.env));
if (fault === 'noisy') process.stdout.write('Welcome!\n');
createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line) as Request;
  appendFileSync(join(flag('--data') ?? '', 'received.jsonl'), `${line}\n`);
  if (request.id === undefined || fault === 'mute') return;
  const outcome = answer(request);
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id: request.id, ...outcome })}\n`);
});

function answer({ method, params }: Request): object {
  if (method === 'initialize') {
    return {
      result: {
        protocolVersion: params.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'tiny', version: '1' },
      },
    };
  }
  if (method === 'tools/list')
    return { result: params.cursor === undefined ? { tools: tools.slice(0, 2), nextCursor: 'more' } : { tools: tools.slice(2) } };
  if (params.name === 'demo__broken' || String(params.name).startsWith('away__'))
    return { result: { content: [{ type: 'text', text: 'the upstream is away' }], isError: true } };
  return { result: { content: [{ type: 'text', text: 'done' }] } };
}

const readOnly = { readOnlyHint: true };
const away = ['one', 'two', 'three', 'four'].map((name) => ({
  name: `away__${name}`,
  inputSchema: { type: 'object' },
  annotations: readOnly,
}));
const tools = [
  ...(fault === 'partly' ? away : []),
  { name: 'demo__delete', inputSchema: { type: 'object' } },
  { name: 'demo__get', inputSchema: { type: 'object', required: ['id'] }, annotations: readOnly },
  ...(fault === 'unsafe' || fault === 'partly'
    ? []
    : [{ name: 'demo__broken', inputSchema: { type: 'object' }, annotations: readOnly }]),
  ...(fault === 'unsafe' || fault === 'failing'
    ? []
    : [{ name: 'demo__list', inputSchema: { type: 'object', required: [] }, annotations: readOnly }]),
];

function flag(name: string): string | undefined {
  const at = flags.indexOf(name);
  return at < 0 ? undefined : flags[at + 1];
}
