import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { KeyRing } from '../../src/call/authenticate/key-ring.ts';
import type { Caller } from '../../src/call/authenticate.ts';
import { Listeners } from '../../src/inbound/mcp/listen.ts';
import { Sessions } from '../../src/inbound/mcp/sessions.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';

const clock = { nowMs: () => 1_000_000_000_000 };
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const [ann, bob] = ['ann', 'bob'].map((id): Caller => {
  const ring = new KeyRing(randomBytes(32), clock);
  ring.add(id, ring.hash(`${id}s-key`));
  const found = ring.find(`${id}s-key`);
  if (found === undefined) throw new Error('no caller');
  return found;
}) as [Caller, Caller];
const full = expect.objectContaining({ code: 'too_many_sessions', message: expect.stringMatching(/^This caller holds/) });

test('RE-08: one caller holds at most half of the streams to listen on; others get theirs, and so does it once it lets go', () => {
  const listeners = new Listeners();
  const open = (caller: Caller) => {
    listeners.makeRoom(caller);
    const listener = { caller, ip: '', toolbox: '', seen: undefined, changed: () => {}, end: () => listeners.delete(listener) };
    listeners.add(listener as never);
    return listener;
  };
  const own = Array.from({ length: 5_000 }, () => open(ann));
  expect(() => open(ann)).toThrow(full);
  expect(() => open(bob)).not.toThrow();
  own[0]?.end();
  own[0]?.end();
  expect(() => open(ann)).not.toThrow();
  expect(() => open(ann)).toThrow(full);
});

test('RE-08: one caller holds the streams of at most half of the sessions; others get theirs, and so does it once it lets go', () => {
  const ports = { key: randomBytes(32), store: memoryStore().sessions, limits: { idleMs: 3_600_000, max: 8 }, clock };
  const sessions = new Sessions({ ...ports, log: pino({ level: 'silent' }), onRevived: () => {}, onEnded: () => {} });
  closing.push(() => sessions.close());
  const open = (caller: Caller) => {
    const session = sessions.create(caller, '', '2025-11-25', {});
    sessions.makeStreamRoom(caller);
    session.open({ send: () => {}, end: () => {} });
    return session;
  };
  const own = Array.from({ length: 4 }, () => open(ann));
  expect(() => open(ann)).toThrow(full);
  for (let n = 0; n < 3; n++) expect(() => open(bob)).not.toThrow();
  if (own[0] !== undefined) own[0].channel = undefined;
  expect(() => open(ann)).not.toThrow();
});
