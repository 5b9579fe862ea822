import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { readBody } from '../../src/inbound/body.ts';
import { BodyRoom } from '../../src/inbound/body-room.ts';

const mib = 1024 * 1024;

function request(): IncomingMessage & EventEmitter {
  return Object.assign(new EventEmitter(), { headers: {}, complete: true, pause() {} }) as never;
}

describe('room for large bodies', () => {
  test('is shared by all requests, counts what came, and is there again once one was answered', async () => {
    const room = new BodyRoom(10 * mib);
    const [first, second] = [room.share(), room.share()];
    first.grow(8 * mib);
    expect(() => second.grow(3 * mib)).toThrow(expect.objectContaining({ code: 'too_busy', retryAfterMs: 2000 }));
    expect(room.usedBytes).toBe(8 * mib);
    first.giveBack();
    first.giveBack();
    second.grow(3 * mib);
    expect(room.usedBytes).toBe(3 * mib);
  });

  test('is not needed by ordinary requests', () => {
    const room = new BodyRoom(10 * mib);
    room.share().grow(10 * mib);
    expect(() => room.share().grow(mib)).not.toThrow();
  });

  test('is asked for while a body comes, which then is read no further', async () => {
    const room = new BodyRoom(4 * mib);
    const [fits, other] = [request(), request()];
    const read = readBody(fits, 32 * mib, room.share());
    const refused = readBody(other, 32 * mib, room.share());
    fits.emit('data', Buffer.alloc(3 * mib));
    other.emit('data', Buffer.alloc(2 * mib));
    await expect(refused).rejects.toMatchObject({ code: 'too_busy' });
    fits.emit('end');
    expect(await read).toHaveLength(3 * mib);
  });
});
