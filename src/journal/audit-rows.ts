import type { AuditRow } from '../store/ports/audit-index.ts';
import { isObject, type JsonObject } from '../wire/json.ts';

/**
 * What lines of one chain, in their order, say of calls and changes. Most calls begin and end within a batch and become one row;
 * of the others what became of them comes with a later batch.
 */
export function rowsOf(chain: string, lines: readonly string[]): AuditRow[] {
  const rows = new Map<string, AuditRow>();
  for (const line of lines) {
    const row = rowOf(chain, line);
    if (row === undefined) continue;
    const earlier = rows.get(row.id);
    if (earlier === undefined) rows.set(row.id, row);
    else {
      const { outcome, code, ms, contentRules } = row;
      rows.set(row.id, { ...earlier, outcome, code, ms, contentRules, result: row.result ?? row.record });
    }
  }
  return [...rows.values()];
}

function rowOf(chain: string, line: string): AuditRow | undefined {
  const found = parse(line);
  if (found === undefined) return undefined;
  const { kind, seq, at: atMs } = found;
  if (typeof seq !== 'number' || typeof atMs !== 'number') return undefined;
  if (kind !== 'intent' && kind !== 'outcome' && kind !== 'change') return undefined;
  const caller = text(found, 'principal');
  const own = `${line.slice(0, line.lastIndexOf(',"prev":"'))}}`;
  // An outcome that follows an intent says no more than what became of the call.
  const isSequel = caller === null;
  const common = { chain, seq, atMs, caller, consumer: text(found, 'consumer'), upstream: text(found, 'upstream') };
  const rest = {
    code: text(found, 'code'),
    ms: typeof found.ms === 'number' ? found.ms : null,
    trace: text(found, 'trace'),
    record: isSequel ? null : own,
    result: isSequel ? own : null,
    contentRules: texts(found, 'contentRules'),
  };
  if (kind === 'change') {
    return { ...common, ...rest, id: `#${seq}`, kind, capability: text(found, 'object'), decision: 'allow', outcome: 'done' };
  }
  const capability = text(found, 'capability');
  const [decision, outcome] = [text(found, 'decision'), text(found, 'outcome')];
  return { ...common, ...rest, id: text(found, 'call') ?? `#${seq}`, kind: 'call', capability, decision, outcome };
}

/** Undefined for what no journal wrote: the verifier names it, the index does without. */
function parse(line: string): JsonObject | undefined {
  try {
    const found: unknown = JSON.parse(line);
    return isObject(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

function text(record: JsonObject, name: string): string | null {
  const value = record[name];
  return typeof value === 'string' ? value : null;
}

function texts(record: JsonObject, name: string): readonly string[] {
  const value = record[name];
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
