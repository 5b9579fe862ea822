import type { DefinitionStore } from '../ports/definitions.ts';

/** The twin of sql/definitions.ts that forgets with the process. */
export function memoryDefinitions(): DefinitionStore {
  const kept = new Map<string, { readonly body: string; readonly atMs: number }>();
  return {
    async keep(definitions, nowMs) {
      for (const { hash, body } of definitions) kept.set(hash, { body: kept.get(hash)?.body ?? body, atMs: nowMs });
    },
    async find(hashes) {
      return [...new Set(hashes)].flatMap((hash) => {
        const found = kept.get(hash);
        return found === undefined ? [] : [{ hash, body: found.body }];
      });
    },
    async prune(beforeMs, pointedTo) {
      const old = [...kept].filter(([hash, { atMs }]) => atMs < beforeMs && !pointedTo.has(hash));
      for (const [hash] of old) kept.delete(hash);
      return old.length;
    },
  };
}
