import type { NotifyEvent } from '../notify/notify.ts';
import type { ReviewRules, SubmissionDocument } from '../registry/documents.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Assessment } from './assess.ts';
import type { Content } from './content.ts';
import { showAll } from './screen-definition.ts';

export type Announced = 'submission.waiting' | 'submission.approved' | 'submission.rejected' | 'submission.changes-requested';

interface Announcement {
  readonly id: string;
  readonly submission: SubmissionDocument;
  readonly content: Content;
  readonly assessment: Assessment;
  readonly rules: ReviewRules;
  /** Address of this gateway. */
  readonly ownUrl: string;
}

const mostNamed = 20;

/**
 * What approvers are told of something that waits, and its submitter of what was decided: details and assessment, in words of our own.
 * Names of strangers stand in `data` alone, with everything that does not show written out.
 */
export function announcementOf(
  kind: Announced,
  { id, submission, content, assessment, rules, ownUrl }: Announcement,
): NotifyEvent {
  const { namespace, upstream, about, submitter, history } = submission;
  const name = `${namespace}/${upstream}`;
  const isWaiting = kind === 'submission.waiting';
  const what = about === 'upstream' ? `The upstream ${name}` : `A change of ${name}`;
  const verb = {
    waiting: 'waits for a review',
    approved: 'was approved',
    rejected: 'was rejected',
    'changes-requested': 'needs changes',
  };
  const outcome = verb[kind.slice('submission.'.length) as keyof typeof verb];
  return {
    id: `${id}.${history.length}`,
    kind,
    atMs: submission.changedAtMs,
    title: `${what} ${outcome}`,
    text: `${what} ${outcome}. ${describe(assessment)} Look at it with get_submission, id ${id}.`,
    url: `${ownUrl}/api/submissions/${id}`,
    audience: isWaiting
      ? { members: [], role: rules.approvers?.role ?? 'approver', namespace }
      : { members: submitter.member === undefined ? [] : [submitter.member], role: undefined, namespace },
    data: {
      submission: id,
      about,
      namespace,
      upstream: name,
      state: submission.state,
      justification: showAll(submission.justification.slice(0, 1000)),
      tools: content.definitions.slice(0, mostNamed).map((definition) => showAll(definition.name.slice(0, 100))),
      assessment: {
        score: assessment.score,
        severity: assessment.severity,
        isExternal: assessment.isExternal,
        findings: assessment.findings
          .slice(0, mostNamed)
          .map(({ severity, code, subject }): JsonObject => ({ severity, code, subject: showAll(subject.slice(0, 100)) })),
      },
    },
  };
}

function describe({ score, severity, isExternal, size }: Assessment): string {
  const source = isExternal ? 'an external source' : 'a source of our own';
  const worst = severity === 'none' ? 'nothing was found' : `the worst finding is ${severity}`;
  return `It comes from ${source}, with ${count(size.tools, 'tool')} and ${count(size.prompts, 'prompt')}; its score is ${score} of 100, ${worst}.`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
