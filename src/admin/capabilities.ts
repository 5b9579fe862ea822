import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { silenceMs } from '../call/call-upstream.ts';
import { lastFailure } from '../catalog/last-failure.ts';
import { type Risk, riskOf, risks } from '../finding/risk.ts';
import { sampleArguments } from '../finding/sample-arguments.ts';
import { makeEntrySearch } from '../finding/search-entries.ts';
import { tagsOf } from '../finding/tags.ts';
import { describeScope } from '../policy/policy.ts';
import type { Policy } from '../policy/policy-schema.ts';
import { namespaceNameSchema } from '../registry/documents.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type AdminPorts, defineAction, hasRole, notThere } from './action.ts';
import { limitsOf } from './documentation.ts';
import { policiesOver } from './policies.ts';
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
    risk: z.enum(risks).optional(),
    tags: z.array(z.string()).optional(),
  })
  .loose();

export const listCapabilities = defineAction({
  name: 'list_capabilities',
  title: 'Search the catalog',
  description:
    'Tools, prompts and resources that the caller may call: by words, namespace, tag, kind, risk, upstream or toolbox. What fits the words best comes first; words that mean the same count too.',
  roles: everybody,
  isReadOnly: true,
  route: 'GET /capabilities',
  input: z.strictObject({
    text: z
      .string()
      .max(200)
      .optional()
      .describe('What it should do, in a few words; looked for in names, titles, descriptions, arguments and tags.'),
    kind: z.enum(kinds).optional(),
    namespace: namespaceNameSchema.optional(),
    tag: z.string().min(1).max(64).optional().describe('A tag that its upstream gave it; upper and lower case are one.'),
    risk: z
      .enum(risks)
      .optional()
      .describe(
        'What a tool says it may do: only read, change without destroying, or destroy. One that says nothing may destroy.',
      ),
    upstream: z.string().max(60).optional().describe('As namespace/name.'),
    toolbox: z.string().max(50).optional().describe('Only what is in this toolbox.'),
    notIn: z.string().max(50).optional().describe('Only what is not in this toolbox yet.'),
    detailed: z.boolean().optional().describe('With schemas, an example, limits and health of each. Default: false.'),
    limit: z.int().min(1).max(1000).optional().describe('Most entries in the answer. Default: 100; at most 100 where detailed.'),
    after: z.int().min(0).optional().describe('How many to leave out from the beginning.'),
  }),
  output: z.object({ capabilities: z.array(shown), total: z.number().describe('How many fit, shown or not.') }),
  async run(ports, caller, { text = '', notIn, toolbox, detailed = false, limit = 100, after = 0, ...wanted }, ip) {
    const visible = await visibleTo(ports, caller, ip, toolbox);
    const all = [...visible.values()];
    const fitting = all.filter((one) => isWanted(one, wanted) && (notIn === undefined || !one.toolboxes.includes(notIn)));
    const found =
      text.trim() === ''
        ? fitting
        : await searchVisible(fitting, text, ports.synonyms, fitting.length === visible.size ? visible : undefined);
    const page = found.slice(after, after + (detailed ? Math.min(limit, mostDetailed) : limit));
    return {
      capabilities: page.map((one) => (detailed ? { ...summarize(one), ...detailsOf(ports, caller, one) } : summarize(one))),
      total: found.length,
    };
  },
});

const mostDetailed = 100;
const searchVisible = makeEntrySearch<Visible>();

interface Filters {
  readonly kind?: Kind | undefined;
  readonly namespace?: string | undefined;
  readonly upstream?: string | undefined;
  readonly tag?: string | undefined;
  readonly risk?: Risk | undefined;
}

function isWanted({ kind, capability }: Visible, wanted: Filters): boolean {
  const { config, id } = capability.member;
  if (wanted.kind !== undefined && wanted.kind !== kind) return false;
  if (wanted.namespace !== undefined && wanted.namespace !== config.namespace) return false;
  if (wanted.upstream !== undefined && wanted.upstream !== id) return false;
  if (wanted.risk !== undefined && (kind !== 'tool' || riskOf(definitionOf(capability)) !== wanted.risk)) return false;
  const tag = wanted.tag?.toLowerCase();
  return tag === undefined || tagsOf(definitionOf(capability)).some((one) => one.toLowerCase() === tag);
}

function definitionOf({ definition }: Visible['capability']): JsonObject {
  return isObject(definition) ? definition : {};
}

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
    const one = (await visibleTo(ports, caller, ip)).get(`${kind} ${name}`);
    if (one === undefined) throw notThere(kind, name, 'Search the catalog with list_capabilities.');
    const { capability } = one;
    const { config } = capability.member;
    return {
      ...summarize(one),
      ...detailsOf(ports, caller, one),
      definition: capability.published,
      policies: policiesOf(ports, caller, one),
      upstreamSettings: {
        timeoutMs: silenceMs(ports.policies().of(capability.name, config.namespace), config),
        maxDurationMs: config.maxDurationMs,
        concurrency: config.concurrency,
        breaker: config.breaker,
      },
    };
  },
});

/** What somebody wants to know before they call it, or put it into a toolbox. */
function detailsOf(ports: AdminPorts, caller: Caller, one: Visible) {
  const { capability } = one;
  const { id, upstream } = capability.member;
  const { state, lastSuccessAtMs, protocolVersion, server } = upstream.health();
  const paused = ports.calls.lanes.status(id);
  const { inputSchema, outputSchema } = isObject(capability.published) ? capability.published : ({} as JsonObject);
  return {
    ...(inputSchema === undefined ? {} : { inputSchema }),
    ...(outputSchema === undefined ? {} : { outputSchema }),
    example: exampleOf(one),
    limits: limitsOf(ports, caller, capability),
    health: {
      ...{ state, lastError: lastFailure(capability.member), lastSuccessAtMs, protocolVersion, server },
      breaker: paused?.state ?? 'closed',
    },
    approval: approvalOf(ports, one),
  };
}

/** Who let it into the catalog, why and when; of tools and prompts, whose definitions are pinned. */
function approvalOf({ pins }: Pick<AdminPorts, 'pins'>, { kind, capability }: Visible) {
  if (kind !== 'tool' && kind !== 'prompt') return undefined;
  const { name } = definitionOf(capability);
  return typeof name === 'string' ? pins.decisionOn(capability.member.id, kind, name) : undefined;
}

function textsOf(definition: unknown): { readonly title: string; readonly description: string } {
  const { title, description } = isObject(definition) ? definition : ({} as JsonObject);
  return { title: typeof title === 'string' ? title : '', description: typeof description === 'string' ? description : '' };
}

function summarize({ kind, name, capability, toolboxes }: Visible) {
  const { title, description } = textsOf(capability.published);
  const { id, config, upstream } = capability.member;
  const tags = tagsOf(definitionOf(capability));
  return {
    kind,
    name,
    calledAs: capability.outwardName,
    ...(title === '' ? {} : { title }),
    ...(description === '' ? {} : { description: description.slice(0, 500) }),
    ...(kind === 'tool' ? { risk: riskOf(definitionOf(capability)) } : {}),
    ...(tags.length === 0 ? {} : { tags }),
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
