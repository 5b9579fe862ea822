import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ModelFailover, ModelRouting, ModelTarget } from '../../../src/catalog/config.ts';
import { type Attempt, Routing, type RoutingEvent } from '../../../src/upstreams/model/routing.ts';
import { conversationOf } from '../../../src/upstreams/model/sticky.ts';
import type { Json } from '../../../src/wire/json.ts';

const failover: ModelFailover = {
  errorRate: 0.5,
  minimumCalls: 4,
  windowMs: 12_000,
  consecutiveErrors: 3,
  latencyMs: undefined,
  firstByteMs: undefined,
  ejectMs: 1_000,
  longestEjectMs: 10_000,
};

function target(name: string, more: Partial<ModelTarget> = {}): ModelTarget {
  return {
    name,
    provider: 'openai-compatible',
    model: 'm',
    url: 'http://localhost/v1',
    headers: {},
    credential: undefined,
    location: undefined,
    project: undefined,
    apiVersion: undefined,
    region: undefined,
    weight: 1,
    version: name,
    dialects: undefined,
    limits: { rpm: undefined, tpm: undefined, concurrency: undefined },
    price: undefined,
    ...more,
  };
}

function open(targets: readonly ModelTarget[], more: Partial<ModelRouting> = {}) {
  const clock = { ms: 1_000_000, nowMs: () => clock.ms };
  const events: RoutingEvent[] = [];
  // A small generator of our own: a run is the same every time.
  let state = 42;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const routing = new Routing(
    targets,
    { mode: 'priority', sticky: undefined, rules: [], regions: undefined, attempts: 3, failover, ...more },
    { clock, random, onEvent: (event) => events.push(event) },
  );
  return { routing, clock, events };
}

const error = { reason: 'it failed', isFull: false, retryAfterMs: undefined };
const full = (retryAfterMs?: number) => ({ reason: 'it has no room', isFull: true, retryAfterMs });
const nothing = { tokens: 0 };

/** Fails so often in a row that the target leaves. */
function eject(routing: Routing, among: readonly number[], times = 3): void {
  for (let time = 0; time < times; time++)
    routing
      .route({ among, ...nothing })
      .next()
      ?.failed(error);
}

describe('US-M-A3: ejection', () => {
  test('three errors in a row eject a target and two do not; the next calls go to the second', () => {
    const { routing, events } = open([target('a'), target('b')]);
    eject(routing, [0], 2);
    expect(routing.route(nothing).next()?.place).toBe(0);
    eject(routing, [0], 1);
    expect(routing.route(nothing).next()?.place).toBe(1);
    expect(events.map(({ kind, from, untilMs }) => [kind, from, untilMs])).toEqual([['ejected', 'a', 1_001_000]]);
  });

  test('an error rate ejects, once there were enough calls', () => {
    const { routing } = open([target('a'), target('b')]);
    for (const isGood of [true, false, true]) {
      const attempt = routing.route(nothing).next();
      if (isGood) attempt?.succeeded(5);
      else attempt?.failed(error);
    }
    expect(routing.status()[0]?.state).toBe('in');
    routing.route(nothing).next()?.failed(error);
    expect(routing.status()[0]).toMatchObject({ state: 'out', reason: expect.stringContaining('2 of 4 calls failed') });
  });

  test('no room ejects at once, for as long as the provider says, and then nothing is sent there', () => {
    const { routing, clock } = open([target('a')]);
    routing.route(nothing).next()?.failed(full(7_000));
    const route = routing.route(nothing);
    expect(route.next()).toBeUndefined();
    expect(route.waitMs()).toBe(7_000);
    clock.ms += 7_000;
    expect(routing.route(nothing).next()?.place).toBe(0);
  });

  test('a slow answer counts as failed, a quick one does not', () => {
    const { routing } = open([target('a')], { failover: { ...failover, latencyMs: 100 } });
    for (const ms of [50, 101, 101, 101]) routing.route(nothing).next()?.succeeded(ms);
    expect(routing.status()[0]?.state).toBe('out');
  });

  test('one call tries a target that comes back: others go elsewhere until it is known', () => {
    const { routing, clock, events } = open([target('a'), target('b')]);
    eject(routing, [0]);
    clock.ms += 1_000;
    const probe = routing.route(nothing).next();
    expect(probe?.place).toBe(0);
    expect(routing.route(nothing).next()?.place).toBe(1);
    probe?.succeeded(5);
    expect(routing.route(nothing).next()?.place).toBe(0);
    expect(events.at(-1)?.kind).toBe('returned');
  });

  test('a probe whose client gives up leaves the place to the next', () => {
    const { routing, clock } = open([target('a'), target('b')]);
    eject(routing, [0]);
    clock.ms += 1_000;
    routing.route(nothing).next()?.abandoned();
    expect(routing.route(nothing).next()?.place).toBe(0);
  });

  test('each failed probe doubles the time up to the longest; a quiet while starts anew', () => {
    const { routing, clock } = open([target('a'), target('b')]);
    eject(routing, [0]);
    const waits: number[] = [];
    for (let round = 0; round < 6; round++) {
      const waitMs = (routing.status()[0]?.untilMs ?? 0) - clock.ms;
      waits.push(waitMs);
      clock.ms += waitMs;
      routing.route(nothing).next()?.failed(error);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    clock.ms += 10_000;
    routing.route(nothing).next()?.succeeded(5);
    clock.ms += failover.windowMs;
    eject(routing, [0]);
    expect((routing.status()[0]?.untilMs ?? 0) - clock.ms).toBe(1_000);
  });

  test('where all are out, the one that comes back first is tried, and its success brings it back', () => {
    const { routing, clock } = open([target('a'), target('b')]);
    eject(routing, [1]);
    clock.ms += 10;
    eject(routing, [0]);
    const attempt = routing.route(nothing).next();
    expect(attempt?.place).toBe(1);
    attempt?.succeeded(5);
    expect(routing.status().map(({ state }) => state)).toEqual(['out', 'in']);
  });

  test('a credential that is refused is told, and takes nothing out of routing', () => {
    const { routing, events } = open([target('a'), target('b')]);
    for (let time = 0; time < 5; time++) routing.route(nothing).next()?.refused('the key is wrong');
    expect(routing.route(nothing).next()?.place).toBe(0);
    expect(events.map(({ kind }) => kind)).toEqual(Array(5).fill('refused'));
  });

  test('events are kept in a bounded ring, the newest last', () => {
    const { routing } = open([target('a')]);
    for (let time = 0; time < 500; time++) routing.route(nothing).next()?.refused(`${time}`);
    expect(routing.events()).toHaveLength(200);
    expect(routing.events().at(-1)?.reason).toBe('499');
  });
});

describe('US-M-A3: order', () => {
  const three = [target('a'), target('b'), target('c')];
  const places = (routing: Routing, calls: number, stickyKey?: string) =>
    Array.from({ length: calls }, () => {
      const attempt = routing.route({ stickyKey, ...nothing }).next();
      attempt?.succeeded(5);
      return attempt?.place ?? -1;
    });

  test('round-robin goes around', () => {
    expect(places(open(three, { mode: 'round-robin' }).routing, 6)).toEqual([0, 1, 2, 0, 1, 2]);
  });

  test('weights are the shares, and a target of weight 0 is a fallback only', () => {
    const { routing } = open([target('a', { weight: 3 }), target('b', { weight: 0 }), target('c', { weight: 1 })], {
      mode: 'weighted',
    });
    const counts = [0, 0, 0];
    for (const place of places(routing, 4_000)) counts[place] = (counts[place] ?? 0) + 1;
    expect(counts[1]).toBe(0);
    expect((counts[0] ?? 0) / 4_000).toBeCloseTo(0.75, 1);
    for (const only of [0, 2]) eject(routing, [only]);
    expect(routing.route(nothing).next()?.place).toBe(1);
  });

  test('sticky calls keep their target and spread by weight; when it is out, they go to one other and come back', () => {
    const { routing, clock } = open([target('a', { weight: 3 }), target('b', { weight: 1 })], { mode: 'weighted' });
    const first = Array.from({ length: 2_000 }, (_, at) => places(routing, 2, `consumer-${at}`));
    expect(first.every(([one, other]) => one === other)).toBe(true);
    expect(first.filter(([place]) => place === 0).length / 2_000).toBeCloseTo(0.75, 1);
    const own = first.findIndex(([place]) => place === 0);
    eject(routing, [0]);
    expect(places(routing, 2, `consumer-${own}`)).toEqual([1, 1]);
    clock.ms += 1_000;
    expect(places(routing, 2, `consumer-${own}`)).toEqual([0, 0]);
  });

  test('least-latency measures everyone, then takes the quickest', () => {
    const { routing } = open(three, { mode: 'least-latency' });
    for (const ms of [50, 20, 80]) routing.route(nothing).next()?.succeeded(ms);
    expect(places(routing, 1)).toEqual([1]);
  });
});

describe('attempts', () => {
  test('each is another target, and there are no more than allowed', () => {
    const { routing, events } = open(
      ['a', 'b', 'c', 'd'].map((name) => target(name)),
      { attempts: 3 },
    );
    const route = routing.route(nothing);
    const tried: number[] = [];
    for (let attempt = route.next(); attempt !== undefined; attempt = route.next()) {
      tried.push(attempt.place);
      attempt.failed(error);
    }
    expect(tried).toEqual([0, 1, 2]);
    expect(events.map(({ kind, from, to }) => [kind, from, to])).toEqual([
      ['failover', 'a', 'b'],
      ['failover', 'b', 'c'],
    ]);
  });

  test('neither a fallback nor a target that comes back breaks the regions or a rule', () => {
    const { routing } = open([target('a', { region: 'eu' }), target('b', { region: 'us' }), target('c', { region: 'eu' })], {
      regions: ['eu'],
    });
    expect(routing.reachable()).toEqual([0, 2]);
    expect(routing.reachable(['b', 'c'])).toEqual([2]);
    const route = routing.route({ among: routing.reachable(['c']), ...nothing });
    route.next()?.failed(error);
    expect(route.next()).toBeUndefined();
  });

  test('a target over its own limits is passed over, and where all are the wait is said', () => {
    const limits = { rpm: 2, tpm: 100, concurrency: 1 };
    const { routing, clock } = open([target('a', { limits }), target('b', { limits: { ...limits, rpm: 1 } })]);
    const first = routing.route({ tokens: 10 }).next();
    expect(first?.place).toBe(0);
    const second = routing.route({ tokens: 10 }).next();
    expect(second?.place).toBe(1);
    expect(routing.route({ tokens: 10 }).next()).toBeUndefined();
    first?.succeeded(5);
    second?.succeeded(5);
    first?.used(85);
    const route = routing.route({ tokens: 20 });
    expect(route.next()).toBeUndefined();
    expect(route.waitMs()).toBeGreaterThan(0);
    clock.ms += 66_000;
    expect(routing.route({ tokens: 20 }).next()?.place).toBe(0);
  });
});

test('a conversation is known by its id, else by how it begins', () => {
  const turn = (...words: string[]) => ({
    messages: words.map((content, at) => ({ role: at % 2 === 0 ? 'user' : 'assistant', content })),
  });
  expect(conversationOf(turn('hello', 'hi', 'more'))).toBe(conversationOf(turn('hello')));
  expect(conversationOf(turn('hello'))).not.toBe(conversationOf(turn('good day')));
  expect(conversationOf({ ...turn('hello'), metadata: { conversation_id: 'c1' } })).toBe('c1');
  expect(conversationOf({ input: 'hello', instructions: 'be kind' })).not.toBe(conversationOf({ input: 'hello' }));
  expect(conversationOf({})).toBeUndefined();
  let deep: Json = 'x';
  for (let level = 0; level < 5_000; level++) deep = [deep];
  expect(conversationOf({ messages: [{ role: 'user', content: deep }] })?.length).toBeLessThanOrEqual(2_000);
});

// The same by the book: lists instead of rings, everything counted anew each time.
interface Known {
  calls: { readonly slot: number; readonly isBad: boolean }[];
  requests: number[];
  tokens: { readonly slot: number; readonly amount: number }[];
  inARow: number;
  out: number | undefined;
  held: boolean;
  level: number;
  returned: number;
  probed: boolean;
  inFlight: number;
}

const slotOf = (ms: number, windowMs: number) => Math.floor(ms / (windowMs / 12));

class ByTheBook {
  readonly targets: readonly ModelTarget[];
  readonly known: Known[];
  constructor(targets: readonly ModelTarget[]) {
    this.targets = targets;
    this.known = targets.map(() => ({
      ...{ calls: [], requests: [], tokens: [], inARow: 0, out: undefined, held: false, level: 0 },
      ...{ returned: Number.NEGATIVE_INFINITY, probed: false, inFlight: 0 },
    }));
  }

  at(place: number): Known {
    return this.known[place] as Known;
  }

  isFull(place: number, tokens: number, now: number): boolean {
    const { limits } = this.targets[place] as ModelTarget;
    const { inFlight, requests, tokens: used } = this.at(place);
    const recent = (slot: number) => slot >= slotOf(now, 60_000) - 12;
    const spent = used.filter(({ slot }) => recent(slot)).reduce((sum, { amount }) => sum + amount, 0);
    return (
      inFlight >= (limits.concurrency ?? Number.POSITIVE_INFINITY) ||
      requests.filter(recent).length >= (limits.rpm ?? Number.POSITIVE_INFINITY) ||
      (spent > 0 && spent + tokens > (limits.tpm ?? Number.POSITIVE_INFINITY))
    );
  }

  choose(tried: readonly number[], tokens: number, now: number): number | undefined {
    const all = this.known.map((_, place) => place).filter((place) => !this.isFull(place, tokens, now));
    const isFree = ({ out, probed }: Known) => out === undefined || (now >= out && !probed);
    const free = all.find((place) => !tried.includes(place) && isFree(this.at(place)));
    if (free !== undefined || tried.length > 0) return free;
    const rest = all.filter((place) => !(this.at(place).held && now < (this.at(place).out ?? 0)));
    return rest.sort((a, b) => (this.at(a).out ?? 0) - (this.at(b).out ?? 0))[0];
  }

  take(place: number, tokens: number, now: number): boolean {
    const one = this.at(place);
    one.inFlight++;
    one.requests.push(slotOf(now, 60_000));
    one.tokens.push({ slot: slotOf(now, 60_000), amount: tokens });
    const isProbe = one.out !== undefined && !one.probed;
    if (isProbe) one.probed = true;
    return isProbe;
  }

  end(place: number, isProbe: boolean, outcome: Outcome, now: number): void {
    const one = this.at(place);
    one.inFlight--;
    if (isProbe) one.probed = false;
    if (outcome.kind === 'abandoned') return;
    if (one.out !== undefined && !isProbe) return;
    const isBad = outcome.kind !== 'good';
    if (one.out !== undefined && !isBad) {
      Object.assign(one, { out: undefined, held: false, returned: now, inARow: 0, calls: [] });
      return;
    }
    if (one.out === undefined) {
      one.calls.push({ slot: slotOf(now, failover.windowMs), isBad });
      one.inARow = isBad ? one.inARow + 1 : 0;
      const recent = one.calls.filter(({ slot }) => slot >= slotOf(now, failover.windowMs) - 12);
      const share = recent.filter((call) => call.isBad).length / recent.length;
      const isTooMany = one.inARow >= failover.consecutiveErrors || (recent.length >= failover.minimumCalls && share >= 0.5);
      if (!isBad || !(outcome.kind === 'full' || isTooMany)) return;
    }
    const retryAfterMs = outcome.kind === 'full' ? outcome.retryAfterMs : undefined;
    const isSoon = one.out !== undefined || now - one.returned < failover.windowMs;
    one.level = isSoon ? one.level + 1 : 0;
    const own = Math.min(failover.ejectMs * 2 ** one.level, failover.longestEjectMs);
    one.held = retryAfterMs !== undefined;
    one.out = now + (retryAfterMs === undefined ? own : Math.max(retryAfterMs, isSoon ? own : 1));
  }
}

type Outcome =
  | { readonly kind: 'good' | 'bad' | 'abandoned' }
  | { readonly kind: 'full'; readonly retryAfterMs: number | undefined };

const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.constantFrom<Outcome>({ kind: 'good' }, { kind: 'bad' }, { kind: 'bad' }, { kind: 'abandoned' }),
  fc.record({
    kind: fc.constant('full' as const),
    retryAfterMs: fc.option(fc.integer({ min: 0, max: 5_000 }), { nil: undefined }),
  }),
);
const step = fc.oneof(
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 3_000 }) }),
  fc.record({ kind: fc.constant('begin' as const), tokens: fc.integer({ min: 0, max: 40 }) }),
  fc.record({ kind: fc.constant('end' as const), which: fc.nat(), outcome }),
);
const limits = fc.record({
  rpm: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
  tpm: fc.option(fc.integer({ min: 20, max: 200 }), { nil: undefined }),
  concurrency: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
});

test('whatever happens, the target of every attempt is the one that the book says', () => {
  const runs = process.env.TEST_LONG === undefined ? 300 : 10_000;
  fc.assert(
    fc.property(fc.array(limits, { minLength: 1, maxLength: 3 }), fc.array(step, { maxLength: 80 }), (all, steps) => {
      const targets = all.map((one, at) => target(`t${at}`, { limits: one }));
      const { routing, clock } = open(targets);
      const book = new ByTheBook(targets);
      const running: {
        route: ReturnType<Routing['route']>;
        tried: number[];
        tokens: number;
        attempt: Attempt;
        isProbe: boolean;
      }[] = [];
      const go = (route: ReturnType<Routing['route']>, tried: readonly number[], tokens: number) => {
        const expected = tried.length >= 3 ? undefined : book.choose(tried, tokens, clock.ms);
        const attempt = route.next();
        expect(attempt?.place).toBe(expected);
        if (attempt === undefined || expected === undefined) return;
        const isProbe = book.take(expected, tokens, clock.ms);
        running.push({ route, tried: [...tried, expected], tokens, attempt, isProbe });
      };
      for (const one of steps) {
        if (one.kind === 'wait') clock.ms += one.ms;
        else if (one.kind === 'begin') go(routing.route({ tokens: one.tokens }), [], one.tokens);
        else {
          const [call] = running.splice(one.which % Math.max(1, running.length), 1);
          if (call === undefined) continue;
          const { attempt, isProbe, route, tried, tokens } = call;
          book.end(attempt.place, isProbe, one.outcome, clock.ms);
          if (one.outcome.kind === 'good') attempt.succeeded(5);
          else if (one.outcome.kind === 'abandoned') attempt.abandoned();
          else {
            attempt.failed(one.outcome.kind === 'full' ? full(one.outcome.retryAfterMs) : error);
            go(route, tried, tokens);
          }
        }
        const states = routing.status();
        expect(states.map(({ untilMs }) => untilMs)).toEqual(book.known.map(({ out }) => out));
        expect(states.map(({ callsInFlight }) => callsInFlight)).toEqual(book.known.map(({ inFlight }) => inFlight));
      }
    }),
    { numRuns: runs },
  );
});
