import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../../clock.ts';
import type { BudgetRows, StoredBudget } from '../ports/budgets.ts';
import type { StoredKey } from '../ports/keys.ts';
import type { StoredSession } from '../ports/sessions.ts';
import type { RememberedUpstream } from '../ports/upstream-memory.ts';
import type { Store } from '../ports.ts';
import { openVault } from '../secret-vault.ts';
import { memoryApprovals } from './memory-approvals.ts';
import { memoryAudit } from './memory-audit.ts';
import { memoryCredentials } from './memory-credentials.ts';
import { memoryDefinitions } from './memory-definitions.ts';
import { memoryKeyedCalls } from './memory-keyed-calls.ts';
import { memoryModelRecords } from './memory-model-records.ts';
import { memoryNotices } from './memory-notices.ts';
import { memoryDataKeys, memoryKeyUses, memoryRegistry } from './memory-registry.ts';
import { memorySightings } from './memory-sightings.ts';
import { memoryRollUps } from './roll-ups.ts';

/** Keeps nothing longer than the process: for unit tests. */
export function memoryStore(clock: Clock = systemClock): Store {
  const keys = new Map<string, StoredKey>();
  const sealing = new Map<string, Buffer>();
  const upstreams = new Map<string, RememberedUpstream>();
  const sessions = new Map<string, StoredSession>();
  const registry = memoryRegistry(clock);
  const masterKey = randomBytes(32);
  const ring = { current: async () => ({ version: 1, key: masterKey }), get: async () => masterKey };
  return {
    registry,
    keyUses: memoryKeyUses(),
    vault: openVault(memoryDataKeys(), ring),
    masterKeys: { rotate: async () => 1 },
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
    async close() {
      registry.close();
    },
    rollUps: memoryRollUps(),
    budgets: memoryBudgets(),
    sightings: memorySightings(clock),
    keyedCalls: memoryKeyedCalls(clock),
    audit: memoryAudit(),
    credentials: memoryCredentials(),
    approvals: memoryApprovals(),
    definitions: memoryDefinitions(),
    models: memoryModelRecords(),
    notices: memoryNotices(),
  };
}

function memoryBudgets(): BudgetRows {
  const budgets = new Map<string, StoredBudget>();
  return {
    async load() {
      return [...budgets.values()];
    },
    async save(batch) {
      for (const budget of batch) budgets.set(budget.key, budget);
    },
    async prune(beforeMs) {
      const old = [...budgets.values()].filter(({ windowEndMs }) => windowEndMs < beforeMs);
      for (const { key } of old) budgets.delete(key);
      return old.length;
    },
  };
}

function sortById<T extends { readonly id: string }>(rows: Iterable<T>): T[] {
  return [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
}
