import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, type TestClient, type ToolResult, textOf } from '../support/clients.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft, listMarked, runMarker, type Spawned, startFixture } from '../support/processes.ts';
import { until, within } from '../support/until.ts';

const rogue = fileURLToPath(new URL('../fixtures/rogue-server.ts', import.meta.url));
const [markerName, markerValue] = runMarker.split('=');
const timeoutMs = 2000;
/** A faulty upstream may cost its own caller the time-out and a little, nobody else anything. */
const boundMs = timeoutMs + 3000;
const neighbourBoundMs = 1500;

let overHttp: Spawned & { url: string };
let gateway: Gateway;
let client: TestClient;

beforeAll(async () => {
  overHttp = await startFixture('rogue-server.ts');
  const env = `{ ${markerName}: "${markerValue}" }`;
  const breaker = '{ errorRate: 1, minimumCalls: 1000, windowMs: 1000, openMs: 100 }';
  gateway = await startGateway([
    `
namespace: rogue
upstreams:
  pipe: { kind: mcp, command: ["${process.execPath}", "${rogue}", "--stdio"], env: ${env}, timeoutMs: ${timeoutMs}, breaker: ${breaker} }
`,
    `
namespace: rogue-web
upstreams:
  http: { kind: mcp, url: "${overHttp.url}", timeoutMs: ${timeoutMs}, breaker: ${breaker} }
`,
    `
namespace: calm
upstreams:
  pipe: { kind: mcp, command: ["${process.execPath}", "${rogue}", "--stdio"], env: ${env} }
`,
  ]);
  client = await connectClient('v2 pinned', { url: gateway.mcpUrl(), key: gateway.key });
});

afterAll(async () => {
  await client?.close();
  await gateway?.stop();
  await overHttp?.stop();
  await expectNoneLeft();
});

/** A call that ends badly, and within its bound; the neighbour answers meanwhile within a bound of its own. */
async function misbehave(tool: string, how: string): Promise<ToolResult> {
  const call = within(boundMs, `${tool} ${how} ends`, client.call(tool, { how }));
  const neighbour = within(neighbourBoundMs, 'the neighbour answers meanwhile', client.call('calm__echo', { text: 'calm' }));
  expect(textOf(await neighbour)).toBe('calm');
  const result = await call;
  expect(result.isError).toBe(true);
  expect(textOf(result)).not.toMatch(/ECONN|at .*\.ts:|secret-internal-host|undefined/);
  return result;
}

function codeOf({ _meta }: ToolResult): unknown {
  return (_meta?.['dev.gatehouse/error'] as { code?: unknown } | undefined)?.code;
}

async function works(tool: string): Promise<void> {
  await until(
    `${tool} works again`,
    async () => {
      const result = await client.call(tool, { text: 'again' });
      return result.isError !== true && textOf(result) === 'again';
    },
    8000,
  );
}

describe('a child process that', () => {
  test.each([
    { how: 'exit', code: ['upstream_failed', 'upstream_unavailable'] },
    { how: 'hang', code: ['upstream_timeout'] },
    { how: 'wrong-id', code: ['upstream_timeout'] },
    { how: 'flood', code: ['answer_too_large', 'upstream_failed', 'upstream_unavailable', 'upstream_timeout'] },
  ])('does "$how" fails its call with a sentence, disturbs nobody, and works afterwards', async ({ how, code }) => {
    expect(code).toContain(codeOf(await misbehave('rogue__misbehave', how)));
    await works('rogue__echo');
  });

  test('prints what is no message is forgiven', async () => {
    const result = await client.call('rogue__misbehave', { how: 'noise' });
    expect(result.isError).not.toBe(true);
  });

  test('is killed in the middle of a call fails that call at once, and is replaced', async () => {
    const pid = Number(/pid (\d+)/.exec(textOf(await client.call('rogue__misbehave', { how: 'say' })))?.[1]);
    const started = Date.now();
    const call = client.call('rogue__misbehave', { how: 'hang' });
    await client.call('rogue__echo', { text: 'the hanging call is there by now' });
    process.kill(pid, 'SIGKILL');
    expect((await within(boundMs, 'the call ends', call)).isError).toBe(true);
    expect(Date.now() - started).toBeLessThan(timeoutMs);
    await works('rogue__echo');
    const next = Number(/pid (\d+)/.exec(textOf(await client.call('rogue__misbehave', { how: 'say' })))?.[1]);
    expect(next).not.toBe(pid);
  });
});

describe('an HTTP upstream that', () => {
  test.each([
    { how: 'hang', code: ['upstream_timeout'] },
    { how: 'wrong-id', code: ['upstream_failed', 'upstream_timeout'] },
    { how: 'cut', code: ['upstream_failed', 'upstream_unavailable'] },
    { how: 'end-early', code: ['upstream_failed', 'upstream_unavailable'] },
    { how: 'html', code: ['upstream_failed', 'upstream_unavailable'] },
    { how: 'huge', code: ['answer_too_large'] },
  ])('does "$how" fails its call with a sentence, disturbs nobody, and works afterwards', async ({ how, code }) => {
    expect(code).toContain(codeOf(await misbehave('rogue-web__misbehave', how)));
    await works('rogue-web__echo');
  });

  test('forgets its sessions is greeted anew', async () => {
    expect((await client.call('rogue-web__misbehave', { how: 'forget' })).isError).not.toBe(true);
    await works('rogue-web__echo');
  });

  test('is restarted is found again', async () => {
    const port = new URL(overHttp.url).port;
    await overHttp.stop();
    const away = await within(boundMs, 'a call to nobody ends', client.call('rogue-web__echo', { text: 'anyone?' }));
    expect(away.isError).toBe(true);
    expect(textOf(await client.call('calm__echo', { text: 'calm' }))).toBe('calm');
    overHttp = await startFixture('rogue-server.ts', '--port', port);
    await works('rogue-web__echo');
  });
});

test('a cancelled call to a hanging upstream ends at once', async () => {
  const controller = new AbortController();
  const call = client.call('rogue__misbehave', { how: 'hang' }, { signal: controller.signal });
  const neighbour = await client.call('calm__echo', { text: 'the hanging call is on its way' });
  expect(textOf(neighbour)).toBe('the hanging call is on its way');
  controller.abort();
  await expect(within(500, 'the cancelled call ends', call)).rejects.toThrow();
  await works('rogue__echo');
});

describe('a gateway that is stopped', () => {
  test('waits for a running call and no longer, and leaves no child process behind', async () => {
    const env = `{ ${markerName}: "${markerValue}" }`;
    const other = await startGateway([
      `
namespace: rogue
upstreams:
  pipe: { kind: mcp, command: ["${process.execPath}", "${rogue}", "--stdio"], env: ${env}, timeoutMs: 3000 }
`,
    ]);
    const caller = await connectClient('v1', { url: other.mcpUrl(), key: other.key });
    const pid = Number(/pid (\d+)/.exec(textOf(await caller.call('rogue__misbehave', { how: 'say' })))?.[1]);
    const call = caller.call('rogue__misbehave', { how: 'hang' }).catch(() => {});
    await caller.call('rogue__echo', { text: 'the hanging call is there by now' });
    expect(listMarked().map((process) => process.pid)).toContain(pid);
    await within(3000 + 3000, 'the gateway ends with its last call', other.stop());
    await caller.close();
    await within(5000, 'the call ended with the gateway', call);
    await until('its child is gone', () => !listMarked().some((process) => process.pid === pid));
  });

  test('ends although nobody reads its log any more', async () => {
    const other = await startGateway(['namespace: empty\nupstreams: {}\n']);
    try {
      other.process.child.stdout?.destroy();
      other.process.child.stderr?.destroy();
      await within(5000, 'the gateway ends', other.stop());
    } finally {
      other.process.child.kill('SIGKILL');
    }
  });

  test('leaves no child process behind even when it is killed', async () => {
    const env = `{ ${markerName}: "${markerValue}" }`;
    const other = await startGateway([
      `
namespace: rogue
upstreams:
  pipe: { kind: mcp, command: ["${process.execPath}", "${rogue}", "--stdio"], env: ${env} }
`,
    ]);
    const [child] = listMarked().filter(({ pid, command }) => command.includes('rogue-server') && isChildOf(pid, other.pid));
    process.kill(other.pid, 'SIGKILL');
    await other.stop();
    await until('its child is gone', () => !listMarked().some(({ pid }) => pid === child?.pid));
  });
});

function isChildOf(pid: number, parent: number): boolean {
  return listMarked().some((process) => process.pid === pid && process.parent === parent);
}
