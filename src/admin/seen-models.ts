import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { type Capability, type Member, modelsPlace } from '../catalog/catalog.ts';
import type { ModelTransport } from '../catalog/config.ts';
import { describeModel } from '../catalog/describe-model.ts';
import { modelAbilities, modelProviders } from '../catalog/model-entry.ts';
import { modelStateOf } from '../upstreams/kinds.ts';
import type { ToolDefinition } from '../upstreams/upstream.ts';
import { type AdminPorts, hasRole } from './action.ts';
import { limitsOf } from './documentation.ts';
import { type Measures, shownMeasures } from './model-measures.ts';
import { openPrices, shownPrice, showPrice, tierField } from './shown-prices.ts';
import { toolboxFor, visibleTo } from './visible.ts';

/** A model as somebody sees it: because they may call it, or because they look after its namespace. */
export interface SeenModel {
  readonly id: string;
  readonly member: Member;
  readonly transport: ModelTransport;
  /** Undefined while it is not served. */
  readonly capability: Capability<ToolDefinition> | undefined;
  /** At `/v1`. */
  readonly mayCall: boolean;
  /** In which it is a tool of theirs; everything at `/mcp` is the empty name. */
  readonly toolboxes: readonly string[];
  readonly isOverseen: boolean;
}

export const modelAvailabilities = ['available', 'limited', 'unavailable', 'not-ready'] as const;
type ModelAvailability = (typeof modelAvailabilities)[number];

export const shownModel = z
  .object({
    id: z.string().describe('namespace/name: what clients call it.'),
    title: z.string(),
    description: z.string().optional(),
    providers: z.array(z.enum(modelProviders)),
    can: z.array(z.enum(modelAbilities)),
    contextWindow: z.number().optional().describe('Most tokens that it reads and writes in one call.'),
    maxOutputTokens: z.number().optional(),
    mayCall: z.boolean().describe('Whether the caller may call it at /v1.'),
    state: z
      .enum(modelAvailabilities)
      .describe(
        'Right now; limited: some of its targets are left out, or its last call failed; not-ready: no target has what it needs, a secret for example.',
      ),
    missingSecrets: z
      .array(z.string())
      .optional()
      .describe('Secrets that its entry refers to and that are not set; once they are, it takes them up by itself. For admins.'),
    measured: shownMeasures,
    limits: z.array(z.string()).describe('What holds calls of the caller, in words: rates, budgets, calls at a time.'),
    service: z
      .object({ timeoutMs: z.number(), maxDurationMs: z.number(), concurrency: z.number(), hasFallback: z.boolean() })
      .describe('What calls can count on.'),
    priceTier: tierField,
    prices: z.array(shownPrice).describe('Of its targets, each price once; empty where none is known.'),
    calls: z.number().optional().describe('Of everybody in the last 24 hours; for admins and auditors.'),
  })
  .loose();

/** By id. */
export async function modelsFor(ports: AdminPorts, caller: Caller, ip: string): Promise<readonly SeenModel[]> {
  const tools = new Map<string, readonly string[]>();
  const visible = await visibleTo(ports, caller, ip);
  for (const { capability, toolboxes } of visible.values())
    if (capability.member.config.kind === 'model') tools.set(capability.member.id, toolboxes);
  const catalog = ports.catalog();
  const callable = toolboxFor(ports, caller, ip, modelsPlace)?.tools;
  const served = new Map(Array.from(catalog.models.tools.values(), (capability) => [capability.member.id, capability]));
  return [...catalog.upstreams.values()]
    .flatMap((member): SeenModel[] => {
      const { id, config } = member;
      const { transport } = config;
      if (transport.type !== 'model') return [];
      const capability = served.get(id);
      const mayCall = capability !== undefined && callable?.has(capability.outwardName) === true;
      const isOverseen = hasRole(caller, ['auditor'], config.namespace);
      if (!mayCall && !isOverseen && !tools.has(id)) return [];
      return [{ id, member, transport, capability, mayCall, toolboxes: tools.get(id) ?? [], isOverseen }];
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Whether it can be called right now, as far as this replica knows. */
export function availabilityOf({ calls }: Pick<AdminPorts, 'calls'>, { id, member, capability }: SeenModel): ModelAvailability {
  const { state } = member.upstream.health();
  const breaker = calls.lanes.status(id);
  const { isReady = true, targets = [] } = modelStateOf(member.upstream) ?? {};
  if (!isReady) return 'not-ready';
  const { transport } = member.config;
  const unopened = transport.type === 'model' && targets.length > 0 ? transport.targets.length - targets.length : 0;
  const out = targets.filter(({ state }) => state === 'out' || state === 'full').length;
  const isPaused = breaker?.state === 'open' && !breaker.isDetectOnly;
  if (capability === undefined || isPaused || (state !== 'healthy' && state !== 'failing')) return 'unavailable';
  if (targets.length > 0 && out === targets.length) return 'unavailable';
  return out + unopened > 0 || state === 'failing' ? 'limited' : 'available';
}

export async function showModel(
  ports: AdminPorts,
  caller: Caller,
  seen: SeenModel,
  measures: Measures | undefined,
): Promise<z.output<typeof shownModel>> {
  const { id, member, transport, capability, mayCall, isOverseen } = seen;
  const { config } = member;
  const { calls = 0, ...measured } = measures ?? {};
  const priceOf = await openPrices(ports);
  const found = transport.targets.flatMap((target) => priceOf(target) ?? []);
  const distinct = new Map(found.map((price) => [JSON.stringify(price), showPrice(price)]));
  const about = describeModel(config, (target) => priceOf(target)?.price);
  const missing = hasRole(caller, ['admin'], config.namespace) ? (config.missingSecrets ?? []) : [];
  return {
    id,
    title: config.title ?? config.name,
    ...(config.description === undefined ? {} : { description: config.description }),
    providers: [...new Set(transport.targets.map(({ provider }) => provider))],
    can: [...transport.can],
    ...(transport.contextWindow === undefined ? {} : { contextWindow: transport.contextWindow }),
    ...(transport.maxOutputTokens === undefined ? {} : { maxOutputTokens: transport.maxOutputTokens }),
    mayCall,
    state: availabilityOf(ports, seen),
    ...(missing.length === 0 ? {} : { missingSecrets: [...missing] }),
    measured,
    limits: capability === undefined ? [] : [...limitsOf(ports, caller, capability)],
    service: {
      timeoutMs: config.timeoutMs,
      maxDurationMs: config.maxDurationMs,
      concurrency: config.concurrency,
      hasFallback: transport.targets.length > 1 && transport.routing.attempts > 1,
    },
    priceTier: about?.priceTier ?? 'unknown',
    prices: [...distinct.values()],
    ...(isOverseen ? { calls } : {}),
  };
}
