import { isDeepStrictEqual } from 'node:util';
import { keptReference } from '../catalog/description-files.ts';
import { openDescription } from '../registry/descriptions.ts';
import type { AdminPorts } from './action.ts';
import type { Entry } from './examine-upstream.ts';
import { versionOf } from './toolboxes.ts';

/** What is registered, as a value that `import_configuration` takes back without a change. Keys and secrets are no part of it. */
export async function exportConfiguration(ports: Pick<AdminPorts, 'registry'>): Promise<object> {
  const { registry } = ports;
  const names = new Set([
    ...registry.list('namespace').map(({ id }) => id),
    ...registry.list('upstream').map(({ body }) => body.namespace),
    ...registry.list('toolbox').flatMap(({ body }) => (body.published === undefined ? [] : [body.namespace])),
  ]);
  const policies = registry
    .list('policy')
    .filter(({ id }) => !names.has(id.replace(/^namespace:/, '')) || !id.startsWith('namespace:'));
  return withoutEmpty({
    namespaces: await Promise.all([...names].sort().map((name) => exportNamespace(ports, name))),
    consumers: byId(registry.list('consumer'), withoutDefaults),
    members: byId(registry.list('member'), withoutDefaults),
    policies: byId(policies, ({ policy }) => policy),
    drafts: exportDrafts(ports),
    alerts: byId(registry.list('alert'), (body) => body),
    modelPrices: registry.list('model-price').map(({ body }) => body),
  });
}

async function exportNamespace(ports: Pick<AdminPorts, 'registry'>, namespace: string): Promise<object> {
  const { registry } = ports;
  const upstreams = registry.list('upstream').filter(({ body }) => body.namespace === namespace);
  const toolboxes = registry.list('toolbox').flatMap(({ id, body }) => {
    const served =
      body.namespace === namespace && body.published !== undefined ? versionOf(ports, id, body.published) : undefined;
    return served === undefined ? [] : [{ id, body: served.selection }];
  });
  return withoutEmpty({
    namespace,
    description: registry.get('namespace', namespace)?.body.description,
    upstreams: Object.fromEntries(
      await Promise.all(
        upstreams.map(async ({ id, body }) => [id.slice(namespace.length + 1), await withDocument(ports, id, body.entry)]),
      ),
    ),
    toolboxes: Object.fromEntries(toolboxes.map(({ id, body }) => [id, body])),
    policy: registry.get('policy', `namespace:${namespace}`)?.body.policy,
  });
}

/** An API's description is written out: the text is whole without this gateway. */
async function withDocument({ registry }: Pick<AdminPorts, 'registry'>, id: string, entry: Entry): Promise<Entry> {
  const kept = registry.get('description', id)?.body;
  if (kept === undefined || entry.document !== keptReference(kept.sha256)) return entry;
  return { ...entry, document: (await openDescription(kept)).toString() };
}

function exportDrafts(ports: Pick<AdminPorts, 'registry'>): object {
  const drafts = ports.registry.list('toolbox').filter(({ id, body: { draft, published } }) => {
    return published === undefined || !isDeepStrictEqual(draft, versionOf(ports, id, published)?.selection);
  });
  return byId(drafts, ({ namespace, draft }) => ({ namespace, ...draft }));
}

function byId<Body>(entries: readonly { readonly id: string; readonly body: Body }[], write: (body: Body) => object): object {
  return Object.fromEntries(entries.map(({ id, body }) => [id, write(body)]));
}

function withoutDefaults({ isDisabled, ...body }: { readonly isDisabled: boolean }): object {
  return isDisabled ? { ...body, isDisabled } : body;
}

function withoutEmpty(value: Readonly<Record<string, unknown>>): object {
  const isEmpty = (part: unknown) =>
    part === undefined || (typeof part === 'object' && part !== null && Object.keys(part).length === 0);
  return Object.fromEntries(
    Object.entries(value).filter(([key, part]) => (key === 'policy' ? part !== undefined : !isEmpty(part))),
  );
}
