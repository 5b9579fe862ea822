/**
 * Calls that wait for a person, as tasks (extension io.modelcontextprotocol/tasks, SEP-2663). A task is the request for that person's
 * consent by another name: all that is known of it stands in the store, so it outlives restarts and every replica answers for it. The
 * call is made when its client asks after the task once enough people have agreed: for a client that is gone, nothing is done.
 */

import type { Request } from '../../call/approve/request.ts';
import type { ApprovalPending } from '../../call/approve/say.ts';
import { whoOf, withdrawn } from '../../call/approve/say.ts';
import type { ApprovedRound, Ask } from '../../call/ask.ts';
import type { Caller } from '../../call/authenticate.ts';
import { checkEntry } from '../../call/authorize.ts';
import { type CallPorts, call } from '../../call/call.ts';
import type { Outcome } from '../../call/inspect.ts';
import { remember } from '../../call/remember.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Conversation } from '../../upstreams/upstream.ts';
import { Cancel } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { parseExact } from '../../wire/json-scan.ts';
import { checkQuestions } from './client-can.ts';
import type { Edge } from './edge.ts';
import { hopsOf, traceHeadersOf } from './headers.ts';
import { modernResult, ownModernResult, resultMessage, toolError, toRpcError, unreadable } from './messages.ts';
import type { ModernRequest } from './modern.ts';
import { checkDeclaresTasks } from './tasks-extension.ts';

export type TaskMethod = 'tasks/get' | 'tasks/update' | 'tasks/cancel';

/** What became of the call of a task, as it is kept: JSON. */
type Ended =
  | { readonly kind: 'completed'; readonly result: JsonObject }
  | { readonly kind: 'failed'; readonly error: JsonObject }
  | { readonly kind: 'cancelled' }
  /** The upstream asks something first. Stale once a further round was let through. */
  | {
      readonly kind: 'asks';
      readonly inputRequests: JsonObject;
      readonly requestState: string | undefined;
      readonly approval: ApprovedRound;
    };

/** Calls of tasks that this process makes right now. */
export class TaskRuns {
  readonly #running = new Map<string, { readonly cancel: Cancel; readonly done: Promise<void> }>();
  readonly #said = new Map<string, string>();

  /** Does the work unless this task has some already. */
  start(id: string, work: (cancel: Cancel) => Promise<void>): void {
    if (this.#running.has(id)) return;
    const cancel = new Cancel();
    const done = work(cancel).finally(() => this.#running.delete(id));
    this.#running.set(id, { cancel, done });
  }

  /** Notes why a call that can still be made was not, the last time. */
  say(id: string, message: string): void {
    if (this.#said.size >= mostSaid) this.#said.clear();
    this.#said.set(id, message);
  }

  said(id: string): string | undefined {
    return this.#said.get(id);
  }

  isRunning(id: string): boolean {
    return this.#running.has(id);
  }

  cancel(id: string): void {
    this.#running.get(id)?.cancel.cancel('the client cancelled the task');
  }

  /** Resolves when the work of this task is done, or the time is over. */
  async settled(id: string, withinMs: number): Promise<void> {
    const running = this.#running.get(id);
    if (running === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    await Promise.race([running.done, late]);
    clearTimeout(timer);
  }

  async close(): Promise<void> {
    const all = [...this.#running.values()];
    for (const { cancel } of all) cancel.cancel('the gateway is stopping');
    await Promise.allSettled(all.map(({ done }) => done));
  }
}

const mostSaid = 1_000;
/** How long a poll waits for a call that was just begun: most are done by then. */
const answerWithinMs = 1_000;
/** How long what came of a task is kept at least after the time of its request. */
const keptMs = 60 * 60 * 1000;
const pollEveryMs = 2_000;
/** A call that was let through longer ago, and that nobody knows the end of, is not coming back. */
const longestCallMs = 15 * 60 * 1000;
/** Its end is known a moment before what came of it is kept. */
const keepingMs = 30_000;
/** What may be kept for a client that comes later. */
const longestResult = 8 * 1024 * 1024;

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
  whose: Pick<ModernRequest, 'caller' | 'toolbox'>,
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

async function find(
  { approvals }: Edge,
  { caller, toolbox }: Pick<ModernRequest, 'caller' | 'toolbox'>,
  taskId: unknown,
): Promise<Request | undefined> {
  const id = typeof taskId === 'string' ? approvals.idOf(taskId, caller) : undefined;
  const request = id === undefined ? undefined : await approvals.find(id);
  return request?.row.caller === caller.id && request.row.toolbox === toolbox ? request : undefined;
}

/** Where a task stands; makes its call where that can be made now. */
async function look(edge: Edge, asked: ModernRequest, request: Request, capabilities: JsonObject): Promise<JsonObject> {
  const { id } = request.row;
  // What is under way was begun by what the store says now.
  if (edge.tasks.isRunning(id)) return await lookAgain(edge, request);
  const ended = await endOf(edge, request);
  if (ended !== undefined) return ended;
  if (request.row.state !== 'approved') return await standing(edge, request);
  edge.tasks.start(id, (cancelled) => run(edge, asked, request, { cancel: cancelled, capabilities }));
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

async function endedOf(approvals: Edge['approvals'], id: string): Promise<Ended | undefined> {
  const text = await approvals.resultOf(id);
  return text === undefined ? undefined : (parseExact(text) as unknown as Ended);
}

/** Of a task whose call is not made here and now. */
async function standing({ approvals, calls }: Edge, request: Request): Promise<JsonObject> {
  const { row, requirements } = request;
  switch (row.state) {
    case 'pending': {
      const page = approvals.pageOf(row.id);
      const where = page === undefined ? '' : ` It is decided on at ${page}.`;
      return { status: 'working', statusMessage: `${whoOf(requirements)} has to agree to this call first.${where}` };
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
  edge.tasks.start(id, (cancelled) => run(edge, asked, request, { cancel: cancelled, capabilities, retry }));
}

interface Run {
  readonly cancel: Cancel;
  readonly capabilities: JsonObject;
  readonly retry?: Ask['retry'];
}

/** Makes the call of a task and keeps what came of it. Never rejects. */
async function run(edge: Edge, asked: ModernRequest, request: Request, { cancel, capabilities, retry }: Run): Promise<void> {
  const { id } = request.row;
  try {
    const ended = await make(edge, asked, request, { cancel, capabilities, retry });
    if (ended !== undefined) await keep(edge, id, ended);
  } catch (error) {
    edge.log.warn({ err: error, approval: id }, 'what came of a task could not be kept');
  }
}

/** Undefined where the call can be made again as it is, or is made by somebody else. */
async function make(edge: Edge, asked: ModernRequest, { row }: Request, how: Run): Promise<Ended | undefined> {
  const shown = edge.approvals.callOf(row);
  if (shown === undefined)
    return failure(new GatewayError('conversation_lost', 'The arguments of this call were forgotten; call again.'));
  const params = { ...shown.params, name: row.tool };
  const part = { isLetThrough: false, isGivenBack: false };
  try {
    const outcome = await call(
      watching(edge.calls, part),
      edge.catalog(),
      asked.caller,
      askOf(asked, params, shown.meta, row.id, how),
    );
    return endOfOutcome(outcome, how.capabilities);
  } catch (thrown) {
    const error = toGatewayError(unreadable(thrown));
    if (part.isLetThrough && !part.isGivenBack) return error.code === 'cancelled' ? { kind: 'cancelled' } : failure(error);
    edge.tasks.say(row.id, error.message);
    // Another replica may have been faster: what that brings is what counts, and the request itself says what else is wrong.
    if (error.row.retryable || saysRequest.has(error.code) || (await endedOf(edge.approvals, row.id)) !== undefined)
      return undefined;
    return (await edge.approvals.find(row.id))?.row.state === 'approved' ? failure(error) : undefined;
  }
}

const saysRequest: ReadonlySet<string> = new Set(['approval_denied', 'conversation_lost', 'cancelled']);

/** The same path, which notes whether the call was let through and whether its consent was given back. */
function watching(calls: CallPorts, part: { isLetThrough: boolean; isGivenBack: boolean }): CallPorts {
  const { approvals } = calls;
  return {
    ...calls,
    approvals: {
      async pass(...given) {
        const round = await approvals.pass(...given);
        part.isLetThrough = true;
        return round;
      },
      ended(round, outcome, isUnheard) {
        part.isGivenBack = isUnheard && round.round === 0;
        approvals.ended(round, outcome, isUnheard);
      },
    },
  };
}

function failure(error: GatewayError): Ended {
  const result = toolError(error);
  return result === undefined ? { kind: 'failed', error: { ...toRpcError(error) } } : { kind: 'completed', result };
}

function askOf(
  { door, toolbox, caller, ip, headers, bytes }: ModernRequest,
  params: JsonObject,
  meta: JsonObject | undefined,
  approval: string,
  { cancel, capabilities, retry }: Run,
): Ask {
  return {
    ...{ door, era: 'modern', toolbox, method: 'tools/call', params, meta, retry, cancel, bytesIn: bytes, ip },
    client: { principal: caller.id, session: undefined, capabilities },
    conversation: nobodyThere,
    traceHeaders: headers === undefined ? undefined : traceHeadersOf(headers),
    hops: headers === undefined ? undefined : hopsOf(headers),
    approval,
  };
}

/** A task has no stream: what its upstream says meanwhile is lost, and what it asks has to come as an answer of its own. */
const nobodyThere: Conversation = {
  progress: undefined,
  logLevel: undefined,
  log() {},
  notify() {},
  takesRounds: true,
  ask: (method) =>
    Promise.reject(
      new GatewayError(
        'missing_client_capability',
        `This call runs as a task, and ${method} cannot be put to the client meanwhile.`,
      ),
    ),
};

function endOfOutcome(outcome: Outcome, capabilities: JsonObject): Ended {
  if (outcome.kind === 'result')
    return { kind: 'completed', result: objectOf(Buffer.concat(modernResult(outcome.result)).toString()) };
  if (outcome.kind === 'error') return { kind: 'failed', error: { ...outcome.error } };
  if (outcome.kind !== 'input-required') throw new Error(`a ${outcome.kind} is no end of a task`);
  const { inputRequests = {}, requestState, approval } = outcome;
  checkQuestions(capabilities, inputRequests);
  if (approval === undefined) throw new GatewayError('internal', 'A task without an approval was made.');
  const asked = Object.entries(inputRequests).map(([key, value]) => [`${approval.round}.${key}`, value] as const);
  return { kind: 'asks', inputRequests: Object.fromEntries(asked), requestState, approval };
}

function objectOf(text: string): JsonObject {
  const value = parseExact(text);
  return isObject(value) ? value : {};
}

/** Keys are unique over the life of a task; the upstream knows them without the round. */
function ownKey(key: string): string {
  return key.slice(key.indexOf('.') + 1);
}

async function keep({ approvals }: Edge, id: string, ended: Ended): Promise<void> {
  const text = JSON.stringify(ended);
  if (text.length <= longestResult) return await approvals.keepResult(id, text);
  const error = new GatewayError(
    'answer_too_large',
    `The call was made, and its answer has more than the ${longestResult / 1024 / 1024} MiB that are kept for a task.`,
  );
  await approvals.keepResult(id, JSON.stringify({ kind: 'completed', result: toolError(error) ?? {} }));
}
