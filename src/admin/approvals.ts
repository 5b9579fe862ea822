import { z } from 'zod';
import { amendedCall } from '../call/approve/amended.ts';
import { showJson, showText } from '../call/approve/exact-call.ts';
import { isSamePerson, mayBeRequester, missingFor } from '../call/approve/people.ts';
import { isDecider, type Request } from '../call/approve/request.ts';
import { noSuchApproval, whoMustAgree } from '../call/approve/say.ts';
import { callerOfMember } from '../call/authenticate/token-callers.ts';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';
import { describeBy } from '../policy/gate.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type Action, type AdminPorts, defineAction, hasRole, namespacesOf } from './action.ts';

/** Whoever has one of these may be one who decides; who may decide on what, its gates say. */
const anybody: Action['roles'] = ['admin', 'approver', 'developer', 'auditor'];
const overseers: Action['roles'] = ['admin', 'approver', 'auditor'];
const states = ['pending', 'approved', 'consumed', 'denied', 'expired', 'void'] as const;

const idField = z
  .string()
  .regex(/^ap_[A-Za-z0-9_-]{22}$/, 'An approval is named as "ap_" and 22 characters.')
  .describe('Of the approval: "ap_...".');

const shown = z.object({
  id: z.string(),
  state: z.enum(states),
  capability: z.string(),
  upstream: z.string(),
  toolbox: z.string(),
  caller: z.string(),
  member: z.string().nullable(),
  consumer: z.string().nullable(),
  requestedAtMs: z.number(),
  expiresAtMs: z.number(),
  waitsFor: z.string().nullable().describe('Who has to agree still; null where it no longer waits.'),
  mayDecide: z.boolean().describe('Whether you have a say about it now.'),
  gates: z.array(
    z.object({
      from: z.string(),
      by: z.string(),
      missing: z.number().describe('How many have to agree still.'),
      reason: z.string().nullable(),
    }),
  ),
  decisions: z.array(
    z.object({ by: z.string(), member: z.string().nullable(), verdict: z.string(), atMs: z.number(), reason: z.string() }),
  ),
  note: z.string(),
  replacedBy: z.string().nullable().describe('The request that an approver put in its place.'),
  outcome: z
    .string()
    .nullable()
    .describe('What became of the call once it was made; null where that is not known, though it may have run.'),
  url: z.string().nullable().describe('The page for the decision.'),
});

const whole = shown.extend({
  arguments: z
    .string()
    .nullable()
    .describe('Whole, as JSON; what would not show is written as its escape. Null once they were forgotten.'),
  besides: z.string().nullable().describe('What else the upstream would get.'),
  history: z.array(z.object({ atMs: z.number(), actor: z.string(), action: z.string(), detail: z.object({}).loose() })),
});

export const listApprovals = defineAction({
  name: 'list_approvals',
  title: 'List approvals',
  description:
    'Calls that wait, or waited, for a person, newest first: those of the namespaces that you look after, those that you may decide on, and your own.',
  roles: anybody,
  isReadOnly: true,
  route: 'GET /approvals',
  input: z.strictObject({
    state: z
      .enum([...states, 'any'])
      .optional()
      .describe('Default: pending.'),
    capability: z.string().min(1).max(300).optional().describe('Only calls of it: "namespace/name".'),
    limit: z.int().min(1).max(200).optional().describe('Most to show. Default: 50.'),
    before: z
      .string()
      .regex(/^\d{1,16}\.ap_[A-Za-z0-9_-]{22}$/, 'Take "next" of the page before.')
      .optional()
      .describe('"next" of the page before this one.'),
  }),
  output: z.object({ approvals: z.array(shown), next: z.string().optional() }),
  async run({ approvals }, caller, { state = 'pending', capability, limit = 50, before }) {
    const namespaces = namespacesOf(caller, overseers);
    const found = await approvals.list({
      states: state === 'any' ? undefined : [state],
      capability,
      ...placesOf(caller, namespaces),
      limit: limit + 1,
      before: before === undefined ? undefined : cursorOf(before),
    });
    const page = found.slice(0, limit);
    const last = page.at(-1)?.row;
    return {
      approvals: page.filter((request) => maySee(request, caller)).map((request) => show(approvals, request, caller)),
      ...(found.length > limit && last !== undefined ? { next: `${last.requestedAtMs}.${last.id}` } : {}),
    };
  },
});

/** What waits and a caller may see, newest first; at most 200. */
export async function pendingFor({ approvals }: Pick<AdminPorts, 'approvals'>, caller: Caller) {
  const namespaces = namespacesOf(caller, overseers);
  const found = await approvals.list({ states: ['pending'], ...placesOf(caller, namespaces), limit: 200 });
  return found.filter((request) => maySee(request, caller)).map((request) => show(approvals, request, caller));
}

function placesOf(caller: Caller, namespaces: ReturnType<typeof namespacesOf>) {
  if (namespaces === 'all') return {};
  return { namespaces: [...namespaces], callers: [caller.id], member: caller.member, named: caller.member };
}

export const getApproval = defineAction({
  name: 'get_approval',
  title: 'Show an approval',
  description: 'One call that waits, or waited, for a person: its arguments whole, who decided what, and what became of it.',
  roles: anybody,
  isReadOnly: true,
  route: 'GET /approvals/{id}',
  input: z.strictObject({ id: idField }),
  output: whole,
  async run({ approvals }, caller, { id }) {
    return await showWhole(approvals, await visible(approvals, caller, id), caller);
  },
});

export const decideApproval = defineAction({
  name: 'decide_approval',
  title: 'Decide on an approval',
  description:
    'Agrees to exactly the call that waits, or denies it. With other arguments, the call is closed and another one, which passes everything that a call passes, is put in its place with your consent; its caller is told what to send. Nobody decides on a call of their own unless its gate says so.',
  roles: anybody,
  isReadOnly: false,
  route: 'POST /approvals/{id}/decision',
  input: z.strictObject({
    id: idField,
    decision: z.enum(['approve', 'deny']),
    reason: z.string().max(500).optional().describe('For whoever makes the call, and for the record.'),
    arguments: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('With "approve": agree to the call with these arguments instead. All of them, not only those that differ.'),
  }),
  output: whole,
  async run(ports, caller, { id, decision, reason = '', arguments: args }) {
    const { approvals, trace } = ports;
    const request = await visible(approvals, caller, id);
    if (args === undefined)
      return await showWhole(approvals, await approvals.decide(id, caller, decision, reason, { trace }), caller);
    if (decision !== 'approve')
      throw new GatewayError('bad_arguments', '"arguments" go with "approve": a call that is denied needs none.');
    const requester = requesterOf(ports, request);
    const { screened, gates } = await amendedCall(ports.calls, ports.catalog(), requester, request.row, args as JsonObject);
    const made = await approvals.amend(id, caller, screened, gates, reason);
    const counts = made.row.state === 'pending' && isDecider(made, caller);
    return await showWhole(
      approvals,
      counts ? await approvals.decide(made.row.id, caller, 'approve', reason, { trace }) : made,
      caller,
    );
  },
});

type Approvals = AdminPorts['approvals'];

/** In the words of what is not there, for whom it does not concern. */
async function visible(approvals: Approvals, caller: Caller, id: string): Promise<Request> {
  const request = await approvals.find(id);
  if (request === undefined || !maySee(request, caller)) throw noSuchApproval(id);
  return request;
}

function maySee(request: Request, caller: Caller): boolean {
  const { namespace } = request.row;
  return (
    hasRole(caller, overseers, namespace === 'admin' ? undefined : namespace) ||
    mayBeRequester(request.requester, caller) ||
    isDecider(request, caller)
  );
}

/** Whoever asked, as they are now. Throws GatewayError `conflict` where that cannot be told from here. */
function requesterOf({ keys, registry }: AdminPorts, { requester }: Request): Caller {
  const { id, key, member } = requester;
  const found = key !== undefined ? keys.callerOf(key) : member === undefined ? undefined : callerOfMember(registry, member);
  if (found?.id === id) return found;
  throw new GatewayError(
    'conflict',
    `Whether ${id} may make another call cannot be told from here. Deny this one, and say in the reason what to send instead.`,
  );
}

function show(approvals: Approvals, request: Request, caller: Caller): z.output<typeof shown> {
  const { row, requester, requirements, decisions } = request;
  const agreed = approvals.agreed(request);
  const isPending = row.state === 'pending';
  return {
    id: row.id,
    state: row.state,
    capability: row.capability,
    upstream: row.upstream,
    toolbox: row.toolbox,
    caller: row.caller,
    member: row.member,
    consumer: row.consumer,
    requestedAtMs: row.requestedAtMs,
    expiresAtMs: row.expiresAtMs,
    waitsFor: isPending ? whoMustAgree(request, agreed) : null,
    mayDecide: isPending && isDecider(request, caller) && !decisions.some(({ by }) => isSamePerson(by, caller)),
    gates: requirements.map((requirement) => ({
      from: requirement.source,
      by: describeBy(requirement.by, requirement.quorum),
      missing: isPending ? missingFor(requirement, requester, agreed, row.namespace) : 0,
      reason: requirement.reason ?? null,
    })),
    decisions: decisions.map(({ by, verdict, atMs, reason }) => ({
      by: by.id,
      member: by.member ?? null,
      verdict,
      atMs,
      reason: showText(reason),
    })),
    note: row.note,
    replacedBy: row.replacedBy,
    outcome: row.outcome,
    url: approvals.pageOf(row.id) ?? null,
  };
}

async function showWhole(approvals: Approvals, request: Request, caller: Caller): Promise<z.output<typeof whole>> {
  const call = approvals.callOf(request.row);
  const events = await approvals.events(request.row.id);
  return {
    ...show(approvals, request, caller),
    arguments: call === undefined ? null : showJson(call.params.arguments ?? {}),
    besides: call === undefined ? null : besidesOf(call),
    history: events.map(({ atMs, actor, action, detail }) => ({ atMs, actor, action, detail: JSON.parse(detail) as JsonObject })),
  };
}

/** What an upstream gets with a call besides its arguments, where there is anything. */
export function besidesOf({
  params,
  meta,
}: {
  readonly params: JsonObject;
  readonly meta: JsonObject | undefined;
}): string | null {
  const { name, arguments: args, ...rest } = params;
  const others = { ...rest, ...(isObject(meta) ? { _meta: meta } : {}) };
  return Object.keys(others).length === 0 ? null : showJson(others);
}

function cursorOf(text: string): { readonly requestedAtMs: number; readonly id: string } {
  const dot = text.indexOf('.');
  return { requestedAtMs: Number(text.slice(0, dot)), id: text.slice(dot + 1) };
}
