import { z } from 'zod';
import { errorTable } from '../errors.ts';
import type { AdminPorts } from './action.ts';

const dayMs = 86_400_000;
const minuteMs = 60_000;

export const shownMeasures = z
  .object({
    availability: z
      .number()
      .optional()
      .describe(
        'Share of the calls of the last 24 hours that were answered, 0 to 1; calls refused for what the caller did do not count.',
      ),
    meanMs: z.number().optional().describe('Mean time of an answered call.'),
    firstTokenMs: z.number().optional().describe('Mean time until an answer in parts began.'),
  })
  .describe('Measured over the last 24 hours. Empty where nobody called it.');

/** What calls of the last 24 hours say of models. */
export interface Measures extends z.output<typeof shownMeasures> {
  readonly calls: number;
}

/** By `namespace/name`; of one model where it is named. */
export async function measureModels({ models, clock }: AdminPorts, model?: string): Promise<ReadonlyMap<string, Measures>> {
  await models.flush();
  const toMs = clock.nowMs() + minuteMs;
  const rows = await models.records.sumCalls({
    fromMs: toMs - dayMs - minuteMs,
    toMs,
    by: ['model', 'ending'],
    filters: model === undefined ? {} : { model },
    limit: 10_000,
  });
  const sums = new Map<string, ReturnType<typeof nothing>>();
  for (const { group, calls, failed, totalMs, firstCalls, firstMs } of rows) {
    const [name = '', ending = ''] = group;
    const sum = sums.get(name) ?? nothing();
    sums.set(name, sum);
    sum.calls += calls;
    if (failed > 0 && isFault(ending)) sum.faults += failed;
    if (failed > 0) continue;
    sum.served += calls;
    sum.totalMs += totalMs;
    sum.firstCalls += firstCalls;
    sum.firstMs += firstMs;
  }
  return new Map(Array.from(sums, ([name, sum]) => [name, measuresOf(sum)]));
}

function nothing() {
  return { calls: 0, served: 0, faults: 0, totalMs: 0, firstCalls: 0, firstMs: 0 };
}

function measuresOf({ calls, served, faults, totalMs, firstCalls, firstMs }: ReturnType<typeof nothing>): Measures {
  return {
    calls,
    ...(served + faults === 0 ? {} : { availability: served / (served + faults) }),
    ...(served === 0 ? {} : { meanMs: totalMs / served }),
    ...(firstCalls === 0 ? {} : { firstTokenMs: firstMs / firstCalls }),
  };
}

// Everything that is for a provider, or for this gateway, to do better.
const faults: ReadonlySet<string> = new Set([
  'upstream_error',
  ...Object.entries(errorTable).flatMap(([code, { rpc }]) => (rpc === -32603 || (rpc >= 50_000 && rpc < 60_000) ? [code] : [])),
]);

function isFault(ending: string): boolean {
  return faults.has(ending);
}
