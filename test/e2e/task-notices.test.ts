import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Gated, startGated } from '../support/gated.ts';
import { closeRawClients, type OpenStream, openStream } from '../support/raw-clients.ts';
import { until } from '../support/until.ts';

// A client that listens for its tasks is told how they stand, as `tasks/get` would say it (SEP-2663); nobody else is.

const declared = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
let gated: Gated;
const streams: OpenStream[] = [];

beforeAll(async () => {
  gated = await startGated();
});
afterAll(async () => {
  for (const stream of streams) stream.close();
  await gated?.stop();
  await closeRawClients();
});

interface Listening {
  readonly key?: string;
  readonly toolbox?: string;
  readonly capabilities?: object;
}

/** Opens a stream and waits until it is acknowledged. */
async function listen(taskIds: readonly string[], { key, toolbox = '', capabilities = declared }: Listening = {}) {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'listener', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  };
  const stream = await openStream(
    `${gated.gateway.url}/mcp${toolbox === '' ? '' : `/${toolbox}`}`,
    {
      authorization: `Bearer ${key ?? gated.keys.ann}`,
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'subscriptions/listen',
    },
    {
      jsonrpc: '2.0',
      id: 'l',
      method: 'subscriptions/listen',
      params: { notifications: { toolsListChanged: true, taskIds }, _meta },
    },
  );
  streams.push(stream);
  const acknowledged = await until('it is acknowledged', () => stream.messages[0]);
  expect(acknowledged.method).toBe('notifications/subscriptions/acknowledged');
  return { stream, honoured: acknowledged.params.notifications };
}

/** A task whose call waits, and the request behind it. */
async function begun(args: object): Promise<{ taskId: string; id: string }> {
  const { body } = await gated.call(args, { capabilities: declared });
  expect(body.result.resultType).toBe('task');
  return { taskId: body.result.taskId, id: (await gated.pending())[0]?.id ?? '' };
}

const toldBy = ({ messages }: OpenStream) =>
  messages.filter(({ method }) => method === 'notifications/tasks').map(({ params }) => params);
const ask = async (method: string, taskId: string, key = gated.keys.ann) =>
  (await gated.gateway.mcp('', `tasks/${method}`, { taskId }, key, { 'mcp-name': taskId }, declared)).body;

test('SE-06: who made a call is told when it was agreed to, and what came of it', async () => {
  const { taskId, id } = await begun({ told: 1 });
  const { stream, honoured } = await listen([taskId]);
  expect(honoured).toEqual({ toolsListChanged: true, taskIds: [taskId] });
  const [first] = await until('how it stands', () => toldBy(stream).length > 0 && toldBy(stream));
  expect(first).toMatchObject({ taskId, status: 'working', _meta: { 'io.modelcontextprotocol/subscriptionId': 'l' } });
  await gated.decide(id, 'approve');
  await until('that it was agreed to', () => toldBy(stream).some(({ statusMessage }) => /agreed/.test(statusMessage)));
  await ask('get', taskId);
  const done = await until('what came of it', () => toldBy(stream).find(({ status }) => status === 'completed'));
  const { resultType: _, _meta, ...polled } = (await ask('get', taskId)).result;
  const { _meta: __, ...told } = done;
  expect(told).toEqual(polled);
  expect(told.result.content).toEqual([{ type: 'text', text: '{"told":1}' }]);
});

test.each([
  ['denied', async (id: string) => void (await gated.decide(id, 'deny')), 'completed'],
  ['cancelled', async (_: string, taskId: string) => void (await ask('cancel', taskId)), 'cancelled'],
])('what was %s is told without being asked after, and nothing comes after that', async (what, end, status) => {
  const { taskId, id } = await begun({ what });
  const { stream } = await listen([taskId]);
  await end(id, taskId);
  await until('the end', () => toldBy(stream).at(-1)?.status === status);
  const { taskId: other } = await begun({ after: what });
  const { stream: later } = await listen([taskId, other]);
  await until('both stand somehow', () => toldBy(later).length === 2);
  expect(toldBy(stream).filter((task) => task.status === status)).toHaveLength(1);
});

describe('SE-06: of the tasks of a caller', () => {
  test.each<[string, () => Promise<Listening>]>([
    ['another person', async () => ({ key: await gated.gateway.person('paul', [{ role: 'developer', namespace: 'support' }]) })],
    ['another key of the same person', async () => ({ key: gated.keys.ann2 })],
    ['whoever administers everything', async () => ({ key: gated.keys.dora })],
    ['another toolbox', async () => ({ toolbox: 'box' })],
    ['a client that does not know tasks', async () => ({ capabilities: {} })],
  ])('%s is told nothing', async (_who, make) => {
    const { taskId, id } = await begun({ denied: _who });
    const { stream, honoured } = await listen([taskId, 'made-up'], await make());
    expect(honoured).toEqual({ toolsListChanged: true });
    const { stream: own } = await listen([taskId]);
    await gated.decide(id, 'approve');
    await ask('get', taskId);
    await until('its own caller hears of the end', () => toldBy(own).at(-1)?.status === 'completed');
    expect(toldBy(stream)).toEqual([]);
  });

  test('more than a stream may follow are refused', async () => {
    const many = Array.from({ length: 101 }, (_, n) => `t${n}`);
    const answer = await gated.gateway.mcp(
      '',
      'subscriptions/listen',
      { notifications: { taskIds: many } },
      gated.keys.ann,
      {},
      declared,
    );
    expect(answer.body.error.message).toContain('at most 100 tasks');
  });

  test('nobody is told after their key was revoked', async () => {
    const { secret } = await gated.gateway.ok('POST /keys', { id: 'short', title: 'short', member: 'ann' });
    const { body } = await gated.call({ revoked: 1 }, { capabilities: declared, key: secret });
    const [waiting] = await gated.pending();
    const { stream } = await listen([body.result.taskId], { key: secret });
    await until('how it stands', () => toldBy(stream).length === 1);
    await gated.gateway.ok('POST /keys/short/revoke', {});
    await stream.ended;
    await gated.decide(waiting?.id ?? '', 'approve');
    expect(toldBy(stream)).toHaveLength(1);
  });
});
