/**
 * Calls that wait for a person, as tasks (extension io.modelcontextprotocol/tasks, SEP-2663). A task is the request for that person's
 * consent by another name: all that is known of it stands in the store, so it outlives restarts and every replica answers for it. The
 * call is made when its client asks after the task once enough people have agreed: for a client that is gone, nothing is done.
 */

import type { Request } from '../../call/approve/request.ts';
import type { ApprovalPending } from '../../call/approve/say.ts';
import { whoMustAgree, withdrawn } from '../../call/approve/say.ts';
import type { Caller } from '../../call/authenticate.ts';
import { checkEntry, mayLookBack } from '../../call/authorize.ts';
import { remember } from '../../call/remember.ts';
import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { Edge } from './edge.ts';
import { ownModernResult, resultMessage, toolError, toRpcError } from './messages.ts';
import type { ModernRequest } from './request.ts';
import { endedOf, ownKey, runTask } from './task-call.ts';
import { checkDeclaresTasks } from './tasks-extension.ts';

type TaskMethod = 'tasks/get' | 'tasks/update' | 'tasks/cancel';

/** How long a poll waits for a call that was just begun: most are done by then. */
const answerWithinMs = 1_000;
/** How long what came of a task is kept at least after the time of its request. */
const keptMs = 60 * 60 * 1000;
const pollEveryMs = 2_000;
/** A call that was let through longer ago, and that nobody knows the end of, is not coming back. */
const longestCallMs = 15 * 60 * 1000;
/** Its end is known a moment before what came of it is kept. */
const keepingMs = 30_000;

/** What `tools/call` answers in place of a result. */
export function newTask({ message, requestedAtMs, expiresAtMs }: ApprovalPending, taskId: string): JsonObject {
  return {
    resultType: 'task',
    ...timesOf(taskId, { requestedAtMs, expiresAtMs, updatedAtMs: requestedAtMs }),
    status: 'working',
    statusMessage: message,
  };
}

function timesOf(
  taskId: string,
  { requestedAtMs, expiresAtMs, updatedAtMs }: Pick<Request['row'], 'requestedAtMs' | 'expiresAtMs' | 'updatedAtMs'>,
): JsonObject {
  return {
    taskId,
    createdAt: new Date(requestedAtMs).toISOString(),
    lastUpdatedAt: new Date(updatedAtMs).toISOString(),
    ttlMs: expiresAtMs - requestedAtMs + keptMs,
    pollIntervalMs: pollEveryMs,
  };
}

/** Answers the three methods of tasks. Throws GatewayError `missing_client_capability`, `invalid_params` and those of the store. */
export async function serveTask(edge: Edge, request: ModernRequest, method: TaskMethod, capabilities: JsonObject): Promise<void> {
  const { message, caller, reply } = request;
  checkDeclaresTasks(capabilities);
  checkEntry(caller, request.toolbox);
  const { taskId } = message.params;
  const known = await find(edge, request, taskId);
  if (known === undefined || typeof taskId !== 'string')
    throw new GatewayError('invalid_params', 'There is no such task, or it is not one of yours.');
  const answer = (value: JsonObject) => reply.finish(resultMessage(message.id, ownModernResult(value)));
  if (method === 'tasks/get') {
    const standing = await look(edge, request, known, capabilities);
    if (standing.status !== 'working') await rememberTask(edge, caller, known);
    return answer({ ...timesOf(taskId, known.row), ...standing });
  }
  if (method === 'tasks/cancel') await cancel(edge, caller, known);
  else await update(edge, request, known, capabilities);
  answer({});
}

/** What came of a call may be fetched again long after it was made. */
async function rememberTask({ calls }: Edge, caller: Caller, { row }: Request): Promise<void> {
  const policy = calls.policies().of(row.capability, row.namespace);
  if (policy.labels.length > 0) await remember(calls.sightings, caller, policy);
}

/** Where a task stands, as `tasks/get` would say it, without anything being done for it; undefined where there is none such for this caller here. */
export async function taskAsItIs(
  edge: Edge,
  whose: Whose,
  taskId: string,
): Promise<{ readonly id: string; readonly task: JsonObject; readonly isOver: boolean } | undefined> {
  const known = await find(edge, whose, taskId);
  if (known === undefined) return undefined;
  const { id, state } = known.row;
  const now = (await endOf(edge, known)) ?? (state === 'approved' ? agreed : await standing(edge, known));
  if (now.status !== 'working') await rememberTask(edge, whose.caller, known);
  return { id, task: { ...timesOf(taskId, known.row), ...now }, isOver: overStates.has(String(now.status)) };
}

const overStates: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled']);
const agreed: JsonObject = {
  status: 'working',
  statusMessage: 'Enough people agreed: ask after the task, and the call is made.',
};

type Whose = Pick<ModernRequest, 'caller' | 'toolbox' | 'ip'>;

async function find(edge: Edge, { caller, toolbox, ip }: Whose, taskId: unknown): Promise<Request | undefined> {
  const id = typeof taskId === 'string' ? edge.approvals.idOf(taskId, caller) : undefined;
  const request = id === undefined ? undefined : await edge.approvals.find(id);
  if (request?.row.caller !== caller.id || request.row.toolbox !== toolbox) return undefined;
  // Its result is kept for a day: in between a key may have lost what it was made with.
  const { namespace, capability: name } = request.row;
  const isModel = edge.catalog().modelNames.has(name);
  return mayLookBack(edge.circumstances(ip), caller, { toolbox, namespace, name, isModel }) ? request : undefined;
}

/** Where a task stands; makes its call where that can be made now. */
async function look(edge: Edge, asked: ModernRequest, request: Request, capabilities: JsonObject): Promise<JsonObject> {
  const { id } = request.row;
  // What is under way was begun by what the store says now.
  if (edge.tasks.isRunning(id)) return await lookAgain(edge, request);
  const ended = await endOf(edge, request);
  if (ended !== undefined) return ended;
  if (request.row.state !== 'approved') return await standing(edge, request);
  edge.tasks.start(id, (cancelled) => runTask(edge, asked, request, { cancel: cancelled, capabilities }));
  return await lookAgain(edge, request);
}

/** The same once what is under way is done, or has taken a moment. */
async function lookAgain(edge: Edge, request: Request): Promise<JsonObject> {
  const { id } = request.row;
  await edge.tasks.settled(id, answerWithinMs);
  if (edge.tasks.isRunning(id)) return working;
  const now = (await edge.approvals.find(id)) ?? request;
  const ended = await endOf(edge, now);
  if (ended !== undefined) return ended;
  if (now.row.state !== 'approved') return await standing(edge, now);
  return { status: 'working', statusMessage: edge.tasks.said(id) ?? 'The call is about to be made.' };
}

/** Undefined where it goes on. */
async function endOf({ approvals }: Edge, { row }: Request): Promise<JsonObject | undefined> {
  const ended = await endedOf(approvals, row.id);
  switch (ended?.kind) {
    case undefined:
      return undefined;
    case 'completed':
      return { status: 'completed', result: ended.result };
    case 'failed':
      return { status: 'failed', error: ended.error };
    case 'cancelled':
      return { status: 'cancelled' };
    case 'asks':
      return ended.approval.round === row.rounds ? { status: 'input_required', inputRequests: ended.inputRequests } : undefined;
  }
}

/** Of a task whose call is not made here and now. */
async function standing({ approvals, calls }: Edge, request: Request): Promise<JsonObject> {
  const { row } = request;
  switch (row.state) {
    case 'pending': {
      const page = approvals.pageOf(row.id);
      const where = page === undefined ? '' : ` It is decided on at ${page}.`;
      return {
        status: 'working',
        statusMessage: `${whoMustAgree(request, approvals.agreed(request))} must agree to this call first.${where}`,
      };
    }
    case 'denied':
      return { status: 'completed', result: toolError(await approvals.refusalOf(request)) ?? {} };
    case 'consumed': {
      const forMs = calls.clock.nowMs() - row.updatedAtMs;
      if (forMs < (row.outcome === null ? longestCallMs : keepingMs)) return working;
      const why = row.outcome === null ? 'what became of it is not known' : 'what it answered went to whoever made it';
      return failed(`This call was made, and ${why}. Look at what it was to change before you make it again.`);
    }
    default:
      return row.note === withdrawn ? { status: 'cancelled' } : failed(`This call was not made. ${row.note}`);
  }
}

const working: JsonObject = { status: 'working', statusMessage: 'The call is being made.' };

function failed(message: string): JsonObject {
  return { status: 'failed', error: { ...toRpcError(new GatewayError('approval_denied', message)) } };
}

async function cancel({ approvals, tasks }: Edge, caller: Caller, { row }: Request): Promise<void> {
  tasks.cancel(row.id);
  await approvals.withdraw(row.id, caller);
}

/** What a client answers is taken once; what answers nothing that was asked is left alone (SEP-2663). */
async function update(edge: Edge, asked: ModernRequest, request: Request, capabilities: JsonObject): Promise<void> {
  const { id, rounds } = request.row;
  const { inputResponses } = asked.message.params;
  const ended = await endedOf(edge.approvals, id);
  if (!isObject(inputResponses) || ended?.kind !== 'asks' || ended.approval.round !== rounds) return;
  const { requestState, approval, inputRequests } = ended;
  const given = Object.entries(inputResponses).filter(([key]) => Object.hasOwn(inputRequests, key));
  if (given.length < Object.keys(inputRequests).length) return;
  const retry = { inputResponses: Object.fromEntries(given.map(([key, value]) => [ownKey(key), value])), requestState, approval };
  edge.tasks.start(id, (cancelled) => runTask(edge, asked, request, { cancel: cancelled, capabilities, retry }));
}
