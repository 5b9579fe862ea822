import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import type { ApiTransport, UpstreamConfig } from '../catalog/config.ts';
import { compileWanted } from '../catalog/contribution.ts';
import { GatewayError } from '../errors.ts';
import { checkEntry, namespaceNameSchema, type SubmissionDocument, submissionStates } from '../registry/documents.ts';
import type { Entry as Document, Edit } from '../registry/registry.ts';
import { checkRunTimeRules } from '../registry/run-time-rules.ts';
import { type Content, readAssessment, readContent } from '../review/content.ts';
import { draftSubmission } from '../review/draft-submission.ts';
import { digestInstructions, type Offered, offeredInTurns, pinId } from '../review/pin.ts';
import { neighbourhoodInTurns, toStoredInTurns } from '../review/pins.ts';
import { isOpen, isSamePerson, mayBeSubmitter } from '../review/submission.ts';
import { secretNames } from '../secrets.ts';
import { emptyOffer, type Offer } from '../upstreams/upstream.ts';
import { type AdminPorts, defineAction, hasRole, notThere, requireRole } from './action.ts';
import { describeEntry, documentEdits, documentFields } from './api-document.ts';
import { commitChange, requireNew, requireRevision, revisionField } from './change.ts';
import { configOf, type Draft, type Entry, tryOut } from './examine-upstream.ts';
import { errorAt, type Finding, findingSchema, refuseErrors } from './findings.ts';
import { requireNamespace } from './namespaces.ts';
import { refuseWrittenSecrets } from './secret-references.ts';
import { compareSubmitted } from './submitted-changes.ts';
import { refuseDeclared, upstreamName } from './upstreams.ts';

const everybody = ['admin', 'approver', 'developer', 'auditor'] as const;
/** Of one person at the same time. */
const mostOpen = 50;

export const shownSubmission = z
  .object({
    id: z.string(),
    about: z.enum(['upstream', 'change']).describe('A new upstream, or what a known one offers that is not what was approved.'),
    upstream: z.string().describe('namespace/name.'),
    state: z.enum(submissionStates),
    submittedBy: z.string(),
    justification: z.string(),
    score: z.number().describe('Of the assessment, 0 to 100.'),
    severity: z.string().describe('Of its worst finding.'),
    isExternal: z.boolean(),
    waitsForYou: z.boolean().describe('Whether the caller can decide on it now.'),
    revision: z.number(),
  })
  .loose();

export const submitCapability = defineAction({
  name: 'submit_capability',
  title: 'Submit an upstream for review',
  description:
    'Proposes an MCP server, or an HTTP API by its description. It is looked at and assessed; nobody sees or calls anything of it before it is approved. With an id: submits it again after changes were requested, or changes a draft.',
  roles: ['developer', 'approver', 'admin'],
  isReadOnly: false,
  route: 'POST /submissions',
  input: z.strictObject({
    namespace: namespaceNameSchema.describe('Where it is to be.'),
    name: upstreamName.describe('Its name there.'),
    entry: z
      .record(z.string(), z.unknown())
      .describe('What a namespace file says of an upstream: "url", "command" or "baseUrl", and as needed the rest.'),
    ...documentFields,
    justification: z.string().min(1).max(4000).describe('What it is for, and why it can be trusted.'),
    isDraft: z.boolean().optional().describe('Keep it for later instead of putting it before the approvers. Default: false.'),
    id: z.string().max(128).optional().describe('Of an earlier submission of yours that this takes the place of.'),
    revision: revisionField,
  }),
  output: z.object({ submission: shownSubmission, findings: z.array(findingSchema) }),
  async run(
    ports,
    caller,
    { namespace, name, entry: given, document, documentUrl, justification, isDraft = false, id, revision },
  ) {
    requireRole(caller, ['developer', 'approver'], namespace);
    requireNamespace(ports, namespace);
    const before = id === undefined ? undefined : requireOwn(ports, caller, id);
    if (id !== undefined) requireRevision('submission', id, before, revision);
    if (before === undefined) refuseFlood(ports, caller);
    const ownId = id ?? `s-${randomBytes(10).toString('hex')}`;
    const described = await describeEntry(ports, ownId, given, { document, documentUrl });
    const draft = { namespace, name, entry: described.entry, document: described.document?.bytes };
    requireFree(ports, draft);
    const findings = checkForm(ports, draft);
    refuseErrors('Nothing was submitted.', findings);
    const config = configOf(ports, draft);
    const seen = await lookBefore(ports, draft);
    const { offer = emptyOffer } = seen;
    const isWanted = compileWanted(config);
    // What the entry leaves out is neither assessed nor approved.
    const offered = (await offeredInTurns(offer)).filter(({ definition }) => isWanted(definition));
    const drafted = await draftSubmission(ports, {
      about: 'upstream',
      config,
      entry: draft.entry,
      content: contentOf(seen, offered),
      offered,
      stored: await toStoredInTurns(offered, offer.instructions),
      neighbourhood: await neighbourhoodInTurns(ports.catalog(), { id: config.id, config }, offer),
      unseenBecause: seen.unseenBecause,
      submitter: caller,
      justification,
      before: before?.body,
      pin: undefined,
      pinId: pinId(config),
      isDraft,
    });
    // All of this may have changed while the far end was asked.
    requireNamespace(ports, namespace);
    requireFree(ports, draft);
    if (id !== undefined) requireRevision('submission', id, ports.registry.get('submission', id), before?.revision);
    const isApproved = drafted.submission.state === 'approved';
    const kept = described.document?.kept;
    const edits: Edit[] = [
      { kind: 'submission', id: ownId, body: drafted.submission },
      ...drafted.edits,
      ...documentEdits(ports, ownId, isApproved ? undefined : kept),
      ...(isApproved ? documentEdits(ports, config.id, kept) : []),
    ];
    const detail = { upstream: config.id, justification, isDraft, score: drafted.assessment.score };
    await commitChange(ports, caller, { action: 'submit_capability', edits, detail });
    drafted.announce(ownId);
    if (isApproved) await ports.settled([config.id], listedWithinMs);
    return {
      submission: showSubmission(ports, caller, ports.registry.require('submission', ownId)),
      findings: [...findings, ...seen.findings],
    };
  },
});

/** How long an answer waits for a new upstream to show in the catalog. */
export const listedWithinMs = 20_000;

export const listSubmissions = defineAction({
  name: 'list_submissions',
  title: 'List submissions',
  description:
    'What was submitted and what upstreams have changed, newest first: your own, and those of namespaces you decide or audit in.',
  roles: everybody,
  isReadOnly: true,
  route: 'GET /submissions',
  input: z.strictObject({
    state: z.enum(submissionStates).optional(),
    namespace: namespaceNameSchema.optional(),
    waitsForYou: z.boolean().optional().describe('Only what you can decide on now.'),
    limit: z.int().min(1).max(200).optional().describe('Most entries in the answer. Default: 50.'),
    after: z.int().min(0).optional().describe('How many to leave out from the beginning.'),
  }),
  output: z.object({ submissions: z.array(shownSubmission), total: z.number() }),
  async run(ports, caller, { state, namespace, waitsForYou, limit = 50, after = 0 }) {
    const found = visibleSubmissions(ports, caller)
      .filter(
        ({ body }) => (state === undefined || body.state === state) && (namespace === undefined || body.namespace === namespace),
      )
      .filter(({ body }) => waitsForYou !== true || mayDecide(ports, caller, body))
      .sort((a, b) => b.body.changedAtMs - a.body.changedAtMs || (a.id < b.id ? -1 : 1));
    return {
      submissions: found.slice(after, after + limit).map((entry) => showSubmission(ports, caller, entry)),
      total: found.length,
    };
  },
});

export const getSubmission = defineAction({
  name: 'get_submission',
  title: 'Look at one submission',
  description:
    'Everything that a decision needs: the entry, each definition and how it differs from the approved one, the assessment with its findings, history and comments.',
  roles: everybody,
  isReadOnly: true,
  route: 'GET /submissions/{id}',
  input: z.strictObject({ id: z.string().max(128) }),
  output: shownSubmission.extend({
    assessment: z.object({ score: z.number() }).loose(),
    definitions: z.array(z.object({ kind: z.string(), name: z.string(), why: z.string() }).loose()),
    history: z.array(z.object({ event: z.string() }).loose()),
  }),
  async run(ports, caller, { id }) {
    const entry = requireVisible(ports, caller, id);
    const { body } = entry;
    const [content, assessment] = await Promise.all([
      readContent(ports.definitions, body.content),
      readAssessment(ports.definitions, body.assessment),
    ]);
    return {
      ...showSubmission(ports, caller, entry),
      ...(body.entry === undefined ? {} : { entry: body.entry }),
      server: content.server,
      protocolVersion: content.protocolVersion,
      instructions: content.instructionsText,
      definitions: await compareSubmitted(ports.definitions, content),
      assessment,
      approvals: body.approvals.map(({ id: by, atMs }) => ({ by, atMs })),
      history: body.history,
    };
  },
});

/** Those that a caller may look at: their own, and those of namespaces in which they decide or audit. */
export function visibleSubmissions({ registry }: Pick<AdminPorts, 'registry'>, caller: Caller) {
  return registry.list('submission').filter(({ body }) => maySeeSubmission(caller, body));
}

function maySeeSubmission(caller: Caller, { namespace, submitter, state }: SubmissionDocument): boolean {
  if (isSamePerson(submitter, caller)) return true;
  return state !== 'draft' && hasRole(caller, ['approver', 'auditor'], namespace);
}

export function requireVisible(ports: Pick<AdminPorts, 'registry'>, caller: Caller, id: string): Document<'submission'> {
  const entry = ports.registry.get('submission', id);
  // What is not for somebody cannot be told from what is not there.
  if (entry === undefined || !maySeeSubmission(caller, entry.body)) throw notThere('submission', id);
  return entry;
}

/** Whether a caller can approve or reject it as it stands. */
export function mayDecide({ registry }: Pick<AdminPorts, 'registry'>, caller: Caller, body: SubmissionDocument): boolean {
  const role = registry.get('review-rules', 'global')?.body.approvers?.role ?? 'approver';
  return (
    body.state === 'submitted' &&
    hasRole(caller, [role], body.namespace) &&
    !mayBeSubmitter(body.submitter, caller) &&
    !body.approvals.some((approval) => isSamePerson(approval, caller))
  );
}

export function showSubmission(
  ports: Pick<AdminPorts, 'registry'>,
  caller: Caller,
  { id, body, revision }: Document<'submission'>,
) {
  const { about, namespace, upstream, state, submitter, justification, score, severity, isExternal } = body;
  return {
    ...{ id, about, upstream: `${namespace}/${upstream}`, state, submittedBy: submitter.member ?? submitter.id, justification },
    ...{ score, severity, isExternal, waitsForYou: mayDecide(ports, caller, body), revision },
    approvals: body.approvals.length,
    createdAtMs: body.createdAtMs,
    changedAtMs: body.changedAtMs,
  };
}

function requireOwn(ports: Pick<AdminPorts, 'registry'>, caller: Caller, id: string): Document<'submission'> {
  const entry = requireVisible(ports, caller, id);
  if (!isSamePerson(entry.body.submitter, caller) || entry.body.about !== 'upstream')
    throw new GatewayError('forbidden', 'Only whoever submitted it can submit it again.');
  if (!isOpen(entry.body)) throw new GatewayError('conflict', `The submission is ${entry.body.state}; submit a new one.`);
  return entry;
}

function refuseFlood({ registry }: Pick<AdminPorts, 'registry'>, caller: Caller): void {
  const open = registry.list('submission').filter(({ body }) => isOpen(body) && isSamePerson(body.submitter, caller));
  if (open.length >= mostOpen)
    throw new GatewayError('conflict', `${mostOpen} submissions of yours are open; withdraw some, or wait for a decision.`);
}

function requireFree(ports: AdminPorts, { namespace, name }: Draft): void {
  refuseDeclared(ports, `${namespace}/${name}`);
  requireNew(ports.registry, 'upstream', `${namespace}/${name}`);
}

function checkForm(
  { allowedCommands }: Pick<AdminPorts, 'allowedCommands'>,
  { namespace, name, entry }: Draft,
): readonly Finding[] {
  return [
    ...checkEntry('upstreams', namespace, name, entry).map(({ path, message }) => errorAt(path, message)),
    ...checkRunTimeRules(entry, allowedCommands).map(({ path, message }) => errorAt(path, message)),
    ...refuseWrittenSecrets(namespace, name, entry),
  ];
}

interface Look {
  readonly offer: Offer | undefined;
  readonly server: string | undefined;
  readonly protocolVersion: string | undefined;
  readonly findings: readonly Finding[];
  readonly unseenBecause: string | undefined;
}

// Before somebody approved it, no program runs and no secret leaves, whatever that leaves unseen: whoever submits something could have
// a secret sent to an address of their choice.
async function lookBefore(ports: AdminPorts, draft: Draft): Promise<Look> {
  const nothing = { offer: undefined, server: undefined, protocolVersion: undefined, findings: [] };
  const { entry, document } = draft;
  if (entry.kind === 'openapi') {
    if (document === undefined)
      refuseErrors('Nothing was submitted.', [
        errorAt(['document'], 'There is no API description; give it as "document" or "documentUrl".'),
      ]);
    // A description is read, and nobody is asked: the API hears of the first call.
    const bare = { ...withoutSecrets(entry), ...(entry.auth === undefined ? {} : { auth: entry.auth }) };
    const trial = await tryOut(ports, withheld(configOf(ports, { ...draft, entry: bare })), false, document);
    refuseErrors('Nothing was submitted.', trial.findings);
    return { ...trial, unseenBecause: undefined };
  }
  if (entry.kind === 'model') return { ...nothing, unseenBecause: 'a model is asked nothing before it was approved.' };
  if (entry.command !== undefined) return { ...nothing, unseenBecause: 'a program is run only after it was approved.' };
  if (typeof entry.url !== 'string' || secretNames(entry.url).length > 0)
    return { ...nothing, unseenBecause: 'its address holds a secret.' };
  const trial = await tryOut(ports, configOf(ports, { ...draft, entry: withoutSecrets(entry) }), false);
  if (trial.offer !== undefined) return { ...trial, unseenBecause: undefined };
  const [{ message = 'it did not answer.' } = {}] = trial.findings;
  const isBare = entry.auth === undefined && secretNames(JSON.stringify(entry)).length === 0;
  // What needs no credentials has to answer; what does, cannot.
  if (isBare) refuseErrors('Nothing was submitted.', trial.findings);
  return { ...nothing, unseenBecause: `without credentials it does not say (${message})` };
}

/** An API is asked nothing: what stands for a secret shows that its operations will have one. */
function withheld(config: UpstreamConfig): UpstreamConfig {
  const { transport } = config;
  if (transport.type !== 'openapi') return config;
  const credentials = Object.entries(transport.credentials).map(([scheme, given]) => [scheme, blanked(given)] as const);
  return { ...config, transport: { ...transport, auth: undefined, credentials: Object.fromEntries(credentials) } };
}

type Credential = ApiTransport['credentials'][string];

function blanked(given: Credential): Credential {
  return given.kind === 'value' ? { ...given, value: 'withheld' } : { ...given, username: 'withheld', password: 'withheld' };
}

function withoutSecrets({ auth: _, headers, ...entry }: Entry): Entry {
  const kept = Object.entries((headers ?? {}) as Readonly<Record<string, unknown>>).filter(
    ([, value]) => secretNames(String(value)).length === 0,
  );
  return kept.length === 0 ? entry : { ...entry, headers: Object.fromEntries(kept) };
}

function contentOf({ offer, server, protocolVersion }: Look, offered: readonly Offered[]): Content {
  return {
    server,
    protocolVersion,
    instructions: digestInstructions(offer?.instructions),
    instructionsText: offer?.instructions,
    definitions: offered.map(({ kind, hash, shape, definition }) => ({
      ...{ kind, name: definition.name, hash, shape, why: 'offered' as const },
    })),
    seen: [],
  };
}
