import { z } from 'zod';
import type { Caller } from '../../call/authenticate.ts';
import { GatewayError } from '../../errors.ts';
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
const minuteMs = 60_000;
const mostAMinute = 600;
const mostRaters = 10_000;
/** Ratings of this minute, by caller, of this process. */
const counts = new Map<string, number>();
let countedMs = 0;

/** Each rating is a look into the store. Throws GatewayError `rate_limited`. */
export function admitRating({ id }: Pick<Caller, 'id'>, nowMs: number): void {
  const minute = nowMs - (nowMs % minuteMs);
  if (minute !== countedMs) {
    counts.clear();
    countedMs = minute;
  }
  const count = counts.get(id) ?? 0;
  if (count >= mostAMinute || (count === 0 && counts.size >= mostRaters))
    throw new GatewayError('rate_limited', `Only ${mostAMinute} ratings are taken in a minute; post the rest in the next.`, {
      retryAfterMs: Math.max(1_000, minute + minuteMs - nowMs),
    });
  counts.set(id, count + 1);
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
