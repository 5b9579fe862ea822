import type { AuditHead, AuditRow } from '../ports/audit-index.ts';
import { writeRules } from '../sql/audit-index.ts';
import type { SqliteConnection } from './connection.ts';

const insert = `insert into audit_calls
  (chain, id, seq, at_ms, kind, caller, consumer, capability, upstream, decision, outcome, code, ms, trace, record, result, content_rules)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  on conflict (chain, id) do update set
    outcome = coalesce(excluded.outcome, outcome), code = coalesce(excluded.code, code), ms = coalesce(excluded.ms, ms),
    result = coalesce(excluded.result, result), content_rules = coalesce(excluded.content_rules, content_rules)`;

const reach = `insert into audit_heads (chain, seq, hash) values (?, ?, ?)
  on conflict (chain) do update set seq = excluded.seq, hash = excluded.hash`;

/**
 * The index's rows by one prepared statement: built by Kysely, each costs several times as much, and there are as many as calls. The
 * commit does not wait for the disk: what a crash takes from the index, the journal brings back.
 */
export async function addAuditRows(connection: SqliteConnection, batch: readonly AuditRow[], reached: AuditHead): Promise<void> {
  const release = await connection.acquire();
  try {
    connection.execute('pragma synchronous = normal; begin immediate');
    try {
      connection.runMany(insert, batch.map(parametersOf));
      connection.run(reach, [reached.chain, reached.seq, reached.hash]);
      connection.execute('commit');
    } catch (error) {
      connection.rollback();
      throw error;
    } finally {
      connection.execute('pragma synchronous = full');
    }
  } finally {
    release();
  }
}

function parametersOf(row: AuditRow): (string | number | null)[] {
  const {
    chain,
    id,
    seq,
    atMs,
    kind,
    caller,
    consumer,
    capability,
    upstream,
    decision,
    outcome,
    code,
    ms,
    trace,
    record,
    result,
    contentRules,
  } = row;
  const of = [chain, id, seq, atMs, kind, caller, consumer, capability, upstream, decision, outcome, code, ms, trace];
  return [...of, record, result, writeRules(contentRules)];
}
