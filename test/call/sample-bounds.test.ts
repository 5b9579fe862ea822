import { describe, expect, test } from 'vitest';
import type { Clearance } from '../../src/call/approve.ts';
import type { Ask } from '../../src/call/ask.ts';
import type { Outcome } from '../../src/call/inspect.ts';
import { type Sampler, samplerFor } from '../../src/call/sample.ts';
import { GatewayError } from '../../src/errors.ts';
import { Cancel } from '../../src/wire/cancel.ts';
import { askFor } from '../support/call-ports.ts';

const clearance = { policy: { sampling: { model: 'models/fast', maxTokens: 100 } } } as unknown as Clearance;
const reply = { content: [{ type: 'text', text: 'hello' }], model: 'm', stop_reason: 'end_turn' };
const answered = { kind: 'reply', body: Buffer.from(JSON.stringify(reply)), headers: {} } as unknown as Outcome;
const question = { messages: [{ role: 'user', content: { type: 'text', text: 'hi' } }], maxTokens: 1_000_000 };

function open(callModel: (ask: Ask) => Promise<Outcome>, more: Partial<Ask> = {}): Sampler {
  const sampler = samplerFor(clearance, { ...askFor(), ...more }, callModel);
  if (sampler === undefined) throw new Error('nobody samples');
  return sampler;
}

describe('a model that answers for a client', () => {
  test('is called like any other: at its own address, within the length of the policy, and by no approval of the tool', async () => {
    const asked: Ask[] = [];
    const sampler = open(
      async (ask) => {
        asked.push(ask);
        return answered;
      },
      { approval: 'ap_1' },
    );
    const said = await sampler.ask.conversation.ask('sampling/createMessage', question);
    expect(said).toMatchObject({ role: 'assistant', content: { type: 'text', text: 'hello' } });
    expect(asked).toMatchObject([{ method: 'models/call', params: { name: 'models/fast', arguments: { max_tokens: 100 } } }]);
    expect(asked[0]?.approval).toBeUndefined();
  });

  test('takes tools, and its upstream is told so: servers send none to whoever does not say it', async () => {
    const asked: Ask[] = [];
    const sampler = open(async (ask) => {
      asked.push(ask);
      return answered;
    });
    expect(sampler.ask.client.capabilities.sampling).toEqual({ tools: {} });
    const tool = { name: 'weather', description: 'Tells it', inputSchema: { type: 'object' } };
    await sampler.ask.conversation.ask('sampling/createMessage', {
      ...question,
      tools: [tool],
      toolChoice: { mode: 'required' },
    });
    expect(asked[0]?.params).toMatchObject({
      arguments: { tools: [{ name: 'weather', input_schema: { type: 'object' } }], tool_choice: { type: 'any' } },
    });
  });

  test('answers an upstream that asks without end only so often', async () => {
    let calls = 0;
    const sampler = open(async () => {
      calls++;
      return answered;
    });
    const many = Array.from({ length: 200 }, () => sampler.ask.conversation.ask('sampling/createMessage', question));
    const outcomes = await Promise.allSettled(many);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(64);
    expect(calls).toBe(64);
    const inputRequests = Object.fromEntries(
      ['a', 'b'].map((key) => [key, { method: 'sampling/createMessage', params: question }]),
    );
    const asks = { kind: 'input-required', inputRequests, requestState: undefined } as never;
    await expect(sampler.next(asks, 0)).rejects.toMatchObject({ code: 'limit_reached' });
  });

  test('that is too late ends its own call alone; a client that leaves ends both', async () => {
    const cancel = new Cancel();
    const heard: Ask[] = [];
    const sampler = open(
      (ask) =>
        new Promise((_, reject) => {
          heard.push(ask);
          ask.cancel.onCancel((reason) => reject(new GatewayError('cancelled', reason)));
        }),
      { cancel },
    );
    const late = sampler.ask.conversation.ask('sampling/createMessage', question);
    heard[0]?.cancel.cancel('timeout');
    await expect(late).rejects.toThrow();
    expect(cancel.isCancelled).toBe(false);
    const left = sampler.ask.conversation.ask('sampling/createMessage', question);
    cancel.cancel('the client left');
    await expect(left).rejects.toThrow();
    expect(heard[1]?.cancel.reason).toBe('the client left');
  });
});
