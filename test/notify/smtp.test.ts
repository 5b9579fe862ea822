import { type AddressInfo, createServer } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type NotifyEvent, openNotifier } from '../../src/notify/notify.ts';
import { readNotifySettings } from '../../src/notify/notify-settings.ts';
import { smtpChannel } from '../../src/notify/smtp.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { until } from '../support/until.ts';

const event: NotifyEvent = {
  id: 's-1.2',
  kind: 'submission.waiting',
  atMs: 1_795_000_000_000,
  title: 'The upstream hr/people waits for a review',
  text: 'Its score is 62 of 100.\nBcc: victim@example.com',
  url: 'https://gate.example/api/submissions/s-1',
  audience: { members: [], role: 'approver', namespace: 'hr' },
  data: { tools: ['find_person'], assessment: { score: 62 } },
};

interface Mail {
  readonly to: readonly string[];
  readonly text: string;
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A mail server that takes whatever the test lets it. */
async function startMail(refuses = 0) {
  const mails: Mail[] = [];
  let tries = 0;
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    hideSTARTTLS: true,
    allowInsecureAuth: true,
    onAuth({ username, password }, _session, done) {
      if (username === 'gate' && password === 'the-password') done(null, { user: 'gate' });
      else done(new Error('no'));
    },
    onData(stream, { envelope }, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        tries++;
        if (tries <= refuses) return done(new Error('try again'));
        mails.push({ to: envelope.rcptTo.map(({ address }) => address), text: Buffer.concat(chunks).toString() });
        done();
      });
    },
  });
  server.on('error', () => {});
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  closing.push(() => new Promise<void>((closed) => server.close(closed)));
  return { mails, port: (server.server.address() as AddressInfo).port, tries: () => tries };
}

const reference = `\${secret:MAIL}`;
function notifierFor(port: number, more: object = {}) {
  const channel = smtpChannel({
    settings: { host: '127.0.0.1', port, security: 'none', from: 'gate@example.com', to: ['team@example.com'], ...more },
    resolveSecret: (text) => (text === reference ? 'the-password' : ''),
    addressesOf: ({ role }) => (role === 'approver' ? ['ann@example.com'] : []),
  });
  const warned: string[] = [];
  const notifier = openNotifier({
    channels: [channel],
    store: memoryStore().notices,
    clock: systemClock,
    log: { warn: (_fields, message) => void warned.push(message) },
    pausesMs: [1, 1, 1],
  });
  closing.push(() => notifier.close(100));
  return { notifier, warned };
}

test('a mail goes to those it is for, with what was found, and nothing in it is taken for a header', async () => {
  const { mails, port } = await startMail();
  const { notifier } = notifierFor(port, { user: 'gate', password: reference });
  notifier.notify({ ...event, title: 'The upstream\r\nBcc: victim@example.com' });
  const mail = await until('it is there', () => mails[0]);
  expect([...mail.to].sort()).toEqual(['ann@example.com', 'team@example.com']);
  expect(mail.text).toContain('Subject: [Gatehouse] The upstream Bcc: victim@example.com');
  expect(mail.text).toContain('Message-ID: <s-1.2@127.0.0.1>');
  expect(mail.text).toContain('"score": 62');
  expect(mail.text).toContain('https://gate.example/api/submissions/s-1');
  const [headers = ''] = mail.text.split('\r\n\r\n');
  expect(headers).not.toMatch(/^bcc:/im);
});

test('a mail that is refused is tried again, and nobody waits for it', async () => {
  const { mails, port, tries } = await startMail(2);
  const { notifier } = notifierFor(port);
  notifier.notify(event);
  expect(mails).toEqual([]);
  await until('it is there', () => mails[0]);
  expect(tries()).toBe(3);
});

test('a server that is away is said in the log, and holds nothing up', async () => {
  const { notifier, warned } = notifierFor(1);
  notifier.notify(event);
  await until('it is given up', () => warned.length > 0);
});

test('settings: flaws are named, good ones are taken', () => {
  const read = (smtp: object) => readNotifySettings({ smtp });
  expect(read({ host: 'mail.example.com', from: 'gate@example.com' })).toHaveProperty('value');
  for (const smtp of [
    { host: 'mail.example.com', from: 'no address' },
    { host: 'mail.example.com', from: 'gate@example.com', password: 'written-out', user: 'x' },
    { host: 'mail.example.com', from: 'gate@example.com', user: 'x' },
    { host: 'mail.example.com', from: 'gate@example.com', security: 'none' },
    { host: 'mail.example.com\r\nx', from: 'gate@example.com' },
  ])
    expect(read(smtp), JSON.stringify(smtp)).toHaveProperty('flaws');
});

test('a mail server that talks without end, or says nothing, is given up; the next mail is sent', async () => {
  let closed = 0;
  let says = '250-more\r\n';
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
    socket.write('220 here\r\n');
    const timer = setInterval(() => socket.write(says), 10);
    socket.on('close', () => {
      clearInterval(timer);
      closed++;
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  closing.push(() => new Promise<void>((done) => server.close(() => done())));
  const channelTo = (port: number, withinMs: number) =>
    smtpChannel({
      settings: { host: '127.0.0.1', port, security: 'none', from: 'gate@example.com', to: ['team@example.com'] },
      resolveSecret: () => '',
      addressesOf: () => [],
      withinMs,
    });
  for (const word of ['250-more\r\n', '']) {
    says = word;
    await expect(channelTo((server.address() as AddressInfo).port, 300).send(event)).rejects.toThrow(
      'the mail server takes too long',
    );
  }
  await until('both connections are closed', () => closed === 2);
  const { mails, port } = await startMail();
  await channelTo(port, 30_000).send(event);
  expect(mails).toHaveLength(1);
  await expect(channelTo(1, 30_000).send(event)).rejects.toThrow('ECONNREFUSED');
});
