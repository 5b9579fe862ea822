import { z } from 'zod';
import type { Caller } from '../../call/authenticate.ts';
import { LimitRefusal, refusedRate } from '../../call/limit.ts';
import { GatewayError } from '../../errors.ts';
import { compileLimits, demandsFor } from '../../policy/compile-limits.ts';
import type { Counters } from '../../store/ports/counters.ts';
import type { ModelRecords } from '../../store/ports/model-records.ts';
import { raterOf } from '../../telemetry/model-buffer.ts';
import type { JsonObject } from '../../wire/json.ts';

/** What people think of answers, for comparing the versions of a model. */
export interface RatingPorts {
  readonly records: Pick<ModelRecords, 'findAnswer' | 'rate'>;
  /** Stores what this replica still holds: an answer may be rated at once. */
  readonly flush: () => Promise<void>;
  nowMs(): number;
}

const rating = z.strictObject({
  id: z
    .string('"id" must be the x-request-id of the answer.')
    .regex(/^[0-9a-f]{24}$/, '"id" must be the x-request-id of the answer.'),
  score: z
    .number('"score" must be a number from 0 (bad) to 1 (good).')
    .min(0, '"score" must be at least 0.')
    .max(1, '"score" must be at most 1.'),
  note: z.string('"note" must be text.').max(2000, '"note" must have at most 2000 characters.').optional(),
});

/** A note of 2000 characters, each written as an escape, and room around it. */
export const ratingLimitBytes = 32 * 1024;
const mostAMinute = 600;
/** Counted where the limits of calls are: replicas that share those share this one. */
const limits = compileLimits([{ per: 'key', rpm: mostAMinute }], 'ratings');

/** Each rating is a look into the store. Rejects with GatewayError `rate_limited`. */
export async function admitRating(counters: Counters, { id }: Pick<Caller, 'id'>): Promise<void> {
  const demands = demandsFor([limits], { namespace: 'ratings', capability: 'ratings/ratings', key: id });
  const taken = await counters.take(demands, { calls: 1, tokens: 0, nanoUsd: 0 });
  if (taken.kind === 'admitted') taken.reservation.release();
  else {
    const { retryAfterMs } = taken;
    const rates = () => refusedRate(taken);
    const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
    throw new LimitRefusal(
      'rate_limited',
      `Only ${mostAMinute} ratings are taken of each caller in a minute; post the next in ${seconds} s.`,
      rates,
      { retryAfterMs },
    );
  }
}

/**
 * Keeps a rating of an answer that the same consumer got, once. Throws GatewayError `invalid_request`, `conflict`, and `not_found` for an answer
 * that is not there, not theirs, or of a model with one version alone.
 */
export async function rateAnswer({ records, flush, nowMs }: RatingPorts, caller: Caller, body: JsonObject): Promise<JsonObject> {
  const read = rating.safeParse(body);
  if (!read.success) throw new GatewayError('invalid_request', read.error.issues.map(({ message }) => message).join(' '));
  const { id, score, note } = read.data;
  let answer = await records.findAnswer(id);
  if (answer === undefined) {
    await flush();
    answer = await records.findAnswer(id);
  }
  if (answer === undefined || answer.consumer !== raterOf(caller))
    throw new GatewayError(
      'not_found',
      'There is no answer of this id to rate. Only models that split their calls between versions take ratings, for the consumer that called.',
    );
  if (!(await records.rate({ ...answer, atMs: nowMs(), score, note })))
    throw new GatewayError('conflict', 'This answer has a rating already.');
  return { id, model: answer.model, version: answer.version, score };
}
