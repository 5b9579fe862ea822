import { createServer, type IncomingHttpHeaders } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Channel, type NotifyEvent, openNotifier } from '../../src/notify/notify.ts';
import { readNotifySettings } from '../../src/notify/notify-settings.ts';
import { signatureOf, webhookChannel } from '../../src/notify/webhook.ts';
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
  test('nobody waits for a channel that hangs, and what it holds up is given up at the end', async () => {
    const notifier = openNotifier({ channels: [{ name: 'slow', send: () => new Promise(() => {}) }], log });
    for (let n = 0; n < 10; n++) notifier.notify({ ...event, id: `evt_${n}` });
    await notifier.close(20);
    expect(told.map(({ message }) => message)).toEqual(Array(6).fill('people could not be told of an event'));
  });

  test('an event is tried again until it is taken', async () => {
    let tries = 0;
    const channel: Channel = {
      name: 'flaky',
      async send() {
        tries += 1;
        if (tries < 3) throw new Error('not now');
      },
    };
    const notifier = openNotifier({ channels: [channel], log, pausesMs: [1, 1, 1] });
    notifier.notify(event);
    await until('it was taken', () => tries === 3);
    await notifier.close();
    expect(told).toEqual([]);
  });

  test('an event that is never taken is given up, and said so', async () => {
    const channel: Channel = { name: 'dead', send: () => Promise.reject(new Error('no')) };
    const notifier = openNotifier({ channels: [channel], log, pausesMs: [1] });
    notifier.notify(event);
    await until('it was given up', () => told.length === 1);
    expect(told[0]?.fields).toMatchObject({ channel: 'dead', event: 'evt_1', reason: 'no' });
  });

  test('more events than a channel can hold are dropped, and memory is not', async () => {
    const notifier = openNotifier({ channels: [{ name: 'slow', send: () => new Promise(() => {}) }], log });
    for (let n = 0; n < 1_100; n++) notifier.notify(event);
    expect(told).toHaveLength(1_100 - 1_000 - 4);
    await notifier.close(1);
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
  [{ webhook: { url: 'file:///etc/passwd', secret: hook } }, '"url" must be an http or https address'],
  [{ webhook: { url: 'https://a:b@hooks.example.com', secret: hook } }, 'without user and password'],
  [{ pager: {} }, 'pager'],
])('%j is taken or refused with a reason', (value, reason) => {
  const read = readNotifySettings(value);
  if (reason === undefined) expect(read).toHaveProperty('value');
  else expect(JSON.stringify(read)).toContain(reason.replaceAll('"', '\\"'));
});
