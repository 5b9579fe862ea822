import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { defineAction, namespacesOf } from './action.ts';

const kinds = ['failover', 'ejected', 'returned', 'refused'] as const;
const dayMs = 86_400_000;

export const getFailoverEvents = defineAction({
  name: 'get_failover_events',
  title: 'Look at failovers',
  description:
    'What happened to the targets of models, newest first: calls that went on to another target, targets that were left out and came back, and credentials that a provider refused.',
  roles: ['admin', 'auditor'],
  isReadOnly: true,
  route: 'GET /failovers',
  input: z.strictObject({
    model: z
      .string()
      .regex(/^[^\s/]{1,128}\/[^\s/]{1,128}$/, 'Write "namespace/name".')
      .optional()
      .describe('Only of this one, "namespace/name".'),
    kind: z.enum(kinds).optional().describe('Only these. "refused": the provider does not take the credential.'),
    target: z.string().max(64).optional().describe('Only from or to this target.'),
    fromMs: z.int().min(0).optional().describe('Begin of the time, in ms since 1970. Default: a day before its end.'),
    toMs: z.int().min(0).optional().describe('End of the time, not included. Default: now.'),
    limit: z.int().min(1).max(1000).optional().describe('Most events. Default: 100.'),
  }),
  output: z.object({
    events: z.array(
      z.object({
        atMs: z.number(),
        model: z.string(),
        kind: z.enum(kinds),
        from: z.string().describe('The target that failed, or that it is about.'),
        to: z.string().optional().describe('Where the call went then.'),
        reason: z.string(),
      }),
    ),
    fromMs: z.number(),
    toMs: z.number(),
  }),
  async run(ports, caller, { model, kind, target, fromMs, toMs, limit = 100 }) {
    const endMs = toMs ?? ports.clock.nowMs() + 1;
    const range = { fromMs: fromMs ?? endMs - dayMs, toMs: endMs };
    if (range.fromMs >= range.toMs) throw new GatewayError('bad_arguments', '"fromMs" must be before "toMs".');
    const mine = namespacesOf(caller, ['auditor']);
    await ports.models.flush();
    const namespaces = mine === 'all' ? undefined : mine;
    const found = await ports.models.records.listFailovers({ ...range, model, namespaces, kind, target, limit });
    const shown = found.map(({ atMs, model: of, kind: what, from, to, reason }) => ({
      ...{ atMs, model: of, kind: what, from },
      ...(to === undefined ? {} : { to }),
      reason,
    }));
    return { events: shown, ...range };
  },
});
