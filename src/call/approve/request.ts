/** One request for a person's decision, from its asking to its end: what may follow what. Nothing here waits or writes. */
import type { ApprovalState, StoredApproval } from '../../store/ports.ts';
import { isEnough, mayDecide, type Person, type Requirement } from './people.ts';
import type { Decider } from './standing.ts';

/** What somebody said. */
export interface Decision {
  readonly by: Decider;
  readonly verdict: 'approve' | 'deny';
  readonly atMs: number;
  /** For whoever asked, and for the record; may be empty. */
  readonly reason: string;
}

/** A request with its parts read. */
export interface Request {
  readonly row: StoredApproval;
  readonly requester: {
    readonly id: string;
    readonly key: string | undefined;
    readonly consumer: string | undefined;
    readonly member: string | undefined;
  };
  readonly requirements: readonly Requirement[];
  readonly decisions: readonly Decision[];
}

export function readRequest(row: StoredApproval): Request {
  return {
    row,
    requester: {
      id: row.caller,
      key: row.key ?? undefined,
      consumer: row.consumer ?? undefined,
      member: row.member ?? undefined,
    },
    requirements: JSON.parse(row.gates) as readonly Requirement[],
    decisions: JSON.parse(row.decisions) as readonly Decision[],
  };
}

export function isOpen(state: ApprovalState): boolean {
  return state === 'pending' || state === 'approved';
}

/** The next version of it. */
export function next(row: StoredApproval, nowMs: number, change: Partial<StoredApproval>): StoredApproval {
  return { ...row, ...change, version: row.version + 1, updatedAtMs: Math.max(nowMs, row.updatedAtMs) };
}

/** Gates that are not open yet, by what was said so far. */
export function unmet({ row, requester, requirements }: Request, agreed: readonly Person[]): readonly Requirement[] {
  return requirements.filter((requirement) => !isEnough([requirement], requester, agreed, row.namespace));
}

/** Whether somebody has a say about it. */
export function isDecider({ row, requester, requirements }: Request, person: Person): boolean {
  return requirements.some(({ by }) => mayDecide(by, requester, person, row.namespace));
}
