import type { Clock } from '../../clock.ts';
import type { Claim, KeyedCalls } from '../ports/keyed-calls.ts';

interface Row {
  readonly request: string;
  readonly holder: string;
  readonly answer: string | undefined;
  readonly leasedUntilMs: number;
  readonly expiresAtMs: number;
}

/** Keeps nothing longer than the process: for unit tests. */
export function memoryKeyedCalls(clock: Clock): KeyedCalls {
  const rows = new Map<string, Row>();

  function known(key: string): Row | undefined {
    const row = rows.get(key);
    return row !== undefined && row.expiresAtMs > clock.nowMs() ? row : undefined;
  }

  function held({ key, holder }: Claim): Row | undefined {
    const row = known(key);
    return row?.holder === holder && row.answer === undefined ? row : undefined;
  }

  function put({ key, request, holder, leaseMs, ttlMs }: Claim): void {
    const nowMs = clock.nowMs();
    rows.set(key, { request, holder, answer: undefined, leasedUntilMs: nowMs + leaseMs, expiresAtMs: nowMs + ttlMs });
  }

  async function find(key: string) {
    const row = known(key);
    if (row === undefined) return undefined;
    const { request, holder, answer, leasedUntilMs } = row;
    return { request, holder, answer, leaseLeftMs: leasedUntilMs - clock.nowMs() };
  }

  return {
    find,
    async take(claim) {
      if (known(claim.key) !== undefined) return await find(claim.key);
      put(claim);
      return undefined;
    },
    async takeOver(holder, claim) {
      const row = held({ ...claim, holder });
      if (row === undefined || row.request !== claim.request || row.leasedUntilMs > clock.nowMs()) return false;
      put(claim);
      return true;
    },
    async renew(claim) {
      const row = held(claim);
      if (row !== undefined) rows.set(claim.key, { ...row, leasedUntilMs: clock.nowMs() + claim.leaseMs });
      return row !== undefined;
    },
    async settle(claim, answer) {
      const row = held(claim);
      if (row !== undefined) rows.set(claim.key, { ...row, answer, expiresAtMs: clock.nowMs() + claim.ttlMs });
      return row !== undefined;
    },
    async release(claim) {
      if (held(claim) !== undefined) rows.delete(claim.key);
    },
    async prune() {
      const over = [...rows].filter(([, { expiresAtMs }]) => expiresAtMs <= clock.nowMs());
      for (const [key] of over) rows.delete(key);
      return over.length;
    },
  };
}
