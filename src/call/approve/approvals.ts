import type { Logger } from 'pino';
import type { Clock, SteadyClock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import { hmacKey } from '../../hmac.ts';
import type { Journal } from '../../journal/journal.ts';
import type { Notifier } from '../../notify/notify.ts';
import type { Gate } from '../../policy/gate.ts';
import { type Policies, policyVersion } from '../../policy/policy.ts';
import type { Holder } from '../../registry/documents.ts';
import { seal, unseal } from '../../seal.ts';
import type { ApprovalQuery, ApprovalStore, StoredApproval, StoredApprovalEvent } from '../../store/ports/approvals.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { ApprovedRound, Ask } from '../ask.ts';
import type { Caller } from '../authenticate.ts';
import type { Screened } from '../screen.ts';
import { attempts, type Decisions, openDecisions, type Way } from './decisions.ts';
import { type ExactCall, exactCall, openText, readExactCall, sealText } from './exact-call.ts';
import { openLedger, reaching, self } from './ledger.ts';
import { pendingCount } from './pending-count.ts';
import { isEnough, type Person } from './people.ts';
import { isOpen, newRequest, next, type Request, readRequest } from './request.ts';
import { type ApprovalPending, deniedOf, eventOf, noLongerGood, pendingOf } from './say.ts';
import type { Decider } from './standing.ts';

interface ApprovalPorts {
  readonly store: ApprovalStore;
  /** 32 bytes; seals arguments and keys digests. */
  readonly key: Buffer;
  readonly journal: Journal;
  readonly notifier: Pick<Notifier, 'notify'>;
  readonly policies: () => Policies;
  /** Who somebody that decided is now; undefined where they would no longer be let in. */
  readonly standing: (decider: Decider) => Person | undefined;
  readonly deciderOf: (caller: Caller) => Decider;
  /** Of a key, as it is now. */
  readonly holdersOf: (key: string) => readonly Holder[];
  /** Where people's browsers reach this gateway; undefined where they do not. */
  readonly pageUrl: () => string | undefined;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Logger;
}

/** What a request is for. */
interface CallShown {
  /** Canonical. */
  readonly text: string;
  readonly params: JsonObject;
  readonly meta: JsonObject | undefined;
}

/** Calls that wait for a person, and what people said. */
export interface Approvals extends Decisions {
  /**
   * Lets a call through once that enough people agreed to, and asks for their consent otherwise. Throws GatewayError: ApprovalPending,
   * `approval_denied`, `approval_unavailable`, `bad_arguments`, `limit_reached`, `conversation_lost`, `audit_unavailable`.
   */
  pass(screened: Screened, ask: Ask, gates: readonly Gate[], trace?: string): Promise<ApprovedRound>;
  /** What became of a call that was let through. `isUnheard`: its upstream cannot have heard of it, so the consent is still good. */
  ended(round: ApprovedRound, outcome: string, isUnheard: boolean): void;
  /** What a client may know a request by: of use to this caller alone. */
  handleFor(id: string, caller: Caller): string;
  /** The request behind a handle; undefined for anything else. */
  idOf(handle: string, caller: Caller): string | undefined;
  /** Keeps, sealed, what came of a call, for whoever asks with its handle later. */
  keepResult(id: string, text: string): Promise<void>;
  resultOf(id: string): Promise<string | undefined>;
  /** Why a request that was denied is not made. */
  refusalOf(request: Request): Promise<GatewayError>;
  /** Resolves when a request no longer waits, or the time is over. Rejects with GatewayError `cancelled`. */
  settled(id: string, withinMs: number, cancel: Cancel): Promise<void>;
  /** Resolves when this process changes it or keeps what came of it, or the time is over. Rejects with GatewayError `cancelled`. */
  changed(id: string, withinMs: number, cancel: Cancel): Promise<void>;
  find(id: string): Promise<Request | undefined>;
  list(query: ApprovalQuery): Promise<readonly Request[]>;
  events(id: string): Promise<readonly StoredApprovalEvent[]>;
  /** The call of a request; undefined once it was dropped. */
  callOf(row: StoredApproval): CallShown | undefined;
  /** Those whose consent counts as things are now. */
  agreed(request: Request): readonly Person[];
  pageOf(id: string): string | undefined;
  /** What a page holds in place of a key or token, for this request and a while. */
  ticketFor(id: string, credential: string): string;
  /** Undefined for anything else. */
  credentialOf(id: string, ticket: string): string | undefined;
  /** Within half a second; undefined where the store does not say by then. Never rejects. */
  countPending(): Promise<number | undefined>;
  /** Ends what is overdue, forgets arguments, removes what is old. */
  tidy(): Promise<void>;
  close(): Promise<void>;
}

const mostPendingPerCaller = 100;
const mostPending = 10_000;
const pollEveryMs = 1_000;
const sweepEveryMs = 10_000;
/** How long arguments are kept once nothing waits for them, for those who look back. */
const keepArgumentsMs = 24 * 60 * 60 * 1000;
const ticketMs = 15 * 60 * 1000;
const keepMs = 90 * keepArgumentsMs;

export function openApprovals(ports: ApprovalPorts): Approvals {
  const { store, key, notifier, policies, standing, deciderOf, pageUrl, log } = ports;
  const digestKey = hmacKey(key);
  const ledger = openLedger(ports);
  const { nowMs, nowFor, change, end } = ledger;
  const read = (row: StoredApproval) => readRequest(row, ports.holdersOf);
  const decisions = openDecisions({
    ...{ store, key, ledger, policies, deciderOf, read, agreed },
    replace: ({ row, requester: { holders } }, amended, exact, gates) =>
      open(amended, exact, gates, { door: 'approval', tool: row.tool, holders }),
    tellDecided: (request) => tell(request, 'approval.decided'),
  });
  const underWay = new Set<Promise<void>>();
  let sweeping: NodeJS.Timeout | undefined;

  function agreed({ decisions }: Request): readonly Person[] {
    return decisions.flatMap(({ by, verdict }) => (verdict === 'approve' ? (standing(by) ?? []) : []));
  }

  async function pass(screened: Screened, ask: Ask, gates: readonly Gate[], trace?: string): Promise<ApprovedRound> {
    sweepFromNowOn();
    const exact = exactCall(digestKey, screened, ask.meta);
    if (ask.retry !== undefined) return await goOn(screened, ask, exact.digest, trace);
    for (let tried = 0; tried < attempts; tried++) {
      const row = await reaching(() => store.findLatest(exact.digest));
      const isGood = row !== undefined && (await isStillGood(row, screened));
      if (ask.approval !== undefined && (row?.id !== ask.approval || !isGood || row.state !== 'approved'))
        throw noLongerGood(ask.approval, screened.capability);
      if (row === undefined || !isGood) {
        const made = await open(screened, exact, gates, { door: ask.door, tool: String(ask.params.name), trace });
        if (made !== undefined) throw pending(read(made), exact.text);
        continue;
      }
      const request = read(row);
      if (row.state === 'denied') throw await denied(request);
      if (row.state === 'pending') throw pending(request, exact.text);
      if (!isEnough(gates, request.requester, agreed(request), row.namespace)) {
        await end(row, 'void', 'Somebody who agreed may no longer decide on this.');
        if (ask.approval !== undefined) throw noLongerGood(row.id, screened.capability);
        continue;
      }
      const used = next(row, nowFor(row), { state: 'consumed' });
      if (await change(used, screened.caller, 'consume', { door: ask.door, trace })) return { id: row.id, round: 0 };
    }
    throw new GatewayError('approval_unavailable', `Others decide on this call of ${screened.capability} right now; repeat it.`);
  }

  /** Whether what was asked for earlier still speaks for this call. What is over, or was decided on by other rules, is ended here. */
  async function isStillGood(row: StoredApproval, screened: Screened): Promise<boolean> {
    if (!isOpen(row.state) && row.state !== 'denied') return false;
    const isOver = nowFor(row) >= row.expiresAtMs;
    const changed = changeSince(row, screened);
    if (!isOver && changed === undefined) return true;
    if (row.state === 'denied') return false;
    if (isOver) await end(row, 'expired', 'Its time was over.');
    else await end(row, 'void', changed ?? '');
    return false;
  }

  function changeSince(row: StoredApproval, { definition, policy }: Screened): string | undefined {
    if (definition === undefined || definition !== row.definition) return 'The tool was changed since.';
    return policyVersion(policy) === row.policy ? undefined : 'The policy that holds this call was changed since.';
  }

  /** A further round of a call that was let through: it goes on once from where it was. */
  async function goOn(screened: Screened, ask: Ask, digest: string, trace: string | undefined): Promise<ApprovedRound> {
    const approved = ask.retry?.approval;
    for (let tried = 0; tried < attempts && approved !== undefined; tried++) {
      const row = await reaching(() => store.find(approved.id));
      const isNext = row?.state === 'consumed' && row.digest === digest && row.rounds === approved.round;
      if (row === undefined || !isNext || changeSince(row, screened) !== undefined) break;
      const further = next(row, nowFor(row), { rounds: row.rounds + 1, outcome: null });
      if (await change(further, screened.caller, 'continue', { door: ask.door, trace }))
        return { id: row.id, round: further.rounds };
    }
    throw new GatewayError(
      'conversation_lost',
      'A person has to agree to this call, and not to this part of it; call again from the start.',
    );
  }

  /** A new request; undefined where there is an open one for this very call. */
  async function open(
    screened: Screened,
    { text, digest }: ExactCall,
    gates: readonly Gate[],
    {
      door,
      tool,
      holders = [],
      trace,
    }: Way & { readonly door: string; readonly tool: string; readonly holders?: readonly Holder[] },
  ): Promise<StoredApproval | undefined> {
    await refuseFlood(screened);
    // Later than the one before, whatever the clocks of replicas say: which is the newest decides what counts.
    const last = await reaching(() => store.findLatest(digest));
    const row = newRequest(screened, gates, { digest, nowMs: nowMs(), lastMs: last?.requestedAtMs ?? 0, holders, tool });
    const sealed = { ...row, arguments: sealText(key, row.id, text) };
    if (!(await change(sealed, screened.caller, 'request', { door, trace }))) return undefined;
    if (row.state === 'pending') tell(read(sealed), 'approval.requested');
    return sealed;
  }

  async function refuseFlood({ caller }: Screened): Promise<void> {
    const [own, all] = await reaching(() => Promise.all([store.countPending(caller.id), store.countPending()]));
    if (own < mostPendingPerCaller && all < mostPending) return;
    const text = own < mostPendingPerCaller ? `${all} calls` : `${own} calls of ${caller.id}`;
    throw new GatewayError('limit_reached', `${text} already wait for a person; wait until some of them were decided.`, {
      retryAfterMs: 60_000,
    });
  }

  const pageOf = (id: string) => {
    const url = pageUrl();
    return url === undefined ? undefined : `${url}/approvals/${id}`;
  };
  const tell = (request: Request, kind: 'approval.requested' | 'approval.decided') =>
    notifier.notify(eventOf(request, kind, pageOf(request.row.id)));

  function pending(request: Request, text: string): ApprovalPending {
    const { params } = readExactCall(text);
    return pendingOf(request, agreed(request), isObject(params.arguments) ? params.arguments : {}, pageOf(request.row.id));
  }

  async function denied(request: Request): Promise<GatewayError> {
    const { replacedBy } = request.row;
    const instead = replacedBy === null ? undefined : await reaching(() => store.find(replacedBy));
    const args = instead && callOf(instead)?.params.arguments;
    return deniedOf(request, isObject(args) ? args : undefined);
  }

  function callOf(row: StoredApproval): CallShown | undefined {
    const text = row.arguments === '' ? undefined : openText(key, row.id, row.arguments);
    return text === undefined ? undefined : { text, ...readExactCall(text) };
  }

  function ended({ id, round }: ApprovedRound, outcome: string, isUnheard: boolean): void {
    const work = finish(id, round, outcome, isUnheard).catch((error: unknown) =>
      log.warn({ err: error, approval: id }, 'what became of an approved call could not be kept'),
    );
    underWay.add(work);
    void work.finally(() => underWay.delete(work));
  }

  async function finish(id: string, round: number, outcome: string, isUnheard: boolean): Promise<void> {
    const row = await store.find(id);
    if (row?.state !== 'consumed' || row.rounds !== round) return;
    const isBack = isUnheard && round === 0 && nowFor(row) < row.expiresAtMs;
    const after = next(row, nowFor(row), isBack ? { state: 'approved' } : { outcome });
    const event = { actor: self, action: isBack ? 'gave-back' : 'ended', detail: JSON.stringify({ outcome }) };
    // Another request for the same call may be open by now: then that one counts.
    await store.replace(after, event);
  }

  async function settled(id: string, withinMs: number, cancel: Cancel): Promise<void> {
    const endsAtMs = ports.steady.steadyMs() + withinMs;
    for (;;) {
      const row = await reaching(() => store.find(id));
      const leftMs = endsAtMs - ports.steady.steadyMs();
      if (row === undefined || row.state !== 'pending' || nowFor(row) >= row.expiresAtMs || leftMs <= 0) return;
      // Another replica may have been told: then nobody wakes us.
      await ledger.changed(id, Math.min(leftMs, pollEveryMs), cancel);
    }
  }

  async function sweep(): Promise<void> {
    for (const row of await store.listOverdue(nowMs(), 500)) await end(row, 'expired', 'Its time was over.');
  }

  // A gateway without gates has nothing to sweep, and should not open a database for it.
  function sweepFromNowOn(): void {
    sweeping ??= setInterval(() => {
      sweep().catch((error: unknown) => log.warn({ err: error }, 'requests that are over could not be ended'));
    }, sweepEveryMs).unref();
  }

  return {
    pass,
    ended,
    async decide(...words) {
      sweepFromNowOn();
      return await decisions.decide(...words);
    },
    amend: decisions.amend,
    settled,
    agreed,
    pageOf,
    async find(id) {
      const row = await reaching(() => store.find(id));
      return row && read(await ifOver(row));
    },
    async list(query) {
      const rows = await reaching(() => store.list(query));
      return rows.map(read);
    },
    events: (id) => reaching(() => store.events(id)),
    callOf,
    ticketFor: (id, credential) => seal(key, `approval page ${id}`, { credential, endsAtMs: nowMs() + ticketMs }),
    credentialOf(id, ticket) {
      const opened = unseal(key, `approval page ${id}`, ticket);
      if (!isObject(opened) || typeof opened.credential !== 'string' || typeof opened.endsAtMs !== 'number') return undefined;
      return opened.endsAtMs <= nowMs() ? undefined : opened.credential;
    },
    withdraw: decisions.withdraw,
    handleFor: (id, caller) => seal(key, `approval of ${caller.id}`, id),
    idOf(handle, caller) {
      const id = unseal(key, `approval of ${caller.id}`, handle);
      return typeof id === 'string' ? id : undefined;
    },
    async keepResult(id, text) {
      await reaching(() => store.keepResult(id, sealText(key, `${id} result`, text), nowMs()));
      ledger.wake(id);
    },
    changed: ledger.changed,
    async resultOf(id) {
      const sealed = await reaching(() => store.findResult(id));
      return sealed === undefined ? undefined : openText(key, `${id} result`, sealed);
    },
    refusalOf: denied,
    countPending: pendingCount(() => reaching(() => store.countPending())),
    async tidy() {
      await sweep();
      await store.dropArguments(nowMs() - keepArgumentsMs);
      await store.dropResults(nowMs() - keepArgumentsMs);
      await store.prune(nowMs() - keepMs);
    },
    async close() {
      clearInterval(sweeping);
      await Promise.allSettled(underWay);
    },
  };

  async function ifOver(row: StoredApproval): Promise<StoredApproval> {
    if (!isOpen(row.state) || nowFor(row) < row.expiresAtMs) return row;
    await end(row, 'expired', 'Its time was over.');
    return (await reaching(() => store.find(row.id))) ?? row;
  }
}
