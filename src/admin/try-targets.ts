import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { silentConversation } from '../call/silent-conversation.ts';
import type { ModelTarget, ModelTransport, UpstreamConfig } from '../catalog/config.ts';
import { toGatewayError } from '../errors.ts';
import type { Spent } from '../models/spent.ts';
import type { Answer, UpstreamCall } from '../upstreams/upstream.ts';
import { Cancel } from '../wire/cancel.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { AdminPorts } from './action.ts';
import { configOf, type Draft } from './examine-upstream.ts';
import { errorAt, type Finding } from './findings.ts';

const tryWithinMs = 30_000;
/** Models that think first need some. */
const mostTokens = 256;
const longestShown = 200;

export const shownTrial = z
  .object({
    target: z.string(),
    isWorking: z.boolean(),
    ms: z.number(),
    answer: z.string().optional().describe('The beginning of what it said; of embeddings how many numbers there are.'),
    problem: z.string().optional(),
    tokensIn: z.number().optional(),
    tokensOut: z.number().optional(),
    costUsd: z.number().optional(),
  })
  .describe('One tiny call of one target.');

type Trial = z.output<typeof shownTrial>;

/** Makes one tiny call of each target that calls may go to. Nobody else can call what is tried. */
export async function tryTargets(ports: AdminPorts, caller: Caller, draft: Draft): Promise<readonly Trial[]> {
  const config = configOf(ports, draft);
  const { transport } = config;
  if (transport.type !== 'model') return [];
  const { regions } = transport.routing;
  const reachable = transport.targets.filter(({ region = '' }) => regions?.includes(region) ?? true);
  return await Promise.all(reachable.map((target) => tryTarget(ports, caller, config, alone(transport, target), target.name)));
}

/** What stands in the way, one finding for each target that did not answer. */
export function findingsOf(trials: readonly Trial[]): readonly Finding[] {
  return trials
    .filter(({ isWorking }) => !isWorking)
    .map(({ target, problem = '' }) => errorAt(['targets', target], `The target ${target} did not answer: ${problem}`));
}

function alone(transport: ModelTransport, target: ModelTarget): ModelTransport {
  const routing = { ...transport.routing, mode: 'priority' as const, sticky: undefined, rules: [] };
  return { ...transport, targets: [target], routing };
}

async function tryTarget(
  { tryUpstream, clock }: AdminPorts,
  caller: Caller,
  config: UpstreamConfig,
  transport: ModelTransport,
  target: string,
): Promise<Trial> {
  const upstream = tryUpstream({ ...config, transport });
  const cancel = new Cancel();
  const timer = setTimeout(() => cancel.cancel('timeout'), tryWithinMs);
  const startedAtMs = clock.nowMs();
  const elapsed = () => Math.max(0, clock.nowMs() - startedAtMs);
  let spent: Spent | undefined;
  try {
    upstream.start();
    await upstream.ready();
    // Why it cannot be asked is for those who set it up.
    const { state, lastError } = upstream.health();
    if (state === 'down' && lastError !== undefined)
      return { target, isWorking: false, ms: elapsed(), problem: lastError.message };
    const call = { ...questionTo(config, transport), ...silent, cancel, limitBytes: config.answerLimitBytes };
    const client = { principal: caller.id, session: undefined, capabilities: {} };
    const note = (known: Spent): void => {
      spent = known;
    };
    const answer = await upstream.call({ ...call, client, spent: note });
    return { target, isWorking: true, ms: elapsed(), answer: wordsOf(answer), ...costOf(spent) };
  } catch (error) {
    return { target, isWorking: false, ms: elapsed(), problem: toGatewayError(error).message, ...costOf(spent) };
  } finally {
    clearTimeout(timer);
    await upstream.close();
  }
}

function questionTo({ id }: UpstreamConfig, { can }: ModelTransport): Pick<UpstreamCall, 'method' | 'params'> {
  const isEmbedder = can.includes('embeddings');
  const messages = [{ role: 'user', content: 'Say OK.' }];
  const body: JsonObject = isEmbedder ? { model: id, input: 'OK' } : { model: id, max_tokens: mostTokens, messages };
  return { method: 'models/call', params: { name: id, dialect: isEmbedder ? 'embeddings' : 'messages', arguments: body } };
}

const silent = {
  meta: undefined,
  tool: undefined,
  retry: undefined,
  conversation: silentConversation,
} as const;

function wordsOf(answer: Answer): string {
  if (answer.kind !== 'reply') return '';
  const { content, data }: JsonObject = JSON.parse(answer.body.toString('utf8'));
  if (Array.isArray(data)) return `${dimensionsOf(data[0])} numbers`;
  const texts = (Array.isArray(content) ? content : []).flatMap((block) =>
    isObject(block) && typeof block.text === 'string' ? [block.text] : [],
  );
  return texts.join('').slice(0, longestShown);
}

function dimensionsOf(first: unknown): number {
  return isObject(first) && Array.isArray(first.embedding) ? first.embedding.length : 0;
}

function costOf(spent: Spent | undefined) {
  if (spent === undefined) return {};
  const { usage, nanoUsd } = spent;
  const tokens = { tokensIn: usage.input, tokensOut: usage.output };
  return nanoUsd === undefined ? tokens : { ...tokens, costUsd: nanoUsd / 1e9 };
}
