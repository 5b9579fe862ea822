import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Ask, CallFigures } from '../../call/ask.ts';
import type { Caller } from '../../call/authenticate.ts';
import { checkEntry, visibleToolbox } from '../../call/authorize.ts';
import { call, refuse } from '../../call/call.ts';
import type { Outcome } from '../../call/inspect.ts';
import { LimitRefusal } from '../../call/limit.ts';
import { readIdempotencyKey } from '../../call/once/idempotency-key.ts';
import { silentConversation } from '../../call/silent-conversation.ts';
import { modelsPlace } from '../../catalog/catalog.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { ClientDialect, ClientDialectName } from '../../models/dialect.ts';
import { clientDialects } from '../../models/dialects.ts';
import { Cancel, clientLeft } from '../../wire/cancel.ts';
import type { JsonObject } from '../../wire/json.ts';
import { readBody } from '../body.ts';
import { BodyRoom, type BodyShare } from '../body-room.ts';
import { authenticateRequest, errorHeaders, pathOf, type ServerPorts } from '../door.ts';
import { hopsOf, traceHeadersOf } from '../mcp/headers.ts';
import { writeJson } from '../mcp/stream.ts';
import { newAnswerId } from './answer-id.ts';
import { writeLastChunk } from './chunks.ts';
import { figuresComment, figuresHeader, writeFigures } from './figures.ts';
import { describeModel, type ListShape, listModels } from './list.ts';
import { admitRating, rateAnswer, ratingLimitBytes } from './rate.ts';
import { rateHeaders } from './rate-headers.ts';
import { readRequest } from './read-request.ts';
import { type ModelRoute, routeOf } from './routes.ts';
import { ReplyStream } from './stream.ts';

/** One HTTP request to an address of models. */
export interface ModelRequest {
  /** Undefined: it shows who it is. */
  readonly caller: Caller | undefined;
  /** Of the client. */
  readonly ip: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** For every response: CORS, where an origin was allowed. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Prompts hold pictures and documents: an ordinary one is larger than what other requests may be. */
const leastBodyLimitBytes = 32 * 1024 * 1024;
/** Of large ones, all together. What is made of them takes several times as much. */
const room = new BodyRoom(256 * 1024 * 1024);

/** OpenAI's and Anthropic's endpoints. Whatever goes wrong is answered, in the client's dialect. */
export async function serveModels(ports: ServerPorts, model: ModelRequest): Promise<void> {
  const { request, response, headers } = model;
  const route = routeOf(pathOf(request.url ?? ''));
  const dialect = dialectNamed(dialectOf(route, request));
  const requestId = newAnswerId();
  const answerHeaders = { ...headers, 'x-request-id': requestId };
  const course: AnswerCourse = { rates: {}, stream: undefined };
  try {
    if (route === undefined)
      throw new GatewayError(
        'not_found',
        'There is no such address here; models are called at /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings and /v1/messages, and listed at /v1/models.',
      );
    checkMethod(request, route);
    const shown = model.caller ?? authenticateRequest(ports, request, pathOf(request.url ?? ''));
    const caller = shown instanceof Promise ? await shown : shown;
    if (route.kind === 'rate') await serveRating(ports, { ...model, headers: answerHeaders, caller, requestId });
    else if (route.kind === 'call') {
      const share = room.share();
      try {
        await serveCall(ports, { ...model, headers: answerHeaders, caller, requestId }, route, dialect, share, course);
      } finally {
        share.giveBack();
      }
    } else answerList(ports, { ...model, headers: answerHeaders, caller, requestId }, route);
  } catch (thrown) {
    const error = toGatewayError(thrown);
    if (error.code === 'internal') ports.edge.log.error({ err: error.cause, url: request.url }, 'a request failed');
    if (response.destroyed || response.writableEnded) return;
    if (response.headersSent) {
      // Never what ends a good stream: its client must not take a part for the whole.
      writeLastChunk(response, dialect.writeStreamError(error, course.stream?.lastPart));
      return;
    }
    const { status, body } = dialect.writeError(error);
    // Both SDKs repeat whatever has a status of 429, or of 500 and more, unless they are told.
    const isRepeatable = error.row.retryable && (status !== 429 || error.retryAfterMs !== undefined);
    const retry = isRepeatable ? {} : { 'x-should-retry': 'false' };
    writeJson(response, status, [Buffer.from(JSON.stringify(body))], {
      ...answerHeaders,
      ...ratesAt(error, course, dialect, ports.edge.calls.clock.nowMs()),
      ...retry,
      ...errorHeaders(ports, request, error),
    });
  }
}

/** What is known of an answer before it is there, whatever comes of it. */
interface AnswerCourse {
  /** Headers that say how its caller's rates stand. */
  rates: Readonly<Record<string, string>>;
  /** One in parts. */
  stream: ReplyStream | undefined;
}

/** Whoever is refused sees what is left as everybody else does. */
function ratesAt(error: GatewayError, { rates }: AnswerCourse, { name }: ClientDialect, nowMs: number): AnswerCourse['rates'] {
  return error instanceof LimitRefusal ? rateHeaders(error.rates(), name, nowMs) : rates;
}

function dialectNamed(name: ClientDialectName): ClientDialect {
  const dialect = clientDialects.get(name);
  if (dialect === undefined) throw new Error(`there is no dialect ${name}`);
  return dialect;
}

function dialectOf(route: ModelRoute | undefined, request: IncomingMessage): ClientDialectName {
  if (route?.kind === 'call') return route.dialect;
  return shapeOf(request) === 'anthropic' ? 'messages' : 'chat';
}

// Anthropic's clients always send their version.
function shapeOf({ headers }: IncomingMessage): ListShape {
  return headers['anthropic-version'] === undefined ? 'openai' : 'anthropic';
}

function checkMethod({ method }: IncomingMessage, { kind }: ModelRoute): void {
  const wanted = kind === 'call' || kind === 'rate' ? 'POST' : 'GET';
  if (method !== wanted) throw new GatewayError('method_not_allowed', `Use ${wanted} here.`);
}

type KnownRequest = ModelRequest & { readonly caller: Caller; readonly requestId: string };

async function serveCall(
  { edge, bodyLimitBytes }: ServerPorts,
  { caller, ip, request, response, headers, requestId }: KnownRequest,
  route: ModelRoute & { readonly kind: 'call' },
  dialect: ClientDialect,
  share: BodyShare,
  course: AnswerCourse,
): Promise<void> {
  const bytes = await readBody(request, Math.max(bodyLimitBytes, leastBodyLimitBytes), share);
  const body = readRequest(bytes);
  const isStream = (route.request === route.dialect && dialect.isStream(body)) === true;
  const stream = isStream ? new ReplyStream(response, headers) : undefined;
  course.stream = stream;
  let figures: CallFigures | undefined;
  const cancel = new Cancel();
  response.once('close', () => {
    if (!response.writableFinished) cancel.cancel(clientLeft);
  });
  const ask: Ask = {
    door: 'http',
    era: 'modern',
    toolbox: modelsPlace,
    method: 'models/call',
    params: paramsOf(route, request, body),
    meta: undefined,
    client: { principal: caller.id, session: conversationOf(request), capabilities: {} },
    conversation: silentConversation,
    retry: undefined,
    cancel,
    ip,
    traceHeaders: traceHeadersOf(request.headers),
    hops: hopsOf(request.headers),
    idempotencyKey: readIdempotencyKey(request.headers['idempotency-key']),
    bytesIn: bytes.length,
    answerId: requestId,
    stream,
    heardRates(heard) {
      course.rates = rateHeaders(heard, dialect.name, edge.calls.clock.nowMs());
      stream?.begin(course.rates);
    },
    heardEnd(heard) {
      figures = heard;
    },
    dialect: route.request === route.dialect ? dialect : undefined,
  };
  try {
    // Before anybody looks whether there is such a model: the answer would tell.
    checkEntry(caller, modelsPlace);
    if (typeof body.model !== 'string' || body.model === '')
      throw new GatewayError('invalid_request', '"model" must be a string: the name of a model, as GET /v1/models lists it.');
  } catch (error) {
    refuse(edge.calls, caller, ask, error);
    throw error;
  }
  const outcome = await call(edge.calls, edge.catalog(), caller, ask);
  if (outcome.kind !== 'streamed') answer(response, outcome, { ...headers, ...course.rates, ...figureHeaders(figures) });
  else if (request.headers[figuresHeader] === undefined || figures === undefined) stream?.end();
  else stream?.end(figuresComment(figures));
}

function figureHeaders(figures: CallFigures | undefined): Readonly<Record<string, string>> {
  return figures === undefined ? {} : { [figuresHeader]: writeFigures(figures) };
}

function answer(response: ServerResponse, outcome: Outcome, headers: Readonly<Record<string, string>>): void {
  // Whoever gave a key may have left, and come back for it.
  if (response.destroyed) return;
  if (outcome.kind !== 'reply') throw new Error(`a ${outcome.kind} is no answer of a model`);
  writeJson(response, 200, [outcome.body], { ...headers, ...outcome.headers });
}

function paramsOf(
  { request: dialect }: ModelRoute & { readonly kind: 'call' },
  request: IncomingMessage,
  body: JsonObject,
): JsonObject {
  const cacheControl = request.headers['cache-control'];
  const name = typeof body.model === 'string' ? body.model : '';
  const clientHeaders = dialect === 'messages' || dialect === 'count' ? anthropicHeaders(request) : undefined;
  const params: JsonObject = { name, dialect, arguments: body };
  if (cacheControl !== undefined) params.cacheControl = cacheControl;
  if (clientHeaders !== undefined) params.clientHeaders = clientHeaders;
  return params;
}

/** They belong to the request as its body does; what of them may go out is for the provider to say. */
function anthropicHeaders({ headers }: IncomingMessage): JsonObject | undefined {
  const said: JsonObject = {};
  for (const name of ['anthropic-version', 'anthropic-beta']) {
    const value = headers[name];
    if (typeof value === 'string') said[name] = value;
  }
  return Object.keys(said).length === 0 ? undefined : said;
}

/** Requests that belong together, where the application says so: a target that answered the first may answer all. */
function conversationOf({ headers }: IncomingMessage): string | undefined {
  const named = headers['x-gatehouse-conversation'];
  return typeof named === 'string' && named.length <= 256 ? named : undefined;
}

async function serveRating(
  { edge, ratings, bodyLimitBytes }: ServerPorts,
  { caller, request, response, headers }: KnownRequest,
): Promise<void> {
  await admitRating(edge.calls.counters, caller);
  const body = readRequest(await readBody(request, Math.min(bodyLimitBytes, ratingLimitBytes)));
  const kept = await rateAnswer(ratings, caller, body);
  writeJson(response, 201, [Buffer.from(JSON.stringify(kept))], headers);
}

function answerList(
  { edge, startedAtMs }: ServerPorts,
  { caller, ip, request, response, headers }: KnownRequest,
  route: ModelRoute,
): void {
  const catalog = edge.catalog();
  const { tools } = visibleToolbox(edge.circumstances(ip), catalog, caller, modelsPlace);
  const shape = shapeOf(request);
  if (route.kind !== 'model') {
    writeJson(response, 200, [Buffer.from(JSON.stringify(listModels([...tools.values()], shape, startedAtMs)))], headers);
    return;
  }
  const found = catalog.modelNames.get(route.name);
  const model = found === undefined ? undefined : tools.get(found.outwardName);
  if (model === undefined)
    throw new GatewayError('unknown_model', 'There is no such model here for you. GET /v1/models lists those that you may use.');
  writeJson(response, 200, [Buffer.from(JSON.stringify(describeModel(model, shape, startedAtMs)))], headers);
}
