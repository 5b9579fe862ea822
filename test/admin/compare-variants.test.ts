import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/wire/json.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { startOpenai } from '../support/model-providers/openai.ts';
import { fails, says } from '../support/model-providers/script.ts';
import type { StandIn } from '../support/model-providers/stand-in.ts';

// US-M-D4: one model behind two versions, called by an application that says what it thinks of the answers.

let old: StandIn;
let young: StandIn;
let gateway: AdminGateway;
let key: string;
let other: string;
const answers: { readonly id: string; readonly content: string }[] = [];

const usage = { input: 100, output: 10, cacheRead: 0, cacheWrite: 0, reasoning: 0 };

beforeAll(async () => {
  [old, young] = await Promise.all([startOpenai({ key: 'sk-1' }), startOpenai({ key: 'sk-2' })]);
  old.always(says('Old.', { usage }));
  young.always(says('Young.', { usage: { ...usage, output: 20 }, finish: 'length' }));
  const target = (name: string, url: string, secret: string) =>
    `{ name: ${name}, provider: openai, model: m-${name}, key: "\${secret:${secret}}", url: "${url}/v1", version: ${name}, price: { input: 1, output: 1 } }`;
  gateway = await openAdminGateway({
    namespaces: {
      models: `namespace: models
upstreams:
  split:
    kind: model
    targets: [${target('v1', old.url, 'ONE')}, ${target('v2', young.url, 'TWO')}]
    routing: { mode: round-robin, attempts: 1 }
  single:
    kind: model
    targets: [${target('v1', old.url, 'ONE')}]
`,
    },
    settings: { ONE: 'sk-1', TWO: 'sk-2' },
  });
  for (const id of ['app', 'elsewhere']) await gateway.ok('POST /consumers', { id, title: id, kind: 'application' });
  key = (await gateway.ok('POST /keys', { title: 'x', consumer: 'app' })).secret;
  other = (await gateway.ok('POST /keys', { title: 'x', consumer: 'elsewhere' })).secret;
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([old?.close(), young?.close()]);
});

async function call(model = 'models/split') {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  const body = (await response.json()) as { readonly choices?: readonly { readonly message?: { readonly content?: string } }[] };
  const id = response.headers.get('x-request-id') ?? '';
  return { id, status: response.status, content: body.choices?.[0]?.message?.content ?? '' };
}

async function rate(body: object, withKey = key) {
  const response = await fetch(`${gateway.url}/v1/ratings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${withKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as JsonObject };
}

interface Measured {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

type Variant = Readonly<Record<string, unknown>> & {
  readonly version: string;
  readonly errorShare: Measured;
  readonly latencyMs: Measured;
  readonly rating: Measured;
};

const variants = async (query = ''): Promise<[Variant, Variant]> =>
  (await gateway.ok(`GET /models/models/split/variants${query}`)).variants;

describe('US-M-D4: A/B Test Model Versions', () => {
  test('calls are split between versions, and each is shown with what came of it', async () => {
    for (let n = 0; n < 6; n++) answers.push(await call());
    old.next(fails(400), fails(400));
    for (let n = 0; n < 4; n++) answers.push(await call());
    const [v1, v2] = (await variants()).sort((a, b) => (a.version < b.version ? -1 : 1));
    expect(v1).toMatchObject({ version: 'v1', calls: 5, errorShare: { value: 0.4 }, ratings: 0 });
    expect([v1.errorShare.low, v1.errorShare.high]).toEqual([expect.closeTo(0.1176, 4), expect.closeTo(0.7693, 4)]);
    expect(v1.endings).toMatchObject({ stop: 3 });
    expect(v2).toMatchObject({ version: 'v2', calls: 5, errorShare: { value: 0 }, tokensIn: 500, tokensOut: 100 });
    expect(v2.endings).toEqual({ length: 5 });
    expect(v2.costUsdPerCall).toBeCloseTo(120e-6, 9);
    for (const { latencyMs } of [v1, v2])
      expect(latencyMs.low <= latencyMs.value && latencyMs.value <= latencyMs.high).toBe(true);
  });

  test('ratings that the application posts count for the version that answered, with the range of their mean', async () => {
    const ofYoung = answers.filter(({ content }) => content === 'Young.');
    const scores = [1, 0.5, 0.75];
    for (const [n, score] of scores.entries()) {
      const kept = await rate({ id: ofYoung[n]?.id, score, note: 'As asked.' });
      expect(kept).toMatchObject({ status: 201, body: { model: 'models/split', version: 'v2', score } });
    }
    const v2 = (await variants()).find(({ version }) => version === 'v2');
    expect(v2).toMatchObject({ ratings: 3, rating: { value: 0.75 } });
    // 0.75 ± 1.96 · 0.25 / √3
    expect([v2?.rating.low, v2?.rating.high]).toEqual([expect.closeTo(0.4671, 4), 1]);
  });

  test('an answer is rated once, by the consumer that got it, at once, and within what a score may be', async () => {
    const { id } = await call();
    expect((await rate({ id, score: 1 }, other)).status).toBe(404);
    expect((await rate({ id, score: 1.5 })).status).toBe(400);
    expect((await rate({ id, score: 1, more: true })).status).toBe(400);
    expect((await rate({ id: 'x', score: 1 })).status).toBe(400);
    expect((await rate({ id: '0'.repeat(24), score: 1 })).status).toBe(404);
    expect((await rate({ id, score: 1 })).status).toBe(201);
    expect((await rate({ id, score: 0 })).status).toBe(409);
    const large = await rate({ id, score: 1, note: 'x'.repeat(40_000) });
    expect(large.status).toBe(413);
    const alone = await call('models/single');
    expect([alone.status, (await rate({ id: alone.id, score: 1 })).status]).toEqual([200, 404]);
  });

  test('AZ-01: what others call is not for everybody to compare', async () => {
    const developer = await gateway.person('dev', [{ role: 'developer', namespace: 'models' }]);
    const of = (query: string, withKey: string) => gateway.api(`GET /models/models/split/variants${query}`, undefined, withKey);
    expect((await of('', developer)).body.variants).toHaveLength(2);
    expect((await of('?consumer=app', developer)).status).toBe(403);
    const stranger = await gateway.person('stranger', [{ role: 'admin', namespace: 'elsewhere' }]);
    for (const query of ['', '?consumer=app']) {
      const hidden = await of(query, stranger);
      const nothing = await gateway.api(`GET /models/models/nothing/variants${query}`, undefined, stranger);
      expect([hidden.status, JSON.stringify(hidden.body).replace('split', 'nothing')]).toEqual([
        404,
        JSON.stringify(nothing.body),
      ]);
    }
    const auditor = await gateway.person('auditor', [{ role: 'auditor', namespace: 'models' }]);
    const own = await gateway.ok('GET /models/models/split/variants?consumer=elsewhere', undefined, auditor);
    expect(own.variants).toEqual([]);
    const app = await gateway.ok('GET /models/models/split/variants?consumer=app', undefined, auditor);
    expect(app.variants.reduce((sum: number, { ratings }: { ratings: number }) => sum + ratings, 0)).toBe(4);
  });
});
