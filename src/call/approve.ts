/** Refuses what a person has to agree to first. What no gate holds goes on as it is: at once, and for nothing. */
import type { Clock } from '../clock.ts';
import type { Gate } from '../policy/gate.ts';
import { defaultGateExpiresMs } from '../policy/gate-schema.ts';
import type { Sightings } from '../store/ports/sightings.ts';
import { isObject } from '../wire/json.ts';
import type { Approvals } from './approve/approvals.ts';
import type { ApprovedRound, Ask } from './ask.ts';
import { factsOf } from './authorize.ts';
import type { Course } from './record.ts';
import { type Ages, agesOf, hasCome } from './remember.ts';
import type { Target } from './resolve.ts';
import type { Screened } from './screen.ts';

declare const cleared: unique symbol;

/** A call that waits for nobody. Only this file makes one. */
export interface Clearance extends Screened {
  readonly [cleared]: true;
  /** What people agreed to, used up by this call; absent where nobody had to. */
  readonly approval?: ApprovedRound;
}

/** One that people agreed to. */
export type Approved = Clearance & { readonly approval: ApprovedRound };

interface ApprovePorts {
  readonly approvals: Pick<Approvals, 'pass'>;
  readonly sightings: Sightings;
  readonly clock: Clock;
}

/** At once where no gate holds the call. Rejects with the GatewayErrors of `Approvals.pass`. */
export function approve(ports: ApprovePorts, screened: Screened, ask: Ask, course: Course): Clearance | Promise<Clearance> {
  // What the gateway asks for a call is a part of that call, which was held itself; nobody could agree in time.
  if (ask.isJudging === true) return screened as unknown as Clearance;
  const goesOn = ask.approval !== undefined;
  if (!goesOn && !mayBeHeld(screened)) return screened as unknown as Clearance;
  const gates = gatesOver(ports.sightings, screened, ask.ip, ports.clock.nowMs());
  return gates instanceof Promise
    ? gates.then((late) => waitFor(ports, late, screened, ask, course))
    : waitFor(ports, gates, screened, ask, course);
}

function waitFor(
  { approvals }: ApprovePorts,
  gates: readonly Gate[],
  screened: Screened,
  ask: Ask,
  course: Course,
): Clearance | Promise<Approved> {
  if (ask.approval === undefined && gates.length === 0) return screened as unknown as Clearance;
  course.trace.step('approve');
  return approvals
    .pass(screened, ask, gates, course.trace.traceId)
    .then((approval) => ({ ...screened, approval }) as unknown as Approved);
}

/** Whether people agreed to it. */
export function isApproved(clearance: Clearance): clearance is Approved {
  return clearance.approval !== undefined;
}

/** The gates that hold this very call. A promise only where one asks what was called before, and this process cannot say. */
export function gatesOver(
  sightings: Sightings,
  screened: Screened,
  ip: string,
  nowMs: number,
): readonly Gate[] | Promise<readonly Gate[]> {
  const { policy, caller, params, tool } = screened;
  if (policy.gates.length === 0) return mayBeHeld(screened) ? byDefault : none;
  const facts = factsOf({ ip, nowMs }, caller, screened, tool === undefined ? 'models/call' : 'tools/call');
  const args = isObject(params.arguments) ? params.arguments : {};
  const gates = policy.gates.filter((gate) => gate.holds(facts, args));
  return gates.some(({ after }) => after !== undefined) ? afterwards(sightings, screened, gates) : gates;
}

/** Of these, those that hold what this caller does after what it was handed. Where that cannot be told, all of them. */
function afterwards(
  sightings: Sightings,
  { caller }: Screened,
  gates: readonly Gate[],
): readonly Gate[] | Promise<readonly Gate[]> {
  const asking = gates.flatMap(({ after }) => (after === undefined || after.unknown !== undefined ? [] : after));
  if (asking.length === 0) return gates;
  const labels = [...new Set(asking.flatMap((after) => after.labels))];
  const ages = agesOf(sightings, caller, labels, Math.min(...asking.map(({ withinMs }) => withinMs)));
  const hold = (known: Ages) =>
    gates.filter(({ after }) => after === undefined || after.unknown !== undefined || hasCome(after, known));
  return ages instanceof Promise ? ages.then(hold, () => gates.map(inDoubt)) : hold(ages);
}

function inDoubt(gate: Gate): Gate {
  return gate.after === undefined ? gate : { ...gate, reason: `${gate.reason} (whether it was so cannot be told right now)` };
}

// What only reads or completes changes nothing: gates are for tools, and for models by whichever address they are called.
function mayBeHeld({ tool, policy, member }: Screened): boolean {
  if (tool === undefined) return policy.gates.length > 0 && member.config.kind === 'model';
  return policy.gates.length > 0 || (policy.gatesDestructive && isGatedByDefault({ tool, member }));
}

/**
 * Whether a tool waits for an approver though no policy says so: what was made of an API description and removes something. The one
 * place for such kinds. What any other upstream says of its own tools decides nothing.
 */
export function isGatedByDefault({ tool, member }: Pick<Target, 'tool' | 'member'>): boolean {
  return tool !== undefined && member.upstream.offer().gatedByDefault?.has(tool.name) === true;
}

const none: readonly Gate[] = Object.freeze([]);

const byDefault: readonly Gate[] = Object.freeze<Gate[]>([
  {
    source: 'default',
    by: { kind: 'role', role: 'approver' },
    quorum: 1,
    expiresMs: defaultGateExpiresMs,
    reason: 'This operation removes something, and no policy says that it may do so unasked',
    when: undefined,
    after: undefined,
    covers: () => true,
    holds: () => true,
  },
]);
