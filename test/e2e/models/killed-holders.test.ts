import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { estimateTokens } from '../../../src/models/tokens.ts';
import { type Gateway, startGateway } from '../../support/gateway.ts';
import { startPlace } from '../../support/model-gateway.ts';
import { gate, says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';
import { expectNoneLeft } from '../../support/processes.ts';
import { newMasterKey } from '../../support/registrar.ts';
import { restDone } from '../../support/rest.ts';
import { type Service, servicesTimeoutMs, startRedis } from '../../support/services.ts';
import { until } from '../../support/until.ts';

// A gateway that is killed while calls hold a part of a budget. What it was told of before is what the provider's own journal says;
// of what it held when it died nothing stays.

const rounds = process.env.TEST_LONG === undefined ? 2 : 500;
const most = 1_000_000_000;
const slots = 8;
/** What a crashed holder of Redis keeps is free after 15 s. */
const leaseMs = 40_000;

let redis: Service;

beforeAll(async () => {
  redis = await startRedis();
}, servicesTimeoutMs);
afterAll(async () => {
  await redis?.stop();
  await expectNoneLeft();
});

/** Calls of one consumer of its own, so that every round is counted by itself. */
class Round {
  readonly consumer: string;
  /** By the provider's journal. */
  billed = 0;
  readonly #standIn: StandIn;
  readonly #gateway: Gateway;
  #key = '';

  constructor(standIn: StandIn, gateway: Gateway, consumer: string) {
    this.#standIn = standIn;
    this.#gateway = gateway;
    this.consumer = consumer;
  }

  async open(): Promise<void> {
    const limits = [
      { per: 'consumer', budget: { amount: most, unit: 'tokens', window: 'month' } },
      { per: 'consumer', concurrency: slots },
    ];
    await restDone(this.#gateway, 'POST /consumers', { id: this.consumer, title: 'Round', kind: 'application', limits });
    const { secret } = await restDone<{ secret: string }>(this.#gateway, 'POST /keys', {
      id: this.consumer,
      title: 'x',
      consumer: this.consumer,
    });
    this.#key = secret;
  }

  /** One stream, to its end or until its client has had enough. */
  async stream(words: number, leavesAfter: number | undefined): Promise<void> {
    const body = { ...question, max_tokens: 500, stream: true };
    const input = estimateTokens(body, 'chat');
    const usage = { input, output: words, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
    const holds = leavesAfter === undefined ? [] : [{ after: leavesAfter, gate: gate() }];
    this.#standIn.next(says('abc '.repeat(words), { chunkLength: 4, usage, holds }));
    const before = this.#standIn.journal.length;
    const leaving = new AbortController();
    const response = await this.#ask(body, leaving.signal);
    expect(response.status).toBe(200);
    let text = '';
    try {
      for await (const chunk of response.body ?? []) {
        text += Buffer.from(chunk).toString();
        if (leavesAfter !== undefined && text.split('abc ').length > leavesAfter) leaving.abort();
      }
    } catch (error) {
      if (!leaving.signal.aborted) throw error;
    }
    const [entry] = this.#standIn.journal.slice(before);
    await entry?.ended;
    this.billed += (entry?.usage?.input ?? 0) + (entry?.usage?.output ?? 0);
  }

  /** So many calls that the provider has heard of and does not answer. */
  async hold(count: number): Promise<void> {
    const before = this.#standIn.journal.length;
    for (let n = 0; n < count; n++) this.#standIn.next(says('Never.', { before: gate() }));
    for (let n = 0; n < count; n++) void this.#ask({ ...question, max_tokens: 900, stream: n % 2 === 0 }).catch(() => {});
    await until('the provider has heard of all', () => this.#standIn.journal.length === before + count);
  }

  #ask(body: object, signal?: AbortSignal): Promise<Response> {
    return fetch(`${this.#gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  }
}

const question = { model: 'models/fast', messages: [{ role: 'user', content: 'Say abc.' }] };

/** Of a consumer, settled or held. */
async function usedBy(gateway: Gateway, consumer: string): Promise<{ tokens: number; slots: number }> {
  const { limits } = await restDone<{ limits: { amount: number; used: number }[] }>(gateway, `GET /usage?consumer=${consumer}`);
  const of = (amount: number): number => limits.find((limit) => limit.amount === amount)!.used;
  return { tokens: of(most), slots: of(slots) };
}

/** What a gateway without Redis has written down: it does so a moment after the calls. */
function isKept(dataDir: string, { consumer, billed }: Round): boolean {
  const db = new DatabaseSync(join(dataDir, 'gatehouse.db'), { readOnly: true });
  try {
    const rows = db.prepare('select key, spent from budgets').all() as { key: string; spent: number }[];
    return rows.some(({ key, spent }) => key.includes(consumer) && spent === billed);
  } finally {
    db.close();
  }
}

// What Redis holds is free after a time: meanwhile the other is killed.
describe.concurrent.each(['SQLite', 'Redis'] as const)(
  'a gateway that counts in %s and is killed between reserving and settling',
  (store) => {
    test(`RL-04: has spent what the provider's journal says, and holds nothing after that, ${rounds} times over`, {
      timeout: 60_000 + rounds * 30_000,
    }, async ({ onTestFinished }) => {
      const place = await startPlace('openai-compatible');
      onTestFinished(() => place.standIn.close());
      const directory = mkdtempSync(join(tmpdir(), 'gatehouse-holders-'));
      onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
      const settings = {
        ...place.secrets,
        ...(store === 'Redis' ? { GATEHOUSE_REDIS_URL: redis.url } : {}),
        GATEHOUSE_DATA: join(directory, 'data'),
        GATEHOUSE_MASTER_KEY: newMasterKey(),
        GATEHOUSE_ADMIN_KEY: 'holders-test-admin-key-0123456789abcdef',
        GATEHOUSE_EGRESS_ALLOW: '127.0.0.1',
        GATEHOUSE_LOG_LEVEL: 'warn',
      };
      const namespace = JSON.stringify({
        namespace: 'models',
        upstreams: { fast: { kind: 'model', breaker: { minimumCalls: 1_000_000 }, targets: [place.target] } },
      });
      const done: Round[] = [];
      for (let n = 0; n < rounds; n++) {
        const gateway = await startGateway([namespace], settings);
        try {
          const round = new Round(place.standIn, gateway, `${store.toLowerCase()}-${n}-x`);
          await round.open();
          for (let calls = randomInt(1, 4); calls > 0; calls--) {
            await round.stream(randomInt(3, 12), undefined);
            await round.stream(randomInt(3, 12), randomInt(1, 3));
          }
          await until('all of it is settled', async () => {
            const { tokens, slots } = await usedBy(gateway, round.consumer);
            return slots === 0 && tokens === round.billed;
          });
          if (store === 'SQLite') await until('it is written down', () => isKept(settings.GATEHOUSE_DATA, round));
          const held = randomInt(1, 4);
          await round.hold(held);
          const holding = await usedBy(gateway, round.consumer);
          expect(holding.slots).toBe(held);
          expect(holding.tokens).toBeGreaterThanOrEqual(round.billed + held * 900);
          done.push(round);
        } finally {
          gateway.process.child.kill('SIGKILL');
          await gateway.process.exited;
          await gateway.stop().catch(() => {});
        }
      }
      const last = await startGateway([namespace], settings);
      onTestFinished(() => last.stop());
      for (const { consumer, billed } of done) {
        await until(`nothing of ${consumer} is held`, async () => (await usedBy(last, consumer)).slots === 0, leaseMs);
        expect(await usedBy(last, consumer)).toEqual({ tokens: billed, slots: 0 });
      }
    });
  },
);
