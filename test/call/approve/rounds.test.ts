import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AdminGateway, type Answer, namespaceFor, openAdminGateway } from '../../support/admin-gateway.ts';
import { codeOf, ran } from '../../support/gated.ts';
import { type StagedUpstream, startStagedUpstream } from '../../support/staged-upstream.ts';

// Calls that an upstream asks something about, and calls that were agreed to and could not be made.

let upstream: StagedUpstream;
let gateway: AdminGateway;
let approver: string;
let key: string;
const more = 'policy:\n  gates: [{ match: support/ask }]\n  breaker: { consecutiveFailures: 1, openMs: 3600000 }\n';

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['ask'] });
  gateway = await openAdminGateway({ namespaces: { support: namespaceFor('support', upstream.url, more) } });
  approver = await gateway.person('bob', [{ role: 'approver' }]);
});
beforeEach(async () => {
  upstream.arrivals.length = 0;
  const id = `dev-${Math.random().toString(36).slice(2)}`;
  key = await gateway.person(id, [{ role: 'developer' }]);
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const capabilities = { elicitation: { form: {} } };
const call = (more: object = {}): Promise<Answer> =>
  gateway.mcp('', 'tools/call', { name: 'support__ask', arguments: { a: 1 }, ...more }, key, {}, capabilities);

async function approve(answer: Answer): Promise<string> {
  const id = answer.body.result._meta['dev.gatehouse/error'].approval;
  await gateway.ok(`POST /approvals/${id}/decision`, { decision: 'approve' }, approver);
  return id;
}

const question = {
  method: 'elicitation/create',
  params: { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } },
};
const asksOnce =
  (state: string | undefined): StagedUpstream['behave'] =>
  (arrival) => {
    if (arrival.params.inputResponses !== undefined) return upstream.echo(arrival);
    const requestState = state === undefined ? {} : { requestState: state };
    return { result: { resultType: 'input_required', inputRequests: { sure: question }, ...requestState } };
  };

describe.each([
  ['with state of its own', 'theirs'],
  ['without state', undefined],
])('an upstream that asks, %s,', (_what, state) => {
  test('is answered within what was agreed to, once, and nobody is asked to agree again', async () => {
    upstream.behave = asksOnce(state);
    const id = await approve(await call());
    const asking = await call();
    expect(asking.body.result.resultType).toBe('input_required');
    const next = { inputResponses: { sure: { action: 'accept' } }, requestState: asking.body.result.requestState };
    const both = await Promise.all([call(next), call(next), call(next)]);
    expect(both.filter(ran)).toHaveLength(1);
    expect(upstream.arrivals).toHaveLength(2);
    expect(upstream.arrivals[1]?.params.requestState).toBe(state);
    expect((await call(next)).body.error.message).toContain('call again from the start');
    expect((await call({ inputResponses: next.inputResponses })).body.error).toBeDefined();
    expect(upstream.arrivals).toHaveLength(2);
    await expect.poll(async () => (await gateway.ok(`GET /approvals/${id}`)).outcome).toBe('done');
    expect(codeOf(await call())).toBe('approval_pending');
  });
});

describe('what was agreed to and its upstream cannot have heard of', () => {
  test('may still be made, once', async () => {
    upstream.behave = () => ({ status: 500 });
    await approve(await call());
    expect(codeOf(await call())).toBe('upstream_failed');
    await approve(await call());
    expect(codeOf(await call())).toBe('breaker_open');
    const { approvals } = await gateway.ok('GET /approvals?state=any');
    const [latest] = approvals;
    await expect.poll(async () => (await gateway.ok(`GET /approvals/${latest.id}`)).state).toBe('approved');
    await gateway.ok('PUT /policies/namespace:support', { policy: { breaker: { consecutiveFailures: 1_000 } } });
    expect((await gateway.ok(`GET /approvals/${latest.id}`)).state).toBe('approved');
    upstream.behave = upstream.echo;
    // The policy is another one by now: it is asked for anew, which is what voids the old one.
    await approve(await call());
    expect(ran(await call())).toBe(true);
    expect(upstream.arrivals).toHaveLength(2);
  });
});
