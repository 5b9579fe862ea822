import type { AuditCursor, AuditHead, AuditIndex, AuditQuery, AuditRow } from '../ports/audit-index.ts';

/** What the SQL index does, in a list. */
export function memoryAudit(): AuditIndex {
  const rows = new Map<string, AuditRow>();
  const heads = new Map<string, AuditHead>();
  return {
    async add(batch, reached) {
      for (const row of batch) {
        const key = `${row.chain} ${row.id}`;
        rows.set(key, merge(rows.get(key), row));
      }
      heads.set(reached.chain, reached);
    },
    async heads() {
      return [...heads.values()].sort((a, b) => (a.chain < b.chain ? -1 : 1));
    },
    async search(query) {
      const found = [...rows.values()].filter((row) => isWanted(row, query));
      return found.sort((a, b) => (isBefore(a, b) ? 1 : -1)).slice(0, query.limit);
    },
    async prune(beforeMs) {
      const old = [...rows].filter(([, { atMs }]) => atMs < beforeMs);
      for (const [key] of old) rows.delete(key);
      return old.length;
    },
  };
}

function merge(earlier: AuditRow | undefined, row: AuditRow): AuditRow {
  if (earlier === undefined) return row;
  return {
    ...earlier,
    outcome: row.outcome ?? earlier.outcome,
    code: row.code ?? earlier.code,
    ms: row.ms ?? earlier.ms,
    result: row.result ?? earlier.result,
    contentRules: row.contentRules.length > 0 ? row.contentRules : earlier.contentRules,
  };
}

function isWanted(row: AuditRow, query: AuditQuery): boolean {
  for (const column of ['caller', 'capability', 'decision', 'code', 'trace'] as const) {
    const wanted = query[column];
    if (wanted !== undefined && row[column] !== wanted) return false;
  }
  if (query.calls?.includes(row.id) === false) return false;
  if (query.callers !== undefined && !query.callers.includes(row.caller ?? '')) return false;
  if (query.namespaces?.some((name) => row.capability?.startsWith(`${name}/`)) === false) return false;
  const { contentRule } = query;
  if (contentRule !== undefined && !row.contentRules.some((rule) => rule === contentRule || rule.startsWith(`${contentRule}/`)))
    return false;
  if (query.fromMs !== undefined && row.atMs < query.fromMs) return false;
  if (query.toMs !== undefined && row.atMs >= query.toMs) return false;
  return query.before === undefined || isBefore(row, query.before);
}

function isBefore(row: AuditCursor, other: AuditCursor): boolean {
  if (row.atMs !== other.atMs) return row.atMs < other.atMs;
  return row.chain === other.chain ? row.seq < other.seq : row.chain < other.chain;
}
