import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import {
  type Answered,
  closeRawClients,
  codeOf,
  connectRaw,
  post,
  type RawClient,
  rawEras,
  toolText,
} from '../support/raw-clients.ts';
import { type Arrival, type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

// Whatever clients know or guess of each other, nobody gets what is another's.

const isLong = process.env.TEST_LONG !== undefined;
let nowMs = Date.now();
let upstream: StagedUpstream;
let admin: AdminGateway;
let ann: string;
let bob: string;

/** Asks once, and says what it was answered. */
function asks({ params }: Arrival): { readonly result: object } {
  const { inputResponses, requestState } = params;
  if (inputResponses !== undefined)
    return { result: { content: [{ type: 'text', text: JSON.stringify({ inputResponses, requestState }) }] } };
  const question = { mode: 'form', message: 'Who?', requestedSchema: { type: 'object', properties: {} } };
  return {
    result: {
      resultType: 'input_required',
      inputRequests: { who: { method: 'elicitation/create', params: question } },
      requestState: 'state of the upstream',
    },
  };
}

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['echo', 'asks', 'other'] });
  upstream.behave = (arrival) => (arrival.name === 'echo' ? upstream.echo(arrival) : asks(arrival));
  admin = await openAdminGateway({
    namespaces: { desk: namespaceFor('desk', upstream.url, 'toolboxes:\n  box: { include: ["desk/*"] }\n') },
    clock: { nowMs: () => nowMs },
  });
  ann = await admin.person('ann', [{ role: 'developer' }]);
  bob = await admin.person('bob', [{ role: 'developer' }]);
});
afterAll(async () => {
  await closeRawClients();
  await admin?.stop();
  await upstream?.close();
});

const url = () => `${admin.url}/mcp`;

describe('SE-02: a session', () => {
  const opening = {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
  };
  const headersOf = (key: string, session?: string) => ({
    authorization: `Bearer ${key}`,
    accept: 'application/json, text/event-stream',
    ...(session === undefined ? {} : { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }),
  });
  const get = (key: string, session: string) =>
    fetch(url(), { headers: { ...headersOf(key, session), accept: 'text/event-stream' } }).then(async (response) => {
      if (response.status !== 200) return { status: response.status, text: await response.text(), stop: () => {} };
      const reader = response.body?.getReader();
      const stream = { status: 200, text: '', stop: () => void reader?.cancel().catch(() => {}) };
      void (async () => {
        for (;;) {
          const { value, done } = (await reader?.read().catch(() => undefined)) ?? { value: undefined, done: true };
          if (done) return;
          stream.text += Buffer.from(value ?? []).toString();
        }
      })();
      return stream;
    });

  test('keeps its stream, whoever opens a second one with its id', async () => {
    const opened = await post(url(), headersOf(ann), opening);
    const session = String(opened.headers['mcp-session-id']);
    const first = await get(ann, session);
    expect(first.status).toBe(200);
    expect((await get(bob, session)).status).toBe(404);
    expect((await get(ann, session)).status).toBe(409);
    await admin.ok('PUT /policies/capability:desk%2Fother', { policy: { allow: ['caller.role == "admin"'] } });
    await until('the first stream hears of it', () => first.text.includes('notifications/tools/list_changed'));
    await admin.ok('PUT /policies/capability:desk%2Fother', { policy: null });
    first.stop();
  });

  test('has an id that no client chooses, and ids mean nothing to requests of the modern era', async () => {
    const chosen = await post(url(), { ...headersOf(ann), 'mcp-session-id': 'chosen-by-a-client' }, opening);
    expect(String(chosen.headers['mcp-session-id'])).not.toContain('chosen-by-a-client');
    expect((await post(url(), headersOf(ann, 'chosen-by-a-client'), { jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(404);
    const modern = await connectRaw('modern', { url: url(), key: ann });
    for (const id of ['chosen-by-a-client', String(chosen.headers['mcp-session-id'])]) {
      const answer = await modern.call('desk__echo', {}, { headers: { 'mcp-session-id': id } });
      expect([answer.status, answer.headers['mcp-session-id']]).toEqual([200, undefined]);
    }
  });
});

const clients = isLong ? 200 : 60;
const callsEach = isLong ? 500 : 25;

test(`SE-03: ${clients} clients that all count from 0: each hears what it said, and nothing else`, {
  timeout: isLong ? 900_000 : 60_000,
}, async () => {
  const keys = [ann, bob];
  const crossings: string[] = [];
  let answered = 0;
  const opened = await Promise.all(
    Array.from({ length: clients }, (_, n) =>
      connectRaw(rawEras[n % 2] ?? 'modern', { url: url(), key: keys[(n >> 1) % 2] ?? ann }),
    ),
  );
  const talk = async (client: RawClient, n: number) => {
    for (let call = 0; call < callsEach; call += 1) {
      const marker = `client ${n} call ${call}`;
      const answer = call % 10 === 9 ? await client.call('desk__nothing') : await client.call('desk__echo', { marker });
      if (call % 10 === 9 ? answer.message?.error?.code !== -32602 : toolText(answer) !== JSON.stringify({ marker }))
        crossings.push(`${marker}: ${answer.text}`);
      answered += 1;
    }
  };
  await Promise.all(opened.map(talk));
  expect(crossings).toEqual([]);
  expect(answered).toBe(clients * callsEach);
});

describe('SE-04: the state of a call that asks', () => {
  const capabilities = { elicitation: { form: {} } };
  const meta = { 'io.modelcontextprotocol/clientCapabilities': capabilities };
  const inputResponses = { who: { action: 'accept', content: {} } };
  const call = async (more: {
    tool?: string;
    args?: object;
    key?: string;
    state?: string;
    toolbox?: string;
  }): Promise<Answered> => {
    const { tool = 'desk__asks', args = { a: 1 }, key = ann, state, toolbox = '' } = more;
    const client = await connectRaw('modern', { url: `${url()}${toolbox}`, key });
    const retry = state === undefined ? {} : { requestState: state, inputResponses };
    return client.send('tools/call', { name: tool, arguments: args, ...retry }, { meta });
  };
  const begin = async (): Promise<string> => String((await call({})).message?.result?.requestState);

  test('comes back from its own caller with its own request, and from nobody else with any other', async () => {
    const state = await begin();
    expect(state).not.toContain('state of the upstream');
    const before = upstream.arrivals.length;
    const flipped = (at: number) => state.slice(0, at) + (state[at] === 'A' ? 'B' : 'A') + state.slice(at + 1);
    const wrong = {
      'of another caller': call({ key: bob, state }),
      'with other arguments': call({ args: { a: 2 }, state }),
      'with one more argument': call({ args: { a: 1, b: 1 }, state }),
      'of another tool': call({ tool: 'desk__other', state }),
      'at another toolbox': call({ toolbox: '/box', state }),
      'cut short': call({ state: state.slice(0, -4) }),
      'of nobody': call({ state: 'e30' }),
      ...Object.fromEntries(
        [0, 10, state.length >> 1, state.length - 8].map((at) => [`flipped at ${at}`, call({ state: flipped(at) })]),
      ),
    };
    for (const [what, answer] of Object.entries(wrong)) {
      const { message, status } = await answer;
      expect([what, message?.result?.resultType ?? 'refused', status >= 200]).toEqual([what, 'refused', true]);
      expect(JSON.stringify(message), what).toContain('requestState');
    }
    expect(upstream.arrivals).toHaveLength(before);
    const right = await call({ state });
    expect(toolText(right)).toBe(JSON.stringify({ inputResponses, requestState: 'state of the upstream' }));
  });

  test('is worth nothing once the time to answer is over', async () => {
    const state = await begin();
    const before = upstream.arrivals.length;
    nowMs += 11 * 60_000;
    const late = await call({ state });
    expect(codeOf(late)).not.toBeUndefined();
    expect(late.text).toContain('time to answer is over');
    expect(upstream.arrivals).toHaveLength(before);
    expect((await call({})).message?.result?.resultType).toBe('input_required');
  });
});
