/** Refuses arguments that the tool's schema does not take, and content that must not go in. */
import type { ArgumentChecks } from '../arguments/argument-check.ts';
import type { Misfits } from '../arguments/find-misfits.ts';
import type { Judges } from '../content/judge.ts';
import type { ContentHit, ContentVerdict } from '../content/screen.ts';
import { GatewayError } from '../errors.ts';
import type { Waiting } from '../turns.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { askJudgesOf, blockingOf } from './ask-judges.ts';
import { BadArguments } from './bad-arguments.ts';
import type { Admission } from './limit.ts';

declare const screened: unique symbol;

/** A call whose arguments may go out as `params` has them. Only this file makes one. */
export interface Screened extends Admission {
  readonly [screened]: true;
  /** Content rules that matched on the way in. */
  readonly hits: readonly ContentHit[];
}

/**
 * At once for arguments that are checked and looked through quickly and that no judge is asked about. Throws, or rejects with, GatewayError
 * `bad_arguments`, `checks_busy`, `content_blocked`, `judge_unavailable` and, when whoever is `waiting` has left meanwhile, `cancelled`. `judges` is
 * left out where nothing may be sent: they are then not asked.
 */
export function screen(
  checks: ArgumentChecks,
  admission: Admission,
  judges?: Judges,
  checkAction: ActionCheck = noActions,
  waiting?: Waiting,
): Screened | Promise<Screened> {
  const screened = checkArguments({ checks, checkAction, waiting }, admission);
  if (admission.policy.judgesIn.length === 0 || judges === undefined) return screened;
  return screened instanceof Promise ? screened.then((late) => judgeBy(judges, late)) : judgeBy(judges, screened);
}

/** Everything that an action of the gateway's administration has against its arguments; its schema cannot say all of it. */
export type ActionCheck = (name: string, args: JsonObject) => Misfits['found'];

const noActions: ActionCheck = () => [];

async function judgeBy(judges: Judges, screened: Screened): Promise<Screened> {
  const { policy, params, capability, hits } = screened;
  const found = await askJudgesOf(judges, policy.judgesIn, 'in', params.arguments ?? {});
  const all = [...hits, ...found];
  const blocking = blockingOf(found);
  if (blocking.length > 0) throw refusedIn(capability, blocking, all);
  return { ...screened, hits: all } as unknown as Screened;
}

interface Screening {
  readonly checks: ArgumentChecks;
  readonly checkAction: ActionCheck;
  readonly waiting: Waiting | undefined;
}

function checkArguments({ checks, checkAction, waiting }: Screening, admission: Admission): Screened | Promise<Screened> {
  const { tool, params, namespace } = admission;
  if (tool === undefined) return clean(admission, waiting);
  const args = isObject(params.arguments) ? params.arguments : {};
  if (namespace === 'admin') {
    const found = checkAction(tool.name, args);
    if (found.length > 0) throw new BadArguments({ found, isPartial: false });
  }
  const check = checks.of(tool.inputSchema);
  const complaint = check.check(args);
  if (complaint === undefined) return clean(admission, waiting);
  // Many clients write null for what they leave out (MCP 2026-07-28 basic/transports, custom headers, names it beside "not provided").
  const given = withoutNulls(tool.inputSchema, args);
  if (complaint instanceof Promise)
    return complaint
      .then((late) => (late === undefined || given === undefined ? late : check.check(given)))
      .then((late) => judge(late));
  const second = given === undefined ? complaint : check.check(given);
  return second instanceof Promise ? second.then((late) => judge(late)) : judge(second);

  function judge(last: string | undefined): Screened | Promise<Screened> {
    if (last !== undefined) throw new BadArguments(check.misfits(given ?? args, last));
    return clean(admission, waiting);
  }
}

/** Arguments without what is null and may be left out; undefined where there is none. */
function withoutNulls({ required }: JsonObject, args: JsonObject): JsonObject | undefined {
  const isRequired = (name: string) => Array.isArray(required) && required.includes(name);
  const kept = Object.entries(args).filter(([name, value]) => value !== null || isRequired(name));
  return kept.length === Object.keys(args).length ? undefined : Object.fromEntries(kept);
}

function clean(admission: Admission, waiting: Waiting | undefined): Screened | Promise<Screened> {
  const { tool, params, policy } = admission;
  const { contentIn } = policy;
  if (contentIn === undefined || params.arguments === undefined) return { ...admission, hits: none } as unknown as Screened;
  // In what a model is sent, pictures are no text; a tool's arguments may be anything.
  const verdict =
    tool === undefined && typeof params.dialect === 'string'
      ? contentIn.screenPrompt(params.arguments, waiting)
      : contentIn.screenValue(params.arguments, waiting);
  return verdict instanceof Promise ? verdict.then((late) => follow(admission, late)) : follow(admission, verdict);
}

/** Does what the verdict on the arguments says. */
function follow(admission: Admission, verdict: ContentVerdict): Screened {
  const { params, capability } = admission;
  switch (verdict.kind) {
    case 'clean':
      return { ...admission, hits: none } as unknown as Screened;
    case 'flagged':
      return { ...admission, hits: verdict.hits } as unknown as Screened;
    case 'redacted':
      return { ...admission, params: withArguments(params, verdict.value), hits: verdict.hits } as unknown as Screened;
    case 'blocked':
      throw refusedIn(capability, verdict.rules, verdict.hits);
  }
}

function refusedIn(capability: string, rules: readonly string[], hits: readonly ContentHit[]): ContentRefusal {
  if (rules.every((rule) => rule === 'judge/unavailable')) {
    const text = `What is sent to ${capability} has to be judged first, and the judge cannot be asked right now. Call again later.`;
    return new ContentRefusal(text, hits, 'judge_unavailable', judgeAwayMs);
  }
  const text = `The arguments for ${capability} hold what must not be sent there (${rules.join(', ')}). Leave it out, then call again.`;
  return new ContentRefusal(text, hits);
}

/** A judge that is away for a moment is back then, as often as not; who comes at once makes it no better. */
export const judgeAwayMs = 5_000;

/** A refusal that knows what was found, for the record. */
export class ContentRefusal extends GatewayError {
  readonly hits: readonly ContentHit[];
  constructor(
    message: string,
    hits: readonly ContentHit[],
    code: 'content_blocked' | 'judge_unavailable' | 'upstream_failed' = 'content_blocked',
    retryAfterMs?: number,
  ) {
    super(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
    this.hits = hits;
  }
}

const none: readonly ContentHit[] = Object.freeze([]);

function withArguments(params: JsonObject, args: Json): JsonObject {
  return { ...params, arguments: args };
}
