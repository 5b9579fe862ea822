import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { compileGlob } from '../catalog/glob.ts';
import { GatewayError } from '../errors.ts';
import { compileLimits, type Demand } from '../policy/compile-limits.ts';
import { describeLimit } from '../policy/describe-limit.ts';
import { globsOf, type LimitRow } from '../policy/limit-rules.ts';
import { describeScope, type PolicyScope } from '../policy/policy.ts';
import { idSchema, namespaceNameSchema } from '../registry/documents.ts';
import type { RollUpDimension, RollUpQuery, RollUpSum } from '../store/ports/roll-ups.ts';
import { latencyPercentile } from '../telemetry/latency.ts';
import { type AdminPorts, defineAction, hasRole, namespacesOf } from './action.ts';
import { isOwn } from './key-authority.ts';
import { policiesOver } from './policies.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** One question to the counters; more limits than this are for nobody to read. */
const mostLimits = 500;

const capabilityField = z.string().regex(/^[^\s/]{1,128}\/[^\s/]{1,128}$/, 'Write "namespace/name".');

const limitShown = z.object({
  limit: z.string().describe('In words.'),
  from: z.string().describe('Where it stands.'),
  subject: z.string().describe('Whose count it is.'),
  unit: z.string(),
  amount: z.number(),
  used: z.number(),
  remaining: z.number(),
  resetsInMs: z.number().describe('Until a budget is full again; 0 for others.'),
  isShadow: z.boolean(),
});

const sumShown = z
  .object({
    group: z.string(),
    atMs: z.number(),
    calls: z.number(),
    errors: z.number(),
    p50Ms: z.number().optional(),
    p95Ms: z.number().optional(),
    p99Ms: z.number().optional(),
  })
  .loose();

export const getUsage = defineAction({
  name: 'get_usage',
  title: 'Show usage',
  description:
    'What is used up right now of the limits of a consumer, key, member or capability, and what was called in a time: calls, errors by code, percentiles. An admin or auditor of a namespace sees that namespace; whoever is neither sees the own calls.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /usage',
  input: z.strictObject({
    capability: capabilityField.optional().describe('Only calls of this one, "namespace/name".'),
    namespace: namespaceNameSchema.optional().describe('Only calls of this namespace.'),
    consumer: idSchema.optional().describe('Only calls of this consumer.'),
    key: idSchema.optional().describe('Only calls with this key.'),
    member: z.string().min(1).max(512).optional().describe('Only calls of this member.'),
    upstream: capabilityField.optional().describe('Only calls to this upstream, "namespace/name".'),
    by: z
      .enum(['capability', 'namespace', 'consumer', 'key', 'member', 'upstream', 'code'])
      .optional()
      .describe('What to add up by. Default: capability.'),
    fromMs: z.int().min(0).optional().describe('Begin of the time, in ms since 1970. Default: an hour before its end.'),
    toMs: z.int().min(0).optional().describe('End of the time, not included. Default: now.'),
    stepMs: z
      .int()
      .min(minuteMs)
      .optional()
      .describe('Splits the time into steps of whole minutes, in ms: fewer groups then, at most 3,000 steps of all of them.'),
    limit: z.int().min(1).max(1000).optional().describe('Most groups, those with the most calls first. Default: 100.'),
  }),
  output: z.object({
    fromMs: z.number(),
    toMs: z.number(),
    limits: z.array(limitShown).nullable().describe('Null while the shared counters cannot be reached.'),
    total: sumShown.nullable(),
    groups: z.array(sumShown),
    errors: z.array(z.object({ code: z.string(), calls: z.number() })),
  }),
  async run(ports, caller, { by = 'capability', fromMs, toMs, stepMs, limit = 100, ...asked }) {
    const { filters, seesOwners } = narrow(ports, caller, asked);
    // The minute that runs counts, too.
    const endMs = toMs ?? ports.clock.nowMs() + minuteMs;
    const range = { fromMs: fromMs ?? endMs - minuteMs - hourMs, toMs: endMs, filters };
    if (range.fromMs >= range.toMs) throw new GatewayError('bad_arguments', '"fromMs" must be before "toMs".');
    await ports.rollUps.flush();
    const query = (more: Partial<RollUpQuery>) => ports.rollUps.query({ ...range, ...more });
    const [total, groups, codes] = await Promise.all([
      query({}),
      query({ by, limit, ...(stepMs === undefined ? {} : { stepMs }) }),
      query({ by: 'code', limit: 100 }),
    ]);
    return {
      fromMs: range.fromMs,
      toMs: range.toMs,
      limits: await limitsOf(ports, filters, seesOwners),
      total: total[0] === undefined ? null : show(total[0]),
      groups: groups.map(show),
      errors: codes.filter(({ group }) => group !== '').map(({ group, calls }) => ({ code: group, calls })),
    };
  },
});

type Filters = Partial<Readonly<Record<Exclude<RollUpDimension, 'code'>, string>>>;

interface Narrowed {
  readonly filters: Filters;
  /** Whether the limits of consumers, keys and members may be shown: they count calls everywhere. */
  readonly seesOwners: boolean;
}

/** What somebody may see of what they ask for. Throws GatewayError `forbidden` for what is others'. */
function narrow(
  { registry }: AdminPorts,
  caller: Caller,
  asked: { readonly [Key in keyof Filters]: Filters[Key] | undefined },
): Narrowed {
  const filters: Filters = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  const namespace = filters.namespace ?? namespaceIn(filters.capability) ?? namespaceIn(filters.upstream);
  for (const name of [filters.capability, filters.upstream])
    if (name !== undefined && namespaceIn(name) !== namespace)
      throw new GatewayError('bad_arguments', `${name} is not in the namespace ${namespace}; leave one of them out.`);
  if (hasRole(caller, ['admin', 'auditor'])) return { filters, seesOwners: true };
  if (hasRole(caller, ['admin', 'auditor'], namespace))
    return { filters: { ...filters, namespace: namespace ?? '' }, seesOwners: false };
  const ownKey = filters.key === undefined ? undefined : registry.get('key', filters.key)?.body;
  const isOwnKey = filters.key !== undefined && (filters.key === caller.key || (ownKey !== undefined && isOwn(caller, ownKey)));
  const isOwnCalls = caller.member !== undefined && (filters.member ?? caller.member) === caller.member;
  if (filters.consumer === undefined && (isOwnKey || (filters.key === undefined && isOwnCalls)))
    return { filters: caller.member === undefined ? filters : { ...filters, member: caller.member }, seesOwners: true };
  const visible = namespacesOf(caller, ['admin', 'auditor']);
  const names = visible === 'all' ? [] : [...visible];
  const hint = names.length === 0 ? 'leave out what is not yours' : `name a namespace that you look after: ${names.join(', ')}`;
  throw new GatewayError('forbidden', `${caller.id} may not see all of this; ${hint}.`);
}

function namespaceIn(name: string | undefined): string | undefined {
  return name?.slice(0, name.indexOf('/'));
}

async function limitsOf(ports: AdminPorts, filters: Filters, seesOwners: boolean): Promise<z.output<typeof limitShown>[] | null> {
  const demands = demandsOf(ports, filters, seesOwners).slice(0, mostLimits);
  try {
    const usage = await ports.counters.usage(demands.map(({ demand }) => demand));
    return usage.map(({ demand: { limit }, used, resetsInMs }, at) => ({
      limit: describeLimit(limit),
      from: limit.source,
      subject: demands[at]?.subject ?? '',
      unit: limit.unit,
      amount: limit.amount,
      used,
      remaining: Math.max(0, limit.amount - used),
      resetsInMs,
      isShadow: limit.isShadow,
    }));
  } catch (error) {
    ports.log.warn({ err: error }, 'what is used up of limits could not be read');
    return null;
  }
}

interface Counted {
  readonly demand: Demand;
  readonly subject: string;
}

/** Every counter that belongs to what was asked for: of limits on it, and of limits of everything that count it on its own. */
function demandsOf(ports: AdminPorts, filters: Filters, seesOwners: boolean): readonly Counted[] {
  const { registry } = ports;
  const { capability, consumer, key, member } = filters;
  const namespace = filters.namespace ?? namespaceIn(capability);
  const keyBody = key === undefined ? undefined : registry.get('key', key)?.body;
  const owners = seesOwners ? { consumer: consumer ?? keyBody?.consumer, member: member ?? keyBody?.member, key } : {};
  const subjects = { global: '', capability, namespace, consumer: undefined, member: undefined, key: undefined, ...owners };
  const places: (readonly [source: string, rows: readonly LimitRow[]])[] = policyPlaces(ports, capability, namespace);
  if (subjects.key !== undefined) places.push([`key ${subjects.key}`, keyBody?.limits ?? []]);
  for (const kind of ['consumer', 'member'] as const) {
    const id = subjects[kind];
    if (id !== undefined) places.push([`${kind} ${id}`, registry.get(kind, id)?.body.limits ?? []]);
  }
  return places.flatMap(([source, rows]) =>
    rows.flatMap((row) => {
      const subject = subjects[row.per];
      const name = capability ?? globsOf(row)[0] ?? 'any/thing';
      if (subject === undefined || !covers(row, name)) return [];
      const templates = compileLimits([row], source).covering(name);
      return templates.map((template) => ({ demand: template.demandOf(subject), subject }));
    }),
  );
}

function policyPlaces(
  ports: AdminPorts,
  capability: string | undefined,
  namespace: string | undefined,
): (readonly [string, readonly LimitRow[]])[] {
  const scope: PolicyScope =
    capability !== undefined
      ? { kind: 'capability', capability }
      : namespace !== undefined
        ? { kind: 'namespace', namespace }
        : { kind: 'global' };
  return policiesOver(ports, scope).map((source) => [describeScope(source.scope), source.policy.limits ?? []]);
}

function covers(row: LimitRow, name: string): boolean {
  const globs = globsOf(row);
  return globs.length === 0 || globs.some((glob) => compileGlob(glob)(name));
}

function show({ latency, totalMs, ...sum }: RollUpSum) {
  const percentile = (share: number) => latencyPercentile(latency, share);
  return {
    ...sum,
    averageMs: sum.calls === 0 ? 0 : totalMs / sum.calls,
    p50Ms: percentile(0.5),
    p95Ms: percentile(0.95),
    p99Ms: percentile(0.99),
  };
}
