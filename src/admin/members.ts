import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';
import { limitsSchema } from '../policy/limit-rules.ts';
import { idSchema, type MemberDocument, type RoleGrant, roleGrantSchema } from '../registry/documents.ts';
import type { Entry, Registry } from '../registry/registry.ts';
import { type AdminPorts, defineAction, hasRole, namespacesOf, notThere } from './action.ts';
import { commitChange, requireNew, requireRevision, revisionField } from './change.ts';
import { withoutUndefined } from './consumers.ts';
import { pageFields, pageOf } from './page.ts';

const fields = {
  title: z.string().min(1).max(200).describe('Name for people.'),
  identities: z
    .array(z.string().min(1).max(512))
    .max(20)
    .describe(
      'Who signs in as this member: "oauth:<issuer>#<subject>" as records show it, or an e-mail address. Each belongs to one member.',
    ),
  roles: z
    .array(roleGrantSchema)
    .max(200)
    .describe('Takes the place of all roles that you may grant: a namespace admin those of the own namespaces, the others stay.'),
  limits: limitsSchema.describe('Rates and budgets of all their calls together.'),
  isDisabled: z.boolean().describe('Whether they, their keys and the keys they issued are refused.'),
};

const shown = z
  .object({ id: z.string(), title: z.string(), roles: z.array(roleGrantSchema), isDisabled: z.boolean(), revision: z.number() })
  .loose();

const answer = z.object({ member: shown, note: z.string().optional().describe('What to know about this change.') });

export const createMember = defineAction({
  name: 'create_member',
  title: 'Create a member',
  description:
    'A person with roles, for the whole gateway or in a namespace. A namespace admin may grant roles in the own namespaces; identities and limits are for admins of the whole gateway.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'POST /members',
  input: z.strictObject({
    id: idSchema.describe('Short name; stands in records.'),
    title: fields.title,
    identities: fields.identities.optional(),
    roles: fields.roles.optional(),
    limits: fields.limits.optional(),
  }),
  output: answer,
  async run(ports, caller, { id, title, identities = [], roles = [], limits }) {
    const { registry } = ports;
    if (identities.length > 0) requireGlobal(caller, 'identities');
    if (limits !== undefined) requireGlobal(caller, 'limits');
    requireGrantable(caller, roles);
    requireNew(registry, 'member', id);
    requireFreeIdentities(registry, id, identities);
    const body: MemberDocument = {
      title,
      identities,
      roles: distinct(roles),
      isDisabled: false,
      ...withoutUndefined({ limits }),
    };
    await commitChange(ports, caller, { action: 'create_member', edits: [{ kind: 'member', id, body }], detail: body });
    return { member: show(ports, caller, registry.require('member', id)) };
  },
});

export const updateMember = defineAction({
  name: 'update_member',
  title: 'Change a member',
  description:
    'Changes what is given, leaves the rest. A disabled member takes along their keys and those they issued; a role that is taken away shrinks those keys at once.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PATCH /members/{id}',
  input: z.strictObject({
    id: idSchema,
    title: fields.title.optional(),
    identities: fields.identities.optional(),
    roles: fields.roles.optional(),
    limits: fields.limits.optional(),
    isDisabled: fields.isDisabled.optional(),
    revision: revisionField,
  }),
  output: answer,
  async run(ports, caller, { id, roles, revision, ...changes }) {
    const { registry } = ports;
    const known = registry.get('member', id);
    if (known === undefined) throw notThere('member', id);
    requireRevision('member', id, known, revision);
    for (const field of ['title', 'identities', 'limits', 'isDisabled'] as const)
      if (changes[field] !== undefined) requireGlobal(caller, field);
    if (roles !== undefined) requireGrantable(caller, roles);
    if (changes.identities !== undefined) requireFreeIdentities(registry, id, changes.identities);
    const next = roles === undefined ? {} : { roles: withGrants(caller, known.body.roles, roles) };
    const body: MemberDocument = { ...known.body, ...withoutUndefined(changes), ...next };
    const notes = [noteOnLastAdmin(ports, id, body), changes.isDisabled === true ? noteOnNames(id, body) : undefined];
    const note = notes.filter((one) => one !== undefined).join(' ') || undefined;
    const detail = withoutUndefined({ ...changes, roles });
    await commitChange(ports, caller, { action: 'update_member', edits: [{ kind: 'member', id, body }], detail });
    return withoutUndefined({ member: show(ports, caller, registry.require('member', id)), note });
  },
});

export const listMembers = defineAction({
  name: 'list_members',
  title: 'List members',
  description:
    'Members with their roles, and how many keys depend on each. Whoever has a role in a namespace only sees its members and their roles there.',
  roles: ['admin', 'auditor'],
  isReadOnly: true,
  route: 'GET /members',
  input: z.strictObject(pageFields),
  output: z.object({ members: z.array(shown), next: z.string().optional().describe('Ask again with this as "after".') }),
  async run(ports, caller, query) {
    const visible = namespacesOf(caller, ['admin', 'auditor']);
    const found = ports.registry.list('member').filter(({ id, body }) => {
      if (visible === 'all' || id === caller.member) return true;
      return body.roles.some(({ namespace }) => namespace !== undefined && visible.has(namespace));
    });
    const { items, next } = pageOf(found, query);
    const keysOf = countKeys(ports.registry);
    return withoutUndefined({ members: items.map((entry) => show(ports, caller, entry, keysOf)), next });
  },
});

/** How many active keys each member has, and issued. */
function countKeys(registry: Registry): (member: string) => { readonly own: number; readonly issued: number } {
  const own = new Map<string, number>();
  const issued = new Map<string, number>();
  const count = (counts: Map<string, number>, member: string | undefined) => {
    if (member !== undefined) counts.set(member, (counts.get(member) ?? 0) + 1);
  };
  for (const { body } of registry.list('key')) {
    if (body.state !== 'active') continue;
    count(own, body.member);
    count(issued, body.issuer);
  }
  return (member) => ({ own: own.get(member) ?? 0, issued: issued.get(member) ?? 0 });
}

function show({ registry }: AdminPorts, caller: Caller, { id, body, revision }: Entry<'member'>, keysOf = countKeys(registry)) {
  const visible = namespacesOf(caller, ['admin', 'auditor']);
  const all = { id, ...body, keys: keysOf(id), revision };
  if (visible === 'all' || id === caller.member) return all;
  const { identities: _, limits: __, keys: ___, ...rest } = all;
  const roles = body.roles.filter(({ namespace }) => namespace !== undefined && visible.has(namespace));
  return { ...rest, roles };
}

// Who somebody is decides whose calls are theirs, everywhere: an admin of one namespace could take away others' rights with it.
function requireGlobal(caller: Caller, field: string): void {
  if (hasRole(caller, ['admin'])) return;
  throw new GatewayError(
    'forbidden',
    `"${field}" of a member is for admins of the whole gateway, which ${caller.id} is not; ask one, or leave it out.`,
  );
}

function requireGrantable(caller: Caller, roles: readonly RoleGrant[]): void {
  for (const { role, namespace } of roles) {
    if (namespace === 'admin')
      throw new GatewayError(
        'bad_arguments',
        'The namespace "admin" is the gateway\'s own; grant a role without a namespace instead.',
      );
    if (hasRole(caller, ['admin'], namespace)) continue;
    const where = namespace === undefined ? 'for the whole gateway' : `in ${namespace}`;
    throw new GatewayError('forbidden', `The role ${role} ${where} is not yours to grant; name a namespace that you administer.`);
  }
}

/** What somebody may grant is replaced, what they may not stays as it is. */
function withGrants(caller: Caller, before: readonly RoleGrant[], granted: readonly RoleGrant[]): RoleGrant[] {
  return distinct([...before.filter(({ namespace }) => !hasRole(caller, ['admin'], namespace)), ...granted]);
}

function distinct(roles: readonly RoleGrant[]): RoleGrant[] {
  return [...new Map(roles.map((grant) => [`${grant.role} ${grant.namespace ?? ''}`, grant])).values()];
}

function requireFreeIdentities(registry: Registry, id: string, identities: readonly string[]): void {
  for (const other of registry.list('member')) {
    const taken = other.id === id ? undefined : identities.find((identity) => other.body.identities.includes(identity));
    if (taken !== undefined)
      throw new GatewayError('conflict', `"${taken}" already signs in as the member ${other.id}; remove it there first.`);
  }
}

/** Clients choose whether a token says its owner's address; `sub` is in each. */
function noteOnNames(id: string, { identities }: MemberDocument): string | undefined {
  if (identities.length === 0 || identities.some((identity) => identity.startsWith('oauth:'))) return undefined;
  return `${id} is known by a name that a token may leave out, and without it is let in with the roles that it says. Add "oauth:<issuer>#<sub>", as records show it, to the identities, or write "nameless: refuse" into the claims of the issuer.`;
}

/** Throws GatewayError `conflict` where nobody could administer the gateway any more. */
function noteOnLastAdmin({ registry, keys }: AdminPorts, id: string, next: MemberDocument): string | undefined {
  const isAdmin = ({ roles, isDisabled }: MemberDocument) =>
    !isDisabled && roles.some(({ role, namespace }) => role === 'admin' && namespace === undefined);
  const known = registry.get('member', id);
  if (known === undefined || !isAdmin(known.body) || isAdmin(next)) return undefined;
  if (registry.list('member').some((other) => other.id !== id && isAdmin(other.body))) return undefined;
  if (!keys.hasOperator)
    throw new GatewayError(
      'conflict',
      `${id} is the last admin of the whole gateway. Make somebody else one first, or start the gateway with GATEHOUSE_ADMIN_KEY, whose key can always administer it.`,
    );
  return `No member is an admin of the whole gateway any more. To get in again use the operator's admin key (GATEHOUSE_ADMIN_KEY, or the one shown at the first start), or work on the gateway's own machine, where no key is asked for.`;
}
