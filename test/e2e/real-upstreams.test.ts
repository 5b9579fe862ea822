import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientKinds, connectClient, type TestClient, textOf } from '../support/clients.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft, runMarker, type Spawned, spawnMarked, startFixture } from '../support/processes.ts';
import { until } from '../support/until.ts';

let directory: string;
let everything: Spawned;
let sse: Spawned & { url: string };
let lite: Spawned & { url: string };
let gateway: Gateway;

const server = (name: string): string =>
  fileURLToPath(new URL(`../../node_modules/@modelcontextprotocol/server-${name}/dist/index.js`, import.meta.url));
const [markerName, markerValue] = runMarker.split('=');

beforeAll(async () => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-files-')));
  writeFileSync(join(directory, 'greeting.txt'), 'Hello from a file.');
  [sse, lite] = await Promise.all([startFixture('sse-server.ts'), startFixture('lite-server.ts')]);
  const port = await freePort();
  everything = spawnMarked(process.execPath, [server('everything'), 'streamableHttp'], { env: { PORT: `${port}` } });
  await until(
    'server-everything listens',
    () => everything.stderr.join('').includes('listening') || everything.stdout.join('').includes('listening'),
  );
  const env = `{ ${markerName}: "${markerValue}" }`;
  gateway = await startGateway([
    `
namespace: demo
upstreams:
  everything: { kind: mcp, command: ["${process.execPath}", "${server('everything')}"], env: ${env} }
toolboxes:
  everything-alone: { include: ["demo/*"], names: one-to-one }
`,
    `
namespace: web
upstreams:
  everything: { kind: mcp, url: "http://127.0.0.1:${port}/mcp" }
`,
    `
namespace: files
upstreams:
  files: { kind: mcp, command: ["${process.execPath}", "${server('filesystem')}", "${directory}"], env: ${env} }
`,
    `
namespace: notes
upstreams:
  memory:
    kind: mcp
    command: ["${process.execPath}", "${server('memory')}"]
    env: { ${markerName}: "${markerValue}", MEMORY_FILE_PATH: "${join(directory, 'memory.jsonl')}" }
`,
    `
namespace: older
upstreams:
  sse: { kind: mcp, url: "${sse.url}" }
`,
    `
namespace: lite
upstreams:
  lite: { kind: mcp, url: "${lite.url}" }
`,
  ]);
});

afterAll(async () => {
  await gateway?.stop();
  await Promise.all([everything?.stop(), sse?.stop(), lite?.stop()]);
  rmSync(directory, { recursive: true, force: true });
  await expectNoneLeft();
});

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

describe.each(clientKinds)('%s client, six servers behind one address', (kind) => {
  let client: TestClient;
  beforeAll(async () => {
    client = await connectClient(kind, { url: gateway.mcpUrl(), key: gateway.key });
  });
  afterAll(async () => {
    await client?.close();
  });

  test('one list holds the tools of all, in an order that stays', async () => {
    const names = await client.listTools();
    for (const name of [
      'demo__echo',
      'web__echo',
      'files__read_text_file',
      'notes__create_entities',
      'older__shout',
      'lite__reverse',
    ]) {
      expect(names).toContain(name);
    }
    expect(new Set(names).size).toBe(names.length);
    expect(await client.listTools()).toEqual(names);
    const other = await connectClient('v1', { url: gateway.mcpUrl(), key: gateway.key });
    expect(await other.listTools()).toEqual(names);
    await other.close();
  });

  test('a stdio and an HTTP copy of the same server stay apart', async () => {
    expect(textOf(await client.call('demo__echo', { message: 'over stdio' }))).toBe('Echo: over stdio');
    expect(textOf(await client.call('web__echo', { message: 'over HTTP' }))).toBe('Echo: over HTTP');
  });

  test('server-filesystem reads a file and refuses another', async () => {
    const read = await client.call('files__read_text_file', { path: join(directory, 'greeting.txt') });
    expect(textOf(read)).toBe('Hello from a file.');
    const refused = await client.call('files__read_text_file', { path: '/etc/hostname' });
    expect(refused.isError).toBe(true);
    expect(textOf(refused)).toContain('Access denied');
  });

  test('server-memory keeps what it is told', async () => {
    const name = `entity of ${kind}`;
    await client.call('notes__create_entities', { entities: [{ name, entityType: 'test', observations: ['seen'] }] });
    expect(textOf(await client.call('notes__search_nodes', { query: name }))).toContain(name);
  });

  test('an HTTP+SSE server of 2024 answers', async () => {
    expect(textOf(await client.call('older__shout', { text: 'quiet' }))).toBe('QUIET');
  });

  test('a server that is not built on the official SDK answers', async () => {
    expect(textOf(await client.call('lite__reverse', { text: 'abc' }))).toBe('cba');
  });

  test('a subscription is heard', async () => {
    const { resources } = (await client.request('resources/list')) as { resources: { uri: string }[] };
    const uri = resources.map((resource) => resource.uri).find((candidate) => candidate.includes('gh.demo.everything')) ?? '';
    const watcher = await connectClient(kind, { url: gateway.mcpUrl(), key: gateway.key });
    try {
      await watcher.watch([uri]);
      await watcher.call('demo__toggle-subscriber-updates');
      await until('the update arrives', () => watcher.changes.includes(uri));
      await watcher.call('demo__toggle-subscriber-updates');
    } finally {
      await watcher.close();
    }
  });

  test('structured content arrives beside the text', async () => {
    const result = (await client.request('tools/call', {
      name: 'demo__get-structured-content',
      arguments: { location: 'New York' },
    })) as { structuredContent: Record<string, unknown> };
    expect(result.structuredContent).toHaveProperty('temperature');
  });

  test('resources of all are listed once and can be read', async () => {
    const { resources } = (await client.request('resources/list')) as { resources: { uri: string }[] };
    const uris = resources.map(({ uri }) => uri);
    expect(new Set(uris).size).toBe(uris.length);
    for (const owner of ['gh.demo.everything', 'gh.web.everything']) {
      const uri = uris.find((candidate) => candidate.includes(owner));
      const { contents } = (await client.request('resources/read', { uri })) as { contents: { uri: string }[] };
      expect(contents[0]?.uri).toBe(uri);
    }
  });

  test('prompts are listed and filled', async () => {
    const { prompts } = (await client.request('prompts/list')) as { prompts: { name: string }[] };
    expect(prompts.map(({ name }) => name)).toContain('demo__args-prompt');
    const filled = await client.request('prompts/get', {
      name: 'demo__args-prompt',
      arguments: { city: 'Oslo', state: 'Norway' },
    });
    expect(JSON.stringify(filled)).toContain('Oslo');
  });

  test('completions reach the server that knows them', async () => {
    const { completion } = (await client.request('completion/complete', {
      ref: { type: 'ref/prompt', name: 'demo__completable-prompt' },
      argument: { name: 'department', value: 'E' },
    })) as { completion: { values: string[] } };
    expect(completion.values).toContain('Engineering');
  });

  test('server-everything asks the user and gets the answer', async () => {
    client.asked.length = 0;
    client.answers.elicitation = { action: 'accept', content: { name: 'Ada' } };
    const result = await client.call('demo__trigger-elicitation-request');
    expect(client.asked.map(({ method }) => method)).toEqual(['elicitation/create']);
    expect(textOf(result)).toContain('Ada');
  });

  test('progress of a long operation arrives', async () => {
    const heard: number[] = [];
    await client.call(
      'demo__trigger-long-running-operation',
      { duration: 0.1, steps: 4 },
      { onProgress: ({ progress }) => heard.push(progress) },
    );
    expect(heard).toEqual([1, 2, 3, 4]);
  });
});

test('no two upstreams share a connection, and each is known by its transport', async () => {
  const { upstreams } = await gateway.status();
  expect(Object.fromEntries(upstreams.map(({ id, transport }) => [id, transport]))).toEqual({
    'demo/everything': 'stdio',
    'web/everything': 'http',
    'files/files': 'stdio',
    'notes/memory': 'stdio',
    'older/sse': 'sse',
    'lite/lite': 'http',
  });
});
