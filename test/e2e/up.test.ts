import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient } from '../support/clients.ts';
import { expectNoneLeft, type Spawned, spawnMarked } from '../support/processes.ts';
import { until } from '../support/until.ts';

/** A fresh clone after its build: what is shipped, and no data directory. */
let clone: string;

beforeAll(() => {
  clone = mkdtempSync(join(tmpdir(), 'gatehouse-up-'));
  const root = fileURLToPath(new URL('../..', import.meta.url));
  for (const name of ['namespaces', 'examples']) cpSync(join(root, name), join(clone, name), { recursive: true });
  for (const name of ['node_modules', 'dist']) symlinkSync(join(root, name), join(clone, name));
});

afterAll(async () => {
  rmSync(clone, { recursive: true, force: true });
  await expectNoneLeft();
});

/** `npm_command` is what npm says to what it starts. */
function run(args: readonly string[], environment: Readonly<Record<string, string | undefined>> = {}): Spawned {
  // `npm run` puts its own Node first as well.
  const path = [dirname(process.execPath), process.env.PATH].join(delimiter);
  return spawnMarked(process.execPath, ['dist/gatehouse.mjs', ...args], {
    cwd: clone,
    env: { PATH: path, ...environment },
  });
}

interface Greeting {
  readonly url: string;
  readonly key: string;
  readonly connect: string;
}

/** What one start prints once it is ready, which takes no longer than 5 s. */
async function start(
  environment?: Readonly<Record<string, string | undefined>>,
): Promise<{ gateway: Spawned; greeting: Greeting }> {
  const gateway = run(['serve', '--port', '0'], environment);
  const row = (name: string) => (line: string) => new RegExp(`^ {2}${name} +(.+)$`).exec(line)?.[1];
  try {
    const connect = await gateway.line('the greeting, to its last line', row('Connect'), 5000);
    const read = (name: string): string => gateway.stdout.map(row(name)).find((value) => value !== undefined) ?? '';
    return { gateway, greeting: { url: read('MCP'), key: read('Admin key'), connect } };
  } catch (error) {
    await gateway.stop();
    throw error;
  }
}

interface Report {
  readonly isRunning: boolean;
  readonly configuration: readonly object[];
  readonly upstreams: readonly { readonly id: string; readonly state: string; readonly era?: string }[];
}

async function askDoctor(): Promise<{ report: Report; code: number | null }> {
  const doctor = run(['doctor', '--json']);
  const code = await doctor.exited;
  await until('all it says is read', () => doctor.hasExited);
  return { report: JSON.parse(doctor.stdout.join('\n')) as Report, code };
}

describe('the first start', () => {
  let gateway: Spawned;
  let greeting: Greeting;
  beforeAll(async () => {
    ({ gateway, greeting } = await start({ npm_command: undefined }));
  });
  afterAll(() => gateway?.stop());

  test('prints the MCP address and a key that work together', async () => {
    const client = await connectClient('v2 auto', greeting);
    try {
      await until('the demo tools are there', async () => (await client.listTools()).includes('demo__echo'));
      expect(await client.call('demo__echo', { message: 'hello' })).toMatchObject({ content: [{ text: 'Echo: hello' }] });
    } finally {
      await client.close();
    }
  });

  test('prints a key of an administrator, and how to keep it', async () => {
    const response = await fetch(new URL('/api/status', greeting.url), { headers: { authorization: `Bearer ${greeting.key}` } });
    expect(response.status).toBe(200);
    expect(gateway.stdout.join('\n')).toContain('Keep it: it is shown this once');
  });

  test('prints the line that connects a client', () => {
    expect(greeting.connect).toMatch(/^node dist\/gatehouse\.mjs connect claude-desktop\b/);
  });

  test('leaves the doctor nothing to complain of', async () => {
    const { report } = await until('every upstream is well', async () => {
      const asked = await askDoctor();
      return asked.code === 0 && asked;
    });
    expect(report).toMatchObject({ isRunning: true, configuration: [] });
    expect(report.upstreams.map(({ id, state, era }) => ({ id, state, era }))).toEqual(
      ['demo/everything', 'demo/memory', 'files/local'].map((id) => ({ id, state: 'healthy', era: 'legacy' })),
    );
  });
});

describe('the second start, by npm', () => {
  let gateway: Spawned;
  let greeting: Greeting;
  beforeAll(async () => {
    ({ gateway, greeting } = await start({ npm_command: 'start' }));
  });
  afterAll(() => gateway?.stop());

  test('does not show a key again', () => {
    expect(greeting.key).toBe('the one you set, or the one that was shown when this data directory was made');
    expect(gateway.stdout.join('\n')).not.toContain('shown this once');
  });

  test('prints the line that finds the right Node by itself', () => {
    expect(greeting.connect).toMatch(/^npx gatehouse connect claude-desktop\b/);
  });
});
