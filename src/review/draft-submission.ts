import type { UpstreamConfig } from '../catalog/config.ts';
import type { Clock } from '../clock.ts';
import type { Notifier } from '../notify/notify.ts';
import type { Actor } from '../registry/commit-change.ts';
import type { SubmissionDocument } from '../registry/documents.ts';
import { distinctHolders } from '../registry/holders.ts';
import type { Edit, Registry } from '../registry/registry.ts';
import type { DefinitionStore, StoredDefinition } from '../store/ports/definitions.ts';
import { announcementOf } from './announce.ts';
import { type Assessment, assess } from './assess.ts';
import { approvingRule, noRules } from './auto-approval.ts';
import { type Content, toText } from './content.ts';
import type { Neighbourhood } from './look-alikes.ts';
import type { Offered, Pin } from './pin.ts';
import { approvalEdits, retirementEdits } from './publish-submission.ts';
import { isInternal, sourceOf } from './source.ts';
import { advance, type Step } from './submission.ts';

interface DraftPorts {
  readonly registry: Registry;
  readonly definitions: DefinitionStore;
  readonly notifier: Notifier;
  readonly ownUrl: () => string;
  readonly clock: Clock;
}

interface Draft {
  readonly about: SubmissionDocument['about'];
  readonly config: UpstreamConfig;
  readonly entry: Readonly<Record<string, unknown>> | undefined;
  readonly content: Content;
  /** The definitions that are new in the content, in full. */
  readonly offered: readonly Offered[];
  readonly stored: readonly StoredDefinition[];
  readonly neighbourhood: Neighbourhood;
  readonly unseenBecause: string | undefined;
  readonly submitter: Actor;
  readonly justification: string;
  /** What it takes the place of. */
  readonly before: SubmissionDocument | undefined;
  /** What is approved of the upstream. */
  readonly pin: Pin | undefined;
  /** Of the pin that an approval writes. */
  readonly pinId: string;
  /** Not put before anybody yet. */
  readonly isDraft?: boolean;
}

interface Drafted {
  readonly submission: SubmissionDocument;
  readonly assessment: Assessment;
  /** To be committed with it. */
  readonly edits: readonly Edit[];
  /** Tells people, once it is committed. */
  readonly announce: (id: string) => void;
}

/** Assesses what is submitted, keeps its texts, and lets the rules decide where they may. Commits nothing. */
export async function draftSubmission(ports: DraftPorts, draft: Draft): Promise<Drafted> {
  const { registry, definitions, notifier, ownUrl, clock } = ports;
  const { content, config, isDraft = false } = draft;
  const nowMs = clock.nowMs();
  const rules = registry.get('review-rules', 'global')?.body ?? noRules;
  const isExternal = !isInternal(sourceOf(config), rules);
  const renames = new Map(content.definitions.map(({ hash, renamedFrom }) => [hash, renamedFrom]));
  const renamed = new Map(
    draft.offered.flatMap((one) => {
      const from = renames.get(one.hash);
      return from === undefined ? [] : [[one, from] as const];
    }),
  );
  const { offered, unseenBecause } = draft;
  const instructions = content.instructionsText;
  const assessment = await assess({ config, isExternal, offered, instructions, unseenBecause, renamed }, draft.neighbourhood);
  const [contentText, assessmentText] = [toText(content), toText(assessment)];
  await definitions.keep([...draft.stored, contentText, assessmentText], nowMs);
  const facts = {
    content: contentText.hash,
    assessment: assessmentText.hash,
    score: assessment.score,
    severity: assessment.severity,
    isExternal,
  };
  const waiting = place(draft, facts, nowMs, isDraft);
  const rule = isDraft ? undefined : approvingRule(rules, waiting, assessment);
  if (rule === undefined) {
    const announce = (id: string) => {
      if (isDraft) return;
      notifier.notify(
        announcementOf('submission.waiting', { id, submission: waiting, content, assessment, rules, ownUrl: ownUrl() }),
      );
    };
    return { submission: waiting, assessment, edits: [], announce };
  }
  const note = `Approved by rule ${rule + 1} of the review rules.`;
  const submission = advance(waiting, { kind: 'approve', needed: 0 }, { id: 'gatehouse' }, { nowMs, note });
  const decision = { by: 'gatehouse', why: `rule ${rule + 1} of the review rules`, atMs: nowMs };
  const edits = [...approvalEdits(submission, content, draft.pin, decision), ...retirementEdits(registry)];
  const announce = (id: string) =>
    notifier.notify(announcementOf('submission.approved', { id, submission, content, assessment, rules, ownUrl: ownUrl() }));
  return { submission, assessment, edits, announce };
}

type Facts = Pick<SubmissionDocument, 'content' | 'assessment' | 'score' | 'severity' | 'isExternal'>;

function place(draft: Draft, facts: Facts, nowMs: number, isDraft: boolean): SubmissionDocument {
  const { about, config, entry, submitter, justification, before } = draft;
  const { id, member, holders = [] } = submitter;
  const person = { id, ...(member === undefined ? {} : { member }) };

  // Whoever held the key of any of its versions may have written what stands there now.
  const all = distinctHolders([...(before?.submitter.holders ?? []), ...holders]);
  const submittedBy = { ...(before?.submitter ?? person), ...(all.length === 0 ? {} : { holders: all }) };
  const body = {
    ...facts,
    submitter: submittedBy,
    pin: draft.pinId,
    justification,
    ...(entry === undefined ? {} : { entry: { ...entry } }),
  };
  if (before === undefined) {
    const fresh: SubmissionDocument = {
      ...{ about, namespace: config.namespace, upstream: config.name, state: 'draft', ...body },
      approvals: [],
      history: [{ atMs: nowMs, by: id, event: 'drafted' }],
      createdAtMs: nowMs,
      changedAtMs: nowMs,
    };
    return isDraft ? fresh : advance(fresh, { kind: 'submit' }, person, { nowMs });
  }
  const update: Step = { kind: 'update', changes: body };
  const updated = advance(before, update, person, { nowMs });
  if (isDraft || updated.state === 'submitted') return updated;
  return advance(updated, { kind: 'submit' }, person, { nowMs });
}
