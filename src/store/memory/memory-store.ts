import { randomBytes } from 'node:crypto';
import type { RememberedUpstream, Store, StoredKey, StoredSession } from '../ports.ts';

/** Keeps nothing longer than the process: for unit tests. */
export function memoryStore(): Store {
  const keys = new Map<string, StoredKey>();
  const sealing = new Map<string, Buffer>();
  const upstreams = new Map<string, RememberedUpstream>();
  const sessions = new Map<string, StoredSession>();
  return {
    keys: {
      async create(key) {
        if (keys.has(key.id)) return false;
        keys.set(key.id, key);
        return true;
      },
      async list() {
        return sortById(keys.values());
      },
    },
    sealing: {
      async get(purpose) {
        const key = sealing.get(purpose) ?? randomBytes(32);
        sealing.set(purpose, key);
        return key;
      },
    },
    upstreams: {
      async load() {
        return sortById(upstreams.values());
      },
      async save(upstream) {
        upstreams.set(upstream.id, upstream);
      },
      async forget(id) {
        upstreams.delete(id);
      },
    },
    sessions: {
      async load(id) {
        return sessions.get(id);
      },
      save(session) {
        const isEnded = session.isEnded || sessions.get(session.id)?.isEnded === true;
        sessions.set(session.id, { ...session, isEnded });
      },
      async prune(beforeMs) {
        const old = [...sessions.values()].filter((session) => session.lastUsedAtMs < beforeMs);
        for (const { id } of old) sessions.delete(id);
        return old.length;
      },
      async flush() {},
    },
    async close() {},
  };
}

function sortById<T extends { readonly id: string }>(rows: Iterable<T>): T[] {
  return [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
}
