import type { ReviewRules, SubmissionDocument } from '../registry/documents.ts';
import type { Assessment } from './assess.ts';
import { severities } from './definition-rules.ts';
import { fitsHost } from './source.ts';

const usualScore = 80;

/**
 * The place of the first rule that approves a submission without a person; undefined where none does. Never anything from an external
 * source, with a finding above low, or that nobody has seen, whatever the rules say.
 */
export function approvingRule(
  { autoApprove = [] }: ReviewRules,
  submission: Pick<SubmissionDocument, 'about' | 'namespace'>,
  assessment: Assessment,
): number | undefined {
  const { isExternal, severity, score, source, reach, size } = assessment;
  if (isExternal || severities.indexOf(severity) > severities.indexOf('low')) return undefined;
  if (size.tools + size.prompts === 0) return undefined;
  const readsOnly = reach.changes.length + reach.destroys.length + reach.unsaid.length === 0;
  const at = autoApprove.findIndex(
    (rule) =>
      (rule.origins === undefined || fitsHost(source.host, rule.origins)) &&
      (rule.publishers === undefined || (source.publisher !== undefined && rule.publishers.includes(source.publisher))) &&
      (rule.namespaces === undefined || rule.namespaces.includes(submission.namespace)) &&
      (rule.about === undefined || rule.about === submission.about) &&
      (rule.isReadOnly === undefined || readsOnly) &&
      score >= (rule.minScore ?? usualScore),
  );
  return at < 0 ? undefined : at;
}

/** The rules in effect; without a document, everything waits for one approver. */
export const noRules: ReviewRules = Object.freeze({});

export function neededApprovals({ approvers = {} }: ReviewRules): number {
  return approvers.count ?? 1;
}
