/** What people say about a call that waits: they agree or deny, put another call in its place, or take it back. */
import { GatewayError } from '../../errors.ts';
import { hmacKey } from '../../hmac.ts';
import type { Gate } from '../../policy/gate.ts';
import { type Policies, policyVersion } from '../../policy/policy.ts';
import type { ApprovalStore, StoredApproval } from '../../store/ports/approvals.ts';
import type { Caller } from '../authenticate.ts';
import type { Screened } from '../screen.ts';
import { type ExactCall, exactCall, openText, readExactCall } from './exact-call.ts';
import { type Ledger, reaching } from './ledger.ts';
import { isEnough, isSamePerson, type Person } from './people.ts';
import { type Decision, isDecider, isOpen, next, type Request } from './request.ts';
import { mayNotDecide, noSuchApproval, withdrawn } from './say.ts';
import type { Decider } from './standing.ts';

/** What records say of how a decision came: by which door, in which trace. */
export interface Way {
  readonly door?: string;
  readonly trace?: string | undefined;
}

export interface Decisions {
  /** Throws GatewayError `no_such_object`, `forbidden`, `conflict`, `audit_unavailable`. */
  decide(id: string, caller: Caller, verdict: Decision['verdict'], reason: string, way?: Way): Promise<Request>;
  /** Puts another call in the place of one that waits; `caller` decides on neither by that. Throws as `decide` does. */
  amend(id: string, caller: Caller, amended: Screened, gates: readonly Gate[], reason: string): Promise<Request>;
  /** Ends a request that is open, for whoever made it; what is over stays as it is. Throws GatewayError `audit_unavailable`, `approval_unavailable`. */
  withdraw(id: string, caller: Caller): Promise<void>;
}

interface DecisionPorts {
  readonly store: Pick<ApprovalStore, 'find'>;
  readonly key: Buffer;
  readonly ledger: Ledger;
  readonly policies: () => Policies;
  readonly deciderOf: (caller: Caller) => Decider;
  readonly read: (row: StoredApproval) => Request;
  /** Those whose consent counts as things are now. */
  readonly agreed: (request: Request) => readonly Person[];
  /** A new request in place of this one; undefined where there is an open one for that very call. */
  readonly replace: (
    request: Request,
    amended: Screened,
    exact: ExactCall,
    gates: readonly Gate[],
  ) => Promise<StoredApproval | undefined>;
  readonly tellDecided: (request: Request) => void;
}

/** How often one that keeps changing under our hands is looked at again. */
export const attempts = 8;

export function openDecisions(ports: DecisionPorts): Decisions {
  const { store, key, policies, deciderOf, read, agreed, replace, tellDecided } = ports;
  const { nowFor, change, end } = ports.ledger;
  const digestKey = hmacKey(key);

  async function decide(
    id: string,
    caller: Caller,
    verdict: Decision['verdict'],
    reason: string,
    way: Way = {},
  ): Promise<Request> {
    const by = deciderOf(caller);
    for (let tried = 0; tried < attempts; tried++) {
      const request = await decidable(id, caller);
      const { row, decisions } = request;
      const said = [...decisions, { by, verdict, atMs: nowFor(row), reason }];
      const enough = isEnough(request.requirements, request.requester, agreed({ ...request, decisions: said }), row.namespace);
      const state = verdict === 'deny' ? 'denied' : enough ? 'approved' : 'pending';
      const after = next(row, nowFor(row), { state, decisions: JSON.stringify(said) });
      if (!(await change(after, caller, verdict, { ...way, detail: reason === '' ? {} : { reason } }))) continue;
      const decided = read(after);
      if (state !== 'pending') tellDecided(decided);
      return decided;
    }
    throw new GatewayError('conflict', 'Others decide on this right now; look at it again.');
  }

  /** A request that waits, and that this caller has a say about. */
  async function decidable(id: string, caller: Caller): Promise<Request> {
    const row = await reaching(() => store.find(id));
    if (row === undefined) throw noSuchApproval(id);
    const request = read(row);
    if (!isDecider(request, caller)) throw mayNotDecide(request, caller, agreed(request));
    if (row.state !== 'pending') throw new GatewayError('conflict', `${id} is ${row.state} already; nothing was changed.`);
    if (nowFor(row) >= row.expiresAtMs) {
      await end(row, 'expired', 'Its time was over.');
      throw new GatewayError('conflict', `The time to decide on ${id} is over; the call has to be made again.`);
    }
    if (policyVersion(policies().of(row.capability, row.namespace)) !== row.policy) {
      await end(row, 'void', 'The policy that holds this call was changed since.');
      throw new GatewayError('conflict', `The policy was changed since ${id} was asked for; the call has to be made again.`);
    }
    if (request.decisions.some(({ by }) => isSamePerson(by, caller)))
      throw new GatewayError('conflict', `${caller.id} has agreed to ${id} already; others have to decide now.`);
    return request;
  }

  async function amend(id: string, caller: Caller, amended: Screened, gates: readonly Gate[], reason: string): Promise<Request> {
    const request = await decidable(id, caller);
    const { row } = request;
    const before = openText(key, row.id, row.arguments);
    const exact = exactCall(digestKey, amended, before === undefined ? undefined : readExactCall(before).meta);
    if (exact.digest === row.digest)
      throw new GatewayError('bad_arguments', 'These are the arguments that the call has; approve it as it is.');
    const made = await replace(request, amended, exact, gates);
    if (made === undefined) throw new GatewayError('conflict', 'That very call waits already; decide on it instead.');
    const by = deciderOf(caller);
    const atMs = nowFor(row);
    const closed = next(row, atMs, {
      state: 'denied',
      replacedBy: made.id,
      decisions: JSON.stringify([...request.decisions, { by, verdict: 'deny', atMs, reason }]),
    });
    if (await change(closed, caller, 'amend', { detail: { replacedBy: made.id } })) return read(made);
    await end(made, 'void', 'What it should replace was decided on by others.');
    throw new GatewayError('conflict', `Others have just decided on ${id}; look at it again.`);
  }

  async function withdraw(id: string, caller: Caller): Promise<void> {
    for (let tried = 0; tried < attempts; tried++) {
      const row = await reaching(() => store.find(id));
      if (row === undefined || !isOpen(row.state)) return;
      if (await change(next(row, nowFor(row), { state: 'void', note: withdrawn }), caller, 'withdraw')) return;
    }
    throw new GatewayError('approval_unavailable', `Others decide on ${id} right now; try it again.`);
  }

  return { decide, amend, withdraw };
}
