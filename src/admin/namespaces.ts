import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { namespaceNameSchema } from '../registry/documents.ts';
import { type AdminPorts, defineAction, namespacesOf, notThere, requireRole } from './action.ts';
import { commitChange } from './change.ts';
import { namespacesNamed } from './known-names.ts';

const description = z.string().max(4096).describe('What this business domain is.');
const shown = z
  .object({
    namespace: z.string(),
    source: z.enum(['registry', 'file']),
    upstreams: z.array(z.string()),
    toolboxes: z.array(z.string()),
    tools: z.number(),
  })
  .loose();

export const createNamespace = defineAction({
  name: 'create_namespace',
  title: 'Create a namespace',
  description: 'A business domain: the first part of the name of everything in it, and what roles and policies are given for.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'POST /namespaces',
  input: z.strictObject({ namespace: namespaceNameSchema, description: description.optional() }),
  output: shown,
  async run(ports, caller, { namespace, description }) {
    requireRole(caller, ['admin']);
    refuseOwnName(namespace);
    if (namespacesNamed(ports).has(namespace)) throw new GatewayError('conflict', `There is already a namespace "${namespace}".`);
    const body = description === undefined ? {} : { description };
    await commitChange(ports, caller, {
      action: 'create_namespace',
      edits: [{ kind: 'namespace', id: namespace, body }],
      detail: body,
    });
    return show(ports, namespace);
  },
});

export const updateNamespace = defineAction({
  name: 'update_namespace',
  title: 'Describe a namespace',
  description: 'Changes what a namespace is said to be.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PATCH /namespaces/{namespace}',
  input: z.strictObject({ namespace: namespaceNameSchema, description }),
  output: shown,
  async run(ports, caller, { namespace, description }) {
    requireRole(caller, ['admin'], namespace);
    refuseDeclared(ports, namespace);
    requireNamespace(ports, namespace);
    const edits = [{ kind: 'namespace' as const, id: namespace, body: { description } }];
    await commitChange(ports, caller, { action: 'update_namespace', edits, detail: { description } });
    return show(ports, namespace);
  },
});

export const deleteNamespace = defineAction({
  name: 'delete_namespace',
  title: 'Delete a namespace',
  description: 'Removes a namespace that holds nothing any more.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'DELETE /namespaces/{namespace}',
  input: z.strictObject({ namespace: namespaceNameSchema }),
  output: z.object({ namespace: z.string() }),
  async run(ports, caller, { namespace }) {
    requireRole(caller, ['admin']);
    refuseDeclared(ports, namespace);
    requireNamespace(ports, namespace);
    const held = heldBy(ports, namespace);
    if (held.length > 0)
      throw new GatewayError('conflict', `The namespace "${namespace}" still holds ${held.join(', ')}; take that away first.`, {
        data: { held },
      });
    await commitChange(ports, caller, {
      action: 'delete_namespace',
      edits: [{ kind: 'namespace', id: namespace, body: undefined }],
    });
    return { namespace };
  },
});

export const listNamespaces = defineAction({
  name: 'list_namespaces',
  title: 'List namespaces',
  description: 'Every namespace that the caller has a role in, and what it holds.',
  roles: ['admin', 'auditor', 'developer', 'approver'],
  isReadOnly: true,
  route: 'GET /namespaces',
  input: z.strictObject({}),
  output: z.object({ namespaces: z.array(shown) }),
  async run(ports, caller) {
    const mine = namespacesOf(caller, ['auditor', 'developer', 'approver']);
    const names = [...namespacesNamed(ports)].filter((name) => mine === 'all' || mine.has(name)).sort();
    return { namespaces: names.map((name) => show(ports, name)) };
  },
});

/** Throws GatewayError `no_such_object`. */
export function requireNamespace(ports: Pick<AdminPorts, 'files' | 'registry'>, namespace: string): void {
  refuseOwnName(namespace);
  if (!namespacesNamed(ports).has(namespace))
    throw notThere('namespace', namespace, 'Create it first, or choose one that is there.');
}

function refuseOwnName(namespace: string): void {
  if (namespace === 'admin' || namespace === 'gatehouse')
    throw new GatewayError('bad_arguments', `The namespace "${namespace}" belongs to Gatehouse; choose another name.`);
}

function refuseDeclared({ files }: Pick<AdminPorts, 'files'>, namespace: string): void {
  const file = files().find(({ name }) => name === namespace)?.file;
  if (file !== undefined)
    throw new GatewayError('conflict', `The namespace "${namespace}" is declared in ${file} and can only be changed there.`);
}

/** Everything that has to go before a namespace may: whoever makes one of that name again would get it back. */
function heldBy({ registry }: Pick<AdminPorts, 'registry'>, namespace: string): string[] {
  const isOfIt = (id: string) => id === `namespace:${namespace}` || id.startsWith(`capability:${namespace}/`);
  return [
    ...registry
      .list('upstream')
      .filter(({ body }) => body.namespace === namespace)
      .map(({ id }) => `the upstream ${id}`),
    ...registry
      .list('toolbox')
      .filter(({ body }) => body.namespace === namespace)
      .map(({ id }) => `the toolbox ${id}`),
    ...registry
      .list('policy')
      .filter(({ id }) => isOfIt(id))
      .map(({ id }) => `the policy ${id}`),
    ...registry
      .list('member')
      .filter(({ body }) => body.roles.some((grant) => grant.namespace === namespace))
      .map(({ id }) => `a role of the member ${id}`),
  ];
}

function show({ files, registry, catalog }: AdminPorts, namespace: string) {
  const file = files().find(({ name }) => name === namespace);
  const known = registry.get('namespace', namespace);
  const description = file?.description ?? known?.body.description;
  const { upstreams, toolboxes, everything } = catalog();
  const declared = new Map(files().flatMap(({ name, toolboxes }) => toolboxes.map((toolbox) => [toolbox.name, name] as const)));
  const isOfIt = (toolbox: string) => (declared.get(toolbox) ?? registry.get('toolbox', toolbox)?.body.namespace) === namespace;
  return {
    namespace,
    ...(description === undefined ? {} : { description }),
    source: file === undefined ? ('registry' as const) : ('file' as const),
    ...(file === undefined ? {} : { file: file.file }),
    upstreams: [...upstreams.values()].filter(({ config }) => config.namespace === namespace).map(({ config }) => config.name),
    toolboxes: [...toolboxes.keys()].filter(isOfIt),
    tools: [...everything.tools.values()].filter(({ member }) => member.config.namespace === namespace).length,
  };
}
