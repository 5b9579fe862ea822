import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { Registry } from '../../src/registry/registry.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { Store } from '../../src/store/ports.ts';

export const record = { actor: 'key:admin', action: 'test' };
export const silent = pino({ level: 'silent' });

/** Registries of several processes on one store. */
export async function openRegistries(count = 1): Promise<{ readonly store: Store; readonly registries: readonly Registry[] }> {
  const store = memoryStore();
  const registries = await Promise.all(Array.from({ length: count }, () => Registry.open(store.registry, silent)));
  onTestFinished(() => {
    for (const registry of registries) registry.close();
  });
  return { store, registries };
}

export async function openRegistry(): Promise<Registry> {
  const { registries } = await openRegistries();
  return registries[0]!;
}

export const consumer = (title: string) => ({ title, kind: 'team' as const, isDisabled: false });
