/** The steps of a call up to its way out, for somebody who wants to know why: nothing is spent, sent or put on record as a call. */
import type { Catalog } from '../catalog/catalog.ts';
import { toGatewayError } from '../errors.ts';
import { describeLimit } from '../policy/describe-limit.ts';
import { describeAfter, describeBy, type Gate } from '../policy/gate.ts';
import type { CounterUsage } from '../store/ports/counters.ts';
import { whoOf } from './approve/say.ts';
import { gatesOver } from './approve.ts';
import type { Caller } from './authenticate.ts';
import { authorize, type Circumstances, checkEntry, type Permit } from './authorize.ts';
import type { CallPorts } from './call.ts';
import { peek } from './limit.ts';
import { type Asked, resolve, type Target, unknownTarget } from './resolve.ts';
import { screen } from './screen.ts';

/** What one step would have decided. */
export interface ExplainedStep {
  readonly step: 'authenticate' | 'resolve' | 'authorize' | 'limit' | 'screen' | 'approve';
  /** `wait`: for a person. `unknown`: it cannot be said, as what decides cannot be asked. */
  readonly decision: 'allow' | 'wait' | 'deny' | 'unknown';
  readonly why: string;
  readonly details: readonly string[];
}

/**
 * One step after the other, as `call` takes them, up to the first that refuses. `asNamed`: what a caller who asks about themself named; they
 * hear what their call would, and so that what is hidden from them is not there. Undefined for those who may know.
 */
export async function explain(
  { counters, checks, sightings, checkAction }: Pick<CallPorts, 'counters' | 'checks' | 'sightings' | 'checkAction'>,
  circumstances: Circumstances,
  catalog: Catalog,
  caller: Caller,
  ask: Asked,
  asNamed?: string,
): Promise<readonly ExplainedStep[]> {
  const steps: ExplainedStep[] = [];
  try {
    if (asNamed !== undefined) checkEntry(caller, ask.toolbox);
    const target: Target = resolve(catalog, ask);
    steps.push(step('resolve', 'allow', `This is ${target.capability} of the upstream ${target.member.id}.`));
    const permit: Permit = authorize(circumstances, caller, target, ask);
    steps.push(step('authorize', 'allow', 'Scope, roles, networks and rules let it pass.'));
    const { usage, admission } = await peek(counters, permit).catch(() => ({ usage: undefined, admission: undefined }));
    if (usage === undefined || admission === undefined) {
      steps.push(step('limit', 'unknown', 'The shared counters cannot be reached right now.'));
      return steps;
    }
    const full = usage.filter(isFull);
    const details = usage.map(describeUsage);
    const [refusing] = full;
    if (refusing !== undefined) {
      steps.push(step('limit', 'deny', `Used up: ${describeUsage(refusing)}.`, details));
      return steps;
    }
    steps.push(step('limit', 'allow', usage.length === 0 ? 'No limit applies.' : 'No limit is used up.', details));
    const screened = await screen(checks, admission, undefined, checkAction);
    const { hits } = screened;
    const found = [...new Set(hits.map(({ ruleId }) => ruleId))];
    steps.push(step('screen', 'allow', 'The arguments fit, and may go in.', found));
    const gates = await gatesOver(sightings, screened, circumstances.ip, circumstances.nowMs);
    const asleep = screened.policy.gates
      .filter(({ after }) => after !== undefined && !gates.some((held) => held.after === after))
      .map(describeGate);
    steps.push(
      gates.length === 0
        ? step('approve', 'allow', asleep.length === 0 ? 'No gate holds it.' : 'No gate holds it as things are.', asleep)
        : step('approve', 'wait', `It would wait for ${whoOf(gates)}.`, gates.map(describeGate)),
    );
  } catch (error) {
    const passed = ['resolve', 'authorize', 'limit', 'screen', 'approve'] as const;
    const { code, message } = toGatewayError(error);
    if (asNamed !== undefined && steps.length === 1 && code !== 'not_allowed')
      return [step('resolve', 'deny', unknownTarget({ ...ask, params: { ...ask.params, name: asNamed } }).message)];
    steps.push(step(passed[steps.length] ?? 'screen', 'deny', message));
  }
  return steps;
}

/** A gate in one sentence. */
export function describeGate({ source, by, quorum, when, after, reason }: Gate): string {
  const rule = when === undefined ? '' : `, as ${when} is true or cannot be told`;
  const unknown = after?.unknown ?? [];
  const slip =
    unknown.length === 0 ? '' : ` (no policy says what ${unknown.join(' and ')} is, so it holds whatever was called before)`;
  const before = after === undefined ? '' : `, where the caller was handed ${describeAfter(after)}${slip}`;
  return `The gate of ${source}: ${describeBy(by, quorum)} must agree${rule}${before}${reason === undefined ? '.' : ` (${reason})`}`;
}

/** One more call would be refused. Tokens and money are not known before a call, and hold back none that uses none. */
function isFull({ demand: { limit }, used }: CounterUsage): boolean {
  return !limit.isShadow && limit.unit === 'calls' && used + 1 > limit.amount;
}

function describeUsage({ demand: { limit }, used }: CounterUsage): string {
  return `${describeLimit(limit)}: ${used} used${limit.isShadow ? ', in shadow mode' : ''}`;
}

function step(
  name: ExplainedStep['step'],
  decision: ExplainedStep['decision'],
  why: string,
  details: readonly string[] = [],
): ExplainedStep {
  return { step: name, decision, why, details };
}
