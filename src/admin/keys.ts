import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { holdersOfNew } from '../call/authenticate/key-holders.ts';
import { makeKey } from '../call/authenticate/key-ring.ts';
import { stateOf } from '../call/authenticate/registered-key.ts';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';
import { limitsSchema } from '../policy/limit-rules.ts';
import { networkSchema } from '../policy/policy-schema.ts';
import { idSchema, type KeyDocument, type Scope, scopeSchema } from '../registry/documents.ts';
import type { Entry } from '../registry/registry.ts';
import { type AdminPorts, defineAction, namespacesOf, notThere } from './action.ts';
import { commitChange, requireNew } from './change.ts';
import { withoutUndefined } from './consumers.ts';
import { completeRights, excessOf, isKeyWithin, isOwn } from './key-authority.ts';
import { pageFields, pageOf } from './page.ts';
import { warningsField } from './policies.ts';
import { scopeWarnings } from './scope-warnings.ts';

const longestGraceS = 86_400;
const tenYearsS = 315_360_000;

const shown = z
  .object({
    id: z.string(),
    title: z.string(),
    state: z.enum(['active', 'disabled', 'revoked', 'expired', 'suspended']),
    why: z.string(),
    secrets: z
      .array(
        z.object({
          hint: z.string(),
          createdAtMs: z.number(),
          validUntilMs: z.number().optional(),
          handedTo: z
            .array(z.object({ id: z.string(), member: z.string().optional(), consumer: z.string().optional() }))
            .optional()
            .describe('Who was shown it, or could have been: none of these decides on a call that is made with the key.'),
        }),
      )
      .describe('What is left of its secrets: the last four characters. The first is the newest.'),
    revision: z.number(),
  })
  .loose();

const shownOnce = z.object({
  key: shown,
  secret: z.string().describe('The key itself. It is shown this once and kept nowhere: store it now.'),
});

export const issued = shownOnce.extend({
  warnings: warningsField,
});

export const createKey = defineAction({
  name: 'create_key',
  title: 'Create a key',
  description:
    'A key for a consumer, a member, or yourself. It can never do more than you may; what you leave out is as far as you may give. The answer holds the key itself, this once.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'POST /keys',
  input: z.strictObject({
    id: idSchema.optional().describe('Short name; stands in records and in the key. Default: one is made.'),
    title: z.string().min(1).max(200).describe('What it is for, for people.'),
    consumer: idSchema.optional().describe('The team or application it belongs to.'),
    member: idSchema.optional().describe('The person it belongs to. Default without a consumer: you.'),
    scope: scopeSchema.optional().describe('What it may call. An empty list is nothing.'),
    network: networkSchema.optional().describe('Addresses it may be used from. An empty list is nowhere.'),
    limits: limitsSchema.optional().describe('Rates and budgets of its own.'),
    expiresInS: z.int().min(60).max(tenYearsS).optional().describe('How long it is valid, in seconds. Default: for ever.'),
  }),
  output: issued,
  async run(ports, caller, { id = madeUpKeyId(), title, expiresInS, scope = {}, ...rest }, ip) {
    const member = rest.member ?? (rest.consumer === undefined ? caller.member : undefined);
    return await issueKey(ports, caller, ip, 'create_key', { id, title, expiresInS, ...rest, member, scope });
  },
});

/** A key as it is asked for. */
export interface WantedKey {
  readonly id: string;
  readonly title: string;
  readonly consumer?: string | undefined;
  readonly member?: string | undefined;
  readonly scope: Scope;
  readonly network?: KeyDocument['network'] | undefined;
  readonly limits?: KeyDocument['limits'] | undefined;
  readonly expiresInS?: number | undefined;
}

/** Makes a key that does no more than its giver may. Throws GatewayError `bad_arguments`, `conflict` and `forbidden`. */
export async function issueKey(
  ports: AdminPorts,
  caller: Caller,
  ip: string,
  action: string,
  { id, title, expiresInS, ...wanted }: WantedKey,
): Promise<z.output<typeof issued>> {
  const { registry, clock, keys } = ports;
  const nowMs = clock.nowMs();
  if (wanted.consumer === undefined && wanted.member === undefined)
    throw new GatewayError('bad_arguments', 'Say whose key it is: name a "consumer" or a "member".');
  const expiresAtMs = expiresInS === undefined ? undefined : nowMs + expiresInS * 1000;
  const rights = completeRights(registry, caller, { ...wanted, expiresAtMs });
  refuseExcess(excessOf(registry, caller, rights));
  requireOwner(ports, rights);
  // The operator's key is called so in every record.
  if (id === 'admin') throw new GatewayError('conflict', 'The id "admin" is that of the operator\'s key; choose another.');
  requireNew(registry, 'key', id);
  const secret = makeKey(id);
  const body: KeyDocument = withoutUndefined({
    title,
    ...rights,
    state: 'active',
    secrets: [{ hash: keys.hash(secret), hint: secret.slice(-4), createdAtMs: nowMs, handedTo: holdersOfNew(caller) }],
    issuedBy: caller.id,
    issuer: caller.member,
    createdAtMs: nowMs,
  });
  const { secrets: _, ...detail } = body;
  await commitChange(ports, caller, { action, edits: [{ kind: 'key', id, body }], detail });
  const key = show(ports, registry.require('key', id));
  const warnings = await scopeWarnings(ports, caller, ip, wanted.scope);
  return { key, secret, ...(warnings.length === 0 ? {} : { warnings }) };
}

export function madeUpKeyId(): string {
  return `k-${randomBytes(6).toString('hex')}`;
}

export const rotateKey = defineAction({
  name: 'rotate_key',
  title: 'Rotate a key',
  description:
    'A new secret for a key; the old one stays valid for a time of grace. At most two are valid at once: rotating again ends the older one. The answer holds the new key, this once.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'POST /keys/{id}/rotate',
  input: z.strictObject({
    id: idSchema,
    graceS: z
      .int()
      .min(0)
      .max(longestGraceS)
      .describe('How long the secret that was valid until now stays so, in seconds: 0 to 86400.'),
  }),
  output: shownOnce,
  async run(ports, caller, { id, graceS }) {
    const { registry, clock, keys } = ports;
    const nowMs = clock.nowMs();
    const { body } = manageable(ports, caller, id);
    // Whoever gets the secret can do what it can.
    if (caller.key !== id) refuseExcess(excessOf(registry, caller, body));
    if (body.state === 'revoked') throw new GatewayError('conflict', `The key ${id} was revoked, for good. Create another.`);
    if (nowMs >= (body.expiresAtMs ?? Number.POSITIVE_INFINITY))
      throw new GatewayError(
        'conflict',
        `The key ${id} has expired; a new secret would be refused like the old one. Create another key.`,
      );
    const secret = makeKey(id);
    const [current] = body.secrets;
    const graceEndMs = nowMs + graceS * 1000;
    const old =
      current === undefined || graceS === 0
        ? []
        : [{ ...current, validUntilMs: Math.min(graceEndMs, current.validUntilMs ?? graceEndMs) }];
    const handedTo = holdersOfNew(caller);
    const secrets = [{ hash: keys.hash(secret), hint: secret.slice(-4), createdAtMs: nowMs, handedTo }, ...old];
    const detail = {
      graceS,
      from: current?.hint,
      to: secret.slice(-4),
      ended: body.secrets.slice(graceS === 0 ? 0 : 1).map(({ hint }) => hint),
    };
    await commitChange(ports, caller, { action: 'rotate_key', edits: [{ kind: 'key', id, body: { ...body, secrets } }], detail });
    return { key: show(ports, registry.require('key', id)), secret };
  },
});

export const disableKey = defineAction({
  name: 'disable_key',
  title: 'Disable or enable a key',
  description:
    'A disabled key is refused until it is enabled again. Enabling is for admins: they may have disabled it for a reason.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'POST /keys/{id}/disable',
  input: z.strictObject({
    id: idSchema,
    isDisabled: z.boolean().optional().describe('false enables it again. Default: true.'),
  }),
  output: z.object({ key: shown }),
  async run(ports, caller, { id, isDisabled = true }) {
    const { registry } = ports;
    const { body } = manageable(ports, caller, id);
    if (body.state === 'revoked') throw new GatewayError('conflict', `The key ${id} was revoked, for good. Create another.`);
    if (!isDisabled && !isKeyWithin(registry, body, namespacesOf(caller, ['admin'])))
      throw new GatewayError('forbidden', `Only an admin may enable the key ${id} again; ask one, or create another key.`);
    const state = isDisabled ? 'disabled' : 'active';
    const detail = { state };
    await commitChange(ports, caller, { action: 'disable_key', edits: [{ kind: 'key', id, body: { ...body, state } }], detail });
    return { key: show(ports, registry.require('key', id)) };
  },
});

export const revokeKey = defineAction({
  name: 'revoke_key',
  title: 'Revoke a key',
  description: 'Ends a key for good: its calls are refused and its sessions and streams are closed. It cannot be undone.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'POST /keys/{id}/revoke',
  input: z.strictObject({ id: idSchema }),
  output: z.object({ key: shown }),
  async run(ports, caller, { id }) {
    const { body } = manageable(ports, caller, id);
    if (body.state !== 'revoked') {
      // Without a hash there is nothing left that anybody could make valid again.
      const revoked: KeyDocument = { ...body, state: 'revoked', secrets: [] };
      await commitChange(ports, caller, { action: 'revoke_key', edits: [{ kind: 'key', id, body: revoked }] });
    }
    return { key: show(ports, ports.registry.require('key', id)) };
  },
});

export const listKeys = defineAction({
  name: 'list_keys',
  title: 'List keys',
  description:
    'Keys with owner, scope, state, expiry and last use, never a secret. Whoever is no admin or auditor sees the own ones.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /keys',
  input: z.strictObject({
    consumer: idSchema.optional().describe('Only those of this consumer.'),
    member: idSchema.optional().describe('Only those of this member.'),
    ...pageFields,
  }),
  output: z.object({ keys: z.array(shown), next: z.string().optional().describe('Ask again with this as "after".') }),
  async run(ports, caller, { consumer, member, ...query }) {
    const { registry, keyUses } = ports;
    const visible = namespacesOf(caller, ['admin', 'auditor']);
    const found = registry.list('key').filter(({ id, body }) => {
      if (consumer !== undefined && body.consumer !== consumer) return false;
      if (member !== undefined && body.member !== member) return false;
      return id === caller.key || isOwn(caller, body) || isKeyWithin(registry, body, visible);
    });
    const { items, next } = pageOf(found, query);
    const uses = await keyUses.load(items.map(({ id }) => id));
    const lastUsed = new Map(uses.map(({ keyId, atMs }) => [keyId, atMs]));
    const keys = items.map((entry) => withoutUndefined({ ...show(ports, entry), lastUsedAtMs: lastUsed.get(entry.id) }));
    return withoutUndefined({ keys, next });
  },
});

/** A key that somebody may end or rotate. Throws GatewayError `no_such_object` for others, which look like none. */
function manageable({ registry }: AdminPorts, caller: Caller, id: string): Entry<'key'> {
  const entry = registry.get('key', id);
  const isTheirs =
    entry !== undefined &&
    (id === caller.key || isOwn(caller, entry.body) || isKeyWithin(registry, entry.body, namespacesOf(caller, ['admin'])));
  if (entry === undefined || !isTheirs) throw notThere('key', id, 'List your keys with list_keys.');
  return entry;
}

function requireOwner({ registry }: AdminPorts, { consumer, member }: Pick<KeyDocument, 'consumer' | 'member'>): void {
  for (const [kind, id] of [
    ['consumer', consumer],
    ['member', member],
  ] as const) {
    if (id === undefined) continue;
    const owner = registry.get(kind, id);
    if (owner === undefined) throw notThere(kind, id, `Create it first with create_${kind}.`);
    if (owner.body.isDisabled)
      throw new GatewayError('conflict', `The ${kind} ${id} is disabled; enable it first with update_${kind}.`);
  }
}

function refuseExcess(excess: readonly string[]): void {
  if (excess.length === 0) return;
  throw new GatewayError('forbidden', `This key would do more than you may give. ${excess.slice(0, 20).join(' ')}`);
}

function show({ registry, clock }: AdminPorts, { id, body, revision }: Entry<'key'>) {
  const { secrets, state: _, ...rest } = body;
  return {
    id,
    prefix: `gh_${id}_`,
    ...rest,
    ...stateOf(registry, body, clock.nowMs()),
    secrets: secrets.map(({ hash: __, ...visible }) => visible),
    revision,
  };
}
