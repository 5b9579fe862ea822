import type { Clock } from '../../clock.ts';
import { openRegistry } from '../open-registry.ts';
import type { KeyUse, KeyUses } from '../ports/keys.ts';
import type { RegistryPosition, RegistryStore, StoredChange, StoredChangeRecord } from '../ports/registry.ts';
import { nextMark, type RegistryRow } from '../registry-rows.ts';
import type { DataKeyRow, DataKeyRows } from '../secret-vault.ts';

export function memoryRegistry(clock: Clock): RegistryStore & { close(): void } {
  const documents = new Map<string, StoredChange>();
  const records: StoredChangeRecord[] = [];
  const marks: string[] = [''];
  const head = (): RegistryPosition => ({ revision: marks.length - 1, mark: marks.at(-1) ?? '' });

  function row(after: number, document?: StoredChange): RegistryRow {
    const { revision, mark } = head();
    return {
      head: revision,
      mark,
      restored_at_ms: null,
      backup_made_at_ms: null,
      seen_mark: marks[after] ?? null,
      kind: document?.kind ?? null,
      id: document?.id ?? null,
      body: document === undefined ? null : (document.body ?? ''),
      revision: document?.revision ?? null,
      is_removed: document?.body === undefined ? 1 : 0,
      updated_at_ms: document?.updatedAtMs ?? null,
    };
  }

  return openRegistry({
    clock,
    source(tell) {
      tell(head());
      return () => {};
    },
    rows: {
      async read(after, withRemoved) {
        const newer = [...documents.values()].filter(
          ({ revision, body }) => revision > after && (withRemoved || body !== undefined),
        );
        return newer.length === 0 ? [row(after)] : newer.map((document) => row(after, document));
      },
    },
    writer: {
      async commit(changes, added, atMs) {
        const found = changes.map(({ kind, id, expects }) => {
          const there = documents.get(`${kind}|${id}`);
          return { kind, id, expects, revision: there?.body === undefined ? undefined : there.revision };
        });
        const moved = found.filter(({ expects, revision }) => expects !== revision);
        if (moved.length > 0) return { kind: 'conflict', moved: moved.map(({ kind, id, revision }) => ({ kind, id, revision })) };
        marks.push(nextMark());
        const { revision } = head();
        for (const { kind, id, body } of changes) documents.set(`${kind}|${id}`, { kind, id, body, revision, updatedAtMs: atMs });
        for (const [place, record] of added.entries()) records.push({ ...record, revision, place, atMs });
        return { kind: 'committed', position: head() };
      },
      async changeRecords({ actor, kind, id, fromMs, untilMs, before, limit }) {
        const matches = (record: StoredChangeRecord): boolean =>
          (actor === undefined || record.actor === actor) &&
          (kind === undefined || record.kind === kind) &&
          (id === undefined || record.id === id) &&
          (fromMs === undefined || record.atMs >= fromMs) &&
          (untilMs === undefined || record.atMs < untilMs) &&
          (before === undefined ||
            record.revision < before.revision ||
            (record.revision === before.revision && record.place < before.place));
        return records.toReversed().filter(matches).slice(0, limit);
      },
    },
  });
}

export function memoryKeyUses(): KeyUses {
  const times = new Map<string, number>();
  return {
    async note(uses) {
      for (const { keyId, atMs } of uses) times.set(keyId, Math.max(atMs, times.get(keyId) ?? atMs));
    },
    async load(keyIds) {
      const found: KeyUse[] = [];
      for (const keyId of [...new Set(keyIds)].sort()) {
        const atMs = times.get(keyId);
        if (atMs !== undefined) found.push({ keyId, atMs });
      }
      return found;
    },
  };
}

export function memoryDataKeys(): DataKeyRows {
  const rows = new Map<string, DataKeyRow>();
  return {
    async insert(row) {
      rows.set(row.id, row);
      return true;
    },
    async read(id) {
      return rows.get(id);
    },
    async delete(id) {
      rows.delete(id);
    },
  };
}
