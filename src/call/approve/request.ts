/** One request for a person's decision, from its asking to its end: what may follow what. Nothing here waits or writes. */
import { randomBytes } from 'node:crypto';
import type { Gate, GateBy } from '../../policy/gate.ts';
import { defaultGateExpiresMs } from '../../policy/gate-schema.ts';
import { policyVersion } from '../../policy/policy.ts';
import type { Holder } from '../../registry/documents.ts';
import { distinctHolders } from '../../registry/holders.ts';
import type { ApprovalState, StoredApproval } from '../../store/ports/approvals.ts';
import type { Screened } from '../screen.ts';
import { mayBeRequester, mayDecide, missingFor, type Person, type Requester, type Requirement } from './people.ts';
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
  readonly requester: Requester;
  readonly requirements: readonly Requirement[];
  readonly decisions: readonly Decision[];
}

/** `holdersNow`: of a key, for a request of a release that did not keep them. */
export function readRequest(row: StoredApproval, holdersNow: (key: string) => readonly Holder[]): Request {
  const unkept = () => (row.key === null ? [] : holdersNow(row.key));
  return {
    row,
    requester: {
      id: row.caller,
      key: row.key ?? undefined,
      consumer: row.consumer ?? undefined,
      member: row.member ?? undefined,
      holders: row.holders === null ? unkept() : (JSON.parse(row.holders) as readonly Holder[]),
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

/** What is asked for still, by what was said so far: of each gate that is not open yet, how many of whom. */
export function stillAsked({ row, requester, requirements }: Request, agreed: readonly Person[]): readonly StillAsked[] {
  return requirements.flatMap((requirement): StillAsked[] => {
    const quorum = missingFor(requirement, requester, agreed, row.namespace);
    if (quorum === 0) return [];
    const { by } = requirement;
    return [{ by: whoIsLeft(by, quorum, requester, agreed), quorum, hasSome: quorum < requirement.quorum }];
  });
}

interface StillAsked extends Pick<Requirement, 'by' | 'quorum'> {
  /** Others have agreed to it already. */
  readonly hasSome: boolean;
}

/** Of members, neither who agreed already nor, where the rest are enough, whoever may have made the call. */
function whoIsLeft(by: GateBy, quorum: number, requester: Requester, agreed: readonly Person[]): GateBy {
  if (by.kind !== 'members') return by;
  const left = by.members.filter((name) => !agreed.some(({ member }) => member === name));
  const others = left.filter((member) => !mayBeRequester(requester, { ...unnamed, member }));
  return { kind: 'members', members: others.length >= quorum ? others : left };
}

const unnamed = { id: '', key: undefined, consumer: undefined };

/** Whether somebody has a say about it. */
export function isDecider({ row, requester, requirements }: Request, person: Person): boolean {
  return requirements.some(({ by }) => mayDecide(by, requester, person, row.namespace));
}

/** What a request is made of besides the call itself. */
interface NewRequest {
  readonly digest: string;
  readonly nowMs: number;
  /** When the same call was asked for before. */
  readonly lastMs: number;
  /** Besides those of its caller. */
  readonly holders: readonly Holder[];
  /** As the client calls it. */
  readonly tool: string;
}

export function newRequest(
  screened: Screened,
  gates: readonly Gate[],
  { digest, nowMs, lastMs, holders, tool }: NewRequest,
): StoredApproval {
  const { caller, namespace, capability, member, toolbox, policy } = screened;
  const requirements = gates.map(({ source, by, quorum, reason }) => ({ source, by, quorum, reason }));
  const expiresMs = gates.length === 0 ? defaultGateExpiresMs : Math.min(...gates.map((gate) => gate.expiresMs));
  return {
    id: `ap_${randomBytes(16).toString('base64url')}`,
    digest,
    // What an approver wrote themselves may need nobody's consent any more.
    state: gates.length === 0 ? 'approved' : 'pending',
    version: 1,
    caller: caller.id,
    key: caller.key ?? null,
    consumer: caller.consumer ?? null,
    member: caller.member ?? null,
    holders: JSON.stringify(distinctHolders([...caller.holders, ...holders])),
    namespace,
    capability,
    upstream: member.id,
    toolbox: toolbox.name,
    tool,
    definition: screened.definition ?? '',
    policy: policyVersion(policy),
    gates: JSON.stringify(requirements),
    decisions: '[]',
    arguments: '',
    note: '',
    replacedBy: null,
    outcome: null,
    rounds: 0,
    requestedAtMs: Math.max(nowMs, lastMs + 1),
    expiresAtMs: nowMs + expiresMs,
    updatedAtMs: nowMs,
  };
}
