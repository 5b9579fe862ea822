import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { previewToolbox } from '../catalog/build.ts';
import type { Toolbox } from '../catalog/catalog.ts';
import type { NamespaceConfig } from '../catalog/namespace-config.ts';
import { GatewayError } from '../errors.ts';
import { namespaceNameSchema, toolboxNameSchema } from '../registry/documents.ts';
import type { Edit } from '../registry/registry.ts';
import { mapInTurns } from '../turns.ts';
import { type AdminPorts, defineAction, hasRole, namespacesOf, notThere, requireRole } from './action.ts';
import { commitChange, requireNew, taken } from './change.ts';
import { checkSelection, configOf, type Selection } from './check-selection.ts';
import { withoutUndefined } from './consumers.ts';
import { findingSchema, refuseErrors } from './findings.ts';
import { requireNamespace } from './namespaces.ts';
import { pageFields, pageOf } from './page.ts';
import { type Visible, visibleTo } from './visible.ts';

const patterns = z.array(z.string().min(1).max(256)).max(1000);
const fields = {
  title: z.string().min(1).max(200).describe('Name for people.'),
  description: z.string().max(4096).describe('What it is for.'),
  include: patterns
    .min(1)
    .describe('What is in it: "namespace/*", "namespace/name*" or "namespace/upstream/name*", as far as the caller may call it.'),
  exclude: patterns.describe('What is not in it; wins over include.'),
  names: z
    .enum(['prefixed', 'one-to-one'])
    .describe("prefixed: names are <namespace>__<name>. one-to-one: the only upstream's own names."),
  search: z
    .union([z.boolean(), z.literal('auto')])
    .describe(
      'true: clients are shown search_tools and call_tool in place of all its tools; false: the whole list; auto: a search where the list is long. Default: auto.',
    ),
  pinned: patterns.max(100).describe('Tools that are listed beside the search, written as include is.'),
};
const name = toolboxNameSchema.describe('The last part of its address, /mcp/<name>.');
const change = z.object({ added: z.array(z.string()), removed: z.array(z.string()) });
const shown = z
  .object({
    name: z.string(),
    namespace: z.string(),
    source: z.enum(['registry', 'file']),
    tools: z
      .array(z.string())
      .describe(
        'What the caller may call of what is served: all of it for one toolbox, the first of each where more are listed.',
      ),
    toolCount: z.number().describe('How many the caller may call.'),
    published: z.number().optional(),
    draft: z.record(z.string(), z.unknown()).optional(),
    changes: change.optional().describe('Tools that publishing the draft would add and remove.'),
  })
  .loose();
const answered = z.object({ toolbox: shown, findings: z.array(findingSchema) });

export const createToolbox = defineAction({
  name: 'create_toolbox',
  title: 'Create a toolbox',
  description:
    'A selection of tools with an address of its own. It begins as a draft that nobody is served; publish_toolbox makes it a version. Whoever calls through it still needs the right to each tool.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'POST /toolboxes',
  input: z.strictObject({
    name,
    namespace: namespaceNameSchema.describe('Whose it is: whoever develops or administers that namespace may change it.'),
    title: fields.title.optional(),
    description: fields.description.optional(),
    include: fields.include,
    exclude: fields.exclude.optional(),
    names: fields.names.optional(),
    search: fields.search.optional(),
    pinned: fields.pinned.optional(),
  }),
  output: answered,
  async run(ports, caller, { name, namespace, ...given }, ip) {
    requireRole(caller, ['developer'], namespace);
    requireNamespace(ports, namespace);
    const visible = await visibleTo(ports, caller, ip);
    refuseDeclared(ports, caller, name);
    requireNew(ports.registry, 'toolbox', name);
    const draft: Selection = withoutUndefined(given);
    const findings = checkSelection(ports, caller, visible, { namespace, name, selection: draft });
    refuseErrors(`The toolbox "${name}" was not created.`, findings);
    const body = { namespace, draft, latest: 0, owner: caller.id };
    await commitChange(ports, caller, { action: 'create_toolbox', edits: [{ kind: 'toolbox', id: name, body }], detail: given });
    return { toolbox: show(ports, await visibleTo(ports, caller, ip), name), findings };
  },
});

export const updateToolbox = defineAction({
  name: 'update_toolbox',
  title: 'Change the draft of a toolbox',
  description: 'Changes what is given and leaves the rest. What is served stays as it is until the draft is published.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'PATCH /toolboxes/{name}',
  input: z.strictObject({
    name,
    title: fields.title.optional(),
    description: fields.description.optional(),
    include: fields.include.optional(),
    exclude: fields.exclude.optional(),
    names: fields.names.optional(),
    search: fields.search.optional(),
    pinned: fields.pinned.optional(),
  }),
  output: answered,
  async run(ports, caller, { name, ...changes }, ip) {
    const visible = await visibleTo(ports, caller, ip);
    const { body } = requireToolbox(ports, caller, name);
    const draft: Selection = { ...body.draft, ...withoutUndefined(changes) };
    const findings = checkSelection(ports, caller, visible, { namespace: body.namespace, name, selection: draft });
    refuseErrors(`The draft of "${name}" was not changed.`, findings);
    const edits = [{ kind: 'toolbox' as const, id: name, body: { ...body, draft } }];
    await commitChange(ports, caller, { action: 'update_toolbox', edits, detail: changes });
    return { toolbox: show(ports, await visibleTo(ports, caller, ip), name), findings };
  },
});

export const publishToolbox = defineAction({
  name: 'publish_toolbox',
  title: 'Publish a toolbox',
  description:
    'Makes the draft the next version, which never changes again, and serves it at /mcp/<name>. Earlier versions keep their address, /mcp/<name>@<version>.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'POST /toolboxes/{name}/publish',
  input: z.strictObject({ name, note: z.string().max(1000).optional().describe('What is new, and why.') }),
  output: answered.extend({ version: z.number() }),
  async run(ports, caller, { name, note }, ip) {
    const visible = await visibleTo(ports, caller, ip);
    const { body } = requireToolbox(ports, caller, name);
    const { namespace, draft, published, latest } = body;
    const findings = checkSelection(ports, caller, visible, { namespace, name, selection: draft });
    refuseErrors(`"${name}" was not published.`, findings);
    if (published !== undefined && isDeepStrictEqual(draft, versionOf(ports, name, published)?.selection))
      throw new GatewayError('conflict', `The draft of "${name}" is what version ${published} serves already.`);
    const version = latest + 1;
    const edits = publication(ports, name, { ...body, draft }, { caller, note });
    await commitChange(ports, caller, { action: 'publish_toolbox', edits, detail: withoutUndefined({ version, note }) });
    return { version, toolbox: show(ports, await visibleTo(ports, caller, ip), name), findings };
  },
});

export const rollbackToolbox = defineAction({
  name: 'rollback_toolbox',
  title: 'Serve an earlier version of a toolbox',
  description: 'Serves a version that was published before at /mcp/<name>. The draft and all versions stay.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'POST /toolboxes/{name}/rollback',
  input: z.strictObject({ name, version: z.int().min(1).describe('The version to serve.') }),
  output: answered,
  async run(ports, caller, { name, version }, ip) {
    const visible = await visibleTo(ports, caller, ip);
    const { body } = requireToolbox(ports, caller, name);
    const selection = versionOf(ports, name, version)?.selection;
    if (selection === undefined) throw notThere('version', `${name}@${version}`);
    const findings = checkSelection(ports, caller, visible, { namespace: body.namespace, name, selection });
    refuseErrors(`"${name}" was not changed.`, findings);
    const edits = [{ kind: 'toolbox' as const, id: name, body: { ...body, published: version } }];
    const detail = withoutUndefined({ version, from: body.published });
    await commitChange(ports, caller, { action: 'rollback_toolbox', edits, detail });
    return { toolbox: show(ports, await visibleTo(ports, caller, ip), name), findings };
  },
});

export const deleteToolbox = defineAction({
  name: 'delete_toolbox',
  title: 'Delete a toolbox',
  description: 'Removes a toolbox with all its versions and its addresses.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'DELETE /toolboxes/{name}',
  input: z.strictObject({ name }),
  output: z.object({ name: z.string() }),
  async run(ports, caller, { name }) {
    requireToolbox(ports, caller, name);
    await commitChange(ports, caller, { action: 'delete_toolbox', edits: removalOf(ports, name) });
    return { name };
  },
});

export const listToolboxes = defineAction({
  name: 'list_toolboxes',
  title: 'List toolboxes',
  description:
    'Toolboxes with their versions, and what publishing their draft would change, page by page. Of each the first 100 tools; ask for one by its name to see all of them.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /toolboxes',
  input: z.strictObject({ name: name.optional().describe('Only this one, with all its tools.'), ...pageFields }),
  output: z.object({ toolboxes: z.array(shown), next: z.string().optional().describe('Ask again with this as "after".') }),
  async run(ports, caller, { name, ...query }, ip) {
    const mine = namespacesOf(caller, ['auditor', 'developer']);
    const visible = await visibleTo(ports, caller, ip);
    const files = declared(ports);
    const isWanted = (toolbox: string) => {
      const namespace = files.get(toolbox)?.namespace ?? ports.registry.get('toolbox', toolbox)?.body.namespace ?? '';
      return (name === undefined || name === toolbox) && (mine === 'all' || mine.has(namespace));
    };
    const names = new Set([...files.keys(), ...ports.registry.list('toolbox').map(({ id }) => id)]);
    const all = [...names]
      .filter(isWanted)
      .sort()
      .map((id) => ({ id }));
    const { items, next } = pageOf(all, query);
    const most = name === undefined ? mostListed : Number.POSITIVE_INFINITY;
    // Each draft is built as if it were served.
    const toolboxes = await mapInTurns(items, ({ id }) => show(ports, visible, id, most));
    return withoutUndefined({ toolboxes, next });
  },
});

/** Tools that are named of each toolbox of a list. */
const mostListed = 100;

/** The edits that make a draft the next version and serve it. */
export function publication(
  { clock }: Pick<AdminPorts, 'clock'>,
  name: string,
  toolbox: {
    readonly namespace: string;
    readonly draft: Record<string, unknown> | Selection;
    readonly latest: number;
    readonly owner: string;
  },
  { caller, note }: { readonly caller: Caller; readonly note: string | undefined },
): readonly Edit[] {
  const { namespace, draft, latest, owner } = toolbox;
  const version = latest + 1;
  return [
    { kind: 'toolbox', id: name, body: { namespace, draft, latest: version, published: version, owner } },
    {
      kind: 'toolbox-version',
      id: `${name}@${version}`,
      body: {
        toolbox: name,
        version,
        namespace,
        selection: draft,
        note,
        publishedBy: caller.id,
        publishedAtMs: clock.nowMs(),
      },
    },
  ];
}

/** The edits that remove a toolbox and all that was published of it. */
export function removalOf({ registry }: Pick<AdminPorts, 'registry'>, name: string): readonly Edit[] {
  const versions = registry.list('toolbox-version').filter(({ body }) => body.toolbox === name);
  return [
    { kind: 'toolbox', id: name, body: undefined },
    ...versions.map(({ id }): Edit => ({ kind: 'toolbox-version', id, body: undefined })),
  ];
}

export function versionOf({ registry }: Pick<AdminPorts, 'registry'>, name: string, version: number) {
  return registry.get('toolbox-version', `${name}@${version}`)?.body;
}

interface Declared {
  readonly namespace: string;
  readonly file: string;
}

const declarations = new WeakMap<readonly NamespaceConfig[], ReadonlyMap<string, Declared>>();

function declared({ files }: Pick<AdminPorts, 'files'>): ReadonlyMap<string, Declared> {
  const namespaces = files();
  let found = declarations.get(namespaces);
  if (found === undefined) {
    found = new Map(
      namespaces.flatMap(({ name: namespace, file, toolboxes }) =>
        toolboxes.map(({ name }) => [name, { namespace, file }] as const),
      ),
    );
    declarations.set(namespaces, found);
  }
  return found;
}

/** Where it is declared is for those who see it in a list; others hear of a new one that the name is taken. */
function refuseDeclared(ports: Pick<AdminPorts, 'files'>, caller: Caller, name: string): void {
  const found = declared(ports).get(name);
  if (found === undefined) return;
  if (!mayList(caller, found.namespace)) throw taken('toolbox', name);
  throw new GatewayError('conflict', `The toolbox "${name}" is declared in ${found.file} and can only be changed there.`);
}

function mayList(caller: Caller, namespace: string): boolean {
  return hasRole(caller, ['developer', 'auditor'], namespace);
}

function requireToolbox(ports: AdminPorts, caller: Caller, name: string) {
  const namespace = declared(ports).get(name)?.namespace ?? ports.registry.get('toolbox', name)?.body.namespace;
  // Who does not see it in a list learns nothing of it here.
  if (namespace === undefined || !mayList(caller, namespace)) throw notThere('toolbox', name);
  refuseDeclared(ports, caller, name);
  const known = ports.registry.get('toolbox', name);
  if (known === undefined) throw notThere('toolbox', name);
  requireRole(caller, ['developer'], known.body.namespace);
  return known;
}

function show(ports: AdminPorts, visible: ReadonlyMap<string, Visible>, name: string, most = Number.POSITIVE_INFINITY) {
  const file = declared(ports).get(name);
  const known = ports.registry.get('toolbox', name);
  const mine = (toolbox: Toolbox | undefined) =>
    Array.from(toolbox?.tools.values() ?? [], (tool) => tool.name).filter((tool) => visible.has(`tool ${tool}`));
  const tools = mine(ports.catalog().toolboxes.get(name));
  const counted = { tools: tools.slice(0, most), toolCount: tools.length };
  if (file !== undefined || known === undefined) {
    return { name, namespace: file?.namespace ?? '', source: 'file' as const, file: file?.file, ...counted };
  }
  const { namespace, draft, published, owner } = known.body;
  const isServed = published !== undefined && isDeepStrictEqual(draft, versionOf(ports, name, published)?.selection);
  const next = isServed ? tools : mine(previewToolbox(ports.catalog(), configOf({ namespace, name, selection: draft })));
  return {
    name,
    namespace,
    source: 'registry' as const,
    owner,
    ...(published === undefined ? {} : { published }),
    ...counted,
    draft,
    changes: { added: without(next, tools).slice(0, most), removed: without(tools, next).slice(0, most) },
    versions: versionsOf(ports, name)
      .map(({ version, note, publishedBy, publishedAtMs }) => ({ version, note, publishedBy, publishedAtMs }))
      .sort((a, b) => b.version - a.version),
  };
}

function without(names: readonly string[], others: readonly string[]): string[] {
  if (names === others) return [];
  const left = new Set(others);
  return names.filter((name) => !left.has(name));
}

function versionsOf({ registry }: Pick<AdminPorts, 'registry'>, name: string) {
  return registry.list('toolbox-version').flatMap(({ body }) => (body.toolbox === name ? [body] : []));
}
