import AnthropicSdk from '@anthropic-ai/sdk';
import fc from 'fast-check';
import OpenaiSdk from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClientDialectName } from '../../../src/models/dialect.ts';
import { estimateTokens } from '../../../src/models/tokens.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { type ModelGateway, openModelGateway, type Place, startPlace } from '../../support/model-gateway.ts';
import type { JournalEntry } from '../../support/model-providers/journal.ts';
import { fails, gate, type ScriptedAnswer, says } from '../../support/model-providers/script.ts';
import { until } from '../../support/until.ts';

// What is counted is what the providers' journals say, whatever became of a call.

const price = { input: 3, output: 15 };
const most = { tokens: 1_000_000_000, usd: 100_000, slots: 1 };
const rounds = process.env.TEST_LONG === undefined ? 30 : 500;

let places: Record<'a' | 'b', Place>;
let gateway: ModelGateway;
/** Moves on with each call: whatever was left out is in again. */
let nowMs = Date.UTC(2026, 6, 15, 12);

beforeAll(async () => {
  const [a, b] = await Promise.all([startPlace('openai-compatible'), startPlace('anthropic')]);
  places = { a, b };
  const failover = { consecutiveErrors: 1_000, errorRate: 1, minimumCalls: 1_000_000, ejectMs: 1_000, longestEjectMs: 1_000 };
  const model = {
    breaker: { minimumCalls: 1_000_000 },
    routing: { failover },
    targets: [
      { ...a.target, name: 'a', price },
      { ...b.target, name: 'b', price },
    ],
  };
  const plain = { ...model, targets: model.targets.slice(0, 1) };
  gateway = await openModelGateway({
    models: { meter: model, plain, twin: plain, capped: plain, thrifty: plain },
    places: [a, b],
    policy: {
      limits: [
        { per: 'capability', match: 'models/capped', rpm: 2 },
        { per: 'capability', match: 'models/thrifty', tpm: 1_000 },
      ],
    },
    limits: [
      { per: 'consumer', budget: { amount: most.tokens, unit: 'tokens', window: 'month' } },
      { per: 'consumer', budget: { amount: most.usd, unit: 'usd', window: 'month' } },
      { per: 'consumer', concurrency: most.slots },
    ],
    clock: { nowMs: () => nowMs },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all(Object.values(places ?? {}).map(({ standIn }) => standIn.close()));
});

interface Used {
  readonly tokens: number;
  readonly nanoUsd: number;
  readonly slots: number;
}

async function used(): Promise<Used> {
  const { limits } = await gateway.ok('GET /usage?consumer=app');
  const of = (amount: number) => limits.find((limit: { amount: number }) => limit.amount === amount).used;
  return { tokens: of(most.tokens), nanoUsd: of(most.usd * 1e9), slots: of(most.slots) };
}

type Deed =
  | { readonly kind: 'answer'; readonly words: number; readonly isStream: boolean }
  | { readonly kind: 'status'; readonly status: number; readonly isStream: boolean }
  | { readonly kind: 'break'; readonly how: 'cut' | 'end' | 'broken' | 'error'; readonly words: number; readonly after: number }
  | { readonly kind: 'leave'; readonly words: number; readonly after: number };

const words = fc.integer({ min: 3, max: 12 });
const after = fc.integer({ min: 1, max: 2 });
const isStream = fc.boolean();
const deed: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({ kind: fc.constant('answer' as const), words, isStream }),
  fc.record({ kind: fc.constant('status' as const), status: fc.constantFrom(400, 401, 429, 500, 529), isStream }),
  fc.record({ kind: fc.constant('break' as const), how: fc.constantFrom('cut', 'end', 'broken', 'error'), words, after }),
  fc.record({ kind: fc.constant('leave' as const), words, after }),
);
const step = fc.record({
  dialect: fc.constantFrom<'chat' | 'messages'>('chat', 'messages'),
  /** Of the first target, and of the second if it comes to that. */
  first: deed,
  second: deed,
  prompt: fc.integer({ min: 1, max: 60 }),
});

/** Four characters are a token to the stand-ins as well as to whoever counts a broken answer. */
function scriptOf(done: Deed, input: number): ScriptedAnswer {
  if (done.kind === 'status') return fails(done.status);
  const text = 'abc '.repeat(done.words);
  const usage = { input, output: done.words, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
  if (done.kind === 'break') return says(text, { chunkLength: 4, usage, fault: { after: done.after, kind: done.how } });
  const holds = done.kind === 'leave' ? [{ after: done.after, gate: gate() }] : [];
  return says(text, { chunkLength: 4, usage, holds });
}

const paths = { chat: '/v1/chat/completions', messages: '/v1/messages' };

/** Reads an answer, or gives it up when so many words are there. */
async function read(response: Response, leaving: AbortController, most: number | undefined): Promise<void> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (most !== undefined && text.split('abc ').length > most) leaving.abort();
    }
  } catch (error) {
    if (!leaving.signal.aborted) throw error;
  }
}

test('RL-04: budgets in tokens and money are what the providers’ journals say, and nothing stays reserved', async () => {
  const entries = () => [...places.a.standIn.journal, ...places.b.standIn.journal];
  let tokens = 0;
  let nanoUsd = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
      for (const { dialect, first, second, prompt } of steps) {
        nowMs += 10_000;
        const goesOn = first.kind === 'status' && first.status >= 429;
        const last = goesOn ? second : first;
        // Both targets are asked in the same way.
        const wantsStream = [first, ...(goesOn ? [second] : [])].some(
          (one) => one.kind === 'break' || one.kind === 'leave' || one.isStream,
        );
        const body: JsonObject = {
          model: 'models/meter',
          messages: [{ role: 'user', content: 'word '.repeat(prompt) }],
          max_tokens: 500,
          stream: wantsStream,
        };
        const input = estimateTokens(body, dialect as ClientDialectName);
        places.a.standIn.next(scriptOf(first, input));
        if (goesOn) places.b.standIn.next(scriptOf(second, input));
        const before = new Set(entries());
        const leaving = new AbortController();
        const response = await gateway.post(paths[dialect], body, undefined, { signal: leaving.signal });
        await read(response, leaving, last.kind === 'leave' ? last.after : undefined);
        const heard = entries().filter((entry) => !before.has(entry));
        expect(heard).toHaveLength(goesOn ? 2 : 1);
        await Promise.all(heard.map(({ ended }) => ended));
        for (const entry of heard) {
          const bill = billOf(entry, input);
          tokens += bill.input + bill.output;
          nanoUsd += (bill.input * price.input + bill.output * price.output) * 1_000;
        }
        const { slots: _, ...now } = await until('the call is settled', async () => {
          const one = await used();
          return one.slots === 0 && one;
        });
        expect({ ...now, last }).toEqual({ tokens, nanoUsd, last });
      }
    }),
    { numRuns: rounds },
  );
}, 600_000);

/** A provider that breaks down while it works on a prompt may bill it; one that says it has no room has not read it. */
function billOf({ status, usage }: JournalEntry, estimatedInput: number): { readonly input: number; readonly output: number } {
  if (status === 200 && usage !== undefined) return usage;
  return { input: status === 500 ? estimatedInput : 0, output: 0 };
}

describe('over a limit', () => {
  const messages = [{ role: 'user' as const, content: 'Say hello.' }];

  const askBoth = (key: string, model: string) => ({
    openai: () => gateway.openai(key).chat.completions.create({ model, messages }),
    responses: () => gateway.openai(key).responses.create({ model, input: 'x' }),
    anthropic: () => gateway.anthropic(key).messages.create({ model, messages, max_tokens: 5 }),
  });

  async function expectLimited(key: string, model: string): Promise<void> {
    const ask = askBoth(key, model);
    for (const [name, one] of Object.entries(ask)) {
      const error = await one().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(name === 'anthropic' ? AnthropicSdk.RateLimitError : OpenaiSdk.RateLimitError);
      const { headers, status } = error as { headers: Headers; status: number };
      expect(status).toBe(429);
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60 * 60);
      if (name === 'anthropic') expect(error).toMatchObject({ error: { type: 'error', error: { type: 'rate_limit_error' } } });
      else expect(error).toMatchObject({ code: 'rate_limit_exceeded' });
    }
  }

  async function consumer(id: string, limits: object[], keyLimits: object[] = []): Promise<string> {
    await gateway.ok('POST /consumers', { id, title: id, kind: 'application', limits });
    return (await gateway.ok('POST /keys', { id, title: id, consumer: id, limits: keyLimits })).secret;
  }

  test('of a consumer, of a key, of a model, and of a consumer with one model', async () => {
    const heard = () => places.a.standIn.journal.length;
    const ofConsumer = await consumer('team', [{ per: 'consumer', rpm: 2 }]);
    const other = (await gateway.ok('POST /keys', { id: 'team-2', title: 'x', consumer: 'team' })).secret;
    await askBoth(ofConsumer, 'models/plain').openai();
    await askBoth(other, 'models/twin').anthropic();
    const before = heard();
    await expectLimited(ofConsumer, 'models/plain');
    await expectLimited(other, 'models/twin');

    const ofKey = await consumer('keyed', [], [{ per: 'key', rpm: 1 }]);
    const free = (await gateway.ok('POST /keys', { id: 'keyed-2', title: 'x', consumer: 'keyed' })).secret;
    expect(heard()).toBe(before);
    await askBoth(ofKey, 'models/plain').openai();
    await expectLimited(ofKey, 'models/plain');
    await askBoth(free, 'models/plain').openai();

    const one = await consumer('one', []);
    await askBoth(one, 'models/capped').openai();
    await askBoth(free, 'models/capped').anthropic();
    await expectLimited(one, 'models/capped');
    await askBoth(one, 'models/plain').openai();

    const pairs = await consumer('pairs', [{ per: 'consumer', match: 'models/twin', rpm: 1 }]);
    await askBoth(pairs, 'models/twin').openai();
    await expectLimited(pairs, 'models/twin');
    await askBoth(pairs, 'models/plain').openai();
    await askBoth(one, 'models/twin').openai();
  });

  test('of tokens: what is reserved counts until it is known better', async () => {
    const key = await consumer('tokens', []);
    const held = gate();
    const usage = { input: 10, output: 5, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
    places.a.standIn.next(says('Hello.', { before: held, usage }));
    const ask = () => gateway.openai(key).chat.completions.create({ model: 'models/thrifty', messages, max_tokens: 900 });
    const heard = places.a.standIn.journal.length;
    const first = ask();
    await until('the provider was asked', () => places.a.standIn.journal.length > heard);
    await expect(ask()).rejects.toBeInstanceOf(OpenaiSdk.RateLimitError);
    held.open();
    await first;
    await ask();
  });

  test('of money: an answer that used it up is the last', async () => {
    const key = await consumer('poor', [{ per: 'consumer', budget: { amount: 0.02, unit: 'usd', window: 'month' } }]);
    const usage = { input: 100, output: 2_000, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
    places.a.standIn.next(says('Hello.', { usage }));
    await askBoth(key, 'models/plain').anthropic();
    const error = await askBoth(key, 'models/plain')
      .openai()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenaiSdk.RateLimitError);
    expect(String(error)).toMatch(/month/);
  });

  test('both clients wait as long as they are told, and come through', async () => {
    const key = await consumer('patient', [{ per: 'consumer', concurrency: 1 }]);
    const held = gate();
    places.a.standIn.next(says('Held.', { before: held }));
    const heard = places.a.standIn.journal.length;
    const first = gateway.openai(key).chat.completions.create({ model: 'models/plain', messages });
    await until('the provider was asked', () => places.a.standIn.journal.length > heard);
    const refused: (string | null)[] = [];
    // Only the first may run: the others find out, and try again.
    const watching = async (...[url, init]: Parameters<typeof fetch>) => {
      const response = await fetch(url, init);
      if (response.status === 429) refused.push(response.headers.get('retry-after'));
      return response;
    };
    const options = { maxRetries: 5, fetch: watching };
    const openai = gateway.openai(key, options).chat.completions.create({ model: 'models/plain', messages });
    const anthropic = gateway.anthropic(key, options).messages.create({ model: 'models/plain', messages, max_tokens: 50 });
    await until('both were refused', () => refused.length >= 2);
    held.open();
    expect((await first).choices[0]?.message.content).toBe('Held.');
    expect((await openai).choices[0]?.message.content).toBe('Hello.');
    expect((await anthropic).content[0]).toMatchObject({ text: 'Hello.' });
    for (const seconds of refused) expect(Number(seconds)).toBeGreaterThanOrEqual(1);
  });
});

test('a key that is rotated under load fails no request within its grace, and is worth nothing after it', async () => {
  await gateway.ok('POST /consumers', { id: 'busy', title: 'Busy', kind: 'application' });
  let current: string = (await gateway.ok('POST /keys', { id: 'busy', title: 'x', consumer: 'busy' })).secret;
  const statuses = new Map<number, number>();
  let isOver = false;
  /** By worker: calls with the newest key. */
  const renewed = [0, 0, 0, 0];
  const work = async (at: number) => {
    let key = current;
    for (let calls = 0; !isOver; calls++) {
      // Each learns of the new key at another time.
      if (calls % (at + 2) === 0 && key !== current) {
        key = current;
        renewed[at] = 0;
      }
      const stream = calls % 2 === 0;
      const body = { model: 'models/plain', messages: [{ role: 'user', content: 'x' }], stream, max_tokens: 9 };
      const response = await gateway.post(calls % 3 === 0 ? paths.messages : paths.chat, body, key);
      await response.text();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      if (key === current) renewed[at] = (renewed[at] ?? 0) + 1;
    }
  };
  const workers = renewed.map((_, at) => work(at));
  const old: string[] = [];
  for (let rotation = 0; rotation < 3; rotation++) {
    old.push(current);
    const { secret } = await gateway.ok('POST /keys/busy/rotate', { graceS: 60 });
    renewed.fill(0);
    current = secret;
    await until('all have the new key', () => renewed.every((calls) => calls >= 2), 30_000);
  }
  isOver = true;
  await Promise.all(workers);
  expect([...statuses.keys()]).toEqual([200]);
  nowMs += 61_000;
  const ask = { model: 'models/plain', messages: [{ role: 'user', content: 'x' }] };
  expect((await gateway.post(paths.chat, ask, old.at(-1))).status).toBe(401);
  expect((await gateway.post(paths.chat, ask, current)).status).toBe(200);
});
