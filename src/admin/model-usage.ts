import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';
import { idSchema } from '../registry/documents.ts';
import { addModelCalls, type ModelCallsSum, type ModelDimension, modelDimensions } from '../store/ports/model-records.ts';
import { type AdminPorts, defineAction, hasRole, namespacesOf } from './action.ts';
import { isOwn } from './key-authority.ts';
import { meanOf, shareOf } from './statistics.ts';

const usualBy: readonly ModelDimension[] = ['model'];
const dayMs = 86_400_000;
const minuteMs = 60_000;
/** Groups that are looked through for what the caller may see. */
const mostRead = 50_000;

const numbers = z.object({
  calls: z.number(),
  errors: z.number(),
  errorShare: z.number().optional(),
  cached: z.number().describe('Answered without a provider.'),
  failovers: z.number().describe('Targets that were tried in vain before another answered.'),
  tokensIn: z.number(),
  tokensOut: z.number(),
  costUsd: z.number(),
  unpriced: z.number().describe('Calls of which no price is known; they are not in the cost.'),
  meanMs: z.number().optional(),
  firstTokenMs: z.number().optional().describe('Until an answer in parts began.'),
});

export const getModelUsage = defineAction({
  name: 'get_model_usage',
  title: 'Show the usage of models',
  description:
    'Calls, tokens, latency, cost and errors of models in a time, by model, version, target, consumer, key, or why answers ended; what of limits is used up right now shows get_usage. An admin or auditor of a namespace sees its models; whoever is neither sees the own keys and consumer.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /model-usage',
  input: z.strictObject({
    by: z
      .array(z.enum(modelDimensions))
      .min(1)
      .max(3)
      .optional()
      .describe(
        'What to add up by, at most three of them together. "ending": why an answer ended, or the code of an error. Default: model.',
      ),
    model: z
      .string()
      .regex(/^[^\s/]{1,128}\/[^\s/]{1,128}$/, 'Write "namespace/name".')
      .optional()
      .describe('Only calls of this one, "namespace/name".'),
    version: z.string().max(64).optional().describe('Only calls that this version answered.'),
    target: z.string().max(64).optional().describe('Only calls that this target answered.'),
    consumer: idSchema.optional().describe('Only calls of this consumer.'),
    key: idSchema.optional().describe('Only calls with this key.'),
    fromMs: z.int().min(0).optional().describe('Begin of the time, in ms since 1970. Default: a day before its end.'),
    toMs: z.int().min(0).optional().describe('End of the time, not included. Default: now.'),
    limit: z.int().min(1).max(1000).optional().describe('Most groups, those with the most calls first. Default: 100.'),
  }),
  output: z.object({
    fromMs: z.number(),
    toMs: z.number(),
    total: numbers,
    groups: z.array(numbers.extend({ group: z.record(z.string(), z.string()) })),
    endings: z.record(z.string(), z.number()).describe('Calls by why the answer ended, or the code of an error.'),
  }),
  async run(ports, caller, { by: wanted = usualBy, fromMs, toMs, limit = 100, ...asked }) {
    const by: readonly ModelDimension[] = [...new Set(wanted)];
    // The minute that runs counts, too.
    const endMs = toMs ?? ports.clock.nowMs() + minuteMs;
    const range = { fromMs: fromMs ?? endMs - minuteMs - dayMs, toMs: endMs };
    if (range.fromMs >= range.toMs) throw new GatewayError('bad_arguments', '"fromMs" must be before "toMs".');
    const filters: Filters = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
    const mayShow = narrow(ports, caller, filters);
    await ports.models.flush();
    const read = async (dimensions: readonly ModelDimension[]) => {
      const found = await ports.models.records.sumCalls({ ...range, by: ['model', ...dimensions], filters, limit: mostRead });
      return addUp(found.filter(({ group: [model = ''] }) => mayShow(model)));
    };
    const [groups, endings] = await Promise.all([read(by), read(['ending'])]);
    return {
      ...range,
      total: show([...groups.values()].reduce(addModelCalls, nothing)),
      groups: [...groups.values()]
        .sort((a, b) => b.calls - a.calls)
        .slice(0, limit)
        .map((sum) => ({
          ...show(sum),
          group: Object.fromEntries(by.map((name, at) => [name, sum.group[at] ?? ''])),
        })),
      endings: Object.fromEntries(
        [...endings.values()]
          .filter(({ calls }) => calls > 0)
          .map(({ group: [ending = ''], calls }) => [ending === '' ? 'unknown' : ending, calls]),
      ),
    };
  },
});

type Filters = Partial<Readonly<Record<ModelDimension, string>>>;

/** Of which models the caller may see these calls. Throws GatewayError `forbidden` where of none. */
function narrow({ registry }: AdminPorts, caller: Caller, { model, consumer, key }: Filters): (model: string) => boolean {
  const isMine = (id: string) => {
    const body = registry.get('key', id)?.body;
    return id === caller.key || (body !== undefined && isOwn(caller, body));
  };
  if (key !== undefined ? isMine(key) : consumer !== undefined && consumer === caller.consumer) return () => true;
  const overseen = namespacesOf(caller, ['auditor']);
  if (overseen === 'all') return () => true;
  const namespace = model === undefined ? undefined : namespaceIn(model);
  if (namespace === undefined ? overseen.size > 0 : hasRole(caller, ['auditor'], namespace))
    return (name) => overseen.has(namespaceIn(name));
  throw new GatewayError(
    'forbidden',
    `${caller.id} may not see what others call; name one of your own keys with "key"${caller.consumer === undefined ? '' : `, or your consumer ${caller.consumer}`}.`,
  );
}

function namespaceIn(name: string): string {
  return name.slice(0, name.indexOf('/'));
}

/** The sums by what comes after the model in each group. */
function addUp(sums: readonly ModelCallsSum[]): ReadonlyMap<string, ModelCallsSum> {
  const groups = new Map<string, ModelCallsSum>();
  for (const sum of sums) {
    const group = sum.group.slice(1);
    const key = JSON.stringify(group);
    groups.set(key, { ...addModelCalls(groups.get(key) ?? nothing, sum), group });
  }
  return groups;
}

const nothing: ModelCallsSum = {
  ...{ calls: 0, failed: 0, cached: 0, failovers: 0, totalMs: 0, totalSquare: 0, firstCalls: 0, firstMs: 0 },
  ...{ tokensIn: 0, tokensOut: 0, nanoUsd: 0, unpriced: 0, group: [] },
};

function show(sum: ModelCallsSum): z.output<typeof numbers> {
  const { calls, failed, cached, failovers, tokensIn, tokensOut, unpriced, firstCalls } = sum;
  const errorShare = shareOf(failed, calls)?.value;
  const meanMs = meanOf(sum.totalMs, sum.totalSquare, calls)?.value;
  return {
    ...{ calls, errors: failed, cached, failovers, tokensIn, tokensOut, costUsd: sum.nanoUsd / 1e9, unpriced },
    ...(errorShare === undefined ? {} : { errorShare }),
    ...(meanMs === undefined ? {} : { meanMs }),
    ...(firstCalls === 0 ? {} : { firstTokenMs: sum.firstMs / firstCalls }),
  };
}
