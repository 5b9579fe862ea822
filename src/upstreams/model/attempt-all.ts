import { GatewayError } from '../../errors.ts';
import type { Lost } from '../../models/spent.ts';
import { estimateTokens } from '../../models/tokens.ts';
import { decide } from '../../policy/rule.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { LinkError } from '../link-error.ts';
import { FailedAnswer, type UpstreamCall } from '../upstream.ts';
import { AttemptCourse } from './attempt-course.ts';
import { whereMarked } from './held-marks.ts';
import { ownerOf, whereHeld } from './held-response.ts';
import { type Judgement, judgeFailure } from './judge-failure.ts';
import { type EmbeddingAsk, estimateCall, type ModelAsk, type ModelCallPorts } from './model-calls.ts';
import type { OpenTarget } from './open-target.ts';
import type { Route } from './routing.ts';
import { conversationOf } from './sticky.ts';

const longestFirstByteMs = 60_000;

/** Tries target after target until one answers, nobody is left, or trying another would be wrong. */
export async function attemptAll<Result>(
  ports: ModelCallPorts,
  call: UpstreamCall,
  ask: ModelAsk | EmbeddingAsk,
  run: (target: OpenTarget, course: AttemptCourse) => Promise<Result>,
): Promise<Result> {
  const { transport, targets, routing, isCompared } = ports;
  let known: number | undefined;
  const inputTokens = () => {
    known ??= estimateTokens(ask.body, ask.dialect);
    return known;
  };
  const hasTpm = transport.targets.some(({ limits }) => limits.tpm !== undefined);
  const tokens = hasTpm ? estimateCall(ports, ask).tokens : 0;
  const among = whereKept(ports, call, ask, amongOf(ports, call));
  const route = routing.route({ among, stickyKey: stickyKeyOf(ports, call, ask.body), tokens });
  const { firstByteMs = call.stream === undefined ? undefined : longestFirstByteMs } = transport.routing.failover;
  const lost: Lost[] = [];
  let last: Judgement | undefined;
  for (let attempt = route.next(); attempt !== undefined; attempt = route.next()) {
    const target = targets[attempt.place];
    if (target === undefined) throw new Error('the routing knows a target that is not open');
    const course = new AttemptCourse({
      ...{ call, target, route, attempt, firstByteMs, isCompared, inputTokens, lost },
      ...{ ask, transport, onDisbelief: ports.onDisbelief },
    });
    try {
      const result = await run(target, course);
      course.succeeded();
      return result;
    } catch (thrown) {
      if (!course.wasHeard) {
        // The request cannot be said to this target at all: that is for its client to mend.
        attempt.unsent();
        throw thrown;
      }
      last = judgeFailure(thrown, target, attempt, call.cancel);
      const isOver = !last.mayGoOn || course.meter.hasWritten || call.cancel.isCancelled;
      const used = course.settle(last.isCharged || course.meter.hasWritten);
      if (isOver) throw broken(last, course, target);
      if (used.usage.input + used.usage.output > 0) lost.push(used);
    }
  }
  throw last?.error ?? nobody(ports, route);
}

/** Of the places that a call may go to, those that keep what it names. */
function whereKept(
  ports: ModelCallPorts,
  call: UpstreamCall,
  { dialect, body, held = [] }: ModelAsk | EmbeddingAsk,
  permitted: readonly number[] | undefined,
): readonly number[] | undefined {
  if (dialect === 'embeddings' || (dialect !== 'responses' && held.length === 0)) return permitted;
  const owner = ownerOf(ports.factsOf(call).caller, call.client.principal);
  const among = dialect === 'responses' ? whereHeld(ports, body, permitted, owner) : permitted;
  return held.length === 0 ? among : whereMarked(ports, held, dialect, among, owner);
}

/** An answer that has begun and does not go on is no answer that somebody else can give. */
function broken({ error }: Judgement, { meter }: AttemptCourse, { subject, isClosed }: OpenTarget): unknown {
  if (isClosed || !meter.hasWritten || !(error instanceof GatewayError) || !error.code.startsWith('upstream_')) return error;
  return new LinkError(
    'upstream_failed',
    `${subject} broke off in the middle of its answer. What came so far is not the whole of it.`,
    {
      cause: error,
    },
  );
}

/** What its own limits and rules keep from a call says nothing of how the model fares: it must not be closed to others for it. */
function nobody({ id, targets }: ModelCallPorts, route: Route): GatewayError {
  const waitMs = route.waitMs();
  const text = `The model ${id} has no target that takes this call right now`;
  if (targets.length === 0 || waitMs === undefined)
    return new FailedAnswer('upstream_unavailable', `${text}: none is in a region that it may go to.`, { isItsFault: false });
  const next = `try again in ${Math.max(1, Math.ceil(waitMs / 1000))} s`;
  return new FailedAnswer('upstream_busy', `${text}; ${next}.`, {
    isItsFault: false,
    retryAfterMs: Math.max(waitMs, 1_000),
  });
}

/** The targets that the first rule that fits leaves; undefined where none does. Throws GatewayError `not_allowed`. */
export function amongOf({ rules, factsOf, id }: ModelCallPorts, call: UpstreamCall): readonly number[] | undefined {
  if (rules.length === 0) return undefined;
  const facts = factsOf(call);
  const args = isObject(call.params.arguments) ? call.params.arguments : {};
  for (const [at, { rule, targets }] of rules.entries()) {
    const { isAllowed, faults } = decide([rule], facts, args);
    if (isAllowed) return targets;
    // Such a rule may be what keeps data in a place: a request that it cannot be asked of goes nowhere.
    if (faults.length > 0)
      throw new GatewayError(
        'not_allowed',
        `Rule ${at + 1} of the routing of ${id} cannot be evaluated for this call: it looks at something that the call does not have.`,
      );
  }
  return undefined;
}

function stickyKeyOf({ transport, factsOf }: ModelCallPorts, call: UpstreamCall, body: JsonObject): string | undefined {
  const { sticky } = transport.routing;
  if (sticky === undefined) return undefined;
  const consumer = factsOf(call).caller.consumer || call.client.principal;
  if (sticky === 'consumer') return consumer;
  const conversation = (call.method === 'models/call' ? call.client.session : undefined) ?? conversationOf(body);
  return conversation === undefined ? undefined : `${consumer}\0${conversation}`;
}
