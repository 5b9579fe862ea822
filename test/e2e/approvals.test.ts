import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ClientOptions, clientKinds, connectClient, type TestClient, type ToolResult, textOf } from '../support/clients.ts';
import { type Gated, startGated } from '../support/gated.ts';
import { until } from '../support/until.ts';

// Everything that a client may be able to do about a decision, with the official clients of both generations.

const more = `policy:
  gates:
    - { match: support/echo, when: 'args.who == "caller"', by: caller, reason: You have to look. }
    - { match: support/echo, when: 'args.who != "caller"', reason: Somebody has to look. }
`;
let gated: Gated;
let key: string;
beforeAll(async () => {
  gated = await startGated({ more });
});
beforeEach(async () => {
  for (const { id } of await gated.pending()) await gated.decide(id, 'deny', gated.keys.dora);
  gated.upstream.calls.length = 0;
  key = await gated.freshKey();
});
afterAll(() => gated?.stop());

const own = { who: 'caller' };
const others = { who: 'others' };

const codeOf = (result: ToolResult) => (result._meta?.['dev.gatehouse/error'] as { code: string } | undefined)?.code;

/** Nobody but its caller decides on what is the caller's: that stays until it is over. */
const waitingForOthers = async () => (await gated.pending()).filter(({ waitsFor }) => String(waitsFor).includes('approver'));

async function withClient<T>(
  kind: (typeof clientKinds)[number],
  elicitation: NonNullable<ClientOptions['capabilities']>['elicitation'],
  work: (client: TestClient) => Promise<T>,
): Promise<T> {
  const door = { url: `${gated.gateway.url}/mcp`, key };
  const client = await connectClient(kind, door, { capabilities: elicitation === undefined ? {} : { elicitation } });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

describe.each(clientKinds)('%s', (kind) => {
  test('whose caller decides gets a form, and what was approved in it runs', async () => {
    await withClient(kind, { form: {} }, async (client) => {
      client.answers.elicitation = { action: 'accept', content: { decision: 'approve' } };
      expect(textOf(await client.call('support__echo', own))).toBe(JSON.stringify(own));
      expect(client.asked).toHaveLength(1);
      expect(client.asked[0]?.params).toMatchObject({ message: expect.stringContaining('"who": "caller"') });
      expect(gated.upstream.calls).toHaveLength(1);
      await client.call('support__echo', own);
      expect(client.asked).toHaveLength(2);
    });
  });

  test.each([
    ['denied', { action: 'accept', content: { decision: 'deny' } }, 'approval_denied'],
    ['declined', { action: 'decline' }, 'approval_denied'],
    ['put aside', { action: 'cancel' }, 'approval_pending'],
  ])('what was %s in the form does not run', async (_what, answer, code) => {
    await withClient(kind, { form: {} }, async (client) => {
      client.answers.elicitation = answer;
      expect(codeOf(await client.call('support__echo', own))).toBe(code);
      expect(gated.upstream.calls).toEqual([]);
    });
  });

  test('sends its person to the page where others decide, and runs what they have approved meanwhile', async () => {
    await withClient(kind, { form: {}, url: {} }, async (client) => {
      client.answers.elicitation = { action: 'accept' };
      const running = client.call('support__echo', others);
      const waiting = await until('it waits', async () => (await waitingForOthers())[0]);
      await expect.poll(() => client.asked.length).toBe(1);
      expect(client.asked[0]?.params).toMatchObject({ mode: 'url', url: `${gated.gateway.url}/approvals/${waiting.id}` });
      await gated.decide(waiting.id, 'approve');
      expect(textOf(await running)).toBe(JSON.stringify(others));
      expect(gated.upstream.calls).toHaveLength(1);
    });
  });

  test('that can do neither hears where it waits, and its next call runs once it was approved', async () => {
    await withClient(kind, undefined, async (client) => {
      const result = await client.call('support__echo', others);
      expect([result.isError, codeOf(result)]).toEqual([true, 'approval_pending']);
      expect(textOf(result)).toMatch(/repeat exactly the same call/);
      const [waiting] = await waitingForOthers();
      await gated.decide(waiting?.id ?? '', 'approve');
      expect(textOf(await client.call('support__echo', others))).toBe(JSON.stringify(others));
      expect(gated.upstream.calls).toHaveLength(1);
    });
  });

  test('that shows forms only is not asked what others decide', async () => {
    await withClient(kind, { form: {} }, async (client) => {
      expect(codeOf(await client.call('support__echo', others))).toBe('approval_pending');
      expect(client.asked).toEqual([]);
      for (const { id } of await gated.pending()) await gated.decide(id, 'deny');
    });
  });
});

test('a caller who signs in with the key the agent uses decides on the page, where the gate says so', async () => {
  await withClient('v2 pinned', { url: {} }, async (client) => {
    client.answers.elicitation = { action: 'decline' };
    expect(codeOf(await client.call('support__echo', own))).toBe('approval_pending');
    expect(client.asked[0]?.params).toMatchObject({ mode: 'url' });
  });
});
