import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noUsage } from '../../../src/models/reply.ts';
import { findCanaries, knownCanary } from '../../support/canaries.ts';
import {
  type ModelGateway,
  openModelGateway,
  type Place,
  type ProviderName,
  providerNames,
  startPlace,
} from '../../support/model-gateway.ts';
import { fails, gate, type ScriptedAnswer, says } from '../../support/model-providers/script.ts';
import { readJournal } from '../../support/read-journal.ts';
import { until } from '../../support/until.ts';

// Whatever goes wrong is said in the dialect that was asked in, ends as an error and not as an answer, and gives nothing away.

const dialects = ['chat', 'messages', 'responses'] as const;
type Dialect = (typeof dialects)[number];

let places: Record<ProviderName, Place>;
let gateway: ModelGateway;
/** Everything that clients were told, headers too. */
const told: string[] = [];
/** What was asked: no log and no record holds it. */
const secretWords = `words-${randomUUID()}`;

/** Moves on with each call: whatever was left out is in again. */
let nowMs = Date.now();

const calm = {
  breaker: { minimumCalls: 1_000_000 },
  routing: {
    failover: {
      consecutiveErrors: 1_000,
      errorRate: 1,
      minimumCalls: 1_000_000,
      ejectMs: 1_000,
      longestEjectMs: 1_000,
    },
  },
};

beforeAll(async () => {
  const started = await Promise.all(providerNames.map(async (name) => [name, await startPlace(name)] as const));
  places = Object.fromEntries(started) as Record<ProviderName, Place>;
  const models = Object.fromEntries(providerNames.map((name) => [name, { ...calm, targets: [places[name].target] }]));
  const [a, b] = [
    { ...places.openai.target, name: 'a', region: 'eu' },
    { ...places['openai-compatible'].target, name: 'b', region: 'us' },
  ];
  gateway = await openModelGateway({
    models: {
      ...models,
      pair: { ...calm, targets: [a, b] },
      'pair-eu': { ...calm, routing: { ...calm.routing, regions: ['eu'] }, targets: [a, b] },
      'pair-ruled': {
        ...calm,
        routing: { ...calm.routing, rules: [{ when: 'caller.consumer == "app"', targets: ['a'] }] },
        targets: [b, a],
      },
      'pair-late': {
        ...calm,
        routing: { failover: { ...calm.routing.failover, firstByteMs: 1_000 } },
        targets: [a, b],
      },
      crowded: { ...calm, breaker: { minimumCalls: 3 }, targets: [{ ...a, limits: { rpm: 1 } }] },
      fragile: { ...calm, breaker: { minimumCalls: 3 }, targets: [a] },
      'pair-lost': { ...calm, targets: [a, b] },
      silent: { ...calm, timeoutMs: 1_000, targets: [a] },
      roomy: { targets: [places['openai-compatible'].target] },
      busy: { ...calm, targets: [{ ...a, limits: { concurrency: 1 } }] },
    },
    places: Object.values(places),
    limits: [{ per: 'consumer', match: 'models/pair-lost', budget: { amount: 1_000_000, window: 'month', unit: 'tokens' } }],
    clock: { nowMs: () => nowMs },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all(Object.values(places ?? {}).map((place) => place.standIn.close()));
});

const paths = { chat: '/v1/chat/completions', messages: '/v1/messages', responses: '/v1/responses' };

function bodyOf(dialect: Dialect, model: string, stream: boolean, text = secretWords): object {
  if (dialect === 'responses') return { model, input: text, stream };
  const messages = [{ role: 'user', content: text }];
  return dialect === 'chat' ? { model, messages, stream } : { model, messages, stream, max_tokens: 100 };
}

interface Told {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

async function read(response: Response): Promise<Told> {
  const text = await response.text();
  told.push(`${JSON.stringify([...response.headers])}\n${text}`);
  return { status: response.status, text, headers: response.headers };
}

async function ask(dialect: Dialect, model: string, stream = false, key?: string): Promise<Told> {
  nowMs += 10_000;
  return read(await gateway.post(paths[dialect], bodyOf(dialect, model, stream), key));
}

/** An error document of the dialect, and nothing else. */
function expectError(dialect: Dialect, { status, text }: Told, wanted?: number): void {
  expect([status, text]).toEqual([wanted ?? expect.any(Number), expect.any(String)]);
  expect(status).toBeGreaterThanOrEqual(400);
  const body = JSON.parse(text);
  if (dialect === 'messages')
    expect(body).toEqual({
      type: 'error',
      error: { type: expect.stringMatching(/_error$|^request_too_large$/), message: expect.any(String) },
    });
  else {
    expect(Object.keys(body)).toEqual(['error']);
    expect(body.error).toMatchObject({ message: expect.any(String), type: expect.any(String) });
    expect(body.error).toHaveProperty('param');
    expect(body.error).toHaveProperty('code');
  }
}

const ends: Record<Dialect, string> = { chat: '[DONE]', messages: 'message_stop', responses: 'response.completed' };

/** A stream that ends in an error of the dialect and never like a whole one. */
function expectBroken(dialect: Dialect, { text }: Told): void {
  expect(text).not.toContain(ends[dialect]);
  const last = text.trimEnd().split('\n\n').at(-1) ?? '';
  const data = JSON.parse(last.slice(last.indexOf('data: ') + 6));
  if (dialect === 'messages')
    expect(data).toMatchObject({ type: 'error', error: { type: expect.any(String), message: expect.any(String) } });
  else if (dialect === 'chat') expect(data).toMatchObject({ error: { message: expect.any(String) } });
  else expect(data).toMatchObject({ type: expect.stringMatching(/^(error|response\.failed)$/) });
}

describe.each(providerNames)('%s goes wrong:', (name) => {
  const model = `models/${name}`;
  const next = (...answers: ScriptedAnswer[]) => places[name].standIn.next(...answers);

  const whole: readonly (readonly [string, ScriptedAnswer, number | undefined])[] = [
    ['is overloaded', fails(529, { echoes: true, retryAfterS: 1 }), undefined],
    ['has no room', fails(429, { echoes: true, retryAfterS: 1 }), undefined],
    ['fails', fails(500, { echoes: true }), undefined],
    ['refuses our credential and repeats it', fails(401, { echoes: true }), undefined],
    ['refuses the request and repeats the credential', fails(400, { echoes: true }), 400],
    ['answers with a page', { kind: 'page', echoes: true }, undefined],
    ['answers with a page that it calls an answer', { kind: 'page', status: 200, echoes: true }, undefined],
    ['answers with half a document', { kind: 'garbage' }, undefined],
    ['hangs up', { kind: 'drop' }, undefined],
  ];
  test.each(whole)('it %s', async (_what, answer, wanted) => {
    for (const dialect of dialects)
      for (const stream of [false, true]) {
        next(answer);
        const heard = await ask(dialect, model, stream);
        expectError(dialect, heard, wanted);
        expect(heard.headers.get('content-type')).toContain('application/json');
        expect(heard.text).not.toContain('<html>');
      }
  });

  test.each(['cut', 'end', 'broken', 'error'] as const)('its stream breaks off: %s', async (kind) => {
    for (const dialect of dialects)
      for (const after of [0, 2]) {
        next(says('one two three four', { chunkLength: 4, fault: { after, kind } }));
        const heard = await ask(dialect, model, true);
        if (heard.status === 200) expectBroken(dialect, heard);
        else expectError(dialect, heard);
        if (after > 0) expect(heard.text).toContain('one');
      }
  });

  test('its credential is in no answer, whole or in an event', async () => {
    for (const dialect of dialects)
      for (const stream of [false, true]) {
        next(says('Hello.', { echoes: true, chunkLength: 500 }));
        const heard = await ask(dialect, model, stream);
        expect(heard.status).toBe(200);
        expect(heard.text).toContain('Hello.');
        expect(heard.headers.has('x-echoed-credential')).toBe(false);
      }
  });

  test('usage that is missing or makes no sense is no reason to fail', async () => {
    const odd = { input: 2 ** 52, output: 0, cacheRead: 2 ** 53, cacheWrite: 0, reasoning: 7 };
    for (const dialect of dialects)
      for (const stream of [false, true])
        for (const usage of ['nothing', odd] as const) {
          next(says('Hello.', { told: usage }));
          const heard = await ask(dialect, model, stream);
          expect([heard.status, heard.text]).toEqual([200, expect.stringContaining('Hello.')]);
          if (stream) expect(heard.text).toContain(ends[dialect]);
        }
  });
});

describe('a client goes wrong:', () => {
  test('a name that is no model, a key that is for other models; its twin passes', async () => {
    const { secret } = await gateway.ok('POST /keys', {
      ...{ id: 'narrow', title: 'x', consumer: 'app' },
      scope: { models: ['models/gemini'] },
    });
    const before = places.openai.standIn.journal.length;
    for (const dialect of dialects) {
      expectError(dialect, await ask(dialect, 'models/none'), 404);
      expectError(dialect, await ask(dialect, 'none', true), 404);
      expectError(dialect, await ask(dialect, '__proto__'), 404);
      const [missing, hidden] = [
        await ask(dialect, 'models/none', false, secret),
        await ask(dialect, 'models/openai', false, secret),
      ];
      expectError(dialect, hidden, 404);
      // What is there and not for it looks as if it was not there.
      expect(hidden.text.replaceAll('models/openai', '')).toBe(missing.text.replaceAll('models/none', ''));
      expect((await ask(dialect, 'models/gemini', false, secret)).status).toBe(200);
    }
    expect(places.openai.standIn.journal).toHaveLength(before);
  });

  test.each([
    ['nothing', ''],
    ['half a document', '{"model": "models/openai", "messages": ['],
    ['a list', '[]'],
    ['a number', '5'],
    ['bytes that are no text', Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
    ['no model', '{"messages": [], "input": "x"}'],
    ['a model that is an object', '{"model": {"a": 1}}'],
    ['a thousand levels', `{"model":"models/gemini","messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['no messages', '{"model": "models/gemini", "max_tokens": 5}'],
    ['messages that are none', '{"model": "models/gemini", "max_tokens": 5, "messages": "x", "input": 5}'],
    [
      'a role that is none',
      '{"model":"models/gemini","max_tokens":5,"messages":[{"role":"x","content":1}],"input":[{"role":7}]}',
    ],
  ])('%s is refused by 400 in its dialect', async (_what, body) => {
    for (const dialect of dialects) {
      const response = await gateway.post(paths[dialect], body as string);
      expectError(dialect, await read(response), 400);
    }
  });

  test('a prompt of 20 MB passes, or is refused, and one beyond the limit is refused by 413', async () => {
    const large = 'lorem ipsum '.repeat(1_750_000);
    const heard = await read(await gateway.post(paths.chat, bodyOf('chat', 'models/roomy', false, large)));
    expect(heard.status).toBe(200);
    expect(places['openai-compatible'].standIn.journal.at(-1)?.bytes.length).toBeGreaterThan(20_000_000);
    for (const dialect of ['chat', 'messages'] as const) {
      const declared = await new Promise<Told>((resolve, reject) => {
        const request = httpRequest(
          gateway.url + paths[dialect],
          { method: 'POST', headers: { authorization: `Bearer ${gateway.appKey}`, 'content-length': 40_000_000 } },
          (response) => {
            let text = '';
            response.on('data', (chunk) => {
              text += chunk;
            });
            response.on('end', () => {
              resolve({ status: response.statusCode ?? 0, text, headers: new Headers() });
              request.destroy();
            });
          },
        ).on('error', reject);
        request.flushHeaders();
      });
      expectError(dialect, declared, 413);
    }
  });

  test.each(['goes away', 'closes its half'] as const)(
    'it %s in the middle: the provider hears of it, and its place is free again',
    async (how) => {
      for (const dialect of dialects) {
        const held = gate();
        places.openai.standIn.next(says('one two three four', { chunkLength: 4, holds: [{ after: 2, gate: held }] }));
        const { host, hostname, port } = new URL(gateway.url);
        const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
        const body = JSON.stringify(bodyOf(dialect, 'models/busy', true));
        socket.write(
          `POST ${paths[dialect]} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\nauthorization: Bearer ${gateway.appKey}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
        );
        let text = '';
        await new Promise<void>((resolve) => {
          socket.on('data', (chunk) => {
            text += chunk;
            if (text.includes('two')) resolve();
          });
          socket.on('end', resolve);
        });
        expect(text).toContain('one');
        const entry = places.openai.standIn.journal.at(-1);
        if (how === 'goes away') socket.destroy();
        else socket.end();
        await entry?.ended;
        expect(entry?.ending).toBe('client-closed');
        socket.destroy();
        held.open();
        expect(text).not.toContain(ends[dialect]);
        // One call at a time: this one gets its turn.
        const after = await until('the target takes the next call', async () => {
          const heard = await ask(dialect, 'models/busy');
          return heard.status === 200 && heard;
        });
        expect(after.text).toContain('Hello.');
      }
    },
  );
});

test('calls that find every target over its own limits close the model to nobody; failures do', async () => {
  const start = nowMs;
  expect((await ask('chat', 'models/crowded')).status).toBe(200);
  for (let call = 0; call < 20; call++) {
    nowMs = start;
    const heard = await read(await gateway.post(paths.chat, bodyOf('chat', 'models/crowded', false)));
    expect(JSON.parse(heard.text).error.code).toBe('upstream_busy');
    expect(Number(heard.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  nowMs = start + 120_000;
  expect((await ask('chat', 'models/crowded')).status).toBe(200);
  const codes = new Set<string>();
  for (let call = 0; call < 20 && !codes.has('breaker_open'); call++) {
    places.openai.standIn.next(fails(500));
    codes.add(JSON.parse((await ask('chat', 'models/fragile')).text).error.code);
  }
  // The last failure was not asked for.
  await ask('chat', 'models/openai');
  expect([...codes]).toEqual(['upstream_failed', 'breaker_open']);
});

describe('a target fails over', () => {
  const journals = () => [places.openai.standIn.journal.length, places['openai-compatible'].standIn.journal.length] as const;

  test.each<[string, ScriptedAnswer]>([
    ['hangs up', { kind: 'drop' }],
    ['fails', fails(500)],
    ['is overloaded', fails(529)],
    ['answers with a page', { kind: 'page' }],
    ['sends half a document', { kind: 'garbage' }],
  ])('when it %s before the first token: one other answers, once', async (_what, answer) => {
    for (const dialect of dialects)
      for (const stream of [false, true]) {
        const [a, b] = journals();
        places.openai.standIn.next(answer);
        places['openai-compatible'].standIn.next(says('from the second'));
        const heard = await ask(dialect, 'models/pair', stream);
        expect([heard.status, heard.text]).toEqual([200, expect.stringContaining(stream ? ends[dialect] : 'from the second')]);
        expect(journals()).toEqual([a + 1, b + 1]);
      }
  });

  test('when it does not begin to answer in time', async () => {
    const [a, b] = journals();
    for (const _ of dialects) {
      places.openai.standIn.next({ kind: 'hang' }, { kind: 'hang' });
      places['openai-compatible'].standIn.next(says('from the second'), says('from the second'));
    }
    const asked = dialects.flatMap((dialect) => [ask(dialect, 'models/pair-late'), ask(dialect, 'models/pair-late', true)]);
    for (const { status, text } of await Promise.all(asked))
      expect([status, text]).toEqual([200, expect.stringContaining('second')]);
    expect(journals()).toEqual([a + 6, b + 6]);
  });

  test('FO-03 FO-04: never after the first token, and not for what is the client’s fault or ours', async () => {
    for (const dialect of dialects) {
      const [a, b] = journals();
      for (const kind of ['cut', 'end', 'broken', 'error'] as const) {
        places.openai.standIn.next(says('one two three four', { chunkLength: 4, fault: { after: 2, kind } }));
        expectBroken(dialect, await ask(dialect, 'models/pair', true));
      }
      places.openai.standIn.next(fails(400), fails(401));
      expectError(dialect, await ask(dialect, 'models/pair'), 400);
      expectError(dialect, await ask(dialect, 'models/pair'));
      expect(journals()).toEqual([a + 6, b]);
    }
  });

  test('FO-04: to nobody outside its regions, nor beyond its rules', async () => {
    for (const model of ['models/pair-eu', 'models/pair-ruled'])
      for (const answer of [fails(500), fails(529, { retryAfterS: 1 }), { kind: 'drop' }] as const) {
        const [a, b] = journals();
        places.openai.standIn.next(answer);
        const heard = await ask('chat', model);
        expectError('chat', heard);
        expect(heard.status).toBeGreaterThanOrEqual(500);
        expect(journals()).toEqual([a + 1, b]);
      }
  });

  test('FO-04: and that is on record: what failed, where the call went, and why', async () => {
    const { events } = await gateway.ok('GET /failovers?model=models/pair&limit=1000');
    const kinds = new Set(events.map(({ kind }: { kind: string }) => kind));
    expect([...kinds].sort()).toEqual(['ejected', 'failover', 'refused', 'returned']);
    expect(events).toContainEqual(expect.objectContaining({ model: 'models/pair', kind: 'failover', from: 'a', to: 'b' }));
    for (const status of [500, 529, 401]) expect(JSON.stringify(events)).toContain(`HTTP ${status}`);
    const beyond = await gateway.ok('GET /failovers?model=models/pair-eu&kind=failover');
    expect(beyond.events).toEqual([]);
    const developer = await gateway.person('dev', [{ role: 'developer' }]);
    expect((await gateway.api('GET /failovers', undefined, developer)).status).toBe(403);
    const logged = gateway.log.filter((line) => line.includes('models/pair') && line.includes('failover'));
    expect(logged.length).toBeGreaterThan(0);
    const { text } = await read(await fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${gateway.key}` } }));
    expect(text).toMatch(/gatehouse_model_routing_events_total\{upstream="models\/pair",kind="failover"\} [1-9]/);
    expect(text).toMatch(/gatehouse_model_routing_events_total\{upstream="models\/pair-eu",kind="failover"\} 0/);
  });

  test('and what the first may bill is counted: in its own usage, on the record and in the budget', async () => {
    const used = async () => {
      const { limits } = await gateway.ok('GET /usage?capability=models/pair-lost&consumer=app');
      return limits.find(({ unit }: { unit: string }) => unit === 'tokens')?.used ?? 0;
    };
    const by = async () => {
      const { groups } = await gateway.ok('GET /model-usage?model=models/pair-lost&by=target');
      return Object.fromEntries(groups.map((group: { group: { target: string } }) => [group.group.target, group]));
    };
    for (const [status, isBilled] of [
      [529, false],
      [500, true],
    ] as const) {
      const [before, was] = [await used(), await by()];
      places.openai.standIn.next(fails(status));
      places['openai-compatible'].standIn.next(says('from the second', { usage: { ...noUsage, input: 1000, output: 10 } }));
      expect((await ask('chat', 'models/pair-lost')).status).toBe(200);
      const now = await by();
      expect(now.b.tokensIn - (was.b?.tokensIn ?? 0)).toBe(1000);
      const lost = (now.a?.tokensIn ?? 0) - (was.a?.tokensIn ?? 0);
      expect([lost > 0, now.a?.calls ?? 0]).toEqual([isBilled, 0]);
      expect((await used()) - before).toBe(1010 + lost);
    }
    const { total, endings } = await gateway.ok('GET /model-usage?model=models/pair-lost');
    expect([total.calls, total.failovers, endings]).toEqual([2, 2, { stop: 2 }]);
    const lost = await until('the journal has both', () => {
      const records = readJournal(gateway.dataDir).filter(({ lost: has }) => has !== undefined);
      return records.length > 0 && records.flatMap(({ lost: of = [] }) => of);
    });
    expect(lost).toContainEqual({
      target: 'a',
      tokensIn: expect.any(Number),
      tokensOut: 0,
      isEstimated: true,
      nanoUsd: expect.any(Number),
    });
  });

  test('a stream that stands still is ended in time', async () => {
    const before = places.openai.standIn.journal.length;
    const answer = says('one two three four', { chunkLength: 4, fault: { after: 2, kind: 'hang' } });
    places.openai.standIn.next(answer, answer, answer);
    const all = await Promise.all(dialects.map(async (dialect) => [dialect, await ask(dialect, 'models/silent', true)] as const));
    for (const [dialect, heard] of all) {
      expect(heard.text).toContain('one');
      expectBroken(dialect, heard);
    }
    const entries = places.openai.standIn.journal.slice(before);
    await Promise.all(entries.map(({ ended }) => ended));
    expect(entries.map(({ ending }) => ending)).toEqual(dialects.map(() => 'client-closed'));
  });
});

test('nothing that a provider was sent in confidence, and nothing that was said, is in replies, logs or on disk', async () => {
  await gateway.ok('GET /audit');
  const canaries = Object.values(places).flatMap(({ secrets }) =>
    Object.entries(secrets).map(([name, value]) => knownCanary(name, value)),
  );
  const files = readdirSync(gateway.dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const disk = new Map(files.map((file) => [file, readFileSync(file)] as const));
  expect(disk.size).toBeGreaterThan(0);
  expect(
    findCanaries(
      canaries,
      new Map<string, Buffer | string>([...disk, ['replies', told.join('\n')], ['log', gateway.log.join('')]]),
    ),
  ).toEqual([]);
  const prompts = [knownCanary('prompt', secretWords), knownCanary('answer', 'one two three four')];
  expect(findCanaries(prompts, new Map<string, Buffer | string>([...disk, ['log', gateway.log.join('')]]))).toEqual([]);
});
