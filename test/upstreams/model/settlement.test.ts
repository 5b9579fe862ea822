import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GatewayError } from '../../../src/errors.ts';
import { Cancel } from '../../../src/wire/cancel.ts';
import { ask, openModel, question } from './calling.ts';
import { chatEvent, chatReply, doneEvent, type FarEnd, json, openStream, startFarEnd, usageEvent } from './far-end.ts';

/** What a target does with one call. */
type Deed =
  | { readonly kind: 'answer'; readonly words: number }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'break'; readonly words: number }
  | { readonly kind: 'error'; readonly words: number };

const words = fc.integer({ min: 0, max: 6 });
const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('answer' as const), words }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('status' as const), status: fc.constantFrom(400, 401, 404, 429, 500, 503, 529) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('break' as const), words }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('error' as const), words }) },
);

interface Entry {
  readonly target: string;
  readonly deed: Deed;
}

let ends: readonly FarEnd[];
beforeAll(async () => {
  ends = await Promise.all([startFarEnd(), startFarEnd(), startFarEnd()]);
});
afterAll(() => Promise.all(ends.map((end) => end.close())));

const word = (target: string, at: number) => `${target}-word-${at} `;

/** Does the deeds one after the other, and keeps a journal of them. */
function play(end: FarEnd, target: string, deeds: readonly Deed[], journal: Entry[]): void {
  let at = 0;
  end.does(({ body }, response, request) => {
    const next = deeds[at++ % deeds.length] as Deed;
    journal.push({ target, deed: next });
    if (next.kind === 'status') return json(response, next.status, { error: { message: 'no' } });
    const isStream = body.stream === true;
    if (!isStream) {
      if (next.kind === 'break') return void request.socket.destroy();
      if (next.kind === 'error') return json(response, 200, { error: { message: 'failed' } });
      const text = Array.from({ length: next.words }, (_, index) => word(target, index)).join('');
      return json(response, 200, chatReply(text));
    }
    openStream(response);
    const said = Array.from({ length: next.words }, (_, index) => chatEvent({ content: word(target, index) })).join('');
    if (next.kind === 'answer') response.end(said + chatEvent({}, 'stop') + usageEvent + doneEvent);
    else if (next.kind === 'error') response.end(`${said}data: {"error":{"message":"failed"}}\n\n`);
    else response.write(said === '' ? ': wait\n' : said, () => response.destroy());
  });
}

test("FO-03: whatever fails: one target's words at most, nothing after a break that looks like an end, and what is settled is what was used", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(
        fc.array(deed, { minLength: 1, maxLength: 5 }),
        fc.array(deed, { minLength: 1, maxLength: 5 }),
        fc.array(deed, { minLength: 1, maxLength: 5 }),
      ),
      fc.array(fc.record({ isStream: fc.boolean(), givesUp: fc.constantFrom(false, false, false, true) }), {
        minLength: 1,
        maxLength: 8,
      }),
      async (all, calls) => {
        const journal: Entry[] = [];
        const names = ['a', 'b', 'c'];
        for (const [at, deeds] of all.entries()) play(ends[at] as FarEnd, names[at] as string, deeds, journal);
        const { upstream } = await openModel({
          targets: names.map((name, at) => ({ name, provider: 'openai-compatible', model: 'theirs', url: ends[at]?.url })),
          routing: { mode: 'round-robin', failover: { consecutiveErrors: 1_000, errorRate: 1, minimumCalls: 1_000, ejectMs: 1 } },
        });
        try {
          for (const { isStream, givesUp } of calls) {
            const before = journal.length;
            const cancel = new Cancel();
            const { call, spent, received } = ask('chat', isStream ? { ...question, stream: true } : question, { cancel });
            if (givesUp && isStream) received.wait = () => void cancel.cancel('gone') as undefined;
            const outcome = await upstream.call(call).then(
              (answer) => (answer.kind === 'reply' ? answer.body.toString() : 'streamed'),
              (error: GatewayError) => error,
            );
            const heard = journal.slice(before);
            const last = heard.at(-1);
            // Nobody is asked twice, and nobody after one who began to answer.
            expect(new Set(heard.map(({ target }) => target)).size).toBe(heard.length);
            const out = received.text + (typeof outcome === 'string' ? outcome : '');
            const speakers = names.filter((name) => out.includes(`${name}-word-`));
            expect(speakers.length).toBeLessThanOrEqual(1);
            for (const { target, deed: done } of heard.slice(0, -1)) {
              expect(done.kind).not.toBe('answer');
              expect(done.kind === 'status' && done.status < 429).toBe(false);
              expect(out).not.toContain(`${target}-word-`);
            }
            if (heard.length === 0) {
              expect(spent).toEqual([]);
              expect(outcome).toMatchObject({ code: 'upstream_busy' });
              continue;
            }
            expect(spent.at(-1)?.target).toBe(last?.target);
            // Each that may have worked on the request is counted, and none that refused it.
            const worked = heard.slice(0, -1).filter(({ deed }) => deed.kind !== 'status' || deed.status === 500);
            expect(spent.at(-1)?.lost?.map(({ target }) => target) ?? []).toEqual(worked.map(({ target }) => target));
            const isGood = typeof outcome === 'string';
            if (isStream) expect(received.text.endsWith(doneEvent)).toBe(isGood || received.text.includes('[DONE]'));
            if (last?.deed.kind !== 'answer') {
              expect(isGood).toBe(false);
              expect(received.text).not.toContain('[DONE]');
            }
            if (isGood) {
              expect(spent.at(-1)).toMatchObject({
                isEstimated: false,
                usage: { input: 7, output: 3 },
                failovers: heard.length - 1,
              });
            } else if (last?.deed.kind === 'status') {
              expect((spent.at(-1)?.usage.input ?? 0) > 0).toBe(last.deed.status === 500);
            } else if (received.text.includes('-word-')) {
              expect(spent.at(-1)?.usage.input).toBeGreaterThan(0);
              expect(spent.at(-1)?.usage.output).toBeGreaterThan(0);
            }
          }
          expect(upstream.state.targets.map(({ callsInFlight }) => callsInFlight)).toEqual([0, 0, 0]);
        } finally {
          await upstream.close();
        }
      },
    ),
    { numRuns: process.env.TEST_LONG === undefined ? 20 : 1_000 },
  );
}, 60_000);
