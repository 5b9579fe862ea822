import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ClientKind, connectClient, type TestClient, type ToolResult, textOf } from '../support/clients.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft, listMarked, runMarker, type Spawned, startFixture } from '../support/processes.ts';
import { until, within } from '../support/until.ts';
import { reply, startModernRaw } from '../support/upstreams/raw-server.ts';

const rogue = fileURLToPath(new URL('../fixtures/rogue-server.ts', import.meta.url));
const [markerName, markerValue] = runMarker.split('=');
const eras = ['legacy', 'modern'] as const;

let fixtures: Record<(typeof eras)[number], Spawned & { url: string }>;
let gateway: Gateway;

beforeAll(async () => {
  const [legacy, modern] = await Promise.all([startFixture('everything-legacy.ts'), startFixture('everything-modern.ts')]);
  fixtures = { legacy, modern };
  gateway = await startGateway(eras.map((era) => namespace(era, entry(fixtures[era].url))));
});

afterAll(async () => {
  await gateway?.stop();
  await Promise.all(Object.values(fixtures ?? {}).map((fixture) => fixture.stop()));
  await expectNoneLeft();
});

beforeEach(async () => {
  await Promise.all(eras.map((era) => edit(era, namespace(era, entry(fixtures[era].url)))));
});

function entry(url: string, more = ''): string {
  return `  one: { kind: mcp, url: "${url}"${more} }\n`;
}

function pipe(args: readonly string[], more = ''): string {
  const command = JSON.stringify([process.execPath, rogue, '--stdio', ...args]);
  return `  pipe: { kind: mcp, command: ${command}, env: { ${markerName}: "${markerValue}" }${more} }\n`;
}

function namespace(name: string, upstreams: string, include = `${name}/*`): string {
  return `namespace: ${name}\nupstreams:\n${upstreams}toolboxes:\n  ${name}-box: { include: ["${include}"] }\n`;
}

const appliedCount = (): number => gateway.process.stderr.filter((line) => line.includes('configuration applied')).length;
const written = new Map<string, string>();

/** Saves the file; resolves when the gateway runs it. */
async function edit(name: string, yaml: string): Promise<void> {
  if (written.get(name) === yaml) return;
  const before = appliedCount();
  gateway.writeNamespace(name, yaml);
  written.set(name, yaml);
  await until('the change is applied', () => appliedCount() > before);
}

/** Lists over and over. `stop` resolves with the lists in which the tool was missing. */
function watchFor(tool: string, client: TestClient): { stop(): Promise<string[][]> } {
  const without: string[][] = [];
  let isOver = false;
  const done = (async () => {
    while (!isOver) {
      const tools = await client.listTools();
      if (!tools.includes(tool)) without.push(tools);
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await done;
      return without;
    },
  };
}

/** A call that runs until it is released. Resolves when it is there. */
async function startHolding(client: TestClient, era: string, key: string): Promise<{ readonly call: Promise<ToolResult> }> {
  const { promise: isThere, resolve } = Promise.withResolvers<void>();
  const call = client.call(`${era}__test_hold`, { key }, { onProgress: () => resolve() });
  await within(10_000, 'the call is held', Promise.race([isThere, call]));
  return { call };
}

async function stateOf(client: TestClient, era: string, key: string): Promise<string> {
  return textOf(await client.call(`${era}__test_hold_state`, { key }));
}

describe.each(eras)('a %s upstream', (era) => {
  const kinds: readonly ClientKind[] = ['v1', 'v2 pinned'];

  test.each(kinds)('goes on with the calls and the session of a client (%s) whatever is edited around them', async (kind) => {
    const { url } = fixtures[era];
    const door = { url: gateway.mcpUrl(), key: gateway.key };
    const [client, lister] = await Promise.all([connectClient(kind, door), connectClient(kind, door)]);
    const tool = `${era}__test_echo`;
    const watch = watchFor(tool, lister);
    await client.watch();
    try {
      const key = `${era} ${kind}`;
      const { call } = await startHolding(client, era, key);
      const numbers = ', timeoutMs: 45000, maxDurationMs: 700000, concurrency: 7, answerLimitBytes: 900000';
      const changed = entry(url, `${numbers}, breaker: { minimumCalls: 50 }`);
      const added = `${changed}${pipe([])}`;
      for (const [yaml, isThere] of [
        [namespace(era, changed), () => true],
        [namespace(era, changed, `${era}/test_echo`), async () => (await boxOf(era)).join() === tool],
        [namespace(era, added), async () => (await client.listTools()).includes(`${era}__misbehave`)],
        [namespace(era, changed), async () => !(await client.listTools()).includes(`${era}__misbehave`)],
      ] as const) {
        await edit(era, yaml);
        await until('the change shows', isThere, 30_000);
        expect(textOf(await client.call(tool, { text: 'still here' }))).toBe('still here');
        expect(await stateOf(client, era, key)).toBe('held');
        // What comes and goes between two looks is not told: the tool stays until it was.
        if (yaml === namespace(era, added))
          await until('the client heard that lists changed', () => client.changes.includes('tools'));
      }
      await client.call(`${era}__test_release`, { key });
      expect(textOf(await call)).toBe(`released ${key}`);
      expect(await watch.stop()).toEqual([]);
    } finally {
      await watch.stop();
      await Promise.all([client.close(), lister.close()]);
    }
  });

  test.each(kinds)(
    'stays in its place until another address answers, and ends with its last call (%s)',
    async (kind) => {
      const before = fixtures[era];
      const file = `everything-${era}.ts`;
      const away = await startFixture(file);
      await away.stop();
      const door = { url: gateway.mcpUrl(), key: gateway.key };
      const [client, lister] = await Promise.all([connectClient(kind, door), connectClient(kind, door)]);
      const direct = await connectClient(era === 'legacy' ? 'v1' : 'v2 pinned', { url: before.url, key: 'none' });
      const watch = watchFor(`${era}__test_echo`, lister);
      let after: Spawned | undefined;
      try {
        const key = `moved ${era} ${kind}`;
        const { call } = await startHolding(client, era, key);
        await edit(era, namespace(era, entry(away.url)));
        // Nobody answers there yet.
        expect(await stateOf(client, era, key)).toBe('held');
        after = await startFixture(file, '--port', new URL(away.url).port);
        await until('the new address answers', async () => (await stateOf(client, era, key)) === 'unknown', 30_000);
        await direct.call('test_release', { key });
        expect(textOf(await call)).toBe(`released ${key}`);
        await edit(era, namespace(era, entry(before.url)));
        await until('the old address answers again', async () => (await stateOf(client, era, key)) !== 'unknown', 30_000);
        expect(await watch.stop()).toEqual([]);
      } finally {
        await watch.stop();
        await Promise.all([client.close(), lister.close(), direct.close()]);
        await after?.stop();
      }
    },
    60_000,
  );
});

async function boxOf(era: string): Promise<string[]> {
  const client = await connectClient('v1', { url: gateway.mcpUrl(`${era}-box`), key: gateway.key });
  try {
    return await client.listTools();
  } finally {
    await client.close();
  }
}

test('a process is kept when only its calls are configured anew, and replaced when its command is another one', async () => {
  const client = await connectClient('v1', { url: gateway.mcpUrl(), key: gateway.key });
  const watch = watchFor('piped__misbehave', client);
  const pid = async () => textOf(await client.call('piped__misbehave', { how: 'say' }));
  try {
    await edit('piped', namespace('piped', pipe([])));
    await until('the process answers', async () => (await client.listTools()).includes('piped__misbehave'));
    await watch.stop();
    const steady = watchFor('piped__misbehave', client);
    const first = await pid();
    await edit('piped', namespace('piped', pipe([], ', timeoutMs: 4000, answerLimitBytes: 2000, concurrency: 3')));
    expect(await pid()).toBe(first);
    await edit('piped', namespace('piped', pipe(['--port', '1'])));
    await until('another process answers', async () => (await pid()) !== first);
    await until('the first one is gone', () => !listMarked().some((process) => `pid ${process.pid}` === first));
    expect(await steady.stop()).toEqual([]);
  } finally {
    await watch.stop();
    await client.close();
  }
});

test('an upstream with another header value begins with what is known of it: it is not probed again', async () => {
  const seen: unknown[] = [];
  const server = await startModernRaw((request) => {
    seen.push(request.request.headers['x-team']);
    reply(request, { result: { resultType: 'complete', content: [] } });
  });
  const client = await connectClient('v2 pinned', { url: gateway.mcpUrl(), key: gateway.key });
  const withTeam = (team: string) => namespace('team', entry(server.url, `, headers: { X-Team: ${team} }`));
  try {
    await edit('team', withTeam('red'));
    await until('it is listed', async () => (await client.listTools()).includes('team__poke'));
    await edit('team', withTeam('blue'));
    await until('it is called with the new value', async () => {
      await client.call('team__poke');
      return seen.includes('blue');
    });
    expect(server.methods.filter((method) => method === 'server/discover')).toHaveLength(1);
  } finally {
    await client.close();
    await edit('team', 'namespace: team\n');
    await server.close();
  }
});

test('a broken file keeps everything, is shown, and is forgotten when it is whole again', async () => {
  const client = await connectClient('v2 pinned', { url: gateway.mcpUrl(), key: gateway.key });
  const good = written.get('legacy') ?? '';
  const watch = watchFor('legacy__test_echo', client);
  try {
    const { call } = await startHolding(client, 'legacy', 'broken');
    gateway.writeNamespace('legacy', good.replace('kind: mcp', 'kind: nonsense'));
    const [problem] = await until('the problem is shown', async () => {
      const { configuration } = await gateway.status();
      return configuration.length > 0 && configuration;
    });
    expect(problem).toMatchObject({ file: expect.stringMatching(/legacy\.yaml$/), line: 3 });
    expect(await stateOf(client, 'legacy', 'broken')).toBe('held');
    const before = appliedCount();
    gateway.writeNamespace('legacy', good);
    await until('the file is taken', () => appliedCount() > before);
    expect((await gateway.status()).configuration).toEqual([]);
    await client.call('legacy__test_release', { key: 'broken' });
    expect(textOf(await call)).toBe('released broken');
    expect(await watch.stop()).toEqual([]);
  } finally {
    await watch.stop();
    await client.close();
  }
});
