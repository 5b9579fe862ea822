import { GatewayError } from '../errors.ts';
import type { SubmissionDocument } from '../registry/documents.ts';
import { isKnownAs } from '../registry/known-as.ts';

type SubmissionState = SubmissionDocument['state'];

/** Somebody does something to a submission. */
export type Step =
  | { readonly kind: 'submit' | 'withdraw' }
  /** What is submitted is other than it was: whoever approved it approved something else. */
  | { readonly kind: 'update'; readonly changes: Partial<SubmissionDocument> }
  /** `needed`: how many different people have to approve, this one among them; 0 where a rule approves. */
  | { readonly kind: 'approve'; readonly needed: number; readonly stillCounts?: (approval: Approval) => boolean }
  | { readonly kind: 'reject' | 'request-changes' | 'comment' };

type Approval = SubmissionDocument['approvals'][number];

interface Doer {
  readonly id: string;
  readonly member?: string | undefined;
  readonly consumer?: string | undefined;
  /** Of a registered member: what they may have been known as before. */
  readonly identities?: readonly string[] | undefined;
}

const events = {
  submit: 'submitted',
  withdraw: 'withdrawn',
  update: 'updated',
  approve: 'approved',
  reject: 'rejected',
  'request-changes': 'changes-requested',
  comment: 'commented',
} as const;

/** From which states each step may be made. What is approved, rejected or withdrawn stays so. */
const allowedFrom: Readonly<Record<Step['kind'], readonly SubmissionState[]>> = {
  submit: ['draft', 'changes-requested'],
  withdraw: ['draft', 'submitted', 'changes-requested'],
  update: ['draft', 'submitted', 'changes-requested'],
  approve: ['submitted'],
  reject: ['submitted', 'changes-requested'],
  'request-changes': ['submitted'],
  comment: ['draft', 'submitted', 'changes-requested'],
};

const mostEvents = 500;

export function isOpen({ state }: Pick<SubmissionDocument, 'state'>): boolean {
  return state === 'draft' || state === 'submitted' || state === 'changes-requested';
}

/** The same person, with whatever key; the second is who is here now. */
export function isSamePerson(a: Doer, b: Doer): boolean {
  return a.id === b.id || (a.member !== undefined && a.member === b.member) || isKnownAs(b.identities, a);
}

/** Whether somebody may be who submitted it: the same person, or one who held a secret of the key it was submitted with. */
export function mayBeSubmitter({ holders = [], ...submitter }: SubmissionDocument['submitter'], doer: Doer): boolean {
  return (
    isSamePerson(submitter, doer) ||
    holders.some(
      (holder) =>
        isSamePerson(holder, doer) ||
        (holder.consumer !== undefined && holder.consumer === doer.consumer && doer.member === undefined),
    )
  );
}

/**
 * The submission after a step, with the step in its history. Throws GatewayError `conflict` where the step cannot be made from its
 * state, and `forbidden` where its submitter, or somebody who has approved it already, approves.
 */
export function advance(
  submission: SubmissionDocument,
  step: Step,
  doer: Doer,
  { nowMs, note }: { readonly nowMs: number; readonly note?: string | undefined },
): SubmissionDocument {
  const { state } = submission;
  if (!allowedFrom[step.kind].includes(state))
    throw new GatewayError('conflict', `The submission is ${state}; that cannot be done to it any more. Look at it again.`);
  const written = write({ ...submission, changedAtMs: nowMs }, events[step.kind], doer, nowMs, note);
  switch (step.kind) {
    case 'submit':
      return { ...written, state: 'submitted', approvals: [] };
    case 'update':
      return { ...written, ...step.changes, approvals: [] };
    case 'approve':
      return approved(written, step, doer, nowMs);
    case 'withdraw':
      return { ...written, state: 'withdrawn' };
    case 'reject':
      return { ...written, state: 'rejected' };
    case 'request-changes':
      return { ...written, state: 'changes-requested', approvals: [] };
    case 'comment':
      return written;
  }
}

function approved(
  submission: SubmissionDocument,
  { needed, stillCounts = () => true }: Extract<Step, { kind: 'approve' }>,
  doer: Doer,
  nowMs: number,
): SubmissionDocument {
  if (needed === 0) return publish(submission, doer, nowMs);
  if (mayBeSubmitter(submission.submitter, doer))
    throw new GatewayError('forbidden', 'Whoever submitted something does not approve it; somebody else has to look at it.');
  if (submission.approvals.some((approval) => isSamePerson(approval, doer)))
    throw new GatewayError('forbidden', 'You have approved it already; it waits for somebody else.');
  const approval = { id: doer.id, ...(doer.member === undefined ? {} : { member: doer.member }), atMs: nowMs };
  const approvals = [...submission.approvals.filter(stillCounts), approval];
  const counted = { ...submission, approvals };
  return approvals.length >= needed ? publish(counted, doer, nowMs) : counted;
}

function publish(submission: SubmissionDocument, doer: Doer, nowMs: number): SubmissionDocument {
  return { ...write(submission, 'published', doer, nowMs), state: 'approved' };
}

type HistoryEvent = SubmissionDocument['history'][number]['event'];

// The first entry says who began it; what falls out in between is still in the change records.
function write(
  submission: SubmissionDocument,
  event: HistoryEvent,
  { id: by }: Doer,
  atMs: number,
  note?: string,
): SubmissionDocument {
  const entry = { atMs, by: by.slice(0, 512), event, ...(note === undefined || note === '' ? {} : { note }) };
  const [first, ...rest] = [...submission.history, entry];
  const history = rest.length < mostEvents ? [first!, ...rest] : [first!, ...rest.slice(1 - mostEvents)];
  return { ...submission, history };
}
