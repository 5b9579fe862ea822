import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Action, AdminPorts } from '../../src/admin/action.ts';
import { createKey, disableKey, listKeys, revokeKey, rotateKey } from '../../src/admin/keys.ts';
import { KeyRing } from '../../src/call/authenticate/key-ring.ts';
import { authenticateLocalUser } from '../../src/call/authenticate.ts';
import { Registry } from '../../src/registry/registry.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { readableJournal } from '../support/call-ports.ts';

// What a key's secrets are worth at any moment, told by a model of a few lines that knows nothing of hashes, registries and caches.

interface ModelKey {
  state: 'active' | 'disabled' | 'revoked';
  readonly expiresAtMs: number;
  /** Newest first. */
  secrets: { readonly secret: string; readonly untilMs: number }[];
}

type Step =
  | { readonly kind: 'create'; readonly id: string; readonly expiresInS: number | undefined }
  | { readonly kind: 'rotate'; readonly id: string; readonly graceS: number }
  | { readonly kind: 'disable'; readonly id: string; readonly isDisabled: boolean }
  | { readonly kind: 'revoke'; readonly id: string }
  | { readonly kind: 'wait'; readonly ms: number };

const id = fc.constantFrom('a', 'b');
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('create' as const), id, expiresInS: fc.option(fc.constantFrom(60, 3600), { nil: undefined }) }),
    fc.record({ kind: fc.constant('rotate' as const), id, graceS: fc.constantFrom(0, 1, 30, 86_400) }),
    fc.record({ kind: fc.constant('disable' as const), id, isDisabled: fc.boolean() }),
    { arbitrary: fc.record({ kind: fc.constant('revoke' as const), id }), weight: 1 },
    fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 999, 1000, 29_000, 60_000, 3_600_000, 86_400_000) }),
  ),
  { minLength: 3, maxLength: 30 },
);

const caller = authenticateLocalUser('all');
const log = pino({ level: 'silent' });

async function open(clock: { nowMs(): number }) {
  const store = memoryStore();
  const registry = await Registry.open(store.registry, log);
  const keys = new KeyRing(randomBytes(32), clock, registry);
  const body = { title: 'x', kind: 'team', isDisabled: false } as const;
  await registry.commit([{ kind: 'consumer', id: 'team', body }], { actor: 'test', action: 'test' });
  const { keyUses } = store;
  const ports = { registry, keys, keyUses, clock, journal: readableJournal([]), refreshed: async () => {}, log };
  const run = async (action: Action, input: object) => {
    try {
      return { ok: (await action.run(ports as unknown as AdminPorts, caller, input as never, '')) as { secret: string } };
    } catch (error) {
      return { refused: (error as { code: string }).code };
    }
  };
  return { registry, keys, run, store };
}

const pastEverything = Number.POSITIVE_INFINITY;

/** Whether the action is taken, and what it changes. */
function apply(model: Map<string, ModelKey>, step: Exclude<Step, { kind: 'wait' }>, nowMs: number, secret: string): boolean {
  const key = model.get(step.id);
  if (step.kind === 'create') {
    if (key !== undefined) return false;
    const expiresAtMs = step.expiresInS === undefined ? pastEverything : nowMs + step.expiresInS * 1000;
    model.set(step.id, { state: 'active', expiresAtMs, secrets: [{ secret, untilMs: pastEverything }] });
    return true;
  }
  if (key === undefined) return false;
  if (step.kind === 'revoke') {
    key.state = 'revoked';
    return true;
  }
  if (key.state === 'revoked') return false;
  if (step.kind === 'disable') {
    key.state = step.isDisabled ? 'disabled' : 'active';
    return true;
  }
  if (nowMs >= key.expiresAtMs) return false;
  const [newest] = key.secrets;
  const old = newest === undefined ? [] : [{ secret: newest.secret, untilMs: nowMs + step.graceS * 1000 }];
  key.secrets = [{ secret, untilMs: pastEverything }, ...old];
  return true;
}

test('whatever is done to keys, in whatever order, exactly the secrets that should be good are', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      let nowMs = 1_800_000_000_000;
      const { registry, keys, run } = await open({ nowMs: () => nowMs });
      const model = new Map<string, ModelKey>();
      const secrets: { readonly id: string; readonly secret: string }[] = [];
      for (const step of sequence) {
        if (step.kind === 'wait') {
          nowMs += step.ms;
        } else {
          const { kind, ...input } = step;
          const action = { create: createKey, rotate: rotateKey, disable: disableKey, revoke: revokeKey }[kind];
          const given = kind === 'create' ? { ...input, title: 'x', consumer: 'team' } : input;
          const answer = await run(action, given);
          const secret = answer.ok?.secret ?? '';
          expect(answer.ok !== undefined, JSON.stringify(answer)).toBe(apply(model, step, nowMs, secret));
          if (secret !== '') secrets.push({ id: step.id, secret });
        }
        for (const { id: owner, secret } of secrets) {
          const key = model.get(owner);
          const held = key?.secrets.find((candidate) => candidate.secret === secret);
          const isGood = key?.state === 'active' && nowMs < key.expiresAtMs && held !== undefined && nowMs < held.untilMs;
          expect(keys.find(secret)?.id).toBe(isGood ? `key:${owner}` : undefined);
        }
        for (const { body } of registry.list('key')) expect(body.secrets.length).toBeLessThanOrEqual(2);
      }
      const listed = JSON.stringify(await run(listKeys, {}));
      for (const { secret } of secrets) expect(listed).not.toContain(secret.slice(-64));
      registry.close();
    }),
    { numRuns: process.env.TEST_LONG === undefined ? 60 : 5000 },
  );
});

test('of two who change a key at once, one is told that the other was faster', async () => {
  const { run, registry } = await open({ nowMs: () => 1_800_000_000_000 });
  await run(createKey, { id: 'k', title: 'x', consumer: 'team' });
  const answers = await Promise.all([
    run(rotateKey, { id: 'k', graceS: 5 }),
    run(revokeKey, { id: 'k' }),
    run(disableKey, { id: 'k' }),
  ]);
  expect(answers.filter(({ ok }) => ok !== undefined)).toHaveLength(1);
  expect(answers.filter(({ refused }) => refused === 'conflict')).toHaveLength(2);
  registry.close();
});
