import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { KeyRing } from '../../src/call/authenticate/key-ring.ts';
import { authenticateLocalUser, type Caller } from '../../src/call/authenticate.ts';
import type { Session } from '../../src/inbound/mcp/session.ts';
import { Sessions } from '../../src/inbound/mcp/sessions.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { Cancel } from '../../src/wire/cancel.ts';

const idleMs = 3_600_000;
const key = randomBytes(32);
let nowMs = 1_000_000_000_000;
const clock = { nowMs: () => nowMs };
const open: Sessions[] = [];

afterEach(async () => {
  for (const sessions of open.splice(0)) await sessions.close();
});

interface Revived {
  readonly session: Session;
  readonly uris: readonly string[];
}

function openSessions(store = memoryStore(), max = 100) {
  const revived: Revived[] = [];
  const sessions = new Sessions({
    key,
    store: store.sessions,
    limits: { idleMs, max },
    clock,
    log: pino({ level: 'silent' }),
    onRevived: (session, _caller, uris) => revived.push({ session, uris }),
    onEnded: () => {},
  });
  open.push(sessions);
  return { sessions, store, revived };
}

const ada = authenticateLocalUser('all');
const bob: Caller = (() => {
  const ring = new KeyRing(randomBytes(32), clock);
  ring.add('bob', ring.hash('bobs-key'));
  const found = ring.find('bobs-key');
  if (found === undefined) throw new Error('no caller');
  return found;
})();
const capabilities = { elicitation: { form: {} }, sampling: {} };
const gone = expect.objectContaining({ code: 'session_not_found' });
const find = async (sessions: Sessions, caller: Caller, session: { handle: string }, toolbox = '') =>
  sessions.find({ caller, ip: '' }, toolbox, session.handle);

test('SE-01: a session has one id: written in another way it is nobody, and does not outlive its end', async () => {
  const { sessions } = openSessions();
  const session = sessions.create(ada, 'box', '2025-11-25', capabilities);
  const { handle } = session;
  const same = Buffer.from(handle, 'base64url');
  const others = Array.from(
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_',
    (last) => handle.slice(0, -1) + last,
  );
  const twins = others.filter((other) => other !== handle && Buffer.from(other, 'base64url').equals(same));
  // As long as this one is, its last character holds bits that mean nothing.
  expect(twins.length).toBe([0, 15, 3][same.length % 3 === 0 ? 0 : same.length % 3]);
  for (const twin of twins) await expect(find(sessions, ada, { handle: twin }, 'box')).rejects.toEqual(gone);
  expect(await find(sessions, ada, session, 'box')).toBe(session);
});

test('SE-01: a session is found by its own caller at its own toolbox, and by nobody else', async () => {
  const { sessions } = openSessions();
  const session = sessions.create(ada, 'box', '2025-11-25', capabilities);
  expect(await find(sessions, ada, session, 'box')).toBe(session);
  await expect(find(sessions, bob, session, 'box')).rejects.toEqual(gone);
  await expect(find(sessions, ada, session, '')).rejects.toEqual(gone);
  await expect(find(sessions, ada, { handle: 'guess' }, 'box')).rejects.toEqual(gone);
});

test('another process with the same key takes a session up with all that was settled', async () => {
  const first = openSessions();
  const session = first.sessions.create(ada, 'box', '2025-06-18', capabilities);
  session.logLevel = 'warning';
  session.subscriptions.set('demo://a', () => {});
  first.sessions.save(session);
  await first.store.sessions.flush();

  const second = openSessions(first.store);
  const [one, two] = await Promise.all([find(second.sessions, ada, session, 'box'), find(second.sessions, ada, session, 'box')]);
  expect(one).toBe(two);
  expect(one).toMatchObject({ id: session.id, toolbox: 'box', protocolVersion: '2025-06-18', capabilities, logLevel: 'warning' });
  expect(second.revived).toEqual([{ session: one, uris: ['demo://a'] }]);
  await expect(find(second.sessions, bob, session, 'box')).rejects.toEqual(gone);
});

test('a session that was never written down comes back too: its id carries it', async () => {
  const session = openSessions().sessions.create(ada, '', '2025-11-25', capabilities);
  expect(await find(openSessions().sessions, ada, session)).toMatchObject({ id: session.id, capabilities });
});

test('an ended session stays ended, here and elsewhere', async () => {
  const { sessions, store } = openSessions();
  const session = sessions.create(ada, '', '2025-11-25', capabilities);
  sessions.end(session, 'the client ended it');
  await expect(find(sessions, ada, session)).rejects.toEqual(gone);
  await expect(find(openSessions(store).sessions, ada, session)).rejects.toEqual(gone);
});

test('a session that was not used for too long is not taken up again, one in use is', async () => {
  const { sessions, store } = openSessions();
  const idle = sessions.create(ada, '', '2025-11-25', capabilities);
  const used = sessions.create(ada, '', '2025-11-25', capabilities);
  nowMs += idleMs / 2;
  await find(sessions, ada, used);
  nowMs += idleMs * 0.75;
  const after = openSessions(store).sessions;
  await expect(find(after, ada, idle)).rejects.toEqual(gone);
  expect(await find(after, ada, used)).toMatchObject({ id: used.id });
});

test('at the cap the longest idle makes room and comes back by its id; when all are busy a new one is refused', async () => {
  const { sessions } = openSessions(undefined, 2);
  const [first, second] = [sessions.create(ada, '', '2025-11-25', {}), sessions.create(ada, '', '2025-11-25', {})];
  sessions.create(ada, '', '2025-11-25', {});
  expect(sessions.size).toBe(2);
  second.begin('1', new Cancel());
  expect(await find(sessions, ada, first)).toMatchObject({ id: first.id });
  expect(sessions.size).toBe(2);
  (await find(sessions, ada, first)).begin('1', new Cancel());
  expect(() => sessions.create(ada, '', '2025-11-25', {})).toThrow(expect.objectContaining({ code: 'too_many_sessions' }));
});

test('PR-05: two requests with one id in flight are refused, one after the other are not', () => {
  const session = openSessions().sessions.create(ada, '', '2025-11-25', {});
  const first = session.begin('1', new Cancel());
  expect(() => session.begin('1', new Cancel())).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  session.begin('"1"', new Cancel());
  session.finish(first);
  session.begin('1', new Cancel());
});

test('a list change that comes while no stream is open is told when one opens, once', () => {
  const session = openSessions().sessions.create(ada, '', '2025-11-25', {});
  session.notify('notifications/tools/list_changed', {});
  session.notify('notifications/tools/list_changed', {});
  const sent: string[] = [];
  session.open({ send: (message) => sent.push(message), end: () => {} });
  expect(sent).toEqual(['{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}']);
});
