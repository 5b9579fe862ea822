import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { silenceMs } from '../call/call-upstream.ts';
import { describeScope } from '../policy/policy.ts';
import type { Policy } from '../policy/policy-schema.ts';
import { namespaceNameSchema } from '../registry/documents.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type AdminPorts, defineAction, hasRole, notThere } from './action.ts';
import { policiesOver } from './policies.ts';
import { sampleArguments } from './sample-arguments.ts';
import { type Kind, type Visible, visibleTo } from './visible.ts';

const kinds = ['tool', 'prompt', 'resource', 'resource template'] as const satisfies readonly Kind[];
const everybody = ['admin', 'auditor', 'developer', 'approver'] as const;

const shown = z
  .object({
    kind: z.enum(kinds),
    name: z.string().describe('namespace/name; the URI of a resource.'),
    calledAs: z.string().describe('What clients call it at /mcp, or in the toolbox that was asked for.'),
    namespace: z.string(),
    upstream: z.string(),
    toolboxes: z.array(z.string()),
    state: z.string().describe('Of its upstream.'),
  })
  .loose();

export const listCapabilities = defineAction({
  name: 'list_capabilities',
  title: 'Search the catalog',
  description:
    'Tools, prompts and resources that the caller may call: by words of their name and description, by namespace, upstream or toolbox.',
  roles: everybody,
  isReadOnly: true,
  route: 'GET /capabilities',
  input: z.strictObject({
    text: z
      .string()
      .max(200)
      .optional()
      .describe('Words that all stand in name, title or description; upper and lower case are one.'),
    kind: z.enum(kinds).optional(),
    namespace: namespaceNameSchema.optional(),
    upstream: z.string().max(60).optional().describe('As namespace/name.'),
    toolbox: z.string().max(50).optional(),
    limit: z.int().min(1).max(1000).optional().describe('Most entries in the answer. Default: 100.'),
    after: z.int().min(0).optional().describe('How many to leave out from the beginning.'),
  }),
  output: z.object({ capabilities: z.array(shown), total: z.number().describe('How many fit, shown or not.') }),
  async run(ports, caller, { text = '', kind, namespace, upstream, toolbox, limit = 100, after = 0 }, ip) {
    const words = text
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    const found = [...visibleTo(ports, caller, ip, toolbox).values()].flatMap((one) => {
      const { config, id } = one.capability.member;
      const isWanted =
        (kind === undefined || kind === one.kind) &&
        (namespace === undefined || namespace === config.namespace) &&
        (upstream === undefined || upstream === id);
      const rank = isWanted ? rankOf(one, words) : undefined;
      return rank === undefined ? [] : [{ one, rank }];
    });
    // A stable sort: what ranks alike stays in the order of the catalog.
    found.sort((a, b) => a.rank - b.rank);
    return { capabilities: found.slice(after, after + limit).map(({ one }) => summarize(one)), total: found.length };
  },
});

export const getCapability = defineAction({
  name: 'get_capability',
  title: 'Look at one capability',
  description: 'Its definition and schemas, what holds calls of it, how its upstream fares, and a call to start from.',
  roles: everybody,
  isReadOnly: true,
  route: 'GET /capability',
  input: z.strictObject({
    name: z.string().min(1).max(2048).describe('namespace/name; the URI of a resource.'),
    kind: z.enum(kinds).optional().describe('Default: tool.'),
  }),
  output: shown.extend({
    definition: z.record(z.string(), z.unknown()),
    policies: z.array(z.object({ scope: z.string() }).loose()),
  }),
  async run(ports, caller, { name, kind = 'tool' }, ip) {
    const one = visibleTo(ports, caller, ip).get(`${kind} ${name}`);
    if (one === undefined) throw notThere(kind, name, 'Search the catalog with list_capabilities.');
    const { capability } = one;
    const { id, config, upstream } = capability.member;
    const { state, lastError, lastSuccessAtMs, protocolVersion, server } = upstream.health();
    const paused = ports.calls.lanes.status(id);
    return {
      ...summarize(one),
      definition: capability.published,
      policies: policiesOf(ports, caller, one),
      upstreamSettings: {
        timeoutMs: silenceMs(ports.policies().of(capability.name, config.namespace), config),
        maxDurationMs: config.maxDurationMs,
        concurrency: config.concurrency,
        breaker: config.breaker,
      },
      health: { state, lastError, lastSuccessAtMs, protocolVersion, server, breaker: paused?.state ?? 'closed' },
      example: exampleOf(one),
    };
  },
});

/** Nearest first; undefined where a word is missing. */
function rankOf({ name, capability }: Visible, words: readonly string[]): number | undefined {
  if (words.length === 0) return 0;
  const { title, description } = textsOf(capability.published);
  const [inName, inTitle] = [name.toLowerCase(), title.toLowerCase()];
  const everywhere = `${inName}\n${inTitle}\n${description.toLowerCase()}`;
  if (!words.every((word) => everywhere.includes(word))) return undefined;
  if (words.every((word) => inName.includes(word))) return 0;
  return words.every((word) => inTitle.includes(word)) ? 1 : 2;
}

function textsOf(definition: unknown): { readonly title: string; readonly description: string } {
  const { title, description } = isObject(definition) ? definition : ({} as JsonObject);
  return { title: typeof title === 'string' ? title : '', description: typeof description === 'string' ? description : '' };
}

function summarize({ kind, name, capability, toolboxes }: Visible) {
  const { title, description } = textsOf(capability.published);
  const { id, config, upstream } = capability.member;
  return {
    kind,
    name,
    calledAs: capability.outwardName,
    ...(title === '' ? {} : { title }),
    ...(description === '' ? {} : { description: description.slice(0, 500) }),
    namespace: config.namespace,
    upstream: id,
    toolboxes,
    state: upstream.health().state,
  };
}

/** Every policy that holds it, widest first. Rules and networks are for those who answer for the namespace. */
function policiesOf(ports: AdminPorts, caller: Caller, { capability }: Visible) {
  const { namespace } = capability.member.config;
  const mayRead = hasRole(caller, ['auditor'], namespace);
  return policiesOver(ports, { kind: 'capability', capability: capability.name }).map(({ scope, policy }) => ({
    scope: describeScope(scope),
    ...(mayRead ? policy : withoutRules(policy)),
  }));
}

function withoutRules({ allow, network, ...policy }: Policy) {
  return { ...policy, hasRules: allow !== undefined, isForNetworks: network !== undefined };
}

function exampleOf({ kind, name, capability }: Visible) {
  const { published, outwardName } = capability;
  if (kind === 'resource' || kind === 'resource template') return { method: 'resources/read', params: { uri: name } };
  if (kind === 'prompt') return { method: 'prompts/get', params: { name: outwardName } };
  const schema = isObject(published) && isObject(published.inputSchema) ? published.inputSchema : {};
  return { method: 'tools/call', params: { name: outwardName, arguments: sampleArguments(schema) } };
}
