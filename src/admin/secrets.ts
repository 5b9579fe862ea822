import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { checkSecretReferences, secretNames } from '../secrets.ts';
import { type AdminPorts, defineAction, namespacesOf, notThere, requireRole } from './action.ts';
import { commitChange } from './change.ts';

const nameField = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_]{0,127}$/,
    'A secret is named with letters, digits and "_", at most 128, and begins with no digit.',
  )
  .describe('The NAME that upstreams refer to it by.');

const shown = z.object({
  name: z.string(),
  source: z
    .enum(['registry', 'file', 'environment', 'nowhere'])
    .describe(
      'Where its value comes from: set here, a file of the secrets directory, an environment variable, or from nowhere yet.',
    ),
  usedBy: z.array(z.string()).describe('Upstreams that refer to it.'),
  changedAtMs: z.number().optional(),
  changedBy: z.string().optional(),
});

type Shown = z.output<typeof shown>;

export const setSecret = defineAction({
  name: 'set_secret',
  title: 'Set a secret',
  description:
    'Keeps a value, sealed, for upstreams that refer to it by name. It can be replaced and removed (null), never read again. An admin of a namespace may set those that are named after it, HR__NAME for hr.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PUT /secrets/{name}',
  input: z.strictObject({
    name: nameField,
    value: z.string().min(1).max(32_768).nullable().describe('The value; null removes it.'),
  }),
  output: z.object({ secret: shown }),
  async run(ports, caller, { name, value }) {
    const { registry, vault, clock } = ports;
    requireRole(caller, ['admin'], namespaceOfSecret(name));
    const complaint = checkSecretReferences(`\${secret:${name}}`);
    if (complaint !== undefined) throw new GatewayError('bad_arguments', `Nothing was set: ${complaint}`);
    const sealed = value === null ? undefined : await vault.seal({ kind: 'secret', id: name }, new Secret(value));
    const before = registry.get('secret', name);
    if (before === undefined && sealed === undefined) throw notThere('secret', name, 'List them with list_secrets.');
    const body = sealed === undefined ? undefined : { sealed, changedAtMs: clock.nowMs(), changedBy: caller.id };
    try {
      const detail = { isRemoved: body === undefined };
      await commitChange(ports, caller, { action: 'set_secret', edits: [{ kind: 'secret', id: name, body }], detail });
    } catch (error) {
      const isKept = sealed !== undefined && registry.get('secret', name)?.body.sealed === sealed;
      if (sealed !== undefined && !isKept && error instanceof GatewayError && error.code === 'conflict')
        await vault.forget(sealed);
      throw error;
    }
    if (before !== undefined) await vault.forget(before.body.sealed);
    const found = secretsOf(ports).get(name);
    return { secret: found ?? { name, source: sourceOf(ports, name), usedBy: [] } };
  },
});

export const listSecrets = defineAction({
  name: 'list_secrets',
  title: 'List secrets',
  description:
    'Names of secrets, where each comes from and which upstreams refer to it. Never a value. An admin or auditor of a namespace sees what its upstreams refer to.',
  roles: ['admin', 'auditor'],
  isReadOnly: true,
  route: 'GET /secrets',
  input: z.strictObject({}),
  output: z.object({ secrets: z.array(shown) }),
  async run(ports, caller) {
    const visible = namespacesOf(caller, ['admin', 'auditor']);
    const secrets = [...secretsOf(ports).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    if (visible === 'all') return { secrets };
    const own = secrets.map((secret) => {
      const usedBy = secret.usedBy.filter((id) => visible.has(id.slice(0, id.indexOf('/'))));
      return { name: secret.name, source: secret.source, usedBy };
    });
    return { secrets: own.filter(({ name, usedBy }) => usedBy.length > 0 || visible.has(namespaceOfSecret(name) ?? '')) };
  },
});

/** Whose secret it is by its name: `PEOPLE_OPS__TOKEN` is one of the namespace people-ops. */
function namespaceOfSecret(name: string): string | undefined {
  return /^([A-Z][A-Z0-9_]*)__[A-Za-z0-9](?!.*__)[A-Za-z0-9_]*$/.exec(name)?.[1]?.toLowerCase().replaceAll('_', '-');
}

/** Every secret that is set, lies in a file or is referred to. */
function secretsOf(ports: AdminPorts): ReadonlyMap<string, Shown> {
  const { registry, secrets } = ports;
  const uses = usesOf(ports);
  const names = new Set([...secrets.sources().keys(), ...registry.list('secret').map(({ id }) => id), ...uses.keys()]);
  return new Map(
    [...names].map((name) => {
      const set = registry.get('secret', name)?.body;
      const changed = set === undefined ? {} : { changedAtMs: set.changedAtMs, changedBy: set.changedBy };
      return [name, { name, source: sourceOf(ports, name), usedBy: [...(uses.get(name) ?? [])].sort(), ...changed }];
    }),
  );
}

function sourceOf({ registry, secrets }: AdminPorts, name: string): Shown['source'] {
  if (registry.get('secret', name) !== undefined) return 'registry';
  if (secrets.sources().get(name) === 'file') return 'file';
  try {
    secrets.resolve(`\${secret:${name}}`);
    return 'environment';
  } catch {
    return 'nowhere';
  }
}

function usesOf({ catalog }: AdminPorts): ReadonlyMap<string, ReadonlySet<string>> {
  const uses = new Map<string, Set<string>>();
  for (const { id, config } of catalog().upstreams.values()) {
    for (const name of secretNames(JSON.stringify(config.transport))) uses.set(name, (uses.get(name) ?? new Set()).add(id));
  }
  return uses;
}
