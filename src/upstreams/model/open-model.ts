import { hash } from 'node:crypto';
import type { Logger } from 'pino';
import type { ModelTarget, ModelTransport, UpstreamConfig } from '../../catalog/config.ts';
import type { Clock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import type { HmacKey } from '../../hmac.ts';
import type { CachedDialect } from '../../models/cache/cache-key.ts';
import type { ReplyCaches } from '../../models/cache/reply-caches.ts';
import type { ClientDialectName } from '../../models/dialect.ts';
import { clientDialects } from '../../models/dialects.ts';
import { loadPriceList } from '../../models/price-list.ts';
import { type EditedPrices, findPrice } from '../../models/prices.ts';
import type { Usage } from '../../models/reply.ts';
import { loadTokenizer } from '../../models/tokens.ts';
import type { Facts } from '../../policy/rule-facts.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { EgressGuard } from '../egress.ts';
import { openReach } from '../fetch-json.ts';
import type { Answer, CallEstimate, UpstreamCall } from '../upstream.ts';
import { amongOf } from './attempt-all.ts';
import { answerCached } from './cached-call.ts';
import { count } from './count.ts';
import { embed } from './embed.ts';
import { complete, generate } from './generate.ts';
import { refuseHeld } from './held-ids.ts';
import { estimateCall, type ModelCallPorts } from './model-calls.ts';
import { bodyOf, failedResult, promptOf, resultOf, vectorsOf } from './model-tool.ts';
import { OpenTarget } from './open-target.ts';
import { openProviders } from './providers.ts';
import { Routing, type RoutingEvent } from './routing.ts';
import type { TargetStatus } from './target-state.ts';

export interface ModelDeps {
  readonly resolveSecrets: (text: string) => string;
  readonly egress: Pick<EgressGuard, 'dispatcherFor' | 'connect'>;
  readonly log: Logger;
  readonly clock: Clock;
  /** The same for all replicas. */
  readonly responseKey: HmacKey;
  /** What rules may look at of whoever calls, where that is known. */
  readonly callerFacts?: ((caller: object | undefined) => Facts['caller'] | undefined) | undefined;
  /** Where administrators keep prices of their own. */
  readonly editedPrices?: EditedPrices | undefined;
  /** Answers that may be given again; asked for where a model has a cache. */
  readonly replyCaches?: (() => Promise<ReplyCaches>) | undefined;
  /** Is told of every failover, ejection and return. */
  readonly onRouting?: ((modelId: string, event: RoutingEvent) => void) | undefined;
}

/** A model whose targets are known, with their connections. */
export interface OpenModel {
  call(call: UpstreamCall): Promise<Answer>;
  estimate(params: JsonObject): CallEstimate;
  status(): readonly TargetStatus[];
  events(): readonly RoutingEvent[];
  /** Targets that cannot be used, and why. */
  readonly problems: readonly { readonly subject: string; readonly message: string }[];
  close(error: Error): Promise<void>;
}

/** Throws GatewayError `bad_configuration` where no target can be used, or a rule is none. */
export async function openModel(config: UpstreamConfig, transport: ModelTransport, deps: ModelDeps): Promise<OpenModel> {
  const { clock } = deps;
  const [prices] = await Promise.all([loadPriceList(), loadTokenizer()]);
  const problems: { readonly subject: string; readonly message: string }[] = [];
  const priceOf = ({ provider, model, url, price }: ModelTarget) =>
    findPrice({ provider, model, url, price }, deps.editedPrices ?? none, prices, clock.nowMs())?.price;
  const targets = openTargets(config, transport, deps, priceOf, problems);
  const [first] = problems;
  if (targets.length === 0 && first !== undefined) throw new GatewayError('bad_configuration', first.message);
  const routing = new Routing(
    targets.map((target) => target.config),
    transport.routing,
    { clock, random: Math.random, onEvent: (event) => tell(config.id, event, deps) },
  );
  const { cache } = transport;
  const caches = cache && (await deps.replyCaches?.());
  const ports: ModelCallPorts = {
    id: config.id,
    transport,
    targets,
    routing,
    rules: await compileRules(config.id, transport, routing),
    factsOf: (call) => factsOf(config, call, deps),
    isCompared: hasVersions(transport),
    responseKey: deps.responseKey,
    nowMs: () => clock.nowMs(),
    onDisbelief: warnOnce(config.id, deps.log),
  };
  const cached = cache && caches && cacheOf(ports, cache, caches, deps);
  return {
    call: (call) => perform(ports, call, cached),
    estimate: (params) => estimateCall(ports, askOf(params)),
    status: () => routing.status(),
    events: () => routing.events(),
    problems,
    close: async (error) => void (await Promise.all(targets.map((target) => target.close(error)))),
  };
}

/** A fallback alone is no second version: it gets what the first cannot take. */
function hasVersions({ targets, routing: { mode, rules } }: ModelTransport): boolean {
  return new Set(targets.map(({ version }) => version)).size > 1 && (mode !== 'priority' || rules.length > 0);
}

function none(): undefined {
  return undefined;
}

function openTargets(
  config: UpstreamConfig,
  { targets, isGuarded = false }: ModelTransport,
  deps: ModelDeps,
  priceOf: (target: ModelTarget) => ReturnType<EditedPrices>,
  problems: { readonly subject: string; readonly message: string }[],
): readonly OpenTarget[] {
  const providers = openProviders(openReach(deps.egress));
  const { resolveSecrets, egress, clock } = deps;
  const ports = { resolveSecrets, egress, clock, isGuarded, concurrency: config.concurrency, priceOf };
  return targets.flatMap((target) => {
    try {
      return [new OpenTarget(config.id, target, providers[target.provider], ports)];
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      problems.push({ subject: target.name, message: error.message });
      return [];
    }
  });
}

async function compileRules(
  id: string,
  { routing: { rules } }: ModelTransport,
  routing: Routing,
): Promise<ModelCallPorts['rules']> {
  if (rules.length === 0) return [];
  const { compileRule } = await import('../../policy/rule.ts');
  return await Promise.all(
    rules.map(async ({ when, targets }, at) => {
      const compiled = await compileRule(when);
      if ('rule' in compiled) return { rule: compiled.rule, targets: routing.reachable(targets) };
      const [problem] = compiled.problems;
      throw new GatewayError('bad_configuration', `Rule ${at + 1} of the routing of ${id} is none: ${problem?.message ?? ''}`);
    }),
  );
}

function tell(id: string, event: RoutingEvent, { log, onRouting }: ModelDeps): void {
  const { kind, from, to, reason, untilMs } = event;
  const level = kind === 'returned' ? 'info' : 'warn';
  log[level]({ model: id, event: kind, from, to, reason, untilMs }, 'the targets of a model changed');
  onRouting?.(id, event);
}

/** Once: a provider that counts wrongly does so in every answer, and each record says so. */
function warnOnce(model: string, log: Logger): ModelCallPorts['onDisbelief'] {
  let hasWarned = false;
  return (target, told, counted) => {
    if (hasWarned) return;
    hasWarned = true;
    const tokens = ({ input, output }: Usage) => ({ input, output });
    log.warn(
      { model, target, told: tokens(told), counted: tokens(counted) },
      'A provider tells of more tokens than can be; what can be is counted. Where it is right, set contextWindow, maxOutputTokens or can (reasoning) of the model.',
    );
  };
}

const nobody: Facts['caller'] = { id: '', kind: '', roles: [], role: '', consumer: '', member: '', key: '' };

function factsOf({ id, namespace }: UpstreamConfig, call: UpstreamCall, { callerFacts, clock }: ModelDeps): Facts {
  return {
    caller: callerFacts?.(call.caller) ?? nobody,
    capability: { name: id, namespace, upstream: id, kind: 'model', method: call.method },
    ip: call.ip ?? '',
    nowMs: clock.nowMs(),
  };
}

// Calls

/** Answers from what was answered before, where that may be. */
type Cached = (
  call: UpstreamCall,
  dialect: CachedDialect,
  body: JsonObject,
  fresh: (call: UpstreamCall) => Promise<Answer>,
) => Promise<Answer>;

function cacheOf(
  ports: ModelCallPorts,
  policy: NonNullable<ModelTransport['cache']>,
  caches: ReplyCaches,
  { callerFacts, clock }: ModelDeps,
): Cached {
  const { id } = ports;
  const { targets, routing, defaults, hostedTools, heldIds } = ports.transport;
  const written = hash('sha256', JSON.stringify([targets, routing, defaults, hostedTools, heldIds]), 'base64url');
  return (call, dialect, body, fresh) => {
    const facts = callerFacts?.(call.caller);
    const consumer =
      facts === undefined
        ? `caller ${call.client.principal}`
        : facts.consumer === ''
          ? `caller ${facts.id}`
          : `consumer ${facts.consumer}`;
    const { cacheControl, clientHeaders } = call.params;
    const request = {
      dialect,
      body,
      cacheControl: typeof cacheControl === 'string' ? cacheControl : undefined,
      said: isObject(clientHeaders) ? clientHeaders : undefined,
    };
    // Where rules say who may go where, nobody is given what a target said to which they may not go.
    const permitted = amongOf(ports, call);
    const version = permitted === undefined ? written : `${written} ${permitted.join(' ')}`;
    const scope = { model: id, version, consumer, policy };
    return answerCached({ caches, scope, request, nowMs: clock.nowMs(), version: targets[0]?.version ?? '' }, call, fresh);
  };
}

function perform(ports: ModelCallPorts, call: UpstreamCall, cached: Cached | undefined): Promise<Answer> {
  const ask = askOf(call.params);
  if (call.method === 'tools/call') return performTool(ports, call);
  if (call.method !== 'models/call') throw new GatewayError('method_not_found', `A model takes no ${call.method}.`);
  if (call.params.dialect === 'embeddings') {
    const made = (of: UpstreamCall) => embed(ports, of, ask.body);
    return cached === undefined ? made(call) : cached(call, 'embeddings', ask.body, made);
  }
  if (ask.dialect === 'embeddings') throw new GatewayError('invalid_request', 'The call names no dialect.');
  const { dialect, body } = ask;
  // Before anything is answered, from the cache too.
  const held = refuseHeld(body, dialect, ports.transport.heldIds, ports.id);
  if (call.params.dialect === 'count') return count(ports, call, body, held);
  const generated = (of: UpstreamCall) => generate(ports, of, { dialect, body, held });
  return cached === undefined || held.length > 0 ? generated(call) : cached(call, dialect, body, generated);
}

/** As a tool it is asked without a dialect, and its arguments are ours. */
function askOf({ dialect, arguments: given }: JsonObject): {
  readonly dialect: ClientDialectName | 'embeddings';
  readonly body: JsonObject;
} {
  const args = isObject(given) ? given : {};
  if (dialect === undefined)
    return args.input === undefined ? { dialect: 'messages', body: bodyOf(args) } : { dialect: 'embeddings', body: args };
  if (dialect === 'embeddings') return { dialect, body: args };
  const known = [...clientDialects.keys()].find((name) => name === dialect);
  return { dialect: known ?? 'messages', body: args };
}

async function performTool(ports: ModelCallPorts, call: UpstreamCall): Promise<Answer> {
  const args = isObject(call.params.arguments) ? call.params.arguments : {};
  try {
    if (args.input !== undefined) {
      const { model = '' } = ports.targets[0]?.config ?? {};
      const answer = await embed(ports, call, args);
      return answer.kind === 'reply' ? vectorsOf(JSON.parse(answer.body.toString()) as JsonObject, model) : answer;
    }
    const { reply, target } = await complete(ports, call, promptOf(ports.id, args), bodyOf(args));
    return resultOf(reply, target.model);
  } catch (error) {
    if (error instanceof GatewayError && mendable.has(error.code)) return failedResult(error.message);
    throw error;
  }
}

/** What a model that calls a tool can do something about. */
const mendable: ReadonlySet<string> = new Set(['invalid_request', 'prompt_too_long', 'content_blocked']);
