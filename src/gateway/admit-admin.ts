import { type KeyRing, makeKey } from '../call/authenticate/key-ring.ts';
import type { Clock } from '../clock.ts';
import type { Secret } from '../secret.ts';
import type { KeyStore } from '../store/ports/keys.ts';

/**
 * Puts the keys of the store on the ring, and the admin key that the settings name. Where there is none at all and a clock is given,
 * makes an admin key and returns it.
 */
export async function admitAdmin(
  keys: KeyRing,
  store: KeyStore,
  adminKey: Secret | undefined,
  clock: Clock | undefined,
): Promise<string | undefined> {
  const stored = await store.list();
  for (const { id, hash } of stored) keys.add(id, hash);
  if (adminKey !== undefined) {
    keys.add('admin', keys.hash(adminKey.reveal()));
    return undefined;
  }
  if (stored.length > 0 || clock === undefined) return undefined;
  const key = makeKey('admin');
  const hash = keys.hash(key);
  // Another replica may have been first; then its key is the one that was shown.
  if (!(await store.create({ id: 'admin', hash, createdAtMs: clock.nowMs() }))) {
    for (const other of await store.list()) keys.add(other.id, other.hash);
    return undefined;
  }
  keys.add('admin', hash);
  return key;
}
