import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { lastFailure } from '../catalog/last-failure.ts';
import { GatewayError } from '../errors.ts';
import type { SubmissionDocument } from '../registry/documents.ts';
import type { Edit, Entry } from '../registry/registry.ts';
import { checkRunTimeRules } from '../registry/run-time-rules.ts';
import { type Announced, announcementOf } from '../review/announce.ts';
import { neededApprovals, noRules } from '../review/auto-approval.ts';
import { type Content, readAssessment, readContent, toText } from '../review/content.ts';
import { approve, emptyPin, type Pin, readPinned, writePinned } from '../review/pin.ts';
import { approvalEdits, rejectionEdits, retirementEdits } from '../review/publish-submission.ts';
import { advance, isSamePerson, mayBeSubmitter, type Step } from '../review/submission.ts';
import { type AdminPorts, defineAction, requireRole } from './action.ts';
import { documentEdits } from './api-document.ts';
import { commitChange, requireNew, requireRevision, revisionField } from './change.ts';
import { errorAt, refuseErrors } from './findings.ts';
import { requireNamespace } from './namespaces.ts';
import { refuseForeignEmbedder } from './own-model.ts';
import { refuseForeignSecrets } from './secret-references.ts';
import { listedWithinMs, requireVisible, shownSubmission, showSubmission } from './submissions.ts';
import { refuseDeclared } from './upstreams.ts';

const decisions = ['approve', 'reject', 'request-changes', 'comment', 'withdraw'] as const;
type Decision = (typeof decisions)[number];

export const reviewSubmission = defineAction({
  name: 'review_submission',
  title: 'Decide on a submission',
  description:
    'Approves it (it is there and can be called when this answers, once enough people have), rejects it for good, asks its submitter for changes, or comments. Its submitter never approves it, and may withdraw it.',
  roles: ['approver', 'admin', 'developer'],
  isReadOnly: false,
  route: 'POST /submissions/{id}/review',
  input: z.strictObject({
    id: z.string().max(128),
    decision: z.enum(decisions),
    comment: z.string().max(4000).optional().describe('Why. Needed for everything but an approval and a withdrawal.'),
    revision: revisionField.describe(
      'The revision you looked at, as get_submission shows it. Needed to approve: what has changed since is not approved.',
    ),
    definitions: z
      .array(z.string().min(1).max(512))
      .min(1)
      .max(2_000)
      .optional()
      .describe(
        'With "approve", where an upstream changed: only its tools and prompts of these names. The others stay held back, and the review goes on.',
      ),
  }),
  output: z.object({
    submission: shownSubmission,
    warnings: z.array(z.string()).optional().describe('Why what was approved cannot be called yet.'),
  }),
  async run(ports, caller, { id, decision, comment = '', revision, definitions }) {
    const entry = requireVisible(ports, caller, id);
    requireStanding(ports, caller, entry.body, decision);
    requireRevision('submission', id, entry, revision);
    if (decision === 'approve' && revision === undefined)
      throw new GatewayError('bad_arguments', 'Say which revision you approve: look at it with get_submission first.');
    if (comment.trim() === '' && decision !== 'approve' && decision !== 'withdraw')
      throw new GatewayError('bad_arguments', 'Say why, in "comment": it is what its submitter and the record get to see.');
    const [content, assessment] = await Promise.all([
      readContent(ports.definitions, entry.body.content),
      readAssessment(ports.definitions, entry.body.assessment),
    ]);
    requireRevision('submission', id, ports.registry.get('submission', id), entry.revision);
    const rules = ports.registry.get('review-rules', 'global')?.body ?? noRules;
    if (definitions !== undefined && decision !== 'approve')
      throw new GatewayError('bad_arguments', '"definitions" go with "approve": what is not approved stays held back.');
    const part = definitions === undefined ? undefined : partOf(content, definitions);
    if (part !== undefined && part.rest.definitions.length > 0) {
      await approvePart(ports, caller, entry, { ...part, comment });
      return { submission: showSubmission(ports, caller, ports.registry.require('submission', id)) };
    }
    const nowMs = ports.clock.nowMs();
    const step = stepOf(ports, decision, entry.body);
    const submission = advance(entry.body, step, caller, { nowMs, note: comment });
    const edits = [
      { kind: 'submission' as const, id, body: submission },
      ...consequences(ports, caller, id, submission, content),
    ];
    const detail = { decision, comment, state: submission.state, upstream: `${submission.namespace}/${submission.upstream}` };
    await commitChange(ports, caller, { action: 'review_submission', edits, detail });
    const kind = announced(entry, submission);
    if (kind !== undefined)
      ports.notifier.notify(announcementOf(kind, { id, submission, content, assessment, rules, ownUrl: ports.ownUrl() }));
    if (submission.state === 'approved') await ports.settled([`${submission.namespace}/${submission.upstream}`], listedWithinMs);
    const warnings = submission.state === 'approved' ? whyUnready(ports, `${submission.namespace}/${submission.upstream}`) : [];
    return {
      submission: showSubmission(ports, caller, ports.registry.get('submission', id) ?? { ...entry, body: submission }),
      ...(warnings.length === 0 ? {} : { warnings }),
    };
  },
});

/** Names of secrets are in the entry that was approved. */
function whyUnready({ catalog }: Pick<AdminPorts, 'catalog'>, id: string): readonly string[] {
  const member = catalog().upstreams.get(id);
  if (member === undefined || member.upstream.health().state !== 'down') return [];
  const { missingSecrets = [] } = member.config;
  const secrets = missingSecrets.map(
    (name) => `The secret ${name} is not set, so nothing of ${id} shows yet. Set it with set_secret; it is taken up by itself.`,
  );
  if (secrets.length > 0) return secrets;
  return [`Nothing of ${id} shows yet: ${lastFailure(member)?.message ?? 'it has not answered'} It is tried again by itself.`];
}

interface Part {
  readonly approved: Content['definitions'];
  readonly rest: Content;
}

/** Throws GatewayError `bad_arguments` for a name that is not part of it. */
function partOf(content: Content, names: readonly string[]): Part {
  const wanted = new Set(names);
  const approved = content.definitions.filter(({ name }) => wanted.has(name));
  const unknown = names.filter((name) => !approved.some((one) => one.name === name));
  if (unknown.length > 0)
    throw new GatewayError(
      'bad_arguments',
      `Nothing of this review is named ${unknown.slice(0, 5).join(', ').slice(0, 300)}. Look at it with get_submission.`,
    );
  const hashes = new Set(approved.map(({ hash }) => hash));
  const rest = {
    ...content,
    definitions: content.definitions.filter((one) => !approved.includes(one)),
    seen: content.seen.filter((hash) => !hashes.has(hash)),
  };
  return { approved, rest };
}

/** Lets some of what changed through; the review goes on about the rest. */
async function approvePart(
  ports: AdminPorts,
  caller: Caller,
  { id, revision, body }: Entry<'submission'>,
  { approved, rest, comment }: Part & { readonly comment: string },
): Promise<void> {
  if (body.about !== 'change' || body.state !== 'submitted')
    throw new GatewayError('bad_arguments', 'Only a change that waits can be approved in part; decide on this as a whole.');
  const needed = neededApprovals(ports.registry.get('review-rules', 'global')?.body ?? noRules);
  if (needed > 1)
    throw new GatewayError(
      'bad_arguments',
      `The review rules want ${needed} approvers, who have to approve the same: decide on it as a whole.`,
    );
  const nowMs = ports.clock.nowMs();
  const upstream = `${body.namespace}/${body.upstream}`;
  const decision = { by: caller.id, why: id, atMs: nowMs };
  // The upstream's words to every model are let through with the last of it.
  const pin = approve(approvedNow(ports, body) ?? emptyPin(upstream, ''), approved, decision);
  const text = toText(rest);
  await ports.definitions.keep([text], nowMs);
  requireRevision('submission', id, ports.registry.get('submission', id), revision);
  const names = approved.map(({ name }) => name);
  const note = `Approved: ${names.join(', ')}. ${comment}`.trim().slice(0, 4_000);
  const submission = advance(body, { kind: 'update', changes: { content: text.hash } }, caller, { nowMs, note });
  await commitChange(ports, caller, {
    action: 'review_submission',
    edits: [
      { kind: 'submission', id, body: submission },
      { kind: 'pin', id: body.pin, body: writePinned(pin) },
    ],
    detail: { decision: 'approve', definitions: names.slice(0, 100), comment, state: submission.state, upstream },
  });
  await ports.settled([upstream], listedWithinMs);
}

/** Throws GatewayError `forbidden` where it is not the caller's to decide. */
function requireStanding({ registry }: AdminPorts, caller: Caller, body: SubmissionDocument, decision: Decision): void {
  const isOwn = isSamePerson(body.submitter, caller);
  if (decision === 'withdraw') {
    if (isOwn) return;
    throw new GatewayError('forbidden', 'Only whoever submitted it can withdraw it; an approver can reject it.');
  }
  if (decision === 'comment' && isOwn) return;
  const role = registry.get('review-rules', 'global')?.body.approvers?.role ?? 'approver';
  requireRole(caller, [decision === 'comment' ? 'approver' : role], body.namespace);
  if (mayBeSubmitter(body.submitter, caller))
    throw new GatewayError(
      'forbidden',
      'Whoever submitted something, or was handed the key it was submitted with, does not decide on it; somebody else has to look at it.',
    );
}

function stepOf({ registry }: AdminPorts, decision: Decision, { namespace }: SubmissionDocument): Step {
  if (decision !== 'approve') return { kind: decision };
  const rules = registry.get('review-rules', 'global')?.body ?? noRules;
  const role = rules.approvers?.role ?? 'approver';
  // Whoever approved and has lost the right to since counts no more.
  const stillCounts = ({ member }: SubmissionDocument['approvals'][number]): boolean => {
    if (member === undefined) return true;
    const found = registry.get('member', member)?.body;
    return (
      found !== undefined &&
      !found.isDisabled &&
      found.roles.some(
        (grant) =>
          (grant.role === 'admin' || grant.role === role) && (grant.namespace === undefined || grant.namespace === namespace),
      )
    );
  };
  return { kind: 'approve', needed: neededApprovals(rules), stillCounts };
}

function consequences(
  ports: AdminPorts,
  caller: Caller,
  id: string,
  submission: SubmissionDocument,
  content: Content,
): readonly Edit[] {
  const { state } = submission;
  if (state === 'approved') {
    checkPublishable(ports, caller, submission);
    const decision = { by: caller.id, why: id, atMs: submission.changedAtMs };
    return [
      ...approvalEdits(submission, content, approvedNow(ports, submission), decision),
      ...descriptionEdits(ports, id, `${submission.namespace}/${submission.upstream}`),
      ...retirementEdits(ports.registry),
    ];
  }
  if (state === 'rejected')
    return [
      ...rejectionEdits(submission, content, approvedNow(ports, submission)),
      ...documentEdits(ports, id, undefined),
      ...retirementEdits(ports.registry),
    ];
  return state === 'withdrawn' ? [...documentEdits(ports, id, undefined), ...retirementEdits(ports.registry)] : [];
}

/** An API description waits under its submission's id, and goes to the upstream that was approved with it. */
function descriptionEdits(ports: AdminPorts, id: string, upstream: string): readonly Edit[] {
  const kept = ports.registry.get('description', id)?.body;
  return kept === undefined ? [] : [...documentEdits(ports, upstream, kept), ...documentEdits(ports, id, undefined)];
}

function approvedNow({ registry, pins }: AdminPorts, { pin, namespace, upstream }: SubmissionDocument): Pin | undefined {
  const document = registry.get('pin', pin);
  return document === undefined ? pins.of(`${namespace}/${upstream}`) : readPinned(document.body);
}

// What was allowed when it was submitted may not be any more, and whoever approves it must be able to do what it does.
function checkPublishable(ports: AdminPorts, caller: Caller, { about, namespace, upstream, entry }: SubmissionDocument): void {
  if (about !== 'upstream' || entry === undefined) return;
  const id = `${namespace}/${upstream}`;
  requireNamespace(ports, namespace);
  refuseDeclared(ports, id);
  requireNew(ports.registry, 'upstream', id);
  if (entry.command !== undefined) requireRole(caller, ['admin']);
  refuseErrors(`${id} was not approved.`, [
    ...checkRunTimeRules(entry, ports.allowedCommands).map(({ path, message }) => errorAt(path, message)),
    ...refuseForeignSecrets(caller, namespace, entry),
    ...refuseForeignEmbedder(caller, namespace, entry),
  ]);
}

function announced({ body }: Entry<'submission'>, { state }: SubmissionDocument): Announced | undefined {
  if (state === body.state) return undefined;
  return state === 'approved' || state === 'rejected' || state === 'changes-requested' ? `submission.${state}` : undefined;
}
