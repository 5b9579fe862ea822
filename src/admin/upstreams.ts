import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import type { Member } from '../catalog/catalog.ts';
import { lastFailure, unsaid } from '../catalog/last-failure.ts';
import { GatewayError } from '../errors.ts';
import { namespaceNameSchema } from '../registry/documents.ts';
import type { Edit } from '../registry/registry.ts';
import { approve, digestInstructions, emptyPin, offeredInTurns, pinId, writePinned } from '../review/pin.ts';
import { toStoredInTurns } from '../review/pins.ts';
import type { Offer } from '../upstreams/upstream.ts';
import { type AdminPorts, defineAction, hasRole, namespacesOf, notThere, requireRole } from './action.ts';
import { type Described, describeEntry, documentEdits, documentFields } from './api-document.ts';
import { commitChange, registrationOf, requireNew, requireRevision, revisionField } from './change.ts';
import {
  checkDraft,
  configOf,
  type Draft,
  type Entry,
  examineOffer,
  examineUpstream,
  hasSameConnection,
} from './examine-upstream.ts';
import { type Finding, findingSchema, refuseErrors } from './findings.ts';
import { requireNamespace } from './namespaces.ts';

export const upstreamName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,31}$/,
    'An upstream is named with lower-case letters, digits and -, starts with a letter and has at most 32.',
  );
const entrySchema = z
  .record(z.string(), z.unknown())
  .describe(
    'What a namespace file says of an upstream: "url" (or "command"; "baseUrl" of an API), and as needed "title", "description", "headers", "auth", "include", "exclude", "rename", "timeoutMs" and so on. "kind" may be left out.',
  );
const place = {
  namespace: namespaceNameSchema.describe('The namespace it is in.'),
  name: upstreamName.describe('Its name there.'),
};

const shown = z
  .object({
    id: z.string(),
    namespace: z.string(),
    name: z.string(),
    source: z.enum(['registry', 'file']).describe('A file changes only where it is written.'),
    state: z.string(),
    tools: z.array(z.string()),
  })
  .loose();
const answered = z.object({
  upstream: shown,
  toolCount: z.number(),
  findings: z.array(findingSchema),
  changes: z.array(z.string()).optional().describe('What a new API description changes: + added, ~ changed, - gone.'),
});

/** How long an answer waits for a new upstream to show in the catalog. */
const listedWithinMs = 20_000;

export const registerUpstream = defineAction({
  name: 'register_upstream',
  title: 'Register an upstream',
  description:
    'Registers an MCP server, or an HTTP API with its description. A server is connected to first, a description read: what it offers, its schemas and its names are checked, and nothing is registered while there is an error. Its tools can be called when this answers.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'POST /upstreams',
  input: z.strictObject({ ...place, entry: entrySchema.default({}), ...documentFields }),
  output: answered,
  run: (ports, caller, input) => registerEntry(ports, caller, 'register_upstream', input),
});

/** An upstream as an action is given it. */
interface GivenUpstream {
  readonly namespace: string;
  readonly name: string;
  readonly entry: Entry;
  readonly document?: string | undefined;
  readonly documentUrl?: string | undefined;
}

interface Answered {
  readonly upstream: ReturnType<typeof show>;
  readonly toolCount: number;
  readonly findings: readonly Finding[];
  readonly changes?: readonly string[];
}

/** Throws GatewayError `conflict`, `forbidden` and `bad_arguments`. `tryOut` is asked last, and refuses by throwing. */
export async function registerEntry(
  ports: AdminPorts,
  caller: Caller,
  action: string,
  { namespace, name, entry: given, ...api }: GivenUpstream,
  tryOut?: (draft: Draft) => Promise<void>,
): Promise<Answered> {
  requireRole(caller, ['admin'], namespace);
  requireNamespace(ports, namespace);
  const id = `${namespace}/${name}`;
  refuseDeclared(ports, id);
  requireNew(ports.registry, 'upstream', id);
  const described = await describeEntry(ports, id, given, api);
  const { entry } = described;
  refuseUnreviewed(ports);
  const draft = { namespace, name, entry, document: described.document?.bytes };
  const { findings, offer } = await examineUpstream(ports, caller, draft);
  refuseErrors(`${id} was not registered.`, findings);
  await tryOut?.(draft);
  // All of this may have changed while the far end was asked.
  requireNamespace(ports, namespace);
  requireNew(ports.registry, 'upstream', id);
  const edits = [...editsOf(ports, id, namespace, described), ...(await pinSeen(ports, caller, draft, offer))];
  await commitChange(ports, caller, { action, edits, detail: entry });
  return answerOf(await listed(ports, caller, id), findings);
}

export const updateUpstream = defineAction({
  name: 'update_upstream',
  title: 'Change an upstream',
  description:
    'Replaces what was registered of an upstream. Where the connection changes, everything is checked as at its registration; the old one stays in use until the new one has answered.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PUT /upstreams/{namespace}/{name}',
  input: z.strictObject({
    ...place,
    entry: entrySchema,
    ...documentFields,
    revision: revisionField,
  }),
  output: answered,
  run: (ports, caller, input) => replaceEntry(ports, caller, 'update_upstream', input),
});

/** Throws as `registerEntry` does, and GatewayError `no_such_object`. */
export async function replaceEntry(
  ports: AdminPorts,
  caller: Caller,
  action: string,
  { namespace, name, entry: given, revision, ...api }: GivenUpstream & { readonly revision?: number | undefined },
  tryOut?: (draft: Draft) => Promise<void>,
): Promise<Answered> {
  requireRole(caller, ['admin'], namespace);
  const id = `${namespace}/${name}`;
  const known = requireRegistered(ports, id);
  requireRevision('upstream', id, known, revision);
  const described = await describeEntry(ports, id, given, api);
  const { entry } = described;
  const draft = { namespace, name, entry, document: described.document?.bytes };
  const member = ports.catalog().upstreams.get(id);
  const isSame = member !== undefined && hasSameConnection(known.body.entry, entry);
  if (!isSame) refuseUnreviewed(ports);
  // What a model offers is made here, and costs nothing to make again.
  const isKept = isSame && entry.kind !== 'model';
  if (isKept) refuseErrors(`${id} was not changed.`, checkFormOnly(ports, caller, draft));
  const { findings, changes, offer } = isKept
    ? await examineOffer(ports, draft, member)
    : await examineUpstream(ports, caller, draft, member);
  refuseErrors(`${id} was not changed.`, findings);
  await tryOut?.(draft);
  requireRevision('upstream', id, ports.registry.get('upstream', id), known.revision);
  const pins = isKept ? [] : await pinSeen(ports, caller, draft, offer);
  const edits = [...editsOf(ports, id, namespace, described), ...pins];
  await commitChange(ports, caller, { action, edits, detail: entry });
  return { ...answerOf(await listed(ports, caller, id), findings), ...(changes === undefined ? {} : { changes }) };
}

export const deregisterUpstream = defineAction({
  name: 'deregister_upstream',
  title: 'Take an upstream out',
  description: 'Removes a registered upstream and everything it offers. Calls that run end as they will.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'DELETE /upstreams/{namespace}/{name}',
  input: z.strictObject(place),
  output: z.object({ id: z.string(), removedTools: z.array(z.string()) }),
  run: (ports, caller, input) => removeEntry(ports, caller, 'deregister_upstream', input),
});

export async function removeEntry(
  ports: AdminPorts,
  caller: Caller,
  action: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<{ readonly id: string; readonly removedTools: string[] }> {
  requireRole(caller, ['admin'], namespace);
  const id = `${namespace}/${name}`;
  requireRegistered(ports, id);
  const removedTools = toolsOf(ports, id);
  await commitChange(ports, caller, { action, edits: removalOf(ports, id) });
  return { id, removedTools };
}

export const listUpstreams = defineAction({
  name: 'list_upstreams',
  title: 'List upstreams',
  description: 'Every upstream of the namespaces that the caller has a role in: where it is, how it fares, what it offers.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /upstreams',
  input: z.strictObject({ namespace: namespaceNameSchema.optional().describe('Only of this one.') }),
  output: z.object({ upstreams: z.array(shown) }),
  async run(ports, caller, { namespace }) {
    const mine = namespacesOf(caller, ['auditor', 'developer']);
    const ids = new Set([
      ...[...ports.catalog().upstreams.values()].filter(({ config }) => config.kind !== 'admin').map(({ id }) => id),
      ...ports.registry.list('upstream').map(({ id }) => id),
    ]);
    const isWanted = (id: string) => {
      const [of = ''] = id.split('/', 1);
      return (namespace === undefined || namespace === of) && (mine === 'all' || mine.has(of));
    };
    return {
      upstreams: [...ids]
        .filter(isWanted)
        .sort()
        .map((id) => show(ports, caller, id)),
    };
  },
});

export const testUpstream = defineAction({
  name: 'test_upstream',
  title: 'Try an upstream out',
  description:
    'With an entry: does all that registering it would do, and registers nothing. Without: says how the upstream of that name fares.',
  roles: ['admin'],
  isReadOnly: true,
  reachesOut: true,
  route: 'POST /upstreams/test',
  input: z.strictObject({ ...place, entry: entrySchema.optional(), ...documentFields }),
  output: z.object({ isUsable: z.boolean(), findings: z.array(findingSchema), tools: z.array(z.string()) }).loose(),
  async run(ports, caller, { namespace, name, entry, ...api }) {
    requireRole(caller, ['admin'], namespace);
    const id = `${namespace}/${name}`;
    if (entry !== undefined || api.document !== undefined || api.documentUrl !== undefined) {
      const described = await describeEntry(ports, id, entry ?? {}, api);
      const draft = { namespace, name, entry: described.entry, document: described.document?.bytes };
      const { offer: _, ...examination } = await examineUpstream(ports, caller, draft, ports.catalog().upstreams.get(id));
      return { ...examination, isUsable: !examination.findings.some(({ severity }) => severity === 'error') };
    }
    if (!ports.catalog().upstreams.has(id)) throw notThere('upstream', id);
    const upstream = show(ports, caller, id);
    return { isUsable: upstream.state === 'healthy', findings: [], tools: upstream.tools, upstream };
  },
});

/** Throws GatewayError `forbidden` where the review rules leave no upstream to one person alone. */
export function refuseUnreviewed({ registry }: Pick<AdminPorts, 'registry'>): void {
  if (registry.get('review-rules', 'global')?.body.directRegistration !== false) return;
  throw new GatewayError(
    'forbidden',
    'The review rules want a second person to look at every upstream: use submit_capability, and have somebody else approve it.',
  );
}

/** Whoever registers an upstream approves what was seen of it just before: nothing else is served until it is approved too. */
async function pinSeen(ports: AdminPorts, { id: by }: Caller, draft: Draft, offer: Offer | undefined) {
  const offered = offer === undefined ? [] : await offeredInTurns(offer);
  if (offer === undefined || offered.length === 0) return [];
  const config = configOf(ports, draft);
  // What is made here, of its entry alone, needs nobody's approval.
  if (config.review === undefined) return [];
  const nowMs = ports.clock.nowMs();
  await ports.definitions.keep(await toStoredInTurns(offered, offer.instructions), nowMs);
  const named = offered.map(({ kind, hash, shape, definition }) => ({ kind, hash, shape, name: definition.name }));
  const decision = { by, why: 'registered', atMs: nowMs };
  const body = writePinned(approve(emptyPin(config.id, digestInstructions(offer.instructions)), named, decision));
  return [{ kind: 'pin' as const, id: pinId(config), body }];
}

function editsOf(ports: AdminPorts, id: string, namespace: string, { entry, document }: Described): readonly Edit[] {
  const body = { namespace, entry, ...registrationOf(ports, id) };
  return [{ kind: 'upstream', id, body }, ...documentEdits(ports, id, document?.kept)];
}

/** Of an upstream with all that is kept of it. */
function removalOf(ports: Pick<AdminPorts, 'registry'>, id: string): readonly Edit[] {
  const pins = ports.registry.list('pin').filter(({ body }) => body.upstream === id);
  const unpin = pins.map((pin) => ({ kind: 'pin' as const, id: pin.id, body: undefined }));
  return [{ kind: 'upstream', id, body: undefined }, ...documentEdits(ports, id, undefined), ...unpin];
}

function answerOf(upstream: ReturnType<typeof show>, findings: readonly Finding[]) {
  return { upstream, toolCount: upstream.tools.length, findings };
}

/** What was registered may stay, whoever wrote it, as long as nothing of it changes that decides where it connects. */
function checkFormOnly(ports: AdminPorts, caller: Caller, draft: Parameters<typeof checkDraft>[2]) {
  const { command: _command, env: _env, cwd: _cwd, headers: _headers, auth: _auth, ...rest } = draft.entry;
  return checkDraft(ports, caller, { ...draft, entry: { ...rest, url: 'https://gatehouse.invalid' } });
}

/** What a file declares is read-only here, and says where it is written. */
export function refuseDeclared(ports: Pick<AdminPorts, 'files'>, id: string): void {
  const file = fileOf(ports, id);
  if (file !== undefined)
    throw new GatewayError(
      'conflict',
      `${id} is declared in ${file} and can only be changed there; a file counts before what is registered.`,
    );
}

export function fileOf({ files }: Pick<AdminPorts, 'files'>, id: string): string | undefined {
  return files().find(({ upstreams }) => upstreams.some((upstream) => upstream.id === id))?.file;
}

export function requireRegistered(ports: Pick<AdminPorts, 'files' | 'registry'>, id: string) {
  refuseDeclared(ports, id);
  const known = ports.registry.get('upstream', id);
  if (known === undefined) throw notThere('upstream', id);
  return known;
}

async function listed(ports: AdminPorts, caller: Caller, id: string) {
  await ports.settled([id], listedWithinMs);
  return show(ports, caller, id);
}

function show(ports: AdminPorts, caller: Caller, id: string) {
  const [namespace = '', name = ''] = id.split('/', 2);
  const file = fileOf(ports, id);
  const known = ports.registry.get('upstream', id);
  const member = ports.catalog().upstreams.get(id);
  const { title, description } = member?.config ?? {};
  const isTheirs = hasRole(caller, ['admin'], namespace);
  return {
    id,
    namespace,
    name,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    source: file === undefined ? ('registry' as const) : ('file' as const),
    ...(file === undefined ? { revision: known?.revision } : { file }),
    ...stateOf(member, isTheirs),
    tools: toolsOf(ports, id),
    missing: missingOf(ports, id, member).map((problem) => (isTheirs ? problem : withoutSecretNames(problem, member))),
    // Secrets are references in it; addresses and headers are still for those who administer them.
    ...(file === undefined && known !== undefined && isTheirs ? { entry: known.body.entry } : {}),
  };
}

/** What its setup lacks is for those who administer it. */
function stateOf(member: Member | undefined, isTheirs: boolean) {
  if (member === undefined) return { state: 'left out' };
  const { state, transport, protocolVersion, server, lastError: whole } = member.upstream.health();
  const lastError = isTheirs ? whole : lastFailure(member);
  return { state, transport, protocolVersion, server, ...(lastError === undefined ? {} : { lastError }) };
}

function missingOf(ports: AdminPorts, id: string, member: Member | undefined) {
  const { problems } = ports.catalog();
  const offered = member?.upstream.offer().problems ?? [];
  const all = [...offered, ...problems.filter(({ upstream }) => upstream === id)].map(({ subject, message }) => ({
    subject,
    message,
  }));
  return [...new Map(all.map((problem) => [`${problem.subject} ${problem.message}`, problem])).values()];
}

function withoutSecretNames<Said extends { readonly message: string }>(said: Said, member: Member | undefined): Said {
  const isNamed = member?.config.missingSecrets?.some((name) => said.message.includes(name)) === true;
  return isNamed ? { ...said, message: unsaid } : said;
}

function toolsOf({ catalog }: Pick<AdminPorts, 'catalog'>, id: string): string[] {
  return [...catalog().everything.tools.values()].filter(({ member }) => member.id === id).map(({ outwardName }) => outwardName);
}
