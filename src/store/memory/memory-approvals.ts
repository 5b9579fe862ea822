import type {
  ApprovalEventFacts,
  ApprovalState,
  ApprovalStore,
  StoredApproval,
  StoredApprovalEvent,
} from '../ports/approvals.ts';

/** The twin of sql/approvals.ts that forgets with the process. */
export function memoryApprovals(): ApprovalStore {
  const approvals = new Map<string, StoredApproval>();
  const events = new Map<string, StoredApprovalEvent[]>();
  const results = new Map<string, { readonly result: string; readonly atMs: number }>();

  function put(approval: StoredApproval, { actor, action, detail }: ApprovalEventFacts): void {
    const { id, version, updatedAtMs } = approval;
    approvals.set(id, approval);
    events.set(id, [...(events.get(id) ?? []), { version, atMs: updatedAtMs, actor, action, detail }]);
  }
  const all = () => [...approvals.values()];
  const isClosedBefore = (beforeMs: number) => (approval: StoredApproval) =>
    !isOpen(approval.state) && approval.updatedAtMs < beforeMs;

  return {
    async create(approval, event) {
      const isTaken = all().some(({ id, digest, state }) => id === approval.id || (digest === approval.digest && isOpen(state)));
      if (isTaken) return false;
      put(approval, event);
      return true;
    },
    find: async (id) => approvals.get(id),
    async findLatest(digest) {
      const found = all()
        .filter((approval) => approval.digest === digest)
        .sort(newestFirst);
      return found.find(({ state }) => isOpen(state)) ?? found[0];
    },
    async replace(next, event) {
      if (approvals.get(next.id)?.version !== next.version - 1) return false;
      put(next, event);
      return true;
    },
    async list({ states, namespaces, callers = [], member, named, capability, before, limit }) {
      const isWanted = (approval: StoredApproval) =>
        (states === undefined || states.includes(approval.state)) &&
        (capability === undefined || approval.capability === capability) &&
        (namespaces === undefined ||
          namespaces.includes(approval.namespace) ||
          callers.includes(approval.caller) ||
          (member !== undefined && approval.member === member) ||
          (named !== undefined && approval.gates.includes(JSON.stringify(named)))) &&
        (before === undefined || newestFirst(before, approval) < 0);
      return all().filter(isWanted).sort(newestFirst).slice(0, limit);
    },
    async listOverdue(beforeMs, limit) {
      const overdue = all().filter(({ state, expiresAtMs }) => isOpen(state) && expiresAtMs <= beforeMs);
      return overdue.sort((a, b) => a.expiresAtMs - b.expiresAtMs).slice(0, limit);
    },
    countPending: async (caller) =>
      all().filter((approval) => approval.state === 'pending' && (caller === undefined || approval.caller === caller)).length,
    events: async (id) => events.get(id) ?? [],
    keepResult: async (id, result, nowMs) => void results.set(id, { result, atMs: nowMs }),
    findResult: async (id) => results.get(id)?.result,
    async dropResults(beforeMs) {
      const old = [...results].filter(([, { atMs }]) => atMs < beforeMs);
      for (const [id] of old) results.delete(id);
      return old.length;
    },
    async dropArguments(beforeMs) {
      const old = all().filter((approval) => isClosedBefore(beforeMs)(approval) && approval.arguments !== '');
      for (const approval of old) approvals.set(approval.id, { ...approval, arguments: '' });
      return old.length;
    },
    async prune(beforeMs) {
      const old = all().filter(isClosedBefore(beforeMs));
      for (const { id } of old) {
        approvals.delete(id);
        events.delete(id);
      }
      return old.length;
    },
  };
}

function isOpen(state: ApprovalState): boolean {
  return state === 'pending' || state === 'approved';
}

type Placed = Pick<StoredApproval, 'requestedAtMs' | 'id'>;

function newestFirst(a: Placed, b: Placed): number {
  return b.requestedAtMs - a.requestedAtMs || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
