import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts';
import { type Gateway, gatewayCommand, startGateway } from '../support/gateway.ts';
import { type Place, startPlace } from '../support/model-gateway.ts';
import { expectNoneLeft, spawnMarked } from '../support/processes.ts';
import { type Answered, closeRawClients, codeOf, connectRaw, type RawClient, rawEras, toolText } from '../support/raw-clients.ts';
import { restDone } from '../support/rest.ts';
import { until } from '../support/until.ts';

// A process of its own, and its records as the command line shows them.

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${trace}-00f067aa0ba902b7-00`;

type Record = { readonly [field: string]: unknown };

let upstream: CountingUpstream;
let place: Place;
let gateway: Gateway;
let appKey: string;
let bobKey: string;

beforeAll(async () => {
  [upstream, place] = await Promise.all([startCountingUpstream(), startPlace('openai-compatible')]);
  const support = {
    namespace: 'support',
    upstreams: { desk: { kind: 'mcp', url: upstream.url } },
    policy: {
      allow: ['args.amount < 1000'],
      gates: [{ match: 'support/echo', when: 'args.amount > 10', reason: 'That is a lot.' }],
    },
  };
  const models = { namespace: 'models', upstreams: { fast: { kind: 'model', targets: [place.target] } } };
  gateway = await startGateway([JSON.stringify(support), JSON.stringify(models)], {
    ...place.secrets,
    GATEHOUSE_EGRESS_ALLOW: '127.0.0.1',
  });
  await api('POST /consumers', { id: 'shop', title: 'Shop', kind: 'application' });
  appKey = (await api('POST /keys', { id: 'app', title: 'App', consumer: 'shop' })).secret;
  await api('POST /members', { id: 'bob', title: 'Bob', roles: [{ role: 'approver', namespace: 'support' }] });
  bobKey = (await api('POST /keys', { id: 'bob', title: 'Bob', member: 'bob' })).secret;
}, 90_000);

afterAll(async () => {
  await gateway?.stop();
  await closeRawClients();
  await Promise.all([upstream?.close(), place?.standIn.close()]);
  await expectNoneLeft();
});

/** `secret`: of a key that was made. */
async function api(route: string, body: object, key = gateway.key, headers: Readonly<{ traceparent?: string }> = {}) {
  return await restDone<{ readonly secret: string }>({ url: gateway.url, key }, route, body, headers);
}

/** What `gatehouse search-audit` shows, newest first; intent and outcome of a call as one. */
async function records(...flags: readonly string[]): Promise<readonly Record[]> {
  const [command = '', ...args] = gatewayCommand;
  const spawned = spawnMarked(command, [...args, 'search-audit', ...flags, '--json'], {
    env: { GATEHOUSE_DATA: gateway.dataDir },
  });
  spawned.child.stdin?.end();
  await spawned.exited;
  await until('all it says is read', () => spawned.hasExited);
  const { calls } = JSON.parse(spawned.stdout.join('\n')) as { calls: { record: Record | null; result: Record | null }[] };
  return calls.map(({ record, result }) => ({ ...record, ...result }));
}

/** The newest of these once there is one of this outcome; the index is a moment behind. */
async function recordOf(what: Record, ...flags: readonly string[]): Promise<Record> {
  const fits = (record: Record) => Object.entries(what).every(([field, value]) => record[field] === value);
  return await until(`a record of ${JSON.stringify(what)}`, async () => (await records(...flags)).find(fits));
}

/** Of the request that a refused call waits for, as its caller is told it. */
const idIn = (answered: Answered): string => /ap_[\w-]{22}/.exec(toolText(answered))?.[0] ?? '';

const digest = expect.stringMatching(/^[\w-]{43}$/);
const ofApp = { principal: 'key:app', key: 'app', consumer: 'shop', door: 'http' };
const ofCall = { trace, argumentsDigest: digest, definition: digest, ms: expect.any(Number) };

describe.each(rawEras)('AU-05: what is on record of a tool (%s)', (era) => {
  let client: RawClient;
  beforeAll(async () => {
    client = await connectRaw(era, { url: gateway.mcpUrl(), key: appKey });
  });
  const echo = (amount: number) => client.call('support__echo', { amount }, { meta: { traceparent } });
  const ofEcho = { ...ofApp, ...ofCall, method: 'tools/call', capability: 'support/echo', upstream: 'support/desk' };

  test('that was called', async () => {
    expect(codeOf(await echo(1))).toBeUndefined();
    const record = await recordOf({ outcome: 'done', approval: undefined }, '--capability', 'support/echo', '--trace', trace);
    expect(record).toMatchObject({ ...ofEcho, decision: 'allow', rule: 'allow' });
    // Where the client sends no trace, the record has one of its own.
    await client.call('support__echo', { amount: 2 });
    const own = await until('a record with a trace of its own', async () =>
      (await records('--capability', 'support/echo')).find((found) => found.trace !== trace),
    );
    expect(own).toMatchObject({ ...ofEcho, trace: expect.stringMatching(/^[0-9a-f]{32}$/) });
  });

  test('that was refused by a rule', async () => {
    expect(codeOf(await echo(5_000))).toBe('not_allowed');
    const record = await recordOf({ outcome: 'refused', code: 'not_allowed' }, '--code', 'not_allowed');
    expect(record).toMatchObject({ ...ofEcho, decision: 'deny', rule: 'not_allowed' });
  });

  test('that waits for a person, was agreed to and was denied', async () => {
    const amounts = era === 'modern' ? [20, 30] : [40, 50];
    const [agreed = 0, denied = 0] = amounts;
    const first = await echo(agreed);
    expect(codeOf(first)).toBe('approval_pending');
    const approval = idIn(first);
    const waiting = await recordOf({ code: 'approval_pending', approval }, '--code', 'approval_pending');
    expect(waiting).toMatchObject({ ...ofEcho, decision: 'deny', rule: 'approval_pending', outcome: 'refused' });
    await api(`POST /approvals/${approval}/decision`, { decision: 'approve' }, bobKey, { traceparent });
    expect(codeOf(await echo(agreed))).toBeUndefined();
    const made = await recordOf({ outcome: 'done', approval }, '--capability', 'support/echo');
    expect(made).toMatchObject({ ...ofEcho, decision: 'allow', rule: 'allow', argumentsDigest: waiting.argumentsDigest });
    // What the decision itself left behind, by the same id.
    const decided = await recordOf({ approval, action: 'approve_approval' }, '--capability', `approval/${approval}`);
    expect(decided).toMatchObject({ principal: 'key:bob', key: 'bob', member: 'bob', trace, after: expect.any(String) });

    const other = idIn(await echo(denied));
    await api(`POST /approvals/${other}/decision`, { decision: 'deny' }, bobKey);
    expect(codeOf(await echo(denied))).toBe('approval_denied');
    const refused = await recordOf({ code: 'approval_denied', approval: other }, '--code', 'approval_denied');
    expect(refused).toMatchObject({ ...ofEcho, decision: 'deny', rule: 'approval_denied', outcome: 'refused' });
  });
});

test('AU-05: what is on record of a model', async () => {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${appKey}`, 'content-type': 'application/json', traceparent },
    body: JSON.stringify({ model: 'models/fast', messages: [{ role: 'user', content: 'Say hello.' }] }),
  });
  expect(response.status).toBe(200);
  const record = await recordOf({ outcome: 'done' }, '--capability', 'models/fast');
  expect(record).toMatchObject({
    ...ofApp,
    ...ofCall,
    ...{ method: 'models/call', capability: 'models/fast', upstream: 'models/fast', decision: 'allow', rule: 'default' },
    ...{ provider: 'openai-compatible', tokensIn: expect.any(Number), tokensOut: expect.any(Number) },
  });
});

test('AU-05: what is on record of an action, and of what it changed', async () => {
  await api('POST /consumers', { id: 'recorded', title: 'Recorded', kind: 'team' }, gateway.key, { traceparent });
  const call = await recordOf({ outcome: 'done' }, '--capability', 'admin/create_consumer', '--trace', trace);
  expect(call).toMatchObject({ ...ofCall, method: 'tools/call', door: 'rest', upstream: 'admin/actions', decision: 'allow' });
  expect(call).toMatchObject({ principal: expect.any(String), key: expect.any(String), rule: 'default' });
  const change = await recordOf({ action: 'create_consumer' }, '--capability', 'consumer/recorded');
  expect(change).toMatchObject({ principal: call.principal, key: call.key, door: 'rest', after: digest, trace });

  const refusal = await fetch(`${gateway.url}/api/consumers`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bobKey}`, 'content-type': 'application/json', traceparent },
    body: JSON.stringify({ id: 'never', title: 'Never', kind: 'team' }),
  });
  expect(refusal.status).toBeGreaterThanOrEqual(400);
  const refused = await recordOf({ principal: 'key:bob', decision: 'deny' }, '--decision', 'deny', '--trace', trace);
  expect(refused).toMatchObject({
    key: 'bob',
    member: 'bob',
    rule: expect.any(String),
    argumentsDigest: digest,
    outcome: 'refused',
  });
});
