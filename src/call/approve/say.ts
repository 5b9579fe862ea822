/** What those who wait and those who decide are told. */
import { GatewayError } from '../../errors.ts';
import type { Audience, NotifyEvent } from '../../notify/notify.ts';
import { describeBy, type Gate } from '../../policy/gate.ts';
import type { JsonObject } from '../../wire/json.ts';
import { showJson, showText } from './exact-call.ts';
import { type Identity, isSamePerson, mayBeRequester, type Person } from './people.ts';
import { type Request, stillAsked } from './request.ts';

/** A call that waits for a person. */
export class ApprovalPending extends GatewayError {
  readonly id: string;
  /** Undefined where this gateway has no page. */
  readonly url: string | undefined;
  /** Whoever makes the call is the only one who still has to agree. */
  readonly isForCaller: boolean;
  /** What is to be decided, for the caller's person. */
  readonly question: string;
  readonly requestedAtMs: number;
  readonly expiresAtMs: number;

  constructor(
    facts: Pick<ApprovalPending, 'id' | 'url' | 'isForCaller' | 'question' | 'requestedAtMs' | 'expiresAtMs'>,
    message: string,
  ) {
    super('approval_pending', message, { data: { approval: facts.id, url: facts.url ?? null } });
    this.id = facts.id;
    this.url = facts.url;
    this.isForCaller = facts.isForCaller;
    this.question = facts.question;
    this.requestedAtMs = facts.requestedAtMs;
    this.expiresAtMs = facts.expiresAtMs;
  }
}

/** A question in a client's window has room for this much; the page shows everything. */
const longestQuestion = 4_000;

/** `agreed`: those whose consent counts. */
export function pendingOf(
  request: Request,
  agreed: readonly Person[],
  args: JsonObject,
  url: string | undefined,
): ApprovalPending {
  const { row, requirements } = request;
  const open = stillAsked(request, agreed);
  const { id, capability, requestedAtMs, expiresAtMs } = row;
  const why = requirements.flatMap(({ reason }) => reason ?? []).join(' ');
  const reason = why === '' ? '' : ` (${why})`;
  const where = url === undefined ? `with "gatehouse decide-approval ${id}" or the tool decide_approval` : `at ${url}`;
  const message =
    `This call of ${capability} was not made yet: ${whoMustAgree(request, agreed)} must agree to it first${reason}. ` +
    `It waits as ${id} until ${new Date(expiresAtMs).toISOString()}, and is decided on ${where}. ` +
    'Once it was approved, repeat exactly the same call, and it will run.';
  const question = `${capability} is to be called${reason}, with:\n\n${shorten(showJson(args), url)}`;
  return new ApprovalPending(
    {
      id,
      url,
      isForCaller: open.length > 0 && open.every(({ by }) => by.kind === 'caller'),
      question,
      requestedAtMs,
      expiresAtMs,
    },
    message,
  );
}

function shorten(shown: string, url: string | undefined): string {
  if (shown.length <= longestQuestion) return shown;
  const rest = `${shown.length - longestQuestion} more characters${url === undefined ? '' : `, all of it at ${url}`}`;
  return `${shown.slice(0, longestQuestion)}\n... (${rest})`;
}

/** `instead`: the arguments of the call that was put in its place, where they are still known. */
export function deniedOf({ row, decisions }: Request, instead: JsonObject | undefined): GatewayError {
  const said = decisions.find(({ verdict }) => verdict === 'deny')?.reason ?? '';
  const words = said === '' ? '' : ` The reason given: ${showText(said)}`;
  if (row.replacedBy === null) {
    const until = new Date(row.expiresAtMs).toISOString();
    return new GatewayError(
      'approval_denied',
      `This call of ${row.capability} was denied (${row.id}).${words} It can be asked for again after ${until}.`,
      { data: { approval: row.id } },
    );
  }
  const how =
    instead === undefined ? '' : ` To make it, call the same tool with exactly these arguments:\n\n${showJson(instead)}`;
  return new GatewayError(
    'approval_denied',
    `This call of ${row.capability} was not agreed to (${row.id}); another one was put in its place, as ${row.replacedBy}.${words}${how}`,
    { data: { approval: row.id } },
  );
}

/** Of a request that its own caller ended. */
export const withdrawn = 'Its caller withdrew it.';

/** For a call that goes on from a request alone, where that no longer speaks for it. */
export function noLongerGood(id: string, capability: string): GatewayError {
  return new GatewayError(
    'approval_denied',
    `What was agreed to as ${id} no longer speaks for this call of ${capability}: it was used, its time is over, or what it was bound to was changed. Call again from the start.`,
    { data: { approval: id } },
  );
}

export function noSuchApproval(id: string): GatewayError {
  return new GatewayError('no_such_object', `There is no approval "${id.slice(0, 100)}". List them to see what there is.`);
}

export function mayNotDecide(request: Request, who: Identity, agreed: readonly Person[]): GatewayError {
  const { row, requester } = request;
  const { id } = who;
  const waits = row.state === 'pending' ? `It waits for ${whoMustAgree(request, agreed)}.` : `It is ${row.state} by now.`;
  if (isSamePerson(requester, who))
    return new GatewayError('forbidden', `${row.id} is a call of ${id}: nobody decides on a call of their own. ${waits}`);
  if (mayBeRequester(requester, who))
    return new GatewayError(
      'forbidden',
      `${row.id} is a call of ${requester.id}, a key that ${id} was handed: whoever holds it may be who made the call, and nobody decides on a call of their own. ${waits}`,
    );
  return new GatewayError('forbidden', `${id} has no say about ${row.id}. ${waits}`);
}

/** `somebody with the role approver, and ann and bob`. */
export function whoOf(requirements: readonly (Pick<Gate, 'by' | 'quorum'> & { readonly hasSome?: boolean })[]): string {
  return [...new Set(requirements.map(({ by, quorum, hasSome }) => describeBy(by, quorum, hasSome)))].join(', and ');
}

/** Who has to agree still, in the words of `whoOf`. */
export function whoMustAgree(request: Request, agreed: readonly Person[]): string {
  const open = stillAsked(request, agreed);
  // Whoever agreed may have lost their say and got it back: what is still pending waits for a further word.
  return whoOf(open.length === 0 ? request.requirements : open);
}

/** Nobody has agreed to what was just requested. */
export function eventOf(request: Request, kind: 'approval.requested' | 'approval.decided', url: string | undefined): NotifyEvent {
  const { row, requirements } = request;
  const { id, capability, namespace, caller, state, expiresAtMs } = row;
  const what = `${caller} ${kind === 'approval.requested' ? 'wants' : 'wanted'} to call ${capability}`;
  const reasons = requirements.flatMap(({ reason }) => reason ?? []);
  const became = state === 'denied' ? 'denied' : 'approved';
  return {
    id: `${id}.${row.version}`,
    kind,
    atMs: row.updatedAtMs,
    title:
      kind === 'approval.requested' ? `A call of ${capability} waits for a decision` : `A call of ${capability} was ${became}`,
    text:
      kind === 'approval.requested'
        ? [`${what}. It waits for ${whoMustAgree(request, [])}.`, ...reasons].join(' ')
        : `${what}; ${became === 'denied' ? 'it will not be made' : 'it runs when it is repeated'}.`,
    url,
    audience: audienceOf({ namespace, requirements }),
    data: { approval: id, state, capability, namespace, caller, expiresAt: new Date(expiresAtMs).toISOString() },
  };
}

function audienceOf({ namespace, requirements }: Pick<Request, 'requirements'> & { readonly namespace: string }): Audience {
  const members = requirements.flatMap(({ by }) => (by.kind === 'members' ? by.members : []));
  const role = requirements.flatMap(({ by }) => (by.kind === 'role' ? by.role : []))[0];
  return { members: [...new Set(members)], role, namespace };
}
