import { isDeepStrictEqual } from 'node:util';
import type { Caller } from '../call/authenticate.ts';
import { keptDigest } from '../catalog/description-files.ts';
import { readPattern } from '../catalog/toolbox-pattern.ts';
import { GatewayError } from '../errors.ts';
import { suggestName } from '../problems.ts';
import { readScope } from '../registry/compose.ts';
import { checkEntry, type MemberDocument } from '../registry/documents.ts';
import type { Edit } from '../registry/registry.ts';
import { secretNames } from '../secrets.ts';
import { mapInTurns, takeTurns } from '../turns.ts';
import { isObject } from '../wire/json.ts';
import type { AdminPorts } from './action.ts';
import { documentEdits } from './api-document.ts';
import { registrationOf } from './change.ts';
import type { Flaw, Wanted } from './configuration-format.ts';
import { checkDraft } from './examine-upstream.ts';
import { knownTo, namespacesNamed } from './known-names.ts';
import { refuseLockout } from './policies.ts';
import { type Nameable, nameableBy, routingWarnings, warningsOf } from './policy-warnings.ts';
import { publication, removalOf, versionOf } from './toolboxes.ts';

/** What one entry of a text would do, or what would go because no entry names it. */
export interface PlannedEntry {
  readonly change: 'create' | 'change' | 'remove' | 'unchanged';
  readonly kind: Wanted['kind'];
  readonly id: string;
  /** Where in the text; undefined for what goes. */
  readonly path: readonly PropertyKey[] | undefined;
  /** What differs, one line each. */
  readonly details: readonly string[];
}

export interface Plan {
  readonly entries: readonly PlannedEntry[];
  readonly flaws: readonly Flaw[];
  readonly edits: readonly Edit[];
}

interface Planned {
  readonly entry: PlannedEntry;
  readonly edits: readonly Edit[];
}

/**
 * Compares what a text wants with what is registered, in turns with everybody else's work. Changes nothing. Whoever carries it out
 * makes sure that nothing else was changed since it began.
 */
export async function planConfiguration(
  ports: AdminPorts,
  caller: Caller,
  ip: string,
  wanted: readonly Wanted[],
  prune: boolean,
): Promise<Plan> {
  const turn = takeTurns();
  const lockouts = await mapInTurns(wanted, (one) => checkLockout(ports, caller, ip, one), turn);
  const selections = selectionsOf(wanted);
  const plans = await mapInTurns(wanted, (one) => planOne(ports, caller, one, selections), turn);
  const planned = plans.filter((plan) => plan !== undefined);
  const namespaces = namespacesFor(ports, wanted);
  const flaws = await mapInTurns(wanted, (one) => checkOne(ports, caller, one, namespaces), turn);
  const idle = await lookAtPolicies(ports, caller, ip, wanted);
  const removed = prune ? planRemovals(ports, wanted) : { planned: [], flaws: [] };
  return {
    entries: [...planned, ...removed.planned].map(({ entry }) => entry),
    flaws: [...flaws.flat(), ...checkMembers(ports, wanted, prune), ...lockouts.flat(), ...idle, ...removed.flaws],
    edits: [...planned, ...removed.planned].flatMap(({ edits }) => edits),
  };
}

/** Toolboxes and drafts of a text, each the first of its name. */
interface Selections {
  readonly toolbox: ReadonlyMap<string, WantedToolbox>;
  readonly draft: ReadonlyMap<string, WantedToolbox>;
}

function selectionsOf(wanted: readonly Wanted[]): Selections {
  const of = (kind: WantedToolbox['kind']) =>
    new Map(wanted.flatMap((one) => (one.kind === kind ? [[one.id, one as WantedToolbox] as const] : [])).reverse());
  return { toolbox: of('toolbox'), draft: of('draft') };
}

function planOne(ports: AdminPorts, caller: Caller, one: Wanted, wanted: Selections): Planned | undefined {
  const { registry } = ports;
  switch (one.kind) {
    case 'namespace': {
      // A namespace of a file is there already, and what is registered joins it.
      if (declaredIn(ports, one) !== undefined) return undefined;
      const body = one.description === undefined ? {} : { description: one.description };
      return compare(one, registry.get('namespace', one.id)?.body, body, [{ kind: 'namespace', id: one.id, body }]);
    }
    case 'upstream': {
      const body = { namespace: one.namespace, entry: one.entry, ...registrationOf(ports, one.id) };
      const edits: readonly Edit[] = [{ kind: 'upstream', id: one.id, body }, ...descriptionEdits(ports, one)];
      return compare(one, registry.get('upstream', one.id)?.body.entry, one.entry, edits);
    }
    case 'consumer':
      return compare(one, registry.get('consumer', one.id)?.body, one.body, [{ kind: 'consumer', id: one.id, body: one.body }]);
    case 'member':
      return compare(one, registry.get('member', one.id)?.body, one.body, [{ kind: 'member', id: one.id, body: one.body }]);
    case 'alert':
      return compare(one, registry.get('alert', one.id)?.body, one.body, [{ kind: 'alert', id: one.id, body: one.body }]);
    case 'model-price':
      return compare(one, registry.get('model-price', one.id)?.body, one.body, [
        { kind: 'model-price', id: one.id, body: one.body },
      ]);
    case 'policy': {
      const body = { policy: one.policy };
      return compare(one, registry.get('policy', one.id)?.body.policy, one.policy, [{ kind: 'policy', id: one.id, body }]);
    }
    case 'toolbox':
      return planToolbox(ports, caller, one, wanted);
    case 'draft':
      return planDraft(ports, caller, one, wanted);
  }
}

/** An entry that refers to the description that is kept already brings none. */
function descriptionEdits(ports: AdminPorts, { id, entry, description }: WantedUpstream): readonly Edit[] {
  return description === undefined && entry.document !== undefined ? [] : documentEdits(ports, id, description);
}

type WantedUpstream = Extract<Wanted, { readonly kind: 'upstream' }>;
type WantedToolbox = Extract<Wanted, { readonly kind: 'toolbox' | 'draft' }>;

/** What differs from the version that is served becomes the next version. */
function planToolbox(
  ports: AdminPorts,
  caller: Caller,
  one: WantedToolbox,
  { draft: drafts }: Pick<Selections, 'draft'>,
): Planned {
  const known = ports.registry.get('toolbox', one.id)?.body;
  const served = known?.published === undefined ? undefined : versionOf(ports, one.id, known.published)?.selection;
  const draft = drafts.get(one.id)?.selection;
  const next = { namespace: one.namespace, draft: one.selection, latest: known?.latest ?? 0, owner: known?.owner ?? caller.id };
  const edits = publication(ports, one.id, next, { caller, note: 'imported' });
  // A draft of the same text is written with it: one document, one edit.
  return compare(one, served, one.selection, draft === undefined ? edits : edits.map((edit) => withDraft(edit, draft)));
}

function planDraft(ports: AdminPorts, caller: Caller, one: WantedToolbox, wanted: Selections): Planned {
  const known = ports.registry.get('toolbox', one.id)?.body;
  const { namespace, selection: draft } = one;
  const body = known === undefined ? { namespace, draft, latest: 0, owner: caller.id } : { ...known, draft };
  const planned = compare(one, known?.draft, draft, [{ kind: 'toolbox', id: one.id, body }]);
  const toolbox = wanted.toolbox.get(one.id);
  const isWritten = toolbox !== undefined && planToolbox(ports, caller, toolbox, { draft: new Map() }).edits.length > 0;
  return isWritten ? { ...planned, edits: [] } : planned;
}

function withDraft(edit: Edit, draft: Record<string, unknown>): Edit {
  return edit.kind === 'toolbox' && edit.body !== undefined ? { ...edit, body: { ...edit.body, draft } } : edit;
}

function compare({ kind, id, path }: Wanted, before: unknown, after: unknown, edits: readonly Edit[]): Planned {
  // As they are stored: a key without a value is none.
  const [old, next] = [before, after].map((value) =>
    value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown),
  );
  if (old !== undefined && isDeepStrictEqual(old, next))
    return { entry: { change: 'unchanged', kind, id, path, details: [] }, edits: [] };
  const change = old === undefined ? 'create' : 'change';
  return { entry: { change, kind, id, path, details: old === undefined ? [] : differences(old, next) }, edits };
}

const mostDetails = 50;

function differences(before: unknown, after: unknown, at = ''): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => differences(before[key], after[key], at === '' ? key : `${at}.${key}`)).slice(0, mostDetails);
  }
  if (before === undefined) return [`+ ${at}: ${shorten(after)}`];
  if (after === undefined) return [`- ${at}: ${shorten(before)}`];
  return [`~ ${at}: ${shorten(before)} -> ${shorten(after)}`];
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

/** Everything that is registered and that the text does not name. */
function planRemovals(
  ports: AdminPorts,
  wanted: readonly Wanted[],
): { readonly planned: readonly Planned[]; readonly flaws: readonly Flaw[] } {
  const { registry } = ports;
  const named = new Set(wanted.map(({ kind, id }) => `${kind === 'draft' ? 'toolbox' : kind} ${id}`));
  const gone = (kind: Exclude<Wanted['kind'], 'draft'>) =>
    registry
      .list(kind)
      .filter(({ id }) => !named.has(`${kind} ${id}`))
      .map(({ id }): Planned => {
        const edits: readonly Edit[] =
          kind === 'toolbox' ? removalOf(ports, id) : [{ kind, id, body: undefined }, ...ofDescription(ports, kind, id)];
        return { entry: { change: 'remove', kind, id, path: undefined, details: [] }, edits };
      });
  const kinds = ['policy', 'alert', 'model-price', 'toolbox', 'upstream', 'namespace', 'consumer', 'member'] as const;
  const planned = kinds.flatMap(gone);
  const keys = keysByOwner(registry);
  const flaws = planned.flatMap(({ entry: { kind, id } }): Flaw[] => {
    const owned = keys.get(`${kind} ${id}`);
    if (owned === undefined) return [];
    const message = `The ${kind} "${id}" would go, but has the keys ${owned.join(', ')}. Revoke them first, or write it into the text.`;
    return [{ path: [], message }];
  });
  return { planned, flaws };
}

/** Ids of keys that were not revoked, by `consumer shop` and `member ann`. */
function keysByOwner(registry: AdminPorts['registry']): ReadonlyMap<string, readonly string[]> {
  const owned = new Map<string, string[]>();
  for (const { id, body } of registry.list('key')) {
    if (body.state === 'revoked') continue;
    const members = [body.member, body.issuer].filter((member) => member !== undefined);
    const consumers = body.consumer === undefined ? [] : [`consumer ${body.consumer}`];
    for (const owner of [...consumers, ...new Set(members.map((member) => `member ${member}`))]) {
      const keys = owned.get(owner);
      if (keys === undefined) owned.set(owner, [id]);
      else keys.push(id);
    }
  }
  return owned;
}

function ofDescription(ports: AdminPorts, kind: string, id: string): readonly Edit[] {
  return kind === 'upstream' ? documentEdits(ports, id, undefined) : [];
}

function checkOne(ports: AdminPorts, caller: Caller, one: Wanted, namespaces: readonly string[]): readonly Flaw[] {
  const file = declaredIn(ports, one);
  if (file !== undefined && (one.kind !== 'namespace' || one.description !== undefined))
    return [
      {
        path: one.path,
        message: `The ${one.kind} "${one.id}" is declared in ${file} and can only be changed there; remove it here.`,
      },
    ];
  if (one.kind === 'upstream') return checkUpstream(ports, caller, one);
  if (one.kind === 'toolbox' || one.kind === 'draft') return checkToolbox(ports, one, namespaces);
  return [];
}

function checkUpstream(ports: AdminPorts, caller: Caller, one: WantedUpstream): readonly Flaw[] {
  const findings = checkDraft(ports, caller, one).map(({ path, message, severity }) => ({
    path: [...one.path, ...path.split('/').slice(1)],
    message,
    severity,
  }));
  const missing = [...new Set(secretNames(JSON.stringify(one.entry)))].filter((name) => !isSet(ports, name));
  return [
    ...findings,
    ...checkDocument(ports, one),
    ...missing.map((name) => ({
      path: one.path,
      message: `The secret ${name} is not set yet; ${one.id} cannot connect without it.`,
      severity: 'warning' as const,
    })),
  ];
}

/** A text that refers to an API description and does not hold it is for the gateway that has it. */
function checkDocument({ registry }: AdminPorts, { id, entry, description, path }: WantedUpstream): readonly Flaw[] {
  if (typeof entry.document !== 'string' || description !== undefined) return [];
  if (registry.get('description', id)?.body.sha256 === keptDigest(entry.document)) return [];
  return [{ path: [...path, 'document'], message: `The API description of ${id} is not kept here; write its text.` }];
}

function isSet({ secrets }: AdminPorts, name: string): boolean {
  try {
    secrets.resolve(`\${secret:${name}}`);
    return true;
  } catch {
    return false;
  }
}

/** Those that are there, and those that a text brings. */
function namespacesFor(ports: AdminPorts, wanted: readonly Wanted[]): readonly string[] {
  return [...namespacesNamed(ports), ...wanted.filter(({ kind }) => kind === 'namespace').map(({ id }) => id)];
}

function checkToolbox(ports: AdminPorts, one: WantedToolbox, namespaces: readonly string[]): readonly Flaw[] {
  const known = ports.registry.get('toolbox', one.id)?.body;
  if (known !== undefined && known.namespace !== one.namespace)
    return [
      { path: one.path, message: `The toolbox "${one.id}" belongs to the namespace "${known.namespace}"; choose another name.` },
    ];
  const flaws = checkEntry('toolboxes', one.namespace, one.id, one.selection).map(({ path, message }) => ({
    path: [...one.path, ...path],
    message,
  }));
  if (flaws.length > 0) return flaws;
  const include = Array.isArray(one.selection.include) ? one.selection.include : [];
  return include.flatMap((text: unknown, at): Flaw[] => {
    const pattern = readPattern(String(text));
    if (pattern === undefined || namespaces.some((name) => pattern.coversNamespace(name))) return [];
    const message = `"${pattern.text}" names the namespace "${pattern.namespace}", which is not there.${suggestName(pattern.namespace, namespaces)}`;
    return [{ path: [...one.path, 'include', at], message }];
  });
}

type WantedMember = Extract<Wanted, { readonly kind: 'member' }>;

/** What holds between members: one identity speaks for one of them, and somebody stays who administers the gateway. */
function checkMembers(ports: AdminPorts, wanted: readonly Wanted[], prune: boolean): readonly Flaw[] {
  const { registry, keys } = ports;
  const members = wanted.filter((one): one is WantedMember => one.kind === 'member');
  const kept = prune ? [] : registry.list('member').filter(({ id }) => !members.some((one) => one.id === id));
  const owners = new Map(kept.flatMap(({ id, body }) => body.identities.map((identity) => [identity, id] as const)));
  const flaws = members.flatMap((one) => checkMember(one, owners));
  const isAdmin = ({ roles, isDisabled }: MemberDocument) =>
    !isDisabled && roles.some(({ role, namespace }) => role === 'admin' && namespace === undefined);
  const isLast =
    ![...kept, ...members].some(({ body }) => isAdmin(body)) && registry.list('member').some(({ body }) => isAdmin(body));
  if (!isLast || keys.hasOperator) return flaws;
  const message =
    'Nobody would be an admin of the whole gateway any more. Keep one, or start the gateway with GATEHOUSE_ADMIN_KEY.';
  return [...flaws, { path: [], message }];
}

function checkMember({ id, path, body }: WantedMember, owners: Map<string, string>): readonly Flaw[] {
  const identities = body.identities.flatMap((identity, at): Flaw[] => {
    const owner = owners.get(identity);
    owners.set(identity, id);
    if (owner === undefined) return [];
    return [
      { path: [...path, 'identities', at], message: `"${identity}" already speaks for the member "${owner}"; remove one.` },
    ];
  });
  const roles = body.roles.flatMap(({ namespace }, at): Flaw[] => {
    if (namespace !== 'admin') return [];
    const message = 'The namespace "admin" is the gateway\'s own; give a role without a namespace instead.';
    return [{ path: [...path, 'roles', at], message }];
  });
  return [...identities, ...roles];
}

/** Policies under which whoever imports them could not take them back. */
async function checkLockout(ports: AdminPorts, caller: Caller, ip: string, one: Wanted): Promise<readonly Flaw[]> {
  const scope = one.kind === 'policy' ? readScope(one.id) : undefined;
  if (one.kind !== 'policy' || scope === undefined) return [];
  try {
    await refuseLockout(ports, caller, ip, { scope, policy: one.policy });
    return [];
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return [{ path: one.path, message: error.message }];
  }
}

/** Lines of policies, and rules of models, that hold nothing. What upstreams of the text will offer is not known before they are there. */
async function lookAtPolicies(
  ports: AdminPorts,
  caller: Caller,
  ip: string,
  wanted: readonly Wanted[],
): Promise<readonly Flaw[]> {
  const policies = wanted.filter((one) => one.kind === 'policy');
  const upstreams = wanted.filter((one) => one.kind === 'upstream');
  if (policies.length === 0 && !upstreams.some(({ entry }) => rulesOf(entry).length > 0)) return [];
  const known = nameableBy(ports, await knownTo(ports, caller, ip));
  const isNew = ({ id, entry }: WantedUpstream) => !isDeepStrictEqual(ports.registry.get('upstream', id)?.body.entry, entry);
  const brought = (kind: Wanted['kind']) => wanted.flatMap((one) => (one.kind === kind ? [one.id] : []));
  const nameable: Nameable = {
    ...known,
    namespaces: new Set([...known.namespaces, ...brought('namespace')]),
    models: new Set([...known.models, ...brought('upstream')]),
    members: new Set([...known.members, ...brought('member')]),
    people: known.people && new Set([...known.people, ...brought('member')]),
    consumers: known.consumers && new Set([...known.consumers, ...brought('consumer')]),
    upstreams: new Set([...known.upstreams, ...brought('upstream')]),
    labels: new Set([...known.labels, ...policies.flatMap(({ policy: { labels = {} } }) => Object.keys(labels))]),
    unready: new Set(upstreams.filter(isNew).map(({ namespace }) => namespace)),
  };
  const at = (path: readonly PropertyKey[], warnings: ReturnType<typeof warningsOf>) =>
    warnings.map((warning): Flaw => ({ ...warning, path: [...path, ...warning.path], severity: 'warning' }));
  return [
    ...policies.flatMap(({ id, path, policy }) => {
      const scope = readScope(id);
      return scope === undefined ? [] : at(path, warningsOf(nameable, scope, policy));
    }),
    ...upstreams.flatMap(({ id, path, entry }) => at(path, routingWarnings(nameable, id, rulesOf(entry)))),
  ];
}

/** Of a model's entry, which was checked where it was read. */
function rulesOf({ kind, routing }: WantedUpstream['entry']): readonly { readonly when: string }[] {
  const rules = kind === 'model' && isObject(routing) ? routing.rules : undefined;
  const written: readonly unknown[] = Array.isArray(rules) ? rules : [];
  return written.map((rule) => ({ when: isObject(rule) ? String(rule.when) : '' }));
}

function declaredIn({ files }: Pick<AdminPorts, 'files'>, { kind, id }: Wanted): string | undefined {
  return files().find(({ name, upstreams, toolboxes }) => {
    if (kind === 'namespace') return name === id;
    if (kind === 'upstream') return upstreams.some((upstream) => upstream.id === id);
    return (kind === 'toolbox' || kind === 'draft') && toolboxes.some((toolbox) => toolbox.name === id);
  })?.file;
}
