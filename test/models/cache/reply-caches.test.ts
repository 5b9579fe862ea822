import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { CachePolicy } from '../../../src/models/cache/cache-policy.ts';
import type { Embedder } from '../../../src/models/cache/embedder.ts';
import type { KeptReply } from '../../../src/models/cache/kept-reply.ts';
import { type CacheRequest, type CacheScope, type Lookup, ReplyCaches } from '../../../src/models/cache/reply-caches.ts';
import { noUsage } from '../../../src/models/reply.ts';
import { memoryReplies } from '../../../src/store/memory/memory-replies.ts';
import type { ReplyCache } from '../../../src/store/ports/reply-cache.ts';
import { openRedisReplies } from '../../../src/store/redis/redis-replies.ts';
import { Cancel } from '../../../src/wire/cancel.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { oneWordApart, paraphrases } from '../../fixtures/semantic/pairs.ts';
import { servicesTimeoutMs, startRedis } from '../../support/services.ts';

const policy: CachePolicy = { ttlMs: 60_000, share: 'consumer', semantic: undefined, tools: false };
const semantic: CachePolicy = { ...policy, semantic: { model: 'models/embed', threshold: 0.95 } };
const scope = (changes: Partial<CacheScope> = {}): CacheScope => ({
  model: 'models/fast',
  version: 'v1',
  consumer: 'shop',
  policy,
  ...changes,
});
const chat = (body: object, cacheControl?: string): CacheRequest => ({
  dialect: 'chat',
  body: { model: 'fast', ...body } as JsonObject,
  cacheControl,
});
const asked = (content: unknown, more: object = {}) => chat({ messages: [{ role: 'user', content }], ...more });
const reply = (text = 'Hello.'): KeptReply => ({
  kind: 'reply',
  reply: { id: 'r', model: 'm', parts: [{ kind: 'text', text }], finish: 'stop', usage: noUsage },
});

/** By hand: every text of one group gets nearly the same vector, so that only the guard can tell them apart. */
function alikeEmbedder(groups: readonly (readonly string[])[] = []): Embedder & { calls: number } {
  return {
    calls: 0,
    async embed(texts) {
      this.calls += 1;
      return texts.map((text) => {
        const group = groups.findIndex((members) => members.includes(text));
        const vector = new Float32Array(groups.length + 2);
        vector[group + 1] = 1;
        vector[groups.length + 1] = (text.length % 10) / 100;
        return vector;
      });
    },
  };
}

interface Options {
  readonly cache?: ReplyCache;
  readonly key?: Buffer;
  readonly embedder?: Embedder | undefined;
  readonly embedWithinMs?: number;
}

function open({ cache, key = randomBytes(32), embedder, embedWithinMs }: Options = {}) {
  const time = { nowMs: 1_000_000 };
  const clock = { nowMs: () => time.nowMs };
  const heard: unknown[] = [];
  const caches = new ReplyCaches({
    cache: cache ?? memoryReplies(clock, 64 * 1024 * 1024),
    key,
    clock,
    embedder: (model) => (model === 'models/embed' ? embedder : undefined),
    warn: (error) => heard.push(error),
    embedWithinMs,
  });
  const find = async (request: CacheRequest, where = scope()): Promise<Lookup> => await caches.find(where, request, new Cancel());
  const keep = async (request: CacheRequest, where = scope(), kept = reply()) => {
    const lookup = await find(request, where);
    if (lookup.kind === 'miss') lookup.keep(kept);
    return lookup;
  };
  return { caches, time, find, keep, heard };
}

const isHit = async (lookup: Promise<Lookup>) => (await lookup).kind === 'hit';

describe('the exact cache', () => {
  it('gives an answer again, says how old it is, and needs no promise in memory', async () => {
    const { caches, time, find, keep } = open();
    await keep(asked('hi'), scope(), reply('Hello!'));
    time.nowMs += 1_234;
    expect(caches.find(scope(), asked('hi'), new Cancel())).toEqual({
      kind: 'hit',
      how: 'exact',
      ageMs: 1_234,
      similarity: 1,
      kept: reply('Hello!'),
    });
    expect(await isHit(find(asked('hi there')))).toBe(false);
  });

  it.each([
    [
      'the order of members',
      asked('hi', { temperature: 0, seed: 1 }),
      chat({ seed: 1, temperature: 0, messages: [{ content: 'hi', role: 'user' }] }),
    ],
    ['how it comes', asked('hi'), asked('hi', { stream: true, stream_options: { include_usage: true } })],
    ['who asks', asked('hi'), asked('hi', { user: 'u1', metadata: { a: 'b' }, safety_identifier: 's', prompt_cache_key: 'k' })],
    ['what the model is called', asked('hi'), asked('hi', { model: 'gpt-5-mini' })],
    ['one text in parts', asked('hi'), asked([{ type: 'text', text: 'hi' }])],
    ['marks for the provider', asked('hi'), asked([{ type: 'text', text: 'hi', cache_control: { type: 'ephemeral' } }])],
    ['what is null', asked('hi'), asked('hi', { temperature: null })],
  ])('does not mind %s', async (_, first, second) => {
    const { find, keep } = open();
    await keep(first);
    expect(await isHit(find(second))).toBe(true);
  });

  it.each([
    ['the question', asked('hi'), asked('hi!')],
    ['what else the client says', { ...asked('hi'), said: { 'anthropic-beta': 'a' } }, { ...asked('hi'), said: {} }],
    ['case', asked('hi'), asked('Hi')],
    ['blanks', asked('hi'), asked('hi ')],
    ['a parameter', asked('hi', { temperature: 0 }), asked('hi', { temperature: 1 })],
    ['a member nobody knows', asked('hi'), asked('hi', { verbosity: 'low' })],
    ['a format', asked('hi'), asked('hi', { response_format: { type: 'json_object' } })],
    ['`__proto__`', asked('hi'), chat(JSON.parse('{"messages":[{"role":"user","content":"hi"}],"__proto__":{"temperature":1}}'))],
    [
      'the system prompt',
      asked('hi'),
      chat({
        messages: [
          { role: 'system', content: 'x' },
          { role: 'user', content: 'hi' },
        ],
      }),
    ],
    [
      'an image',
      asked([{ type: 'image_url', image_url: { url: 'a' } }]),
      asked([{ type: 'image_url', image_url: { url: 'b' } }]),
    ],
    ['the dialect', asked('hi'), { ...asked('hi'), dialect: 'messages' as const }],
  ])('tells apart by %s', async (_, first, second) => {
    const { find, keep } = open();
    await keep(first);
    expect(await isHit(find(first))).toBe(true);
    expect(await isHit(find(second))).toBe(false);
  });

  it("belongs to one consumer, one model and one state of that model, unless it is everybody's", async () => {
    const { find, keep } = open();
    await keep(asked('hi'));
    for (const other of [{ consumer: 'hr' }, { model: 'models/other' }, { version: 'v2' }])
      expect(await isHit(find(asked('hi'), scope(other)))).toBe(false);
    const shared = scope({ policy: { ...policy, share: 'all' } });
    expect(await isHit(find(asked('hi'), shared))).toBe(false);
    await keep(asked('hi'), shared);
    expect(await isHit(find(asked('hi'), { ...shared, consumer: 'hr' }))).toBe(true);
    expect(await isHit(find(asked('hi'), scope({ consumer: 'hr' })))).toBe(false);
  });

  it('gives no answer that is older than the policy now says', async () => {
    const { time, find, keep } = open();
    await keep(asked('hi'));
    time.nowMs += 30_000;
    expect(await isHit(find(asked('hi')))).toBe(true);
    expect(await isHit(find(asked('hi'), scope({ policy: { ...policy, ttlMs: 20_000 } })))).toBe(false);
    time.nowMs += 30_001;
    expect(await isHit(find(asked('hi')))).toBe(false);
  });

  it.each([
    ['tools', asked('hi', { tools: [{ type: 'function', function: { name: 't' } }] })],
    ['tools', chat({ messages: [{ role: 'tool', tool_call_id: 'c', content: '5' }] })],
    ['tools', { dialect: 'messages', body: { messages: [{ role: 'user', content: [{ type: 'tool_result', content: 'x' }] }] } }],
    ['tools', { dialect: 'responses', body: { input: [{ type: 'function_call_output', output: 'x' }] } }],
    ['state', { dialect: 'responses', body: { input: 'hi', previous_response_id: 'r' } }],
    ['state', { dialect: 'responses', body: { input: 'hi', background: true } }],
    ['state', asked('hi', { store: true })],
    ['shape', asked('hi', { n: 2 })],
    ['shape', asked('hi', { logprobs: true })],
    ['shape', asked('hi', { modalities: ['text', 'audio'] })],
    ['too-large', asked('x'.repeat(600_000))],
    ['too-large', asked(Array.from({ length: 30_000 }, () => ({ type: 'text', text: '' })))],
  ] as const)('keeps away from %s', async (why, request) => {
    const { find, keep } = open();
    const whole = { cacheControl: undefined, ...request } as CacheRequest;
    expect(await keep(whole)).toMatchObject({ kind: 'miss', why });
    expect(await isHit(find(whole))).toBe(false);
  });

  it('takes turns with tools where it is told to', async () => {
    const { find, keep } = open();
    const withTools = scope({ policy: { ...policy, tools: true } });
    const request = asked('hi', { tools: [{ type: 'function', function: { name: 't' } }] });
    await keep(request, withTools);
    expect(await isHit(find(request, withTools))).toBe(true);
  });

  it('does as Cache-Control says', async () => {
    const { time, find, keep } = open();
    const withHeader = (header: string) => ({ ...asked('hi'), cacheControl: header });
    expect(await keep(withHeader('no-store'))).toMatchObject({ kind: 'miss', why: 'no-store' });
    expect(await isHit(find(asked('hi')))).toBe(false);
    await keep(asked('hi'), scope(), reply('first'));
    expect(await find(withHeader('private, No-Cache'))).toMatchObject({ kind: 'miss', why: 'no-cache' });
    await keep(withHeader('no-cache'), scope(), reply('second'));
    expect(await find(asked('hi'))).toMatchObject({ kind: 'hit', kept: reply('second') });
    time.nowMs += 5_000;
    expect(await isHit(find(withHeader('max-age=5')))).toBe(true);
    expect(await isHit(find(withHeader('max-age=4')))).toBe(false);
    expect(await isHit(find(withHeader('max-age=soon')))).toBe(false);
    expect(await isHit(find(withHeader('max-stale=9, ,=,x')))).toBe(true);
  });

  it('keeps vectors of texts, which are always the same', async () => {
    const { find, keep } = open();
    const request: CacheRequest = { dialect: 'embeddings', body: { input: ['a', 'b'] }, cacheControl: undefined };
    const vectors: KeptReply = { kind: 'document', body: { data: [{ embedding: [1, 2] }] }, usage: noUsage };
    await keep(request, scope(), vectors);
    expect(await find(request)).toMatchObject({ kind: 'hit', kept: vectors });
  });

  it('keeps the first answer of a miss, and no refusal', async () => {
    const { find } = open();
    const lookup = await find(asked('hi'));
    if (lookup.kind !== 'miss') throw new Error('a hit');
    lookup.keep({
      kind: 'reply',
      reply: { id: '', model: '', parts: [{ kind: 'refusal', text: 'No.' }], finish: 'stop', usage: noUsage },
    });
    expect(await isHit(find(asked('hi')))).toBe(false);
    lookup.keep(reply('good'));
    lookup.keep(reply('late'));
    expect(await find(asked('hi'))).toMatchObject({ kept: reply('good') });
  });
});

describe('the semantic cache', () => {
  const inScope = scope({ policy: semantic });

  it('answers a question that means the same, and says so', async () => {
    const { time, find, keep } = open({ embedder: alikeEmbedder() });
    await keep(asked('What is the capital of France?'), inScope, reply('Paris.'));
    time.nowMs += 10;
    const hit = await find(asked("What's the capital city of France?"), inScope);
    expect(hit).toMatchObject({ kind: 'hit', how: 'semantic', ageMs: 10, kept: reply('Paris.') });
    expect(hit.kind === 'hit' && hit.similarity >= 0.95 && hit.similarity <= 1).toBe(true);
  });

  it('gives no wrong answer to questions that differ in one word, though their vectors say they are the same', async () => {
    const { find, keep } = open({ embedder: alikeEmbedder(oneWordApart) });
    for (const [first, second] of oneWordApart) {
      const only = { ...inScope, version: `${first} ${second}` };
      await keep(asked(first), only);
      expect([second, await isHit(find(asked(second), only))]).toEqual([second, false]);
    }
  });

  it('answers most paraphrases, each by the answer to its own question', async () => {
    const { find, keep } = open({ embedder: alikeEmbedder(paraphrases) });
    for (const [first] of paraphrases) await keep(asked(first), inScope, reply(first));
    let hits = 0;
    for (const [first, second] of paraphrases) {
      const lookup = await find(asked(second), inScope);
      if (lookup.kind !== 'hit' || lookup.how !== 'semantic') continue;
      hits += 1;
      expect(lookup.kept).toEqual(reply(first));
    }
    expect(hits).toBeGreaterThanOrEqual(40);
  });

  it.each([
    ['the system prompt', {}, { messages: [{ role: 'system', content: 'Be brief.' }] }],
    [
      'what was said before',
      {},
      {
        messages: [
          { role: 'user', content: 'x' },
          { role: 'assistant', content: 'y' },
        ],
      },
    ],
    ['a parameter', { temperature: 0 }, { temperature: 1 }],
    ['the format', {}, { response_format: { type: 'json_object' } }],
  ])('compares questions only where %s is the same', async (_, first, second) => {
    const { find, keep } = open({ embedder: alikeEmbedder() });
    const ask = (text: string, { messages = [], ...more }: { messages?: object[]; [name: string]: unknown }) =>
      chat({ ...more, messages: [...messages, { role: 'user', content: text }] });
    await keep(ask('What is the capital of France?', first), inScope);
    expect(await isHit(find(ask("What's the capital city of France?", first), inScope))).toBe(true);
    expect(await isHit(find(ask("What's the capital city of France?", second), inScope))).toBe(false);
  });

  it('compares only within a consumer, a model and its state', async () => {
    const { find, keep } = open({ embedder: alikeEmbedder() });
    await keep(asked('What is the capital of France?'), inScope);
    const again = asked("What's the capital city of France?");
    for (const other of [{ consumer: 'hr' }, { model: 'models/other' }, { version: 'v2' }, { policy }])
      expect(await isHit(find(again, { ...inScope, ...other }))).toBe(false);
    expect(await isHit(find(again, inScope))).toBe(true);
  });

  it('asks for no vector where the same request is known, where a client wants none of it, or where there is no question', async () => {
    const embedder = alikeEmbedder();
    const { find, keep } = open({ embedder });
    await keep(asked('What is the capital of France?'), inScope);
    expect(embedder.calls).toBe(1);
    await find(asked('What is the capital of France?'), inScope);
    await find({ ...asked('Who is it?'), cacheControl: 'no-cache' }, inScope);
    await find(
      asked([
        { type: 'text', text: 'a' },
        { type: 'image_url', image_url: { url: 'x' } },
      ]),
      inScope,
    );
    await find(asked('long '.repeat(1_000)), inScope);
    expect(embedder.calls).toBe(1);
  });

  it('stays below its threshold silent', async () => {
    const groups = [['What is the capital of France?'], ["What's the capital city of France?"]];
    const { find, keep } = open({ embedder: alikeEmbedder(groups) });
    await keep(asked(groups[0]![0]), inScope);
    expect(await isHit(find(asked(groups[1]![0]), inScope))).toBe(false);
  });

  it.each([
    ['rejects', async () => Promise.reject(new Error('down'))],
    ['answers with nothing', async () => []],
    ['answers with zeros', async () => [new Float32Array(8)]],
    ['never answers', () => new Promise<Float32Array[]>(() => {})],
  ] as const)('is a miss where the embeddings model %s; the same request is still known', async (_, embed) => {
    const { find, keep } = open({ embedder: { embed: embed as Embedder['embed'] }, embedWithinMs: 20 });
    expect((await keep(asked('What is the capital of France?'), inScope)).kind).toBe('miss');
    expect(await isHit(find(asked('What is the capital of France?'), inScope))).toBe(true);
    expect(await isHit(find(asked("What's the capital city of France?"), inScope))).toBe(false);
  });

  it('lets go at once of a call that was cancelled', async () => {
    const { caches, heard } = open({ embedder: { embed: () => new Promise(() => {}) } });
    const cancel = new Cancel();
    const lookup = caches.find(inScope, asked('What is the capital of France?'), cancel);
    cancel.cancel('gone');
    expect((await lookup).kind).toBe('miss');
    expect(heard).toEqual([]);
  });
});

describe('replicas on one Redis', () => {
  it(
    'give the answers of each other, and survive its end',
    async () => {
      const redis = await startRedis();
      const key = randomBytes(32);
      const embedder = alikeEmbedder();
      const openOne = async () => {
        const cache = await openRedisReplies({ url: redis.url, key: randomBytes(32).fill(7), warn() {} });
        onTestFinished(async () => await cache.close());
        return { cache, ...open({ cache, key, embedder }) };
      };
      const [one, other] = [await openOne(), await openOne()];
      const inScope = scope({ policy: semantic });
      await one.keep(asked('What is the capital of France?'), inScope, reply('Paris.'));
      await one.cache.flush();
      expect(await other.find(asked('What is the capital of France?'), inScope)).toMatchObject({
        how: 'exact',
        kept: reply('Paris.'),
      });
      expect(await other.find(asked("What's the capital city of France?"), inScope)).toMatchObject({
        how: 'semantic',
        kept: reply('Paris.'),
      });
      const client = new Redis(redis.url);
      for (const name of await client.keys('*')) expect(name).not.toMatch(/France|shop|fast/);
      client.disconnect();
      await redis.stop();
      expect((await one.keep(asked('What is the capital of France?'), inScope)).kind).toBe('miss');
    },
    servicesTimeoutMs,
  );
});
