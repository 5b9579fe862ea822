import { z } from 'zod';
import { reviewRulesSchema } from '../registry/documents.ts';
import { noRules } from '../review/auto-approval.ts';
import { defineAction, noInput, requireRole } from './action.ts';
import { commitChange, requireRevision, revisionField } from './change.ts';

const id = 'global';
const shown = z.object({ rules: reviewRulesSchema, revision: z.number() });

export const setReviewRules = defineAction({
  name: 'set_review_rules',
  title: 'Set the review rules',
  description:
    'Replaces the rules by which submissions are decided: what counts as a source of your own, what is approved without a person, how many people of which role have to approve the rest. Nothing from an external source is ever approved without a person.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PUT /review-rules',
  input: z.strictObject({
    rules: reviewRulesSchema.describe(
      'All of them: "internal", "autoApprove", "approvers" and "directRegistration", e.g. {"approvers":{"count":2}}.',
    ),
    revision: revisionField,
  }),
  output: shown,
  async run(ports, caller, { rules, revision }) {
    requireRole(caller, ['admin']);
    requireRevision('review-rules', id, ports.registry.get('review-rules', id), revision);
    const edits = [{ kind: 'review-rules' as const, id, body: rules }];
    await commitChange(ports, caller, { action: 'set_review_rules', edits, detail: rules });
    return { rules, revision: ports.registry.require('review-rules', id).revision };
  },
});

export const getReviewRules = defineAction({
  name: 'get_review_rules',
  title: 'Look at the review rules',
  description:
    'What is approved without a person, and who has to approve the rest. Without rules, everything waits for one approver.',
  roles: ['admin', 'approver', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /review-rules',
  input: noInput,
  output: shown,
  async run({ registry }) {
    const entry = registry.get('review-rules', id);
    return { rules: entry?.body ?? noRules, revision: entry?.revision ?? 0 };
  },
});
