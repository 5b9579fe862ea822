import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';
import type { DocumentKind } from '../registry/documents.ts';
import type { Edit, Entry, Registry } from '../registry/registry.ts';
import { canonicalJson } from '../wire/canonical-json.ts';
import type { Json } from '../wire/json.ts';
import type { AdminPorts } from './action.ts';

interface Change {
  /** Of the action: `create_key`. */
  readonly action: string;
  readonly edits: readonly Edit[];
  /** What was asked for; goes into the change record. Secrets do not belong into it. */
  readonly detail?: object;
}

/**
 * Changes what is registered: in the journal first, then committed together with its record, and in effect before it resolves. Decide
 * on the edits without waiting for anything after what they are based on was read. Throws GatewayError `conflict` where somebody else
 * was faster, and `audit_unavailable`, with nothing changed.
 */
export async function commitChange(
  { registry, journal, refreshed, door }: Pick<AdminPorts, 'registry' | 'journal' | 'refreshed' | 'door'>,
  caller: Caller,
  { action, edits, detail = {} }: Change,
): Promise<void> {
  const seen = edits.map(({ kind, id }) => registry.get(kind, id));
  const note = async (name: string): Promise<void> => {
    const { id: principal, key, member } = caller;
    for (const [at, { kind, id, body }] of edits.entries()) {
      const digest = (document: object | undefined) =>
        document === undefined ? undefined : journal.digest(canonicalJson(JSON.parse(JSON.stringify(document)) as Json));
      const [before, after] = [digest(seen[at]?.body), digest(body)];
      await journal.change({ principal, key, member, door, action: name, object: `${kind}/${id}`, before, after });
    }
  };
  await note(action);
  try {
    for (const [at, { kind, id }] of edits.entries()) if (registry.get(kind, id) !== seen[at]) throw moved(kind, id);
    await registry.commit(edits, { actor: caller.id, action, detail });
  } catch (error) {
    const isUndone = error instanceof GatewayError && error.code === 'conflict';
    // The journal cannot take back what it says, so it says what became of it.
    await note(`${action}:${isUndone ? 'not-done' : 'unknown'}`).catch(() => {});
    throw error;
  }
  await refreshed();
}

/** What tells this registration of an upstream's name from an earlier one: kept by every change, made anew where there is none. */
export function registrationOf({ registry }: Pick<AdminPorts, 'registry'>, id: string): { readonly registration?: string } {
  const known = registry.get('upstream', id)?.body;
  if (known === undefined) return { registration: randomBytes(9).toString('base64url') };
  return known.registration === undefined ? {} : { registration: known.registration };
}

/** Throws GatewayError `conflict` where there is one already. */
export function requireNew(registry: Registry, kind: DocumentKind, id: string): void {
  if (registry.get(kind, id) === undefined) return;
  throw new GatewayError('conflict', `There is already a ${kind} "${id}". Choose another name, or change that one.`);
}

/** Throws GatewayError `conflict` where something is no longer what whoever changes it has looked at. */
export function requireRevision(
  kind: DocumentKind,
  id: string,
  entry: Entry<DocumentKind> | undefined,
  revision: number | undefined,
): void {
  if (revision !== undefined && revision !== (entry?.revision ?? 0)) throw moved(kind, id);
}

/** For actions that replace what somebody has looked at. */
export const revisionField = z
  .int()
  .min(0)
  .optional()
  .describe(
    'The revision you looked at: nothing is changed where it is another by now. 0: there is none yet. Default: whatever is there.',
  );

function moved(kind: string, id: string): GatewayError {
  return new GatewayError(
    'conflict',
    `Somebody else has just changed ${kind} ${id}; look at it again, then repeat what you did.`,
  );
}
