import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { modelsPlace } from '../catalog/catalog.ts';
import { GatewayError } from '../errors.ts';
import type { ModelCallsSum, RatingSum } from '../store/ports/model-records.ts';
import { type AdminPorts, defineAction, hasRole, notThere } from './action.ts';
import { meanOf, shareOf, within } from './statistics.ts';
import { toolboxFor } from './visible.ts';

const estimate = z.object({ value: z.number(), low: z.number(), high: z.number() });

export const compareVariants = defineAction({
  name: 'compare_variants',
  title: 'Compare the versions of a model',
  description:
    'What came of each version that a model splits its calls between: calls, errors, latency, tokens, cost, why answers ended, and ratings that clients posted; shares and means with the range that holds the true one in 95 of 100 cases. Where two ranges overlap, the difference may be chance.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /models/{namespace}/{name}/variants',
  input: z.strictObject({
    namespace: z.string().min(1).max(64),
    name: z.string().min(1).max(64),
    fromMs: z.int().min(0).optional().describe('Begin of the time, ms since 1970. Default: seven days ago.'),
    toMs: z.int().min(0).optional().describe('End of the time, not included. Default: now.'),
    consumer: z
      .string()
      .max(128)
      .optional()
      .describe('Only calls and ratings of this consumer: your own, or any for admins and auditors.'),
  }),
  output: z.object({
    model: z.string(),
    fromMs: z.number(),
    toMs: z.number(),
    variants: z.array(
      z.object({
        version: z.string(),
        calls: z.number(),
        errorShare: estimate.optional(),
        latencyMs: estimate.optional(),
        firstTokenMs: z.number().optional(),
        tokensIn: z.number(),
        tokensOut: z.number(),
        costUsd: z.number(),
        costUsdPerCall: z.number().optional(),
        cached: z.number(),
        failovers: z.number(),
        endings: z.record(z.string(), z.number()),
        ratings: z.number(),
        rating: estimate.optional(),
      }),
    ),
  }),
  async run(ports, caller, { namespace, name, fromMs, toMs, consumer }, ip) {
    const model = `${namespace}/${name}`;
    const isThere = ports.catalog().upstreams.get(model)?.config.kind === 'model';
    // All consumers together are nobody in particular.
    const maySee =
      consumer === undefined ? hasRole(caller, ['auditor', 'developer'], namespace) : isFor(caller, namespace, consumer);
    if (!isThere || !(maySee || isSeen(ports, caller, ip, model))) throw notThere('model', model);
    if (!maySee)
      throw new GatewayError(
        'forbidden',
        consumer === undefined
          ? `The versions of ${model} are for those with a role in ${namespace} to compare.`
          : `What the consumer ${consumer} calls is for itself, and for admins and auditors of ${namespace}.`,
      );
    const endMs = toMs ?? ports.clock.nowMs() + 60_000;
    const range = { fromMs: fromMs ?? endMs - weekMs, toMs: endMs };
    if (range.fromMs >= range.toMs) throw new GatewayError('bad_arguments', '"fromMs" must be before "toMs".');
    await ports.models.flush();
    const { records } = ports.models;
    const filters = consumer === undefined ? { model } : { model, consumer };
    const [sums, endings, ratings] = await Promise.all([
      records.sumCalls({ ...range, by: ['version'], filters }),
      records.sumCalls({ ...range, by: ['version', 'ending'], filters }),
      records.sumRatings(model, range.fromMs, range.toMs, consumer),
    ]);
    const answered = sums.filter(({ group: [version] }) => version !== '');
    return { model, ...range, variants: answered.map((sum) => show(sum, endings, ratings)) };
  },
});

/** Whether somebody may call it: who may not is not told that it is there. */
function isSeen(ports: AdminPorts, caller: Caller, ip: string, model: string): boolean {
  const tools = toolboxFor(ports, caller, ip, modelsPlace)?.tools.values() ?? [];
  return [...tools].some(({ name }) => name === model);
}

function isFor(caller: Caller, namespace: string, consumer: string): boolean {
  return consumer === caller.consumer || hasRole(caller, ['auditor'], namespace);
}

const weekMs = 7 * 86_400_000;

function show(sum: ModelCallsSum, endings: readonly ModelCallsSum[], ratings: readonly RatingSum[]) {
  const [version = ''] = sum.group;
  const rated = ratings.find((rating) => rating.version === version);
  const own = endings.filter(({ group: [of], calls }) => of === version && calls > 0);
  return {
    version,
    calls: sum.calls,
    ...optional('errorShare', shareOf(sum.failed, sum.calls)),
    ...optional('latencyMs', within(meanOf(sum.totalMs, sum.totalSquare, sum.calls), 0, Number.POSITIVE_INFINITY)),
    ...optional('firstTokenMs', sum.firstCalls === 0 ? undefined : sum.firstMs / sum.firstCalls),
    tokensIn: sum.tokensIn,
    tokensOut: sum.tokensOut,
    costUsd: sum.nanoUsd / 1e9,
    ...optional('costUsdPerCall', sum.calls === 0 ? undefined : sum.nanoUsd / 1e9 / sum.calls),
    cached: sum.cached,
    failovers: sum.failovers,
    endings: Object.fromEntries(own.map(({ group: [, ending = ''], calls }) => [ending === '' ? 'unknown' : ending, calls])),
    ratings: rated?.ratings ?? 0,
    ...optional('rating', rated && within(meanOf(rated.total, rated.totalSquare, rated.ratings), 0, 1)),
  };
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [Name in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { [Name in Key]?: Value });
}
