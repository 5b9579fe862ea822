import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/wire/json.ts';
import { type Harness, overHttp, overStdio, started, textOf, toolCall, until } from '../support/upstreams/harness.ts';
import { packageCommand, startListening } from '../support/upstreams/program.ts';
import { type SseServer, startSseServer } from '../support/upstreams/sse-server.ts';

const everything = '@modelcontextprotocol/server-everything';
const interactive: JsonObject = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };
let harness: Harness;
afterEach(() => harness?.upstream.close());

async function exerciseEverything(): Promise<void> {
  const { upstream } = harness;
  const { tools, prompts, resourceTemplates, resources } = upstream.offer();
  expect(tools.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['echo', 'get-sum', 'trigger-elicitation-request', 'trigger-sampling-request']),
  );
  expect(prompts.length).toBeGreaterThan(0);
  expect(resources.length).toBeGreaterThan(0);
  expect(resourceTemplates.length).toBeGreaterThan(0);
  expect(textOf(await upstream.call(toolCall('echo', { message: 'hi' })))).toBe('Echo: hi');
  const steps: unknown[] = [];
  await upstream.call(
    toolCall('trigger-long-running-operation', { duration: 0.2, steps: 2 }, { progress: ({ progress }) => steps.push(progress) }),
  );
  expect(steps).toEqual([1, 2]);
  const sampled = await upstream.call(
    toolCall(
      'trigger-sampling-request',
      { prompt: 'hello', maxTokens: 5 },
      {
        session: 's1',
        capabilities: interactive,
        ask: async (method): Promise<JsonObject> =>
          method === 'roots/list' ? { roots: [] } : { model: 'm', role: 'assistant', content: { type: 'text', text: 'sampled' } },
      },
    ),
  );
  expect(textOf(sampled)).toContain('sampled');
  const [first] = resources;
  const read = await upstream.call(toolCall('', {}, { method: 'resources/read', params: { uri: first?.uri ?? '' } }));
  expect(read.kind).toBe('result');
  const completed = await upstream.call(
    toolCall(
      '',
      {},
      {
        method: 'completion/complete',
        params: { ref: { type: 'ref/prompt', name: 'completable-prompt' }, argument: { name: 'department', value: 'E' } },
      },
    ),
  );
  expect(completed.kind === 'result' && completed.result.has('completion')).toBe(true);
}

describe('server-everything', () => {
  test('over stdio', async () => {
    harness = await started(overStdio(packageCommand(everything, 'stdio')));
    expect(harness.upstream.health()).toMatchObject({ era: 'legacy', transport: 'stdio', state: 'healthy' });
    await exerciseEverything();
  });

  test('over Streamable HTTP', async () => {
    const server = await startListening(packageCommand(everything, 'streamableHttp'));
    try {
      harness = await started(overHttp(`http://127.0.0.1:${server.port}/mcp`));
      expect(harness.upstream.health()).toMatchObject({ era: 'legacy', transport: 'http', state: 'healthy' });
      await exerciseEverything();
      await harness.upstream.close();
    } finally {
      await server.stop();
    }
  });

  test('over HTTP+SSE, found by itself', async () => {
    const server = await startListening(packageCommand(everything, 'sse'));
    try {
      harness = await started(overHttp(`http://127.0.0.1:${server.port}/sse`));
      expect(harness.upstream.health()).toMatchObject({ era: 'legacy', transport: 'sse', state: 'healthy' });
      await exerciseEverything();
      await harness.upstream.close();
    } finally {
      await server.stop();
    }
  });
});

test('server-memory keeps what it is told', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  try {
    const env = { MEMORY_FILE_PATH: join(directory, 'memory.jsonl') };
    harness = await started(overStdio(packageCommand('@modelcontextprotocol/server-memory'), { env }));
    const entities = [{ name: 'Gatehouse', entityType: 'software', observations: ['has a gate'] }];
    await harness.upstream.call(toolCall('create_entities', { entities }));
    expect(textOf(await harness.upstream.call(toolCall('read_graph')))).toContain('has a gate');
    await harness.upstream.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('server-filesystem works in the roots of the client it is opened for', async () => {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-')));
  const other = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-')));
  try {
    writeFileSync(join(directory, 'a.txt'), 'of the command line');
    writeFileSync(join(other, 'b.txt'), 'of the client');
    harness = await started(
      overStdio(packageCommand('@modelcontextprotocol/server-filesystem', directory), { sessions: 'each' }),
    );
    const plain = await harness.upstream.call(toolCall('read_text_file', { path: join(directory, 'a.txt') }));
    expect(textOf(plain)).toBe('of the command line');
    const client = {
      session: 's1',
      capabilities: { roots: { listChanged: true } },
      ask: async (): Promise<JsonObject> => ({ roots: [{ uri: pathToFileURL(other).href, name: 'other' }] }),
    };
    // The server asks for the roots when its session opens and takes them when the first call carries the answer.
    let text = '';
    do text = textOf(await harness.upstream.call(toolCall('list_allowed_directories', {}, client)));
    while (!text.includes(other));
    expect(textOf(await harness.upstream.call(toolCall('read_text_file', { path: join(other, 'b.txt') }, client)))).toBe(
      'of the client',
    );
    harness.upstream.notify('s1', 'notifications/roots/list_changed', {});
    await harness.upstream.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
    rmSync(other, { recursive: true, force: true });
  }
});

describe('a server of the older HTTP+SSE transport', () => {
  let server: SseServer;
  const start = async () => {
    server = await startSseServer();
    harness = await started(overHttp(server.url));
  };
  const stop = async () => {
    await harness.upstream.close();
    await server.close();
  };

  test('is opened again when its stream ends, and a call in flight fails once', async () => {
    await start();
    expect(harness.upstream.health()).toMatchObject({ transport: 'sse', state: 'healthy', connections: 1 });
    const hanging = expect(harness.upstream.call(toolCall('hang'))).rejects.toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining('Whether the call was carried out is not known.'),
    });
    expect(textOf(await harness.upstream.call(toolCall('echo', { text: 'x' })))).toBe('x');
    await server.cut();
    await hanging;
    await until(() => harness.upstream.health().state === 'healthy');
    expect(textOf(await harness.upstream.call(toolCall('echo', { text: 'again' })))).toBe('again');
    await stop();
  });

  test('asks each client on a stream of its own', async () => {
    await start();
    const ask = (name: string) =>
      harness.upstream.call(
        toolCall(
          'ask-loosely',
          { marker: name },
          {
            principal: name,
            session: name,
            capabilities: interactive,
            ask: async (_method, params) => ({ action: 'accept', content: { name: `${name}/${String(params.message)}` } }),
          },
        ),
      );
    expect((await Promise.all([ask('ada'), ask('bob')])).map(textOf)).toEqual(['accept: ada/ada', 'accept: bob/bob']);
    expect(server.streams.size).toBe(3);
    harness.upstream.endSession('ada');
    await until(() => server.streams.size === 2);
    await stop();
    await until(() => server.streams.size === 0);
  });
});
