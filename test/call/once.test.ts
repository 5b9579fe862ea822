import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Ask } from '../../src/call/ask.ts';
import type { Permit } from '../../src/call/authorize.ts';
import type { Outcome } from '../../src/call/inspect.ts';
import { type Admission, limit, slotsOf } from '../../src/call/limit.ts';
import { type KeyedAsk, Once, type Work } from '../../src/call/once.ts';
import type { Screened } from '../../src/call/screen.ts';
import { GatewayError } from '../../src/errors.ts';
import { compileLimits } from '../../src/policy/compile-limits.ts';
import { openMemoryCounters } from '../../src/store/memory/counters.ts';
import { memoryKeyedCalls } from '../../src/store/memory/memory-keyed-calls.ts';
import type { KeyedCalls } from '../../src/store/ports/keyed-calls.ts';
import { FailedAnswer } from '../../src/upstreams/upstream.ts';
import { Cancel, clientLeft } from '../../src/wire/cancel.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { askFor } from '../support/call-ports.ts';
import { until } from '../support/until.ts';

const key = Buffer.alloc(32, 7);
const limits = { leaseMs: 20_000, ttlMs: 3_600_000, waitMs: 5_000, firstPauseMs: 1, keptBytes: 10_000_000, waiting: 64 };

function open(rows: KeyedCalls = memoryKeyedCalls({ nowMs: Date.now }), more: Partial<typeof limits> = {}): Once {
  const once = new Once({ rows, key, warn: () => {}, limits: { ...limits, ...more } });
  onTestFinished(() => once.close());
  return once;
}

function screened(params: JsonObject = {}, id = 'key:a', kind = 'mcp'): Screened {
  const place = { capability: 'desk/send', toolbox: { name: '' }, member: { config: { kind } } };
  return { caller: { id }, params: { arguments: params }, ...place } as unknown as Screened;
}

const keyed = (more: Partial<Ask> = {}): KeyedAsk => ({ ...askFor(more), idempotencyKey: more.idempotencyKey ?? 'k' });
const asModel = (more: Partial<Ask> = {}) => keyed({ method: 'models/call', ...more });

function reply(text: string): Outcome {
  return { kind: 'reply', body: Buffer.from(text), headers: {}, hits: [] } as unknown as Outcome;
}

/** Work that says how often it was done. */
function counting(make: (ask: Ask, n: number) => Promise<Outcome> | Outcome, isUnheard = false) {
  const made = { times: 0, asks: [] as Ask[] };
  const work: Work = {
    async make(ask) {
      made.asks.push(ask);
      return await make(ask, ++made.times);
    },
    repeat: async (answer) => answer as unknown as Outcome,
    isUnheard: () => isUnheard,
  };
  return { ...made, made, work };
}

const textOf = (outcome: Outcome) => (outcome.kind === 'reply' ? outcome.body.toString() : outcome.kind);
const codeOf = (thrown: unknown) => (thrown instanceof GatewayError ? thrown.code : String(thrown));

describe('FO-05: while the store cannot be reached', () => {
  const away = (name: keyof KeyedCalls, times = Number.POSITIVE_INFINITY): KeyedCalls => {
    const rows = memoryKeyedCalls({ nowMs: Date.now });
    let left = times;
    return {
      ...rows,
      [name]: (...given: never[]) =>
        left-- > 0 ? Promise.reject(new Error('away')) : (rows[name] as (...of: never[]) => Promise<unknown>)(...given),
    };
  };

  test('no call with a key is made, and each is told to come back; its twin with a store is', async () => {
    const { work, made } = counting(() => reply('a'));
    const once = open(away('take'));
    const all = await Promise.allSettled(Array.from({ length: 5 }, () => once.run(screened(), keyed(), work)));
    for (const one of all)
      expect(one).toMatchObject({ reason: { code: 'store_unavailable', retryAfterMs: 1_000, row: { http: 503 } } });
    expect(made.times).toBe(0);
    await open().run(screened(), keyed(), work);
    expect(made.times).toBe(1);
  });

  test('an answer that cannot be kept yet goes out, is kept later, and nobody makes the call meanwhile', async () => {
    const rows = away('settle', 1);
    const once = open(rows);
    const { work, made } = counting(() => reply('a'));
    expect(textOf(await once.run(screened(), asModel(), work))).toBe('a');
    expect(textOf(await once.run(screened(), asModel(), work))).toBe('a');
    expect(textOf(await open(rows).run(screened(), asModel(), work))).toBe('a');
    expect(made.times).toBe(1);
  });
});

describe('FO-05: a replica that dies', () => {
  async function orphan(ask: KeyedAsk) {
    const clock = { ms: 1_000_000, nowMs: () => clock.ms };
    const rows = memoryKeyedCalls(clock);
    const started = counting(() => new Promise<Outcome>(() => {}));
    void new Once({ rows: { ...rows, renew: () => new Promise(() => {}) }, key, warn: () => {}, limits })
      .run(screened(), ask, started.work)
      .catch(() => {});
    await until('it is under way', () => started.made.times === 1);
    return { clock, rows };
  }

  test('holds up others for its lease; then a model is asked again, by one', async () => {
    const { clock, rows } = await orphan(asModel());
    const { work, made } = counting((_, n) => reply(`answer ${n}`));
    const replicas = [open(rows, { waitMs: 50 }), open(rows, { waitMs: 50 })];
    const early = await Promise.allSettled(replicas.map((once) => once.run(screened(), asModel(), work)));
    for (const one of early) expect(one).toMatchObject({ reason: { code: 'key_in_use', retryAfterMs: 2_000 } });
    expect(made.times).toBe(0);
    clock.ms += limits.leaseMs;
    const waiting = open(rows);
    const late = await Promise.all([0, 1, 2, 3].map(() => waiting.run(screened(), asModel(), work)));
    expect(late.map(textOf)).toEqual(Array(4).fill('answer 1'));
  });

  test('leaves a tool as it is: nobody makes the call again, and everybody is told why', async () => {
    const { clock, rows } = await orphan(keyed());
    clock.ms += limits.leaseMs;
    const { work, made } = counting(() => reply('a'));
    for (const once of [open(rows), open(rows)])
      await expect(once.run(screened(), keyed(), work)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('check that before you repeat it with a new key'),
      });
    expect(made.times).toBe(0);
    expect(textOf(await open(rows).run(screened(), keyed({ idempotencyKey: 'new' }), work))).toBe('a');
  });

  test('one that only seemed dead ends its call before another may make it, and changes nothing any more', async () => {
    const rows = memoryKeyedCalls({ nowMs: Date.now });
    const cut = open({ ...rows, renew: () => Promise.reject(new Error('cut off')) }, { leaseMs: 500 });
    const startedMs = performance.now();
    const first = counting(
      ({ cancel }) =>
        new Promise<Outcome>((_, reject) =>
          cancel.onCancel((reason) => setTimeout(() => reject(new GatewayError('cancelled', reason)), 150)),
        ),
    );
    const running = cut.run(screened(), asModel(), first.work).catch(codeOf);
    const { work, made } = counting(() => {
      expect(performance.now() - startedMs).toBeGreaterThanOrEqual(450);
      expect(first.made.asks[0]?.cancel.isCancelled).toBe(true);
      return reply('second');
    });
    await until('it is under way', () => first.made.times === 1);
    expect(textOf(await open(rows).run(screened(), asModel(), work))).toBe('second');
    expect([await running, made.times]).toEqual(['cancelled', 1]);
    expect(textOf(await open(rows).run(screened(), asModel(), work))).toBe('second');
  });

  test('a lease is renewed for as long as the call takes', async () => {
    // Time goes by in steps of nearly a lease, each of them just before it is renewed.
    const leaseMs = 1_000;
    let nowMs = 0;
    const rows = memoryKeyedCalls({ nowMs: () => nowMs });
    const renew = vi.fn((...renewal: Parameters<typeof rows.renew>) => {
      nowMs += leaseMs * 0.9;
      return rows.renew(...renewal);
    });
    const end = Promise.withResolvers<Outcome>();
    const slow = counting(() => end.promise);
    const running = open({ ...rows, renew }, { leaseMs }).run(screened(), asModel(), slow.work);
    const { work, made } = counting(() => reply('again'));
    const waiting = open(rows).run(screened(), asModel(), work);
    await until('three leases have gone by', () => nowMs > 3 * leaseMs);
    end.resolve(reply('first'));
    expect([textOf(await running), textOf(await waiting), made.times]).toEqual(['first', 'first', 0]);
  });
});

describe('FO-05: what ended', () => {
  const answers = [
    new GatewayError('upstream_failed', 'It broke.'),
    new GatewayError('upstream_timeout', 'It was silent.'),
    new GatewayError('content_blocked', 'It said what must not be said.'),
  ];
  test.each(answers)('with the error $code is told again, and not made again', async (error) => {
    for (const ask of [keyed, asModel]) {
      const rows = memoryKeyedCalls({ nowMs: Date.now });
      const { work, made } = counting(() => Promise.reject(error));
      for (const once of [open(rows), open(rows)])
        await expect(once.run(screened(), ask(), work)).rejects.toMatchObject({ code: error.code, message: error.message });
      expect(made.times).toBe(1);
    }
  });

  test('before anybody heard of it may be made again', async () => {
    const once = open();
    const refused = counting(() => Promise.reject(new GatewayError('breaker_open', 'Paused.')), true);
    await expect(once.run(screened(), keyed(), refused.work)).rejects.toMatchObject({ code: 'breaker_open' });
    expect(textOf(await once.run(screened(), keyed(), counting(() => reply('a')).work))).toBe('a');
  });

  test('with a refusal of the far end may be made again; a tool whose connection was lost may not', async () => {
    const busy = () => Promise.reject(new FailedAnswer('upstream_busy', 'Later.', { isItsFault: false }));
    const lost = () => Promise.reject(new GatewayError('upstream_unavailable', 'The connection was lost.'));
    const then = async (ask: KeyedAsk, first: () => Promise<never>) => {
      const once = open();
      await once.run(screened(), ask, counting(first).work).catch(() => {});
      const { work } = counting(() => reply('a'));
      return await once.run(screened(), ask, work).then(textOf, codeOf);
    };
    expect(await then(keyed(), busy)).toBe('a');
    expect(await then(asModel(), busy)).toBe('a');
    expect(await then(asModel(), lost)).toBe('a');
    expect(await then(keyed(), lost)).toBe('conflict');
  });

  test('with a question to the client has not ended: the next round is made', async () => {
    const once = open();
    const question = { kind: 'input-required', inputRequests: {}, requestState: undefined, hits: [] } as unknown as Outcome;
    const { work, made } = counting((_, n) => (n === 1 ? question : reply('a')));
    expect((await once.run(screened(), keyed(), work)).kind).toBe('input-required');
    const retry = { inputResponses: {}, requestState: undefined };
    expect(textOf(await once.run(screened(), keyed({ retry }), work))).toBe('a');
    expect(textOf(await once.run(screened(), keyed(), work))).toBe('a');
    expect(made.times).toBe(2);
  });
});

describe('FO-05: a client that leaves', () => {
  test('is answered when it comes back; one that says that it wants no answer ends the call', async () => {
    const once = open();
    for (const [reason, isEnded] of [
      [clientLeft, false],
      ['the client cancelled the request', true],
    ] as const) {
      const cancel = new Cancel();
      const idempotencyKey = reason;
      const end = Promise.withResolvers<Outcome>();
      const { work, made } = counting(({ cancel: own }) => {
        own.onCancel((why) => end.reject(new GatewayError('cancelled', why)));
        return end.promise;
      });
      const running = once.run(screened(), asModel({ cancel, idempotencyKey }), work).catch(codeOf);
      await until('it is under way', () => made.times === 1);
      cancel.cancel(reason);
      end.resolve(reply('first'));
      await running;
      const again = counting(() => reply('second'));
      const answer = await once.run(screened(), asModel({ idempotencyKey }), again.work);
      expect([reason, textOf(answer)]).toEqual([reason, isEnded ? 'second' : 'first']);
    }
  });

  test('while it waits for what another request makes is let go, and the others wait on', async () => {
    const once = open();
    const end = Promise.withResolvers<Outcome>();
    const { work, made } = counting(() => end.promise);
    const first = once.run(screened(), keyed(), work);
    await until('it is under way', () => made.times === 1);
    const cancel = new Cancel();
    const leaving = once.run(screened(), keyed({ cancel }), work).catch(codeOf);
    const staying = once.run(screened(), keyed(), work);
    cancel.cancel(clientLeft);
    expect(await leaving).toBe('cancelled');
    end.resolve(reply('a'));
    expect([textOf(await first), textOf(await staying), made.times]).toEqual(['a', 'a', 1]);
  });
});

describe('FO-05: who waits for what another request makes', () => {
  /** Calls under a limit of so many at once. */
  async function limited(concurrency: number) {
    const counters = await openMemoryCounters({ clock: { nowMs: Date.now }, warn: () => {} });
    const rules = compileLimits([{ per: 'namespace', concurrency }], 'namespace desk');
    const permit = { namespace: 'desk', capability: 'desk/send', caller: { limits: [] }, policy: { limits: [rules] } };
    const admit = () => limit(counters, { ...permit, member: { config: { kind: 'mcp' } } } as unknown as Permit) as Admission;
    const calls: Work[] = [];
    const enter = (work: Work): Work => {
      const call = { ...work, slots: slotsOf(counters, admit()) };
      calls.push(call);
      return call;
    };
    const leaveAll = () => {
      for (const { slots } of calls) slots?.leave();
    };
    return { enter, admit, leaveAll };
  }

  test('holds no slot meanwhile: others have their turn, as they would without it', async () => {
    const { enter, admit, leaveAll } = await limited(2);
    const once = open();
    const end = Promise.withResolvers<Outcome>();
    const { work, made } = counting(() => end.promise);
    const first = once.run(screened(), keyed(), enter(work));
    await until('it is under way', () => made.times === 1);
    const waiting = Array.from({ length: 5 }, () => once.run(screened(), keyed(), enter(work)));
    admit();
    expect(admit).toThrow(expect.objectContaining({ code: 'limit_reached' }));
    end.resolve(reply('a'));
    expect((await Promise.all([first, ...waiting])).map(textOf)).toEqual(Array(6).fill('a'));
    leaveAll();
  });

  test('takes one again before it makes the call itself; where there is none it is refused, and the next is let try', async () => {
    const { enter, admit } = await limited(2);
    const once = open();
    const end = Promise.withResolvers<Outcome>();
    const first = once.run(screened(), keyed(), enter(counting(() => end.promise, true).work)).catch(codeOf);
    const second = counting(() => reply('b'));
    const waiting = once.run(screened(), keyed(), enter(second.work)).then(textOf, codeOf);
    const other = admit();
    // The first one's slot is the only one that is left, and it is not given back before the test says so.
    end.reject(new GatewayError('breaker_open', 'closed'));
    await first;
    expect(await waiting).toBe('limit_reached');
    expect(second.made.times).toBe(0);
    other.reservation?.release();
    expect(textOf(await once.run(screened(), keyed(), enter(second.work)))).toBe('b');
  });

  test('is told to come back where many of the same caller wait already; another caller waits', async () => {
    const once = open(undefined, { waiting: 2 });
    const end = Promise.withResolvers<Outcome>();
    const { work } = counting(() => end.promise);
    const run = (id: string) => once.run(screened({}, id), keyed(), work).then(textOf, codeOf);
    const all = [run('key:a'), run('key:a'), run('key:a'), run('key:b'), run('key:b')];
    expect(await run('key:a')).toBe('key_in_use');
    end.resolve(reply('a'));
    expect(await Promise.all(all)).toEqual(Array(5).fill('a'));
    expect(await run('key:a')).toBe('a');
  });
});

test('FO-05: a key stands for one request of one caller: order and spacing of its arguments aside', async () => {
  const once = open();
  const { work, made } = counting((_, n) => reply(String(n)));
  const run = (params: JsonObject, id?: string) => once.run(screened(params, id), keyed(), work).then(textOf, codeOf);
  expect(await run({ a: 1, b: { c: 2, d: 3 } })).toBe('1');
  expect(await run({ b: { d: 3, c: 2 }, a: 1.0 })).toBe('1');
  for (const other of [{ a: 1 }, { a: 1, b: { c: 2, d: 3 }, e: null }, { a: '1', b: { c: 2, d: 3 } }, {}])
    expect(await run(other as JsonObject)).toBe('key_reused');
  expect(await run({ a: 1 }, 'key:b')).toBe('2');
  expect(await run({ a: 1, b: { c: 2, d: 3 } })).toBe('1');
  expect(made.times).toBe(2);
});

test('FO-05: what may hold a secret of the gateway, and what is too long, is done once and not told again', async () => {
  const once = open();
  const { work, made } = counting(() => reply('gh_secret'));
  const admin = () => once.run(screened({}, 'key:a', 'admin'), keyed(), work).then(textOf, String);
  expect(await admin()).toBe('gh_secret');
  expect(await admin()).toContain('as it may hold a secret');
  const long = counting(() => reply('x'.repeat(1024 * 1024 + 1)));
  const read = () => once.run(screened(), keyed({ idempotencyKey: 'long' }), long.work).then(textOf, String);
  expect((await read()).length).toBe(1024 * 1024 + 1);
  expect(await read()).toContain('over 1 MiB');
  expect([made.times, long.made.times]).toEqual([1, 1]);
});

test('FO-05: nobody fills the store: beyond so much in an hour a call is made once and its answer not told again', async () => {
  const once = open(memoryKeyedCalls({ nowMs: Date.now }), { keptBytes: 1_000 });
  const { work, made } = counting(() => reply('x'.repeat(400)));
  const run = (idempotencyKey: string, id?: string) =>
    once.run(screened({}, id), keyed({ idempotencyKey }), work).then((outcome) => textOf(outcome).length, String);
  for (const key of ['a', 'b', 'c', 'a', 'b']) expect(await run(key)).toBe(400);
  expect(await run('c')).toContain('so much was kept for you');
  expect(await run('c', 'key:other')).toBe(400);
  expect(await run('c', 'key:other')).toBe(400);
  expect(made.times).toBe(4);
});

test('FO-05: nothing that is kept can be read, or put in the place of another answer', async () => {
  const rows = memoryKeyedCalls({ nowMs: Date.now });
  const written: { claim: Parameters<KeyedCalls['settle']>[0]; answer: string }[] = [];
  const watched: KeyedCalls = {
    ...rows,
    settle: (claim, answer) => {
      written.push({ claim, answer });
      return rows.settle(claim, written[0]?.answer ?? answer);
    },
  };
  const run = (idempotencyKey: string, text: string) =>
    open(watched)
      .run(screened({ card: '4111' }), keyed({ idempotencyKey }), counting(() => reply(text)).work)
      .then(textOf, codeOf);
  await run('key-of-a-client', 'words of a model');
  await run('other', 'other words');
  expect(await run('key-of-a-client', '')).toBe('words of a model');
  // The answer of the first stands in its row.
  expect(await run('other', '')).toBe('conflict');
  const text = JSON.stringify(written);
  for (const secret of ['key-of-a-client', 'words', '4111', Buffer.from('words of a model').toString('base64').slice(0, 12)])
    expect(text).not.toContain(secret);
});

test('FO-05: of whatever is sent at once, and fails in between, one is answered for all and none is made beside it', async () => {
  const end = fc.constantFrom('answer', 'unheard', 'failure');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ replica: fc.nat({ max: 2 }), key: fc.constantFrom('k', 'l'), body: fc.nat({ max: 1 }) }), {
        minLength: 2,
        maxLength: 12,
      }),
      fc.array(end, { minLength: 1, maxLength: 6 }),
      fc.scheduler(),
      async (sends, ends, scheduler) => {
        const rows = memoryKeyedCalls({ nowMs: Date.now });
        const replicas = [0, 1, 2].map(() => new Once({ rows, key, warn: () => {}, limits }));
        let at = 0;
        const running = new Map<string, number>();
        const made = new Map<string, Set<string>>();
        const answered = new Map<string, Set<string>>();
        const send = async ({ replica, key: idempotencyKey, body }: (typeof sends)[number]) => {
          let unheard = false;
          const work: Work = {
            async make() {
              expect(running.get(idempotencyKey) ?? 0).toBe(0);
              running.set(idempotencyKey, 1);
              const how = ends[at++ % ends.length];
              const text = `${body} ${at}`;
              await scheduler.schedule(Promise.resolve());
              running.set(idempotencyKey, 0);
              if (how === 'unheard' && at < 20) {
                unheard = true;
                throw new GatewayError('upstream_busy', 'busy');
              }
              (made.get(idempotencyKey) ?? made.set(idempotencyKey, new Set()).get(idempotencyKey))?.add(text);
              if (how === 'failure') throw new GatewayError('upstream_failed', text);
              return reply(text);
            },
            repeat: async (answer) => answer as unknown as Outcome,
            isUnheard: () => unheard,
          };
          const said = await replicas[replica]
            ?.run(screened({ body }), keyed({ idempotencyKey }), work)
            .then(textOf, (error: GatewayError) => (error.code === 'upstream_failed' ? error.message : error.code));
          if (said === 'key_reused' || said === 'upstream_busy') return;
          expect(said?.startsWith(`${body} `)).toBe(true);
          const all = answered.get(idempotencyKey) ?? new Set();
          answered.set(idempotencyKey, all.add(said ?? ''));
        };
        const all = Promise.all(sends.map(send));
        await scheduler.waitFor(all);
        for (const texts of [...made.values(), ...answered.values()]) expect(texts.size).toBe(1);
      },
    ),
    { numRuns: process.env.TEST_LONG === undefined ? 100 : 2_000 },
  );
});
