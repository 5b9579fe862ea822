import { randomBytes } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import type {
  ChangeRecord,
  DocumentChange,
  RegistryNews,
  RegistryPosition,
  RegistryState,
  StoredChange,
  StoredDocument,
} from './ports/registry.ts';

/** One row of the statement that reads the registry: what is known of the whole beside each document, so that one statement sees one state. */
export interface RegistryRow {
  readonly head: number;
  readonly mark: string;
  readonly restored_at_ms: number | null;
  readonly backup_made_at_ms: number | null;
  /** Of the commit with the revision that was asked about. */
  readonly seen_mark: string | null;
  /** Null in the one row that comes when there is no document. */
  readonly kind: string | null;
  readonly id: string | null;
  readonly body: string | null;
  readonly revision: number | null;
  readonly is_removed: number | null;
  readonly updated_at_ms: number | null;
}

/** Where the registry is kept; one implementation per database. */
export interface RegistryRows {
  /** Never without a row. The documents of a higher revision than `after`, removed ones only where told. */
  read(after: number, withRemoved: boolean): Promise<readonly RegistryRow[]>;
}

export function toState(rows: readonly RegistryRow[]): RegistryState {
  const [first] = rows;
  if (first === undefined) throw emptied();
  const documents = rows.flatMap(toChange).map(({ body = '', ...rest }) => ({ ...rest, body }));
  const { restored_at_ms: atMs, backup_made_at_ms: backupMadeAtMs } = first;
  return {
    position: { revision: first.head, mark: first.mark },
    documents: documents.sort(byName),
    restored: atMs === null || backupMadeAtMs === null ? undefined : { atMs, backupMadeAtMs },
  };
}

export function toNews(rows: readonly RegistryRow[], seen: RegistryPosition): RegistryNews {
  const [first] = rows;
  if (first === undefined) throw emptied();
  const position = { revision: first.head, mark: first.mark };
  // Every store began empty, so revision 0 is in the past of each.
  if (seen.revision > 0 && first.seen_mark !== seen.mark) return { kind: 'regressed', position };
  return { kind: 'changes', position, changes: rows.flatMap(toChange).sort((a, b) => a.revision - b.revision || byName(a, b)) };
}

function toChange(row: RegistryRow): StoredChange[] {
  const { kind, id, body, revision, is_removed, updated_at_ms } = row;
  if (kind === null || id === null || body === null || revision === null) return [];
  return [{ kind, id, body: is_removed === 1 ? undefined : body, revision, updatedAtMs: updated_at_ms ?? 0 }];
}

function byName(a: Pick<StoredDocument, 'kind' | 'id'>, b: Pick<StoredDocument, 'kind' | 'id'>): number {
  if (a.kind !== b.kind) return a.kind < b.kind ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function emptied(): GatewayError {
  return new GatewayError('internal', 'The row that counts revisions of the registry is gone. Restore the store from a backup.');
}

export function nextMark(): string {
  return randomBytes(12).toString('base64url');
}

const kindPattern = /^[a-z][a-z0-9-]{0,39}$/;
const idLimit = 512;
/** Far below what either database takes, far above what a person registers. */
const bodyLimitBytes = 8 * 1024 * 1024;
const changesLimit = 10_000;

/** Refuses what the stores would keep differently or not at all. What a person typed has been checked before; this is for mistakes in code. */
export function checkCommit(changes: readonly DocumentChange[], records: readonly ChangeRecord[]): void {
  if (changes.length > changesLimit || records.length > changesLimit) {
    throw new GatewayError('invalid_params', `More than ${changesLimit} changes at once; make them in parts.`);
  }
  const names = new Set<string>();
  for (const { kind, id, body, expects } of changes) {
    checkName(kind, id);
    const name = `${kind}|${id}`;
    if (names.has(name)) throw new Error(`One commit changes ${name} twice.`);
    names.add(name);
    if (body === undefined && expects === undefined)
      throw new Error(`A commit removes ${name} without saying which revision of it.`);
    if (body !== undefined) checkText(body, `The body of ${name}`);
  }
  for (const { actor, action, kind, id, detail } of records) {
    checkName(kind, id);
    if (actor.length > idLimit || action.length > idLimit || !isPlain(actor) || !isPlain(action)) {
      throw new Error('A change record names its actor or action in a form that cannot be kept.');
    }
    checkText(detail, 'The detail of a change record');
  }
}

function checkName(kind: string, id: string): void {
  if (!kindPattern.test(kind)) throw new Error(`${JSON.stringify(kind.slice(0, 50))} is no kind of document.`);
  if (id !== '' && id.length <= idLimit && isPlain(id)) return;
  throw new GatewayError(
    'invalid_params',
    `The id of a ${kind} must have 1 to ${idLimit} characters, none of them a control character.`,
  );
}

/** PostgreSQL keeps no NUL, neither database half a surrogate pair. */
function isPlain(text: string): boolean {
  return text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text);
}

function checkText(text: string, what: string): void {
  if (Buffer.byteLength(text) > bodyLimitBytes) {
    throw new GatewayError('invalid_params', `${what} is larger than ${bodyLimitBytes / 1024 / 1024} MiB.`);
  }
  if (!text.isWellFormed() || text.includes('\0')) throw new Error(`${what} holds characters that JSON text writes as escapes.`);
}
