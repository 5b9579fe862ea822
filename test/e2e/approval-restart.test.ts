import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { authenticateLocalUser } from '../../src/call/authenticate.ts';
import { serveStdio } from '../../src/inbound/mcp/stdio.ts';
import { type Acted, type Administered, act, startAdministered } from '../admin/operator.ts';
import { openAdminGateway } from '../support/admin-gateway.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { type Answered, closeRawClients, connectRaw } from '../support/raw-clients.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

let upstream: StagedUpstream;
let gateway: Administered;
let dataDir: string;
let second: Gateway | undefined;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['pay'] });
});
beforeEach(async () => {
  upstream.arrivals.length = 0;
  upstream.behave = upstream.echo;
  dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-approvals-'));
  gateway = await startAdministered(
    [namespace()],
    [
      { id: 'ann', roles: [{ role: 'developer' }] },
      { id: 'bob', roles: [{ role: 'approver' }] },
    ],
    { GATEHOUSE_ADMIN_KEY: 'operator-key-of-a-test-0123456789abcdef' },
  );
});
afterEach(async () => {
  await second?.stop();
  second = undefined;
  await gateway?.stop().catch(() => {});
  rmSync(dataDir, { recursive: true, force: true });
});
afterAll(async () => {
  await closeRawClients();
  await upstream?.close();
  await expectNoneLeft();
});

const namespace = () =>
  `namespace: demo\nupstreams:\n  bank: { kind: mcp, url: "${upstream.url}" }\npolicy:\n  gates: [{ match: demo/pay }]\n`;

async function pay(at: Gateway): Promise<Answered> {
  return (await connectRaw('modern', { url: at.mcpUrl(), key: gateway.keyOf('ann') })).call('demo__pay', { amount: 5 });
}

const errorOf = ({ message }: Answered) =>
  (message?.result?._meta as Record<string, { code: string; approval: string }> | undefined)?.['dev.gatehouse/error'];

const approve = (at: Gateway, id: string): Promise<Acted> =>
  act({ url: at.url, key: gateway.keyOf('bob') }, 'decide_approval', { id, decision: 'approve' });

/** Kills it as a crash does, and starts another on what it left. */
async function crash(): Promise<Gateway> {
  gateway.process.child.kill('SIGKILL');
  await once(gateway.process.child, 'exit');
  second = await startGateway([namespace()], {
    GATEHOUSE_DATA: gateway.dataDir,
    GATEHOUSE_ADMIN_KEY: 'operator-key-of-a-test-0123456789abcdef',
  });
  return second;
}

test('AP-08: killed after the approval, the call runs once on whatever comes after', { timeout: 60_000 }, async () => {
  const id = errorOf(await pay(gateway))?.approval ?? '';
  expect((await approve(gateway, id)).body.state).toBe('approved');
  const after = await crash();
  expect((await pay(after)).message?.result?.isError).toBeUndefined();
  expect(errorOf(await pay(after))?.code).toBe('approval_pending');
  expect(upstream.callsOf('pay')).toHaveLength(1);
});

test('AP-08: killed while it waits, it still waits, and can be approved', { timeout: 60_000 }, async () => {
  const id = errorOf(await pay(gateway))?.approval ?? '';
  const after = await crash();
  expect(errorOf(await pay(after))?.approval).toBe(id);
  await approve(after, id);
  expect((await pay(after)).message?.result?.isError).toBeUndefined();
  expect(upstream.callsOf('pay')).toHaveLength(1);
});

test('AP-08: killed while it runs, it does not run again, and nobody claims to know what became of it', {
  timeout: 60_000,
}, async () => {
  const id = errorOf(await pay(gateway))?.approval ?? '';
  await approve(gateway, id);
  upstream.behave = () => new Promise(() => {});
  const lost = pay(gateway).catch(() => undefined);
  await until('the upstream has heard of it', () => upstream.callsOf('pay').length === 1);
  const after = await crash();
  await lost;
  upstream.behave = upstream.echo;
  expect(errorOf(await pay(after))?.code).toBe('approval_pending');
  expect(upstream.callsOf('pay')).toHaveLength(1);
  const { body } = await act({ url: after.url, key: gateway.keyOf('bob') }, 'get_approval', { id });
  expect([body.state, body.outcome]).toEqual(['consumed', null]);
});

test('over standard input and output a form decides too, and a call without one says how it is decided on', async () => {
  const inner = await openAdminGateway({
    namespaces: { demo: `${namespace().replace('[{ match: demo/pay }]', '[{ match: demo/pay, by: caller }]')}` },
  });
  for (const [capabilities, expected] of [
    [{ elicitation: {} }, '"amount":5'],
    [{}, 'approval_pending'],
  ] as const) {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const caller = authenticateLocalUser('all');
    const left = serveStdio(inner.gateway.edge, { caller, toolbox: '', input, output, limitBytes: 1_000_000 });
    // Nobody answers before they were asked.
    const send = (message: object) => setImmediate(() => input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`));
    const answered = new Promise<string>((resolve) => {
      output.setEncoding('utf8').on('data', (text: string) => {
        for (const line of text.split('\n').filter((part) => part !== '')) {
          const message = JSON.parse(line);
          if (message.method === 'elicitation/create')
            send({ id: message.id, result: { action: 'accept', content: { decision: 'approve' } } });
          else if (message.id === 1)
            send({ id: 2, method: 'tools/call', params: { name: 'demo__pay', arguments: { amount: 5 } } });
          else if (message.id === 2) resolve(line);
        }
      });
    });
    const clientInfo = { name: 'test', version: '1' };
    send({ id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities, clientInfo } });
    expect((await answered).replaceAll('\\', '')).toContain(expected);
    setImmediate(() => input.end());
    await left;
  }
  expect(upstream.callsOf('pay')).toHaveLength(1);
  await inner.stop();
});
