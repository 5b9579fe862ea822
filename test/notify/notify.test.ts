import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Channel, type NotifyEvent, openNotifier } from '../../src/notify/notify.ts';
import { readNotifySettings } from '../../src/notify/notify-settings.ts';
import { keyBytes, signatureOf, webhookChannel } from '../../src/notify/webhook.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { createEgressGuard } from '../../src/upstreams/egress.ts';
import { openReach } from '../../src/upstreams/fetch-json.ts';
import { until } from '../support/until.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';

const hook = `\${secret:HOOK}`;
const other = `\${secret:DECIDE}`;
const event: NotifyEvent = {
  id: 'evt_1',
  kind: 'approval.requested',
  atMs: 1_795_000_000_000,
  title: 'A call waits',
  text: 'Somebody wants to delete something.',
  url: 'http://127.0.0.1:8080/approvals/x',
  audience: { members: [], role: 'approver', namespace: 'support' },
  data: { approval: 'x' },
};

const told: { fields: object; message: string }[] = [];
const log = { warn: (fields: object, message: string) => void told.push({ fields, message }) };
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  told.length = 0;
});

describe('notifying', () => {
  const hangs: Channel = { name: 'slow', send: () => new Promise(() => {}) };
  /** Refuses what it is sent as often as said, then takes it. */
  function channelOf(refusals = 0): Channel & { readonly got: string[]; tries: number; isAway: boolean } {
    const made = {
      name: 'hook',
      got: [] as string[],
      tries: 0,
      isAway: false,
      async send({ id }: NotifyEvent) {
        made.tries += 1;
        if (made.isAway || made.tries <= refusals) throw new Error('not now');
        made.got.push(id);
      },
    };
    return made;
  }
  const open = (channels: readonly Channel[], more: Partial<Parameters<typeof openNotifier>[0]> = {}) =>
    openNotifier({ channels, store: memoryStore().notices, clock: systemClock, log, ...more });

  test('nobody waits for a channel that hangs, not at the end either', async () => {
    const store = memoryStore().notices;
    const notifier = open([hangs], { store });
    for (let n = 0; n < 10; n++) notifier.notify({ ...event, id: `evt_${n}` });
    await notifier.close(20);
    expect(told).toEqual([]);
    expect(await store.take('slow', Number.MAX_SAFE_INTEGER, 0, 100)).toHaveLength(10);
  });

  test('an event is tried again until it is taken, and told once', async () => {
    const channel = channelOf(2);
    const notifier = open([channel], { pausesMs: [1, 1, 1] });
    notifier.notify(event);
    await until('it was taken', () => channel.got.length === 1);
    await notifier.close();
    expect([channel.tries, told]).toEqual([3, []]);
  });

  test('an event that is never taken is given up, and said so', async () => {
    const channel = channelOf(Number.POSITIVE_INFINITY);
    const store = memoryStore().notices;
    const notifier = open([channel], { store, pausesMs: [1] });
    notifier.notify(event);
    await until('it was given up', () => told.length === 1);
    expect(told[0]?.fields).toMatchObject({ channel: 'hook', event: 'evt_1', reason: 'not now' });
    await notifier.close();
    expect(await store.nextDueMs('hook')).toBeUndefined();
  });

  test('what was not told is told after the next start, with the tries that it had and the same id', async () => {
    const store = memoryStore().notices;
    const channel = channelOf();
    channel.isAway = true;
    const first = open([channel], { store, pausesMs: [60_000] });
    first.notify(event);
    first.notify({ ...event, id: 'evt_2' });
    await until('both were tried', () => channel.tries === 2);
    await first.close();
    channel.isAway = false;
    const later = { nowMs: () => Date.now() + 61_000 };
    const second = open([channel], { store, clock: later, pausesMs: [60_000] });
    await until('both were told', () => channel.got.length === 2);
    await second.close();
    expect([channel.got.sort(), channel.tries, await store.nextDueMs('hook')]).toEqual([['evt_1', 'evt_2'], 4, undefined]);
  });

  test('what somebody had begun who is gone is told by another once the time for it is over', async () => {
    const store = memoryStore().notices;
    const gone = open([{ ...hangs, name: 'hook' }], { store });
    gone.notify(event);
    await until('it is begun', async () => ((await store.nextDueMs('hook')) ?? 0) > Date.now() + 60_000);
    const channel = channelOf();
    const soon = open([channel], { store });
    await soon.close();
    expect(channel.got).toEqual([]);
    const later = open([channel], { store, clock: { nowMs: () => Date.now() + 3 * 60_000 } });
    await until('it was told', () => channel.got.length === 1);
    await Promise.all([later.close(), gone.close(1)]);
  });

  test('FA-12: what was put off by a clock that was a day ahead is told, and what waits for its time waits', async () => {
    const store = memoryStore().notices;
    const nowMs = Date.now();
    const dayMs = 24 * 60 * 60_000;
    const notice = (id: string, dueAtMs: number) => ({
      ...{ channel: 'hook', id, event: JSON.stringify({ ...event, id }), tried: 1, dueAtMs },
    });
    for (const id of ['a', 'b']) await store.add(notice(id, nowMs + dayMs), 10);
    const channel = channelOf();
    const notifier = open([channel], { store, clock: { nowMs: () => nowMs } });
    await until('both were told', () => channel.got.length === 2);
    await store.add(notice('c', nowMs + 600_000), 10);
    notifier.notify({ ...event, id: 'd' });
    await until('the new one was told', () => channel.got.includes('d'));
    await notifier.close();
    expect(channel.got).toEqual(['a', 'b', 'd']);
    expect(await store.nextDueMs('hook')).toBe(nowMs + 600_000);
  });

  test('FA-12: a receiver that is away for two days is tried a few times, and holds as many events as a channel may', async () => {
    const store = memoryStore().notices;
    let nowMs = Date.now();
    const clock = { nowMs: () => nowMs };
    const channel = channelOf();
    channel.isAway = true;
    for (let hour = 0; hour < 48; hour++) {
      const notifier = open([channel], { store, clock, pausesMs: [1_000, 5_000, 30_000, 120_000, 600_000] });
      for (let n = 0; n < 50; n++) notifier.notify({ ...event, id: `evt_${hour}_${n}` });
      await notifier.close();
      nowMs += 3_600_000;
    }
    // Once at first and after each of five pauses.
    expect(channel.tries).toBeLessThanOrEqual(48 * 50 * 6);
    expect(await store.take('hook', Number.MAX_SAFE_INTEGER, 0, 10_000)).toHaveLength(50 * 5);
    expect(told).toHaveLength(50 * 43);
  });

  test('two that share a store tell each event once', async () => {
    const store = memoryStore().notices;
    const channel = channelOf();
    const [one, other] = [open([channel], { store }), open([channel], { store })];
    for (let n = 0; n < 100; n++) (n % 2 === 0 ? one : other).notify({ ...event, id: `evt_${n}` });
    await until('all were told', () => channel.got.length >= 100);
    await Promise.all([one.close(), other.close()]);
    expect(new Set(channel.got).size).toBe(100);
    expect(channel.got).toHaveLength(100);
  });

  test('more events than a channel may hold are dropped, and said so', async () => {
    const notifier = open([hangs]);
    for (let n = 0; n < 1_100; n++) notifier.notify({ ...event, id: `evt_${n}` });
    await until('all were looked at', () => told.length === 100);
    await notifier.close(1);
  });

  test('a store that is away keeps nobody from being told, once', async () => {
    const away = () => Promise.reject(new Error('away'));
    const store = { add: away, take: away, postpone: away, remove: away, nextDueMs: away };
    const channel = channelOf();
    const notifier = open([channel], { store });
    notifier.notify(event);
    await until('it was told', () => channel.got.length === 1);
    await notifier.close();
  });
});

describe('the webhook', () => {
  interface Receiver extends TestServer {
    readonly got: { headers: IncomingHttpHeaders; body: string }[];
    status: number;
  }

  async function receiver(): Promise<Receiver> {
    const got: Receiver['got'] = [];
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      got.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(made.status, made.status === 302 ? { location: '/elsewhere' } : {}).end();
    });
    const made: Receiver = Object.assign(await listenOn(server), { got, status: 204 });
    closing.push(() => made.close());
    return made;
  }

  function channelTo(url: string, secret = 'whsec_c2VjcmV0') {
    const egress = createEgressGuard([]);
    closing.push(() => egress.close());
    const settings = { url, secret: hook };
    return webhookChannel({ settings, reach: openReach(egress), resolveSecret: () => secret, clock: systemClock });
  }

  test('carries the event and a signature that its receiver can check', async () => {
    const to = await receiver();
    await channelTo(`${to.url}/hook`).send(event);
    const [{ headers, body } = { headers: {}, body: '' }] = to.got;
    expect(JSON.parse(body)).toMatchObject({ type: 'approval.requested', data: { approval: 'x', title: 'A call waits' } });
    const at = Number(headers['webhook-timestamp']);
    expect(Math.abs(at * 1000 - Date.now())).toBeLessThan(60_000);
    expect(headers['webhook-id']).toBe('evt_1');
    expect(headers['webhook-signature']).toBe(signatureOf(Buffer.from('secret'), 'evt_1', at, body));
    expect(headers['webhook-signature']).not.toBe(signatureOf(Buffer.from('other'), 'evt_1', at, body));
    expect(headers['webhook-signature']).not.toBe(signatureOf(Buffer.from('secret'), 'evt_1', at, `${body} `));
  });

  // Standard Webhooks 1.0, the example of its specification.
  test('signs as others do', () => {
    const key = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
    const body = '{"test": 2432232314}';
    expect(signatureOf(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, body)).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    );
  });

  test.each([302, 400, 500])('an answer of %s is to be tried again, and no redirect is followed', async (status) => {
    const to = await receiver();
    to.status = status;
    await expect(channelTo(to.url).send(event)).rejects.toThrow();
    expect(to.got).toHaveLength(1);
  });

  test.each([
    ['is very long', (response: ServerResponse) => response.end('x'.repeat(5_000_000))],
    ['never ends', (response: ServerResponse) => response.write('x')],
  ])('an answer of 200 is enough, also where its body %s; one of 500 is not', async (_, say) => {
    let status = 200;
    const server = createServer((request, response) => {
      request.resume();
      response.writeHead(status);
      say(response);
    });
    const to = await listenOn(server);
    closing.push(() => to.close());
    const channel = channelTo(to.url);
    await channel.send(event);
    status = 500;
    await expect(channel.send(event)).rejects.toThrow('500');
  });
});

test.each([
  [{ webhook: { url: 'https://hooks.example.com/x', secret: hook } }, undefined],
  [{}, undefined],
  [{ webhook: { url: 'https://hooks.example.com/x', secret: hook, decisions: { secret: other, members: ['bob'] } } }, undefined],
  [
    { webhook: { url: 'https://hooks.example.com/x', secret: hook, decisions: { secret: hook, members: ['bob'] } } },
    'another secret',
  ],
  [
    { webhook: { url: 'https://hooks.example.com/x', secret: hook, decisions: { secret: other, members: [] } } },
    'at least one member',
  ],
  [{ webhook: { url: 'https://hooks.example.com/x', secret: 'plain' } }, 'Write it as $'],
  [{ webhook: { url: 'https://hooks.example.com/x', secret: `\${secret:GATEHOUSE_MASTER_KEY}` } }, 'never leave it'],
  [
    { webhook: { url: 'https://x.example.com', secret: hook, decisions: { secret: `\${secret:gatehouse_x}`, members: ['a'] } } },
    'never leave it',
  ],
  [{ smtp: { host: 'x', from: 'a@x.example', user: 'a', password: `\${secret:GATEHOUSE_ADMIN_KEY}` } }, 'never leave it'],
  [{ webhook: { url: 'file:///etc/passwd', secret: hook } }, '"url" must be an http or https address'],
  [{ webhook: { url: 'https://a:b@hooks.example.com', secret: hook } }, 'without user and password'],
  [{ pager: {} }, 'pager'],
])('%j is taken or refused with a reason', (value, reason) => {
  const read = readNotifySettings(value);
  if (reason === undefined) expect(read).toHaveProperty('value');
  else expect(JSON.stringify(read)).toContain(reason.replaceAll('"', '\\"'));
});

test('nothing is signed, or taken as signed, with a secret that is empty', () => {
  for (const empty of ['', 'whsec_', 'whsec_!']) expect(() => keyBytes(empty)).toThrow(/secret of the webhook is empty/);
  expect(keyBytes('whsec_c2VjcmV0').toString()).toBe('secret');
  expect(keyBytes('secret').toString()).toBe('secret');
});
