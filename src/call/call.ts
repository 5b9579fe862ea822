/**
 * The path of a call: start reading here. Every capability, through every door, takes these steps in this order.
 * Each step is a function that takes what the one before it returned, and only that step can make it:
 * leaving one out does not compile.
 *
 *   bytes -> Ask        inbound/            parsed once: what is judged is what is sent
 *         -> Caller     authenticate        who is it
 *         -> Target     resolve             what is it for
 *         -> Permit     authorize           may they
 *         -> Admission  limit               how often, and for how much
 *         -> Screened   screen              do the arguments fit, may they go in
 *                       once                was it made already, where its client gave it a key
 *         -> Clearance  approve             did a person agree, where one has to
 *         -> Answer     callUpstream        slot, breaker, deadline; the only outgoing bytes
 *         -> Outcome    inspect             is it what was promised, may it come back
 *                       remember            what callers are handed, where a gate asks after it
 *                       record              intent before the upstream hears of it, outcome after: one record for every call
 */
import type { AnswerChecks } from '../arguments/answer-check.ts';
import type { ArgumentChecks } from '../arguments/argument-check.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Clock } from '../clock.ts';
import type { Judges } from '../content/judge.ts';
import { toGatewayError } from '../errors.ts';
import type { Policies } from '../policy/policy.ts';
import type { Counters } from '../store/ports/counters.ts';
import type { Sightings } from '../store/ports/sightings.ts';
import type { Answer } from '../upstreams/upstream.ts';
import type { Approvals } from './approve/approvals.ts';
import { asAgreed } from './approve/exact-call.ts';
import { type Approved, approve, type Clearance, isApproved } from './approve.ts';
import type { Ask } from './ask.ts';
import { noJudges } from './ask-judges.ts';
import type { Caller } from './authenticate.ts';
import { authorize, type Circumstances, type Permit } from './authorize.ts';
import { callUpstream, type Lanes } from './call-upstream.ts';
import { expectAnswer } from './check-answer.ts';
import { inspect, inspectRepeated, inspectStream, inspectStreamed, type Outcome, repeatedHeaders } from './inspect.ts';
import { type Admission, limit, ratesOf, slotsOf } from './limit.ts';
import type { KeptAnswer } from './once/kept.ts';
import type { KeyedAsk, Once } from './once.ts';
import { Course, type RecordPorts } from './record.ts';
import { remembering } from './remember.ts';
import { resolve, type Target } from './resolve.ts';
import { type Sampler, samplerFor } from './sample.ts';
import { type ActionCheck, type Screened, screen } from './screen.ts';

/** What the steps need of the gateway. */
export interface CallPorts extends RecordPorts {
  readonly lanes: Lanes;
  /** The policies of this moment; a call takes them once. */
  readonly policies: () => Policies;
  readonly counters: Counters;
  readonly checks: ArgumentChecks;
  readonly answers: AnswerChecks;
  /** Who is asked where a policy names a judge. */
  readonly judges?: Judges | undefined;
  readonly clock: Clock;
  readonly approvals: Pick<Approvals, 'pass' | 'ended'>;
  readonly once: Pick<Once, 'run'>;
  /** What callers were handed before. */
  readonly sightings: Sightings;
  readonly maySeeAction: Circumstances['maySeeAction'];
  readonly rolesOfAction?: Circumstances['rolesOfAction'];
  readonly checkAction?: ActionCheck | undefined;
}

/** One call, from a known caller to its outcome. Throws GatewayError; whatever happens is on record. */
export async function call(ports: CallPorts, catalog: Catalog, caller: Caller, ask: Ask): Promise<Outcome> {
  const course = new Course(ports, caller, ask);
  try {
    const admitted = admit(ports, catalog, caller, ask, course);
    const screened = admitted instanceof Promise ? await admitted : admitted;
    const outcome = await perform(ports, catalog, screened, ask, course);
    course.done(outcome);
    return outcome;
  } catch (error) {
    course.failed(error);
    throw error;
  }
}

/** Whether the call may go out. Sends nothing. A promise only where something has to be waited for. */
function admit(ports: CallPorts, catalog: Catalog, caller: Caller, ask: Ask, course: Course): Screened | Promise<Screened> {
  const target = resolve(catalog, ask);
  course.trace.step('authorize');
  const permit = permitFor(ports, caller, target, ask, course);
  course.trace.step('limit');
  const admission = limit(ports.counters, permit);
  return admission instanceof Promise
    ? admission.then((late) => screenAdmitted(ports, late, ask, course))
    : screenAdmitted(ports, admission, ask, course);
}

// What a rule does not allow its caller can see, and may know to be on record; of all else that is refused here nothing is known.
function permitFor(ports: CallPorts, caller: Caller, target: Target, ask: Ask, course: Course): Permit {
  try {
    course.permit = authorize(circumstancesOf(ports, ask.ip), caller, target, ask);
    return course.permit;
  } catch (error) {
    if (toGatewayError(error).code === 'not_allowed') course.refused = target;
    throw error;
  }
}

function screenAdmitted(ports: CallPorts, admission: Admission, ask: Ask, course: Course): Screened | Promise<Screened> {
  course.admission = admission;
  ask.heardRates?.(ratesOf(ports.counters, admission));
  course.trace.step('screen');
  return screen(ports.checks, admission, judgesOf(ports, ask), ports.checkAction, ask.cancel);
}

// What judges is not judged: a policy for all models is for the judge as well.
function judgesOf({ judges = noJudges }: CallPorts, { isJudging }: Ask): Judges | undefined {
  return isJudging === true ? undefined : judges;
}

/** What decides what a caller may see and call right now, besides who it is. */
export function circumstancesOf(
  { policies, clock, maySeeAction, rolesOfAction }: Pick<CallPorts, 'policies' | 'clock' | 'maySeeAction' | 'rolesOfAction'>,
  ip: string,
): Circumstances {
  return { policies: policies(), ip, nowMs: clock.nowMs(), maySeeAction, rolesOfAction };
}

/** A further round of a call that is under way: judged again, as its caller's rights may have changed. Sends nothing. */
export async function readmit(ports: CallPorts, catalog: Catalog, caller: Caller, ask: Ask): Promise<void> {
  const course = new Course(ports, caller, ask);
  try {
    const target = resolve(catalog, ask);
    permitFor(ports, caller, target, ask, course);
  } catch (error) {
    course.failed(error);
    throw error;
  }
}

/** Puts on record a call that was refused at the door, before its path began. */
export function refuse(ports: CallPorts, caller: Caller, ask: Ask, error: unknown): void {
  new Course(ports, caller, ask).failed(error);
}

function perform(ports: CallPorts, catalog: Catalog, screened: Screened, ask: Ask, course: Course): Promise<Outcome> {
  if (!isKeyed(ask)) return make(ports, catalog, screened, ask, course);
  course.slots = slotsOf(ports.counters, screened);
  return ports.once.run(screened, ask, {
    slots: course.slots,
    make: (own) => make(ports, catalog, screened, own, course),
    repeat: (answer) => handing(ports, screened, ask, () => repeat(ports, screened, ask, course, answer)),
    isUnheard: (error) => isUnheard(error, course),
  });
}

// All else that can be called changes nothing, and is simply read again.
function isKeyed(ask: Ask): ask is KeyedAsk {
  return ask.idempotencyKey !== undefined && (ask.method === 'tools/call' || ask.method === 'models/call');
}

/** Hands out what came of the call before. What its client may have is decided now. */
async function repeat(ports: CallPorts, screened: Screened, ask: Ask, course: Course, kept: KeptAnswer): Promise<Outcome> {
  course.repeats();
  course.trace.step('inspect');
  const judges = judgesOf(ports, ask);
  if (kept.kind !== 'streamed') return inspectRepeated(judges, screened, ask, kept);
  const passing = inspectStream(judges, screened, ask);
  if (passing === undefined) throw new Error('an answer in parts was kept for a client that wants none');
  passing.stream.begin?.(repeatedHeaders);
  await passing.stream.write(kept.body);
  await passing.end();
  return inspectStreamed({ kind: 'streamed', bytes: kept.body.length }, passing);
}

function make(ports: CallPorts, catalog: Catalog, screened: Screened, ask: Ask, course: Course): Promise<Outcome> {
  const clearance = approve(ports, screened, ask, course);
  return clearance instanceof Promise
    ? clearance.then((late) =>
        isApproved(late) ? sendApproved(ports, catalog, late, ask, course) : send(ports, catalog, late, ask, course),
      )
    : send(ports, catalog, clearance, ask, course);
}

function send(ports: CallPorts, catalog: Catalog, clearance: Clearance, ask: Ask, course: Course): Promise<Outcome> {
  return handing(ports, clearance, ask, () => exchange(ports, catalog, clearance, ask, course));
}

function handing(
  { sightings }: CallPorts,
  { policy, caller }: Permit,
  { isJudging }: Ask,
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  // What the gateway asks for itself is handed to nobody who could do something with it.
  if (policy.labels.length === 0 || isJudging === true) return work();
  return remembering(sightings, caller, policy, work);
}

async function exchange(ports: CallPorts, catalog: Catalog, clearance: Clearance, ask: Ask, course: Course): Promise<Outcome> {
  const written = course.intend(clearance);
  if (written !== undefined) await written;
  const judges = judgesOf(ports, ask);
  const passing = inspectStream(judges, clearance, ask);
  course.stream = passing?.stream;
  course.trace.step('upstream');
  expectAnswer(ports.answers, clearance);
  const sampler = clearance.policy.sampling && samplerFor(clearance, ask, (of) => call(ports, catalog, clearance.caller, of));
  const answer =
    sampler === undefined
      ? await callUpstream(ports.lanes, clearance, ask, course)
      : await callSampled(ports, clearance, sampler, course);
  course.trace.step('inspect');
  if (passing === undefined || answer.kind !== 'streamed')
    return inspect({ answers: ports.answers, judges }, clearance, ask, answer);
  const ended = passing.end();
  if (ended !== undefined) await ended;
  return inspectStreamed(answer, passing);
}

/** An upstream that asks for a model is answered, and asked again. */
async function callSampled(ports: CallPorts, clearance: Clearance, sampler: Sampler, course: Course): Promise<Answer> {
  let answer = await callUpstream(ports.lanes, clearance, sampler.ask, course);
  for (let round = 0; ; round++) {
    const next = await sampler.next(answer, round);
    if (next === undefined) return answer;
    answer = await callUpstream(ports.lanes, clearance, next, course);
  }
}

/** What people agreed to is sent and nothing else, and what became of it is kept with their decision. */
async function sendApproved(ports: CallPorts, catalog: Catalog, clearance: Approved, ask: Ask, course: Course): Promise<Outcome> {
  const { approval } = clearance;
  try {
    const outcome = await send(ports, catalog, clearance, asAgreed(ask), course);
    ports.approvals.ended(approval, outcome.kind === 'result' ? 'done' : outcome.kind, false);
    return { ...outcome, approval };
  } catch (error) {
    ports.approvals.ended(approval, toGatewayError(error).code, isUnheard(error, course));
    throw error;
  }
}

/** What is thrown before anything goes out. */
const unheardCodes: ReadonlySet<string> = new Set(['sign_in_required', 'credentials_failed', 'model_not_ready']);

/** Whether the upstream cannot have heard of the call, so that nothing was used up. */
function isUnheard(error: unknown, { isSent, retries }: Course): boolean {
  if (!isSent) return true;
  const { code } = toGatewayError(error);
  return retries === 0 && unheardCodes.has(code);
}
