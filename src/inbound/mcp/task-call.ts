import type { Request } from '../../call/approve/request.ts';
import type { ApprovedRound, Ask } from '../../call/ask.ts';
import { type CallPorts, call } from '../../call/call.ts';
import type { Outcome } from '../../call/inspect.ts';
import { traceOf } from '../../call/record.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Conversation } from '../../upstreams/upstream.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { parseExact } from '../../wire/parse-exact.ts';
import { checkQuestions } from './client-can.ts';
import type { Edge } from './edge.ts';
import { hopsOf, traceHeadersOf } from './headers.ts';
import { modernResult, toolError, toRpcError, unreadable, withTrace } from './messages.ts';
import type { ModernRequest } from './request.ts';

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

/** What may be kept for a client that comes later. */
const longestResult = 8 * 1024 * 1024;

/** Undefined where no end of its call is kept. */
export async function endedOf(approvals: Edge['approvals'], id: string): Promise<Ended | undefined> {
  const text = await approvals.resultOf(id);
  return text === undefined ? undefined : (parseExact(text) as unknown as Ended);
}

interface Run {
  readonly cancel: Cancel;
  readonly capabilities: JsonObject;
  readonly retry?: Ask['retry'];
}

/** Makes the call of a task and keeps what came of it. Never rejects. */
export async function runTask(
  edge: Edge,
  asked: ModernRequest,
  request: Request,
  { cancel, capabilities, retry }: Run,
): Promise<void> {
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
  const ask = askOf(asked, { ...shown.params, name: row.tool }, shown.meta, row.id, how);
  const part = { isLetThrough: false, isGivenBack: false };
  try {
    const outcome = await call(watching(edge.calls, part), edge.catalog(), asked.caller, ask);
    return endOfOutcome(outcome, how.capabilities, traceOf(ask));
  } catch (thrown) {
    const trace = traceOf(ask);
    const error = toGatewayError(withTrace(unreadable(thrown), trace));
    if (part.isLetThrough && !part.isGivenBack) return error.code === 'cancelled' ? { kind: 'cancelled' } : failure(error, trace);
    edge.tasks.say(row.id, error.message);
    // Another replica may have been faster: what that brings is what counts, and the request itself says what else is wrong.
    if (error.row.retryable || saysRequest.has(error.code) || (await endedOf(edge.approvals, row.id)) !== undefined)
      return undefined;
    return (await edge.approvals.find(row.id))?.row.state === 'approved' ? failure(error, trace) : undefined;
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

function failure(error: GatewayError, trace?: string): Ended {
  const result = toolError(error, trace);
  return result === undefined
    ? { kind: 'failed', error: traced({ ...toRpcError(error) }, trace) }
    : { kind: 'completed', result };
}

/** What the record of the call is found by; an upstream's data of another kind stays as it came. */
function traced(error: JsonObject, trace: string | undefined): JsonObject {
  const { data = {} } = error;
  return trace === undefined || !isObject(data) ? error : { ...error, data: { ...data, trace } };
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

function endOfOutcome(outcome: Outcome, capabilities: JsonObject, trace: string | undefined): Ended {
  if (outcome.kind === 'result')
    return { kind: 'completed', result: objectOf(Buffer.concat(modernResult(outcome.result)).toString()) };
  if (outcome.kind === 'error') return { kind: 'failed', error: traced({ ...outcome.error }, trace) };
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
export function ownKey(key: string): string {
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
