import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { modelAbilities, modelProviders } from '../catalog/model-entry.ts';
import { modelSnippets } from '../finding/model-snippets.ts';
import { namespaceNameSchema } from '../registry/documents.ts';
import { secretNames } from '../secrets.ts';
import { modelStateOf } from '../upstreams/kinds.ts';
import { type AdminPorts, defineAction, hasRole, notThere } from './action.ts';
import { measureModels } from './model-measures.ts';
import { availabilityOf, modelAvailabilities, modelsFor, type SeenModel, showModel, shownModel } from './seen-models.ts';
import { openPrices, priceTiers, showPrice } from './shown-prices.ts';
import { fileOf, upstreamName } from './upstreams.ts';

const everybody = ['admin', 'auditor', 'developer', 'approver'] as const;

export const listModels = defineAction({
  name: 'list_models',
  title: 'Search the models',
  description:
    'Models that the caller may call, and those of namespaces that they look after: provider, what it can do, context window, limits that apply to the caller, prices, and how it fared in the last 24 hours.',
  roles: everybody,
  isReadOnly: true,
  route: 'GET /models',
  input: z.strictObject({
    text: z
      .string()
      .max(200)
      .optional()
      .describe('Words that are all in its name, title, description, aliases, providers or abilities.'),
    can: z.array(z.enum(modelAbilities)).max(modelAbilities.length).optional().describe('Only what can do all of this.'),
    provider: z.enum(modelProviders).optional().describe('Only what this provider hosts.'),
    namespace: namespaceNameSchema.optional().describe('Only of this one.'),
    state: z.enum(modelAvailabilities).optional().describe('Only what is so right now.'),
    minAvailability: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe('Only what answered at least this share of the calls of the last 24 hours, 0 to 1.'),
    priceTier: z.enum(priceTiers).optional().describe('Only what costs about so much.'),
    limit: z.int().min(1).max(1000).optional().describe('Most models in the answer. Default: 100.'),
    after: z.int().min(0).optional().describe('How many to leave out from the beginning.'),
  }),
  output: z.object({ models: z.array(shownModel), total: z.number().describe('How many fit, shown or not.') }),
  async run(ports, caller, { limit = 100, after = 0, minAvailability, priceTier, ...wanted }, ip) {
    const seen = (await modelsFor(ports, caller, ip)).filter((model) => isWanted(ports, model, wanted));
    const measures = seen.length === 0 ? new Map() : await measureModels(ports);
    const shown = await Promise.all(seen.map((model) => showModel(ports, caller, model, measures.get(model.id))));
    const fitting = shown.filter(
      ({ measured: { availability }, priceTier: tier }) =>
        (minAvailability === undefined || (availability !== undefined && availability >= minAvailability)) &&
        (priceTier === undefined || tier === priceTier),
    );
    return { models: fitting.slice(after, after + limit), total: fitting.length };
  },
});

interface Filters {
  readonly text?: string | undefined;
  readonly can?: readonly (typeof modelAbilities)[number][] | undefined;
  readonly provider?: (typeof modelProviders)[number] | undefined;
  readonly namespace?: string | undefined;
  readonly state?: (typeof modelAvailabilities)[number] | undefined;
}

function isWanted(ports: AdminPorts, model: SeenModel, { text = '', can = [], provider, namespace, state }: Filters): boolean {
  const { transport, member } = model;
  if (namespace !== undefined && namespace !== member.config.namespace) return false;
  if (provider !== undefined && !transport.targets.some((target) => target.provider === provider)) return false;
  if (!can.every((ability) => transport.can.includes(ability))) return false;
  if (state !== undefined && state !== availabilityOf(ports, model)) return false;
  const { title = '', description = '' } = member.config;
  const providers = transport.targets.map((target) => target.provider);
  const all = [model.id, title, description, ...transport.aliases, ...providers, ...transport.can].join('\n').toLowerCase();
  const words = text.toLowerCase().split(/\s+/);
  return words.every((word) => all.includes(word));
}

const shownTarget = z
  .object({
    name: z.string(),
    provider: z.enum(modelProviders),
    model: z.string().describe("The provider's name of it."),
    version: z.string(),
    region: z.string().optional(),
    weight: z.number(),
    state: z
      .enum(['in', 'out', 'returning', 'full'])
      .optional()
      .describe('Whether calls go there, as this replica knows; full: over a limit of its own.'),
    reason: z.string().optional().describe('Why not.'),
    untilMs: z.number().optional().describe('When it is tried again.'),
    missingSecrets: z.array(z.string()).optional().describe('What it refers to and is not set; for admins.'),
  })
  .loose();

export const shownModelInFull = shownModel.extend({
  aliases: z.array(z.string()).describe('Other names that clients may call it by.'),
  toolboxes: z.array(z.string()).describe('In which it is a tool of the caller.'),
  routing: z.record(z.string(), z.unknown()).describe('How calls find a target; rules and numbers for admins and auditors.'),
  targets: z.array(shownTarget).optional().describe('For admins and auditors.'),
  source: z.enum(['registry', 'file']).optional().describe('A file changes only where it is written; for admins and auditors.'),
  entry: z.record(z.string(), z.unknown()).optional().describe('What was registered; for admins.'),
  revision: z.number().optional(),
  baseUrls: z.object({ openai: z.string(), anthropic: z.string() }).describe('What clients take as their base URL.'),
  snippets: z.record(z.string(), z.string()).describe('Code that makes one call, with a key in GATEHOUSE_KEY.'),
});

export const getModel = defineAction({
  name: 'get_model',
  title: 'Look at one model',
  description:
    'What it is, what it can do, what holds calls of it, how it fares, and code to start from: curl, and Python and TypeScript with the clients of OpenAI and Anthropic. Admins and auditors see its targets, too.',
  roles: everybody,
  isReadOnly: true,
  route: 'GET /models/{namespace}/{name}',
  input: z.strictObject({ namespace: namespaceNameSchema, name: upstreamName }),
  output: shownModelInFull,
  run: (ports, caller, { namespace, name }, ip) => modelInFull(ports, caller, `${namespace}/${name}`, ip),
});

/** Throws GatewayError `no_such_object`. */
export async function modelInFull(
  ports: AdminPorts,
  caller: Caller,
  id: string,
  ip: string,
): Promise<z.output<typeof shownModelInFull>> {
  const seen = (await modelsFor(ports, caller, ip)).find((model) => model.id === id);
  if (seen === undefined) throw notThere('model', id, 'Search them with list_models.');
  const { transport, toolboxes, isOverseen } = seen;
  const measures = await measureModels(ports, id);
  const url = ports.ownUrl();
  const { mode, sticky, regions, attempts, rules, failover } = transport.routing;
  return {
    ...(await showModel(ports, caller, seen, measures.get(id))),
    aliases: [...transport.aliases],
    toolboxes: [...toolboxes],
    routing: { mode, sticky, regions, attempts, ...(isOverseen ? { rules, failover } : {}) },
    ...(isOverseen ? { targets: await targetsOf(ports, caller, seen), ...originOf(ports, caller, seen) } : {}),
    baseUrls: { openai: `${url}/v1`, anthropic: url },
    snippets: { ...modelSnippets({ url, model: id, isEmbedder: transport.can.includes('embeddings') }) },
  };
}

async function targetsOf(ports: AdminPorts, caller: Caller, { member, transport }: SeenModel) {
  const { missingSecrets = [], namespace } = member.config;
  const mayChange = hasRole(caller, ['admin'], namespace);
  const states = new Map(modelStateOf(member.upstream)?.targets.map((target) => [target.name, target]));
  const priceOf = await openPrices(ports);
  return transport.targets.map((target) => {
    const { name, provider, model, version, region, weight, location, limits } = target;
    const price = priceOf(target);
    const missing = missingSecrets.filter((secret) => secretNames(JSON.stringify(target)).includes(secret));
    const status: Partial<TargetStatus> = states.get(name) ?? (missing.length > 0 ? unset : {});
    const { name: _, reason, untilMs, latencyMs, ...state } = status;
    return {
      ...{ name, provider, model, version, weight, limits },
      ...(region === undefined ? {} : { region }),
      ...(location === undefined ? {} : { location }),
      ...(price === undefined ? {} : { price: showPrice(price) }),
      ...state,
      ...(missing.length > 0 && mayChange ? { missingSecrets: missing } : {}),
      ...(reason === undefined ? {} : { reason }),
      ...(untilMs === undefined ? {} : { untilMs }),
      ...(latencyMs === undefined ? {} : { latencyMs }),
    };
  });
}

type TargetStatus = NonNullable<ReturnType<typeof modelStateOf>>['targets'][number];

const unset: Partial<TargetStatus> = { state: 'out', reason: 'A secret that it refers to is not set.' };

/** Where it is written. Secrets are references in an entry; addresses and headers are still for those who administer it. */
function originOf(ports: AdminPorts, caller: Caller, { id, member }: SeenModel) {
  const file = fileOf(ports, id);
  if (file !== undefined) return { source: 'file' as const, file };
  const known = ports.registry.get('upstream', id);
  const mayChange = hasRole(caller, ['admin'], member.config.namespace);
  return {
    source: 'registry' as const,
    ...(known === undefined ? {} : { revision: known.revision, ...(mayChange ? { entry: { ...known.body.entry } } : {}) }),
  };
}
