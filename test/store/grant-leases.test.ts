import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { CredentialStore, StoredGrant } from '../../src/store/ports/credentials.ts';
import { isLong, open, temporaryDataDir } from './store-setup.ts';

type Step =
  | { readonly kind: 'put' | 'release' | 'remove'; readonly version: number }
  | { readonly kind: 'lease'; readonly version: number; readonly afterMs: number; readonly forMs: number }
  | { readonly kind: 'replace'; readonly version: number; readonly next: number };

const version = fc.integer({ min: 1, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('put' as const, 'release' as const, 'remove' as const), version }),
  fc.record({
    kind: fc.constant('lease' as const),
    version,
    afterMs: fc.integer({ min: 0, max: 30 }),
    forMs: fc.integer({ min: 1, max: 20 }),
  }),
  fc.record({ kind: fc.constant('replace' as const), version, next: version }),
);

/** One row, and who may renew it until when: all that the promise about leases is. */
interface Model {
  version: number | undefined;
  leasedUntilMs: number;
  nowMs: number;
}

function expected(model: Model, step: Step): boolean | undefined {
  const isThere = model.version === step.version;
  switch (step.kind) {
    case 'put':
      model.version = step.version;
      model.leasedUntilMs = 0;
      return undefined;
    case 'release':
      if (isThere) model.leasedUntilMs = 0;
      return undefined;
    case 'remove':
      if (isThere) model.version = undefined;
      return isThere;
    case 'lease': {
      model.nowMs += step.afterMs;
      const isFree = isThere && model.leasedUntilMs <= model.nowMs;
      if (isFree) model.leasedUntilMs = model.nowMs + step.forMs;
      return isFree;
    }
    case 'replace':
      if (isThere) {
        model.version = step.next;
        model.leasedUntilMs = 0;
      }
      return isThere;
  }
}

function grant(number: number): StoredGrant {
  return { upstream: 'a/b', principal: 'p', issuer: 'i', version: `v${number}`, sealed: `sealed ${number}`, updatedAtMs: 1 };
}

async function take(store: CredentialStore, model: Model, step: Step): Promise<boolean | undefined> {
  const seen = grant(step.version);
  switch (step.kind) {
    case 'put':
      await store.putGrant(seen);
      return undefined;
    case 'release':
      await store.releaseGrant(seen);
      return undefined;
    case 'remove':
      return await store.removeGrant(seen);
    case 'lease':
      return await store.leaseGrant(seen, model.nowMs, model.nowMs + step.forMs);
    case 'replace':
      return await store.replaceGrant(seen, grant(step.next));
  }
}

async function agrees(store: CredentialStore, steps: readonly Step[]): Promise<void> {
  for (const left of [1, 2, 3, 4]) await store.removeGrant(grant(left));
  const model: Model = { version: undefined, leasedUntilMs: 0, nowMs: 1_000 };
  for (const each of steps) {
    const wanted = expected(model, each);
    expect(await take(store, model, each)).toBe(wanted);
    expect((await store.findGrant('a/b', 'p'))?.version).toBe(model.version === undefined ? undefined : `v${model.version}`);
  }
}

test('a grant is leased, replaced and removed as one small model says, in memory and in SQLite', async () => {
  const { dataDir, remove } = temporaryDataDir();
  const sqlite = await open({ dataDir });
  const memory = memoryStore();
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        await agrees(memory.credentials, steps);
        await agrees(sqlite.credentials, steps);
      }),
      { numRuns: isLong ? 300 : 15 },
    );
  } finally {
    await sqlite.close();
    remove();
  }
});
