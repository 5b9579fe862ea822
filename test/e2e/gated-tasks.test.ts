import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Answer } from '../support/admin-gateway.ts';
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts';
import { codeOf, type Gated, startGated } from '../support/gated.ts';
import { until } from '../support/until.ts';

// A client that knows tasks gets one for a call that waits (SEP-2663), over real HTTP.

const declared = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
const more = `policy:
  gates:
    - { match: support/echo, when: '!has(args.own)', reason: "Somebody has to look." }
    - { match: support/echo, when: 'has(args.own)', by: caller }
`;
const clock = { offsetMs: 0, nowMs: () => Date.now() + clock.offsetMs };
let upstream: CountingUpstream;
let gated: Gated;
let key: string;
let directory: string;
const others: Gated[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-tasks-'));
  upstream = await startCountingUpstream();
  gated = await startGated({ more, clock, directory, upstream });
});
beforeEach(async () => {
  upstream.calls.length = 0;
  upstream.behave = undefined;
  clock.offsetMs = 0;
  key = await gated.freshKey();
});
afterEach(async () => {
  for (const other of others.splice(0)) await other.stop();
});
afterAll(async () => {
  await gated?.stop();
  await upstream?.close();
  rmSync(directory, { recursive: true, force: true });
});

const call = (args: object, capabilities: object = declared) => gated.call(args, { key, capabilities });

interface Options {
  readonly params?: object;
  readonly key?: string;
  readonly at?: Gated;
  readonly toolbox?: string;
  readonly capabilities?: object;
}

function task(method: string, taskId: string, options: Options = {}): Promise<Answer> {
  const { at = gated, toolbox = '', capabilities = declared, params = {} } = options;
  const headers = { 'mcp-name': taskId };
  return at.gateway.mcp(toolbox, `tasks/${method}`, { taskId, ...params }, options.key ?? key, headers, capabilities);
}
const get = async (taskId: string, options?: Options) => (await task('get', taskId, options)).body.result;

/** A task whose call waits, and the request behind it. */
async function begun(args: object): Promise<{ taskId: string; id: string }> {
  const { body } = await call(args);
  expect(body.result.resultType).toBe('task');
  const [waiting] = await gated.pending();
  return { taskId: body.result.taskId, id: waiting?.id ?? '' };
}

async function ended(taskId: string, options?: Options) {
  await until('the task has ended', async () => (await get(taskId, options)).status !== 'working');
  return await get(taskId, options);
}

describe('a call that waits, of a client that knows tasks', () => {
  test('is a task, and completes with the result once somebody agreed', async () => {
    const { result } = (await call({ a: 1 })).body;
    expect(result).toMatchObject({ resultType: 'task', status: 'working', pollIntervalMs: expect.any(Number) });
    expect(Number.isInteger(result.ttlMs) && result.ttlMs > 1_800_000).toBe(true);
    expect(new Date(result.createdAt).toISOString()).toBe(result.createdAt);
    expect(result.statusMessage).toContain('/approvals/ap_');
    expect(await get(result.taskId)).toMatchObject({ resultType: 'complete', status: 'working', taskId: result.taskId });
    expect(upstream.calls).toEqual([]);
    const [waiting] = await gated.pending();
    await gated.decide(waiting?.id ?? '', 'approve');
    const done = await ended(result.taskId);
    expect(done).toMatchObject({ status: 'completed', result: { content: [{ text: '{"a":1}' }], resultType: 'complete' } });
    expect(await get(result.taskId)).toEqual(done);
    expect(upstream.calls).toHaveLength(1);
  });

  test('is made once, however often and wherever its client asks at once', async () => {
    const { taskId, id } = await begun({ once: 1 });
    await gated.decide(id, 'approve');
    await Promise.all(Array.from({ length: 50 }, () => get(taskId)));
    expect((await ended(taskId)).status).toBe('completed');
    expect(upstream.calls).toHaveLength(1);
  });

  test('is the same one when the call is repeated, and what repeats it after the decision runs it once', async () => {
    const { taskId, id } = await begun({ repeated: 1 });
    const again = (await call({ repeated: 1 })).body.result;
    await gated.decide(id, 'approve');
    expect((await ended(again.taskId)).status).toBe('completed');
    expect((await get(taskId)).status).toBe('completed');
    const direct = await begun({ repeated: 2 });
    await gated.decide(direct.id, 'approve');
    expect((await call({ repeated: 2 })).body.result.resultType).toBe('complete');
    clock.offsetMs = 60_000;
    expect(await ended(direct.taskId)).toMatchObject({ status: 'failed' });
    expect(upstream.calls).toHaveLength(2);
  });

  test('completes with what was said when it was denied', async () => {
    const { taskId, id } = await begun({ denied: 1 });
    await gated.decide(id, 'deny', undefined, { reason: 'Not this one.' });
    const done = await get(taskId);
    expect(done).toMatchObject({ status: 'completed', result: { isError: true } });
    expect(done.result.content[0].text).toContain('Not this one.');
  });

  test('fails when nobody decided in time, and no other request takes its place', async () => {
    const { taskId } = await begun({ late: 1 });
    clock.offsetMs = 31 * 60_000;
    expect(await get(taskId)).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('time was over') } });
    expect((await gated.pending()).map(({ caller }) => caller)).not.toContain(`key:${key.split('_')[1]}`);
  });

  test('fails when the policy was changed after the decision, and asks nobody anew', async () => {
    const { taskId, id } = await begun({ policy: 1 });
    await gated.decide(id, 'approve');
    await gated.gateway.ok('PUT /policies/capability:support%2Fecho', {
      policy: { gateDestructive: false, timeoutMs: 5_000, gates: [] },
    });
    try {
      const done = await ended(taskId);
      expect(done.status).toBe('failed');
      expect(upstream.calls).toEqual([]);
      expect((await gated.pending()).map(({ caller }) => caller)).not.toContain(`key:${key.split('_')[1]}`);
    } finally {
      await gated.gateway.ok('PUT /policies/capability:support%2Fecho', { policy: null });
    }
  });

  test('fails when whoever agreed may no longer decide', async () => {
    const { taskId, id } = await begun({ revoked: 1 });
    await gated.decide(id, 'approve', gated.keys.carl);
    await gated.gateway.ok('PATCH /members/carl', { isDisabled: true });
    expect((await ended(taskId)).status).toBe('failed');
    expect(upstream.calls).toEqual([]);
    await gated.gateway.ok('PATCH /members/carl', { isDisabled: false });
  });

  test('can be taken back: then it is not made, whoever agrees', async () => {
    const { taskId, id } = await begun({ cancelled: 1 });
    expect((await task('cancel', taskId)).body.result).toMatchObject({ resultType: 'complete' });
    expect((await get(taskId)).status).toBe('cancelled');
    expect((await gated.decide(id, 'approve')).status).toBe(409);
    expect((await task('cancel', taskId)).status).toBe(200);
    expect(upstream.calls).toEqual([]);
  });

  test('is told to its upstream when it is taken back while it runs', async () => {
    const { taskId, id } = await begun({ running: 1 });
    const { promise, resolve } = Promise.withResolvers<object>();
    upstream.behave = () => promise;
    await gated.decide(id, 'approve');
    expect(await get(taskId)).toMatchObject({ status: 'working' });
    await task('cancel', taskId);
    expect((await ended(taskId)).status).toBe('cancelled');
    resolve({ content: [] });
  });

  test('completes with the failure that its tool tells of', async () => {
    const { taskId, id } = await begun({ fails: 1 });
    upstream.behave = () => ({ content: [{ type: 'text', text: 'x' }], isError: true });
    await gated.decide(id, 'approve');
    expect(await ended(taskId)).toMatchObject({ status: 'completed', result: { isError: true, content: [{ text: 'x' }] } });
  });

  test('that could not be carried out names the trace its record is found by', async () => {
    const { taskId, id } = await begun({ unusable: 1 });
    upstream.behave = () => ({ resultType: 'odd', content: [] });
    await gated.decide(id, 'approve');
    const { status, result } = await ended(taskId);
    expect([status, result.isError]).toEqual(['completed', true]);
    const { code, trace } = result._meta['dev.gatehouse/error'];
    expect([code, trace]).toEqual(['upstream_failed', expect.stringMatching(/^[0-9a-f]{32}$/)]);
    const [record] = await until('it is on record', async () => {
      const { calls } = await gated.gateway.ok(`GET /audit?trace=${trace}`);
      return calls.length > 0 && calls;
    });
    expect(record).toMatchObject({ capability: 'support/echo', code: 'upstream_failed' });
  });

  test('asks what its upstream asks, once, under a key of its own', async () => {
    const { taskId, id } = await begun({ asks: 1 });
    const question = {
      method: 'elicitation/create',
      params: { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } },
    };
    upstream.behave = ({ inputResponses, requestState }) =>
      inputResponses === undefined
        ? { resultType: 'input_required', inputRequests: { sure: question }, requestState: 'state' }
        : { content: [{ type: 'text', text: JSON.stringify([inputResponses, requestState]) }] };
    await gated.decide(id, 'approve');
    const able = { capabilities: { ...declared, elicitation: {} } };
    const asks = await ended(taskId, able);
    expect(asks.status).toBe('input_required');
    const [name = ''] = Object.keys(asks.inputRequests);
    expect([name, asks.inputRequests[name]]).toEqual([expect.not.stringMatching(/^sure$/), question]);
    await task('update', taskId, { ...able, params: { inputResponses: { other: {} } } });
    expect((await get(taskId, able)).status).toBe('input_required');
    const params = { inputResponses: { [name]: { action: 'accept', content: {} } } };
    await Promise.all([task('update', taskId, { ...able, params }), task('update', taskId, { ...able, params })]);
    const done = await ended(taskId, able);
    expect(JSON.parse(done.result.content[0].text)).toEqual([{ sure: { action: 'accept', content: {} } }, 'state']);
    await task('update', taskId, { ...able, params });
    expect(upstream.calls).toHaveLength(2);
  });

  test('is put as a form where whoever calls decides, and the client can show one', async () => {
    const { result } = (await call({ own: 1 }, { ...declared, elicitation: {} })).body;
    expect(result.resultType).toBe('input_required');
    expect((await call({ own: 2 }, { ...declared, elicitation: { url: {} } })).body.result.resultType).toBe('task');
  });
});

describe('SE-06: a task is nobody else’s', () => {
  test.each([
    ['another key of the same member', () => ({ key: gated.keys.ann })],
    ['an administrator', () => ({ key: gated.keys.dora })],
    ['another toolbox', () => ({ toolbox: 'box' })],
  ])('%s finds nothing', async (_, options) => {
    const { taskId, id } = await begun({ private: 1, n: Math.random() });
    for (const method of ['get', 'cancel', 'update'])
      expect((await task(method, taskId, options())).body.error.code).toBe(-32602);
    await gated.decide(id, 'approve');
    expect((await ended(taskId)).status).toBe('completed');
  });

  test('what is no task, or was changed, is none', async () => {
    const { taskId } = await begun({ forged: 1 });
    for (const other of ['', 'x', `${taskId.slice(0, -2)}AA`, 'a'.repeat(70_000).slice(0, 4_000)])
      expect((await task('get', other)).body.error.code).toBe(-32602);
  });

  test('a key that lost what the call was of, or comes from elsewhere, is told nothing of it any more; back again it is', async () => {
    const { gateway } = gated;
    await gateway.api('POST /namespaces', { namespace: 'other' });
    const policy = (network?: readonly string[]) =>
      gateway.ok('PUT /policies/capability:support%2Fecho', { policy: network === undefined ? {} : { network } });
    const roles = (namespace: string) => gateway.ok('PATCH /members/ann', { roles: [{ role: 'developer', namespace }] });
    const { taskId, id } = await begun({ narrowed: 1 });
    await gated.decide(id, 'approve');
    expect((await ended(taskId)).status).toBe('completed');
    for (const [take, back] of [
      [() => roles('other'), () => roles('support')],
      [() => policy(['10.0.0.0/8']), () => policy()],
    ] as const) {
      await take();
      expect((await task('get', taskId)).body.error.code).toBe(-32602);
      await back();
      expect((await get(taskId)).status).toBe('completed');
    }
  });

  test('the header has to name the task', async () => {
    const { taskId } = await begun({ header: 1 });
    const answer = await gated.gateway.mcp('', 'tasks/get', { taskId }, key, { 'mcp-name': 'other' }, declared);
    expect(answer.body.error.code).toBe(-32020);
  });
});

test('a client that knows no tasks gets none, and may not ask for any', async () => {
  expect(codeOf(await call({ plain: 1 }, {}))).toBe('approval_pending');
  const { taskId } = await begun({ plain: 2 });
  const answer = await task('get', taskId, { capabilities: {} });
  expect([answer.status, answer.body.error.code, answer.body.error.data]).toEqual([
    400,
    -32021,
    { requiredCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } },
  ]);
  const { body } = await gated.gateway.mcp('', 'server/discover', {}, key);
  expect(body.result.capabilities.extensions).toEqual({ 'io.modelcontextprotocol/tasks': {} });
});

test('a task outlives its gateway, before the decision and after its end', async () => {
  const [waits, done] = [await begun({ restart: 1 }), await begun({ restart: 2 })];
  await gated.decide(done.id, 'approve');
  expect((await ended(done.taskId)).status).toBe('completed');
  const { keys } = gated;
  await gated.stop();
  gated = await startGated({ more, clock, directory, upstream, keys });
  expect((await get(done.taskId)).result.content[0].text).toBe('{"restart":2}');
  expect((await get(waits.taskId)).status).toBe('working');
  await gated.decide(waits.id, 'approve');
  expect((await ended(waits.taskId)).status).toBe('completed');
  expect(upstream.calls).toHaveLength(2);
});
