import type { Clock, SteadyClock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import type { Journal } from '../../journal/journal.ts';
import type { ApprovalStore, StoredApproval } from '../../store/ports/approvals.ts';
import type { Cancel } from '../../wire/cancel.ts';
import type { Identity } from './people.ts';
import { next } from './request.ts';
import { steadyTime } from './steady-time.ts';

interface LedgerPorts {
  readonly store: ApprovalStore;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly steady: SteadyClock;
}

/** Every change of a request, on record before it is made. */
export interface Ledger {
  nowMs(): number;
  /** Whoever changes the clock of the machine takes nothing back: not before anything that this request has seen. */
  nowFor(row: StoredApproval): number;
  /**
   * In the journal first, then in the store with its event; `actor` undefined: the gateway itself. False where somebody else was
   * faster. Rejects with GatewayError `audit_unavailable` and `approval_unavailable`.
   */
  change(
    after: StoredApproval,
    actor: Identity | undefined,
    action: string,
    how?: { readonly door?: string; readonly detail?: object; readonly trace?: string | undefined },
  ): Promise<boolean>;
  end(row: StoredApproval, state: 'expired' | 'void', why: string): Promise<void>;
  /** Resolves when this process changes it, or the time is over. Rejects with GatewayError `cancelled`. */
  changed(id: string, withinMs: number, cancel: Cancel): Promise<void>;
  /** Tells those who wait for a change of it. */
  wake(id: string): void;
}

/** The gateway's own name in records. */
export const self = 'gatehouse';

export function openLedger({ store, journal, clock, steady }: LedgerPorts): Ledger {
  const nowMs = steadyTime(clock, steady);
  const nowFor = (row: StoredApproval) => Math.max(nowMs(), row.updatedAtMs);
  const waiting = new Map<string, Set<() => void>>();

  async function note(
    actor: Identity | undefined,
    action: string,
    { id, digest }: StoredApproval,
    { door = 'approval', trace }: { readonly door?: string; readonly trace?: string | undefined },
  ): Promise<void> {
    const { id: principal, key, member } = actor ?? { id: self, key: undefined, member: undefined };
    await journal.change({ principal, key, member, door, action, object: `approval/${id}`, after: digest, approval: id, trace });
  }

  const change: Ledger['change'] = async (after, actor, action, { door, trace, detail = {} } = {}) => {
    const way = { ...(door === undefined ? {} : { door }), trace };
    await note(actor, `${action}_approval`, after, way);
    const event = { actor: actor?.id ?? self, action, detail: JSON.stringify(detail) };
    let isDone: boolean | undefined;
    try {
      isDone = await reaching(() => (after.version === 1 ? store.create(after, event) : store.replace(after, event)));
      return isDone;
    } finally {
      // The journal cannot take back what it says, so it says what became of it.
      if (isDone !== true)
        await note(actor, `${action}_approval:${isDone === false ? 'not-done' : 'unknown'}`, after, way).catch(() => {});
      wake(after.id);
    }
  };

  function wake(id: string): void {
    for (const awake of waiting.get(id) ?? []) awake();
  }

  function changed(id: string, withinMs: number, cancel: Cancel): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wakers = waiting.get(id) ?? new Set();
    waiting.set(id, wakers.add(resolve));
    const timer = setTimeout(resolve, withinMs);
    const takeBack = cancel.onCancel((why) => reject(new GatewayError('cancelled', why)));
    return promise.finally(() => {
      clearTimeout(timer);
      takeBack();
      wakers.delete(resolve);
      if (wakers.size === 0 && waiting.get(id) === wakers) waiting.delete(id);
    });
  }

  return {
    nowMs,
    nowFor,
    change,
    changed,
    wake,
    async end(row, state, why) {
      const action = state === 'void' ? 'void' : 'expire';
      await change(next(row, nowFor(row), { state, note: why }), undefined, action, { detail: { why } });
    },
  };
}

/** A store that cannot be reached is no consent. Rejects with GatewayError `approval_unavailable` then. */
export async function reaching<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof GatewayError && error.code !== 'store_unavailable') throw error;
    throw new GatewayError(
      'approval_unavailable',
      'Whether a person has agreed cannot be told right now: the store cannot be reached. Nothing was called; repeat the call later.',
      { cause: error },
    );
  }
}
