import { GatewayError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import { canonicalJson } from '../wire/canonical-json.ts';
import type { Json } from '../wire/json.ts';
import type { Holder } from './documents.ts';
import type { Edit, Registry } from './registry.ts';

interface Change {
  /** Of the action: `create_key`. */
  readonly action: string;
  readonly edits: readonly Edit[];
  /** What was asked for; goes into the change record. Secrets do not belong into it. */
  readonly detail?: object;
}

interface ChangePorts {
  readonly registry: Registry;
  readonly journal: Pick<Journal, 'change' | 'digest'>;
  /** Resolves when what was committed is in effect in this process. */
  readonly refreshed: () => Promise<void>;
  /** By which way it was asked for; `gatehouse` where nobody asked. */
  readonly door?: string | undefined;
  /** Of the call that asked for it. */
  readonly trace?: string | undefined;
}

/** Who makes a change: a caller, or the gateway itself. */
export interface Actor {
  readonly id: string;
  readonly key?: string | undefined;
  readonly member?: string | undefined;
  /** Everyone who held a secret of the key. */
  readonly holders?: readonly Holder[] | undefined;
}

/** For what nobody asked for. */
export const gatehouse: Actor = Object.freeze({ id: 'gatehouse' });

/**
 * Changes what is registered: in the journal first, then committed together with its record, and in effect before it resolves. Decide
 * on the edits without waiting for anything after what they are based on was read. Throws GatewayError `conflict` where somebody else
 * was faster, and `audit_unavailable`, with nothing changed.
 */
export async function commitChange(
  { registry, journal, refreshed, door = 'gatehouse', trace }: ChangePorts,
  { id: principal, key, member }: Actor,
  { action, edits, detail = {} }: Change,
): Promise<void> {
  const seen = edits.map(({ kind, id }) => registry.get(kind, id));
  const note = async (name: string): Promise<void> => {
    for (const [at, { kind, id, body }] of edits.entries()) {
      const digest = (document: object | undefined) =>
        document === undefined ? undefined : journal.digest(canonicalJson(JSON.parse(JSON.stringify(document)) as Json));
      const [before, after] = [digest(seen[at]?.body), digest(body)];
      await journal.change({ principal, key, member, door, action: name, object: `${kind}/${id}`, before, after, trace });
    }
  };
  await note(action);
  try {
    for (const [at, { kind, id }] of edits.entries()) if (registry.get(kind, id) !== seen[at]) throw moved(kind, id);
    await registry.commit(edits, { actor: principal, action, detail });
  } catch (error) {
    const isUndone = error instanceof GatewayError && error.code === 'conflict';
    // The journal cannot take back what it says, so it says what became of it.
    await note(`${action}:${isUndone ? 'not-done' : 'unknown'}`).catch(() => {});
    throw error;
  }
  await refreshed();
}

export function moved(kind: string, id: string): GatewayError {
  return new GatewayError(
    'conflict',
    `Somebody else has just changed ${kind} ${id}; look at it again, then repeat what you did.`,
  );
}
