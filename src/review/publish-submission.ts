import { randomBytes } from 'node:crypto';
import type { SubmissionDocument } from '../registry/documents.ts';
import type { PinDecision } from '../registry/pin-document.ts';
import type { Edit, Registry } from '../registry/registry.ts';
import type { Content } from './content.ts';
import { approve, digestInstructions, emptyPin, type Pin, refuse, writePinned } from './pin.ts';
import { isOpen } from './submission.ts';

/**
 * Everything that an approval changes besides the submission itself; one commit with it, so that nothing is ever approved and not
 * there, or there and not approved. `pin`: what was approved of the upstream before.
 */
export function approvalEdits(
  submission: SubmissionDocument,
  content: Content,
  pin: Pin | undefined,
  decision: PinDecision,
): Edit[] {
  const { namespace, upstream: name, entry, about } = submission;
  const id = `${namespace}/${name}`;
  const base = about === 'upstream' ? undefined : pin;
  const approved = approve(base ?? emptyPin(id, content.instructions), content.definitions, decision, content.instructions);
  const edits: Edit[] = [{ kind: 'pin', id: submission.pin, body: writePinned(approved) }];
  const registration = randomBytes(9).toString('base64url');
  if (about === 'upstream' && entry !== undefined) edits.push({ kind: 'upstream', id, body: { namespace, entry, registration } });
  return edits;
}

/** What a rejection changes besides the submission: nobody is asked about these definitions again. */
export function rejectionEdits(submission: SubmissionDocument, content: Content, pin: Pin | undefined): Edit[] {
  if (submission.about === 'upstream') return [];
  const id = `${submission.namespace}/${submission.upstream}`;
  const base = pin ?? emptyPin(id, digestInstructions(undefined));
  return [{ kind: 'pin', id: submission.pin, body: writePinned(refuse(base, content.seen)) }];
}

const mostClosed = 1_000;
const mostRemoved = 20;

/** Takes closed submissions out that are older than the newest thousand; their records stay. */
export function retirementEdits(registry: Registry): Edit[] {
  const closed = registry.list('submission').filter(({ body }) => !isOpen(body));
  if (closed.length < mostClosed) return [];
  closed.sort((a, b) => a.body.changedAtMs - b.body.changedAtMs);
  return closed
    .slice(0, Math.min(mostRemoved, closed.length - mostClosed + 1))
    .map(({ id }) => ({ kind: 'submission', id, body: undefined }));
}
