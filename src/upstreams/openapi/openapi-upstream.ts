import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import type { ArgumentChecks } from '../../arguments/argument-check.ts';
import type { ApiTransport, DescriptionSource, UpstreamConfig } from '../../catalog/config.ts';
import type { Clock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import type { RememberedUpstream, UpstreamMemory } from '../../store/ports/upstream-memory.ts';
import { isObject } from '../../wire/json.ts';
import type { Authorization, Bearer } from '../authorization.ts';
import { blankInTurns, blankOut, blankText } from '../blank-out.ts';
import { BoundedLog } from '../bounded-log.ts';
import { ChangeListeners } from '../change-listeners.ts';
import type { EgressGuard } from '../egress.ts';
import { Health } from '../health.ts';
import { LinkError } from '../link-error.ts';
import { orCancelled } from '../or-cancelled.ts';
import { openPool } from '../origin-pool.ts';
import { readRetryAfter } from '../retry-after.ts';
import {
  type Answer,
  emptyOffer,
  FailedAnswer,
  type Offer,
  type Upstream,
  type UpstreamCall,
  type UpstreamChange,
  type UpstreamHealth,
} from '../upstream.ts';
import { failure, inUtf8, readAnswer, refusal, shownHeaders } from './answer.ts';
import type { ApiRequest } from './compile-request.ts';
import type { Conversion } from './conversion.ts';
import { decompress } from './decompress.ts';
import { type ApiResponse, exchange, type Sending } from './exchange.ts';
import { type FetchAllowed, referenceFetcher } from './fetch-reference.ts';
import { decodeMemory, encodeMemory, fingerprint } from './memory.ts';
import { type PreparedApi, type PreparedCall, prepareApi } from './prepare.ts';
import { Refusal } from './refusal.ts';

export interface OpenapiUpstreamDeps {
  readonly memory: Pick<UpstreamMemory, 'save'>;
  /** What an earlier run, or a predecessor in this one, kept of this upstream. */
  readonly remembered: RememberedUpstream | undefined;
  readonly resolveSecrets: (text: string) => string;
  readonly egress: Pick<EgressGuard, 'dispatcherFor' | 'connect'>;
  readonly authorization?: Authorization | undefined;
  readonly instance: { readonly name: string; readonly version: string; readonly hop?: string };
  readonly checks: ArgumentChecks;
  /** The bytes of an API description. Rejects where they are not to be had. */
  readonly readDescription: (source: DescriptionSource, upstreamId: string) => Promise<Buffer>;
  /** Makes a Conversion of them, away from the event loop. Rejects with what is wrong with them, in a sentence, or once it is aborted. */
  readonly convert: (bytes: Buffer, fetchReference: FetchAllowed | undefined, signal: AbortSignal) => Promise<Conversion>;
  /** The gateway ends. */
  readonly stopping?: AbortSignal | undefined;
  readonly log: Logger;
  readonly clock: Clock;
}

const retryMs = 30_000;
/** To look for secrets in less takes a millisecond or two, whatever it is. */
const largeBytes = 128 * 1024;

/** Of the API itself, or of the token that a call was let in with. */
type Secrets = readonly Buffer[];

/** An HTTP API with a description: a tool per operation, and a request per call. */
export class OpenapiUpstream implements Upstream {
  readonly id: string;
  readonly kind = 'openapi';
  readonly #config: UpstreamConfig;
  readonly #transport: ApiTransport;
  readonly #deps: OpenapiUpstreamDeps;
  readonly #log: BoundedLog;
  readonly #subject: string;
  readonly #health: Health;
  readonly #changes: ChangeListeners;
  #api: PreparedApi | undefined;
  #conversion: Conversion | undefined;
  #pool: Dispatcher | undefined;
  #where = '';
  #callsInFlight = 0;
  #opening: Promise<void> | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();
  readonly #ready = Promise.withResolvers<void>();
  readonly #closing = new AbortController();

  constructor(config: UpstreamConfig, deps: OpenapiUpstreamDeps) {
    const { transport } = config;
    if (transport.type !== 'openapi') throw new GatewayError('bad_configuration', `${config.id} has no API description.`);
    this.id = config.id;
    this.#config = config;
    this.#transport = transport;
    this.#deps = deps;
    const log = deps.log.child({ upstream: config.id });
    this.#changes = new ChangeListeners(log);
    this.#log = new BoundedLog(log, deps.clock);
    this.#subject = `The upstream ${config.id}`;
    this.#health = new Health(this.#subject, deps.clock, () => this.#changes.tell({ kind: 'health' }));
  }

  start(): void {
    if (this.#opening !== undefined || this.#isClosed) return;
    this.#open();
  }

  offer(): Offer {
    return this.#api?.offer ?? emptyOffer;
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** What its description and its entry came to, for whoever compares it with another. */
  get served(): PreparedApi | undefined {
    return this.#api;
  }

  health(): UpstreamHealth {
    const { title, version } = this.#conversion ?? {};
    return {
      ...this.#health.figures,
      protocolVersion: undefined,
      era: undefined,
      transport: 'http',
      server: title === undefined ? undefined : `${title} ${version ?? ''}`.trim().slice(0, 200),
      callsInFlight: this.#callsInFlight,
      connections: 0,
    };
  }

  async call(call: UpstreamCall): Promise<Answer> {
    this.#callsInFlight++;
    try {
      if (this.#api === undefined && this.#opening !== undefined) await orCancelled(this.#opening, call);
      const api = this.#api;
      const name = call.params.name;
      if (api === undefined) throw this.#health.unavailable();
      const prepared = typeof name === 'string' && call.method === 'tools/call' ? api.calls.get(name) : undefined;
      if (prepared === undefined)
        throw new GatewayError('upstream_failed', `${this.#subject} has no such operation any more; list the tools again.`);
      const answer = await this.#perform(api, prepared, call);
      this.#health.callSucceeded();
      return answer;
    } catch (error) {
      if (error instanceof Refusal) return failure(error.message);
      this.#health.callThrew(error, call, 'answer_too_large');
      throw error;
    } finally {
      this.#callsInFlight--;
    }
  }

  // An API tells nothing by itself.
  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}
  notify(): void {}
  endSession(): void {}

  onChange(listener: (change: UpstreamChange) => void): () => void {
    return this.#changes.add(listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#health.become('closed');
    this.#closing.abort();
    clearTimeout(this.#retryTimer);
    this.#ready.resolve();
    await this.#pool?.destroy(new LinkError('upstream_unavailable', `${this.#subject} was closed.`));
    await Promise.allSettled([this.#opening, this.#saving]);
  }

  get #isClosed(): boolean {
    return this.#health.state === 'closed';
  }

  // Opening

  #open(): void {
    this.#opening = this.#restore()
      .then((isRestored) => (isRestored ? undefined : this.#readDescription()))
      .catch((error: unknown) => this.#failed(error))
      .finally(() => this.#ready.resolve());
  }

  /** Serves what this very description came to before; false where that is not known. */
  async #restore(): Promise<boolean> {
    const { remembered, instance } = this.#deps;
    const known = await decodeMemory(remembered, fingerprint(this.#transport, instance.version));
    if (known !== undefined) await this.#take(known);
    return known !== undefined;
  }

  async #readDescription(): Promise<void> {
    const { readDescription, convert, stopping, egress } = this.#deps;
    const { description, references } = this.#transport;
    const closing = this.#closing.signal;
    const signal = stopping === undefined ? closing : AbortSignal.any([closing, stopping]);
    const bytes = await readDescription(description, this.id);
    const conversion = await convert(bytes, referenceFetcher(references, egress), signal);
    await this.#take(conversion);
    if (this.#isClosed) return;
    this.#saving = this.#save(conversion).catch((error: unknown) =>
      this.#log.warn({ err: error }, 'the tools could not be kept for the next start'),
    );
  }

  async #save(conversion: Conversion): Promise<void> {
    const { memory, instance, clock } = this.#deps;
    const savedAtMs = clock.nowMs();
    const state = await encodeMemory(conversion);
    await memory.save({ id: this.id, fingerprint: fingerprint(this.#transport, instance.version), state, savedAtMs });
  }

  /** `trouble`: why it is not the description that was meant. */
  async #take(conversion: Conversion, trouble?: string): Promise<void> {
    const { egress } = this.#deps;
    const prepared = await prepareApi(this.#subject, conversion, this.#transport, { ...this.#deps, log: this.#log });
    const { base } = prepared;
    const isGuarded = this.#transport.isGuarded === true || prepared.isForeign;
    // Which address a name leads to shows when it is connected to.
    const isShut = isGuarded && (await egress.dispatcherFor(base)) === undefined;
    if (this.#isClosed) return;
    const current = isShut ? { ...prepared, offer: withProblem(prepared.offer, base.origin, shut) } : prepared;
    const api = trouble === undefined ? current : { ...current, offer: outdated(current.offer, trouble) };
    this.#pool = openPool({ url: base, egress, isGuarded, concurrency: this.#config.concurrency });
    this.#where = `${base.hostname}:${base.port || (base.protocol === 'https:' ? 443 : 80)}`;
    this.#deps.authorization?.leadsTo(base, scopesOf(prepared, conversion, this.#transport));
    this.#conversion = conversion;
    this.#api = api;
    for (const { subject, message } of api.offer.problems)
      this.#log.warn({ subject: subject.slice(0, 200), problem: message }, 'not as described');
    this.#changes.tell({ kind: 'offer' });
    this.#health.become('healthy');
  }

  /** What an earlier description came to is served on, where there is one: a file with a mistake takes nothing away. */
  async #failed(error: unknown): Promise<void> {
    if (this.#isClosed) return;
    const earlier = this.#api === undefined ? await decodeMemory(this.#deps.remembered) : undefined;
    try {
      if (earlier !== undefined) await this.#take(earlier, sentence(error));
    } catch {
      // It can be served no more either; the first reason is the one to tell.
    }
    if (this.#isClosed) return;
    if (this.#api === undefined) this.#down(error);
    else this.#health.noteFailure(error);
  }

  #down(error: unknown): void {
    this.#health.down(error, retryMs);
    this.#log.warn(
      { reason: this.#health.lastError?.message, err: error instanceof GatewayError ? undefined : error },
      'the API is not served',
    );
    this.#retryTimer = setTimeout(() => this.#open(), retryMs).unref();
  }

  // Calls

  async #perform(api: PreparedApi, prepared: PreparedCall, call: UpstreamCall): Promise<Answer> {
    const { limitBytes, cancel } = call;
    const args = isObject(call.params.arguments) ? call.params.arguments : {};
    const request = prepared.request.make(args);
    const pool = this.#pool;
    if (pool === undefined || this.#isClosed) throw this.#health.unavailable();
    const sending: Sending = { pool, subject: this.#subject, where: this.#where, limitBytes, cancel };
    const headers = headersOf(prepared, request, call);
    if (!prepared.needsBearer) return this.#receive(prepared, await exchange(request, headers, sending), [api.secrets]);
    return this.#performAs(api, prepared, call, request, headers, sending);
  }

  /** With a token that Gatehouse, or the caller, has at the API; once more with another where that one was refused. */
  async #performAs(
    api: PreparedApi,
    prepared: PreparedCall,
    call: UpstreamCall,
    request: ApiRequest,
    headers: readonly string[],
    sending: Sending,
  ): Promise<Answer> {
    const { authorization } = this.#deps;
    const { principal } = call.client;
    const found = authorization?.bearerFor(principal);
    let bearer = found instanceof Promise ? await found : found;
    for (let isSecondTry = false; ; isSecondTry = true) {
      const response = await exchange(request, withBearer(headers, bearer), sending);
      const secrets = bearer === undefined ? [api.secrets] : [api.secrets, bearer.secrets];
      const { status } = response;
      const challenge = response.headers['www-authenticate'];
      const isRefused = status === 401 || (status === 403 && challenge !== undefined && /insufficient_scope/.test(challenge));
      if (!isRefused && bearer !== undefined) bearer.isAccepted = true;
      const next = isRefused
        ? await authorization?.refused({
            principal,
            bearer,
            status,
            challenge,
            isSecondTry,
          })
        : undefined;
      if (next === undefined || isSecondTry) return this.#receive(prepared, response, secrets);
      bearer = next;
    }
  }

  #receive(prepared: PreparedCall, response: ApiResponse, secrets: readonly Secrets[]): Answer | Promise<Answer> {
    const encoding = response.headers['content-encoding'];
    if (encoding === undefined || encoding === 'identity' || encoding === '') return this.#judge(prepared, response, secrets);
    return decompress(response, this.#subject, this.#config.answerLimitBytes).then((plain) =>
      this.#judge(prepared, plain, secrets),
    );
  }

  #judge(prepared: PreparedCall, received: ApiResponse, secrets: readonly Secrets[]): Answer | Promise<Answer> {
    const response = inUtf8(received);
    if (response.body.length >= largeBytes) return this.#judgeLarge(prepared, response, secrets);
    for (const some of secrets) blankOut(response.body, some);
    return this.#read(prepared, response, secrets);
  }

  async #judgeLarge(prepared: PreparedCall, response: ApiResponse, secrets: readonly Secrets[]): Promise<Answer> {
    for (const some of secrets) await blankInTurns(response.body, some);
    return this.#read(prepared, response, secrets);
  }

  /** Throws FailedAnswer for what counts against the API, or may be repeated. */
  #read({ reader }: PreparedCall, response: ApiResponse, secrets: readonly Secrets[]): Answer | Promise<Answer> {
    const { status, headers, body } = response;
    if (status < 400) return readAnswer(reader, { ...response, headers: blanked(headers, secrets) });
    const retryAfterMs = readRetryAfter(headers['retry-after']);
    if (status === 429 || (status === 503 && retryAfterMs !== undefined)) throw this.#busy(status, retryAfterMs);
    const answer = refusal(status, headers['content-type'] ?? '', body, undefined);
    if (status < 500) return answer;
    throw new FailedAnswer('upstream_failed', `${this.#subject} failed (HTTP ${status}).`, { answer, isItsFault: true });
  }

  #busy(status: number, retryAfterMs: number | undefined): FailedAnswer {
    const when = retryAfterMs === undefined ? 'in a while' : `in ${Math.max(1, Math.ceil(retryAfterMs / 1000))} s`;
    const text = `${this.#subject} is busy (HTTP ${status}); it takes calls again ${when}. Call again then.`;
    return new FailedAnswer('upstream_busy', text, { isItsFault: status >= 500, retryAfterMs });
  }
}

/** Only these of an answer's headers are ever shown as they are. */
function blanked(headers: ApiResponse['headers'], secrets: readonly Secrets[]): ApiResponse['headers'] {
  if (secrets.every(({ length }) => length === 0)) return headers;
  const shown = shownHeaders.flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [[name, secrets.reduce(blankText, value)] as const];
  });
  return shown.length === 0 ? headers : { ...headers, ...Object.fromEntries(shown) };
}

function outdated(offer: Offer, trouble: string): Offer {
  const message = `What its earlier description came to is served: the present one cannot be used (${trouble.replace(/\.$/, '')}).`;
  return withProblem({ ...offer, isStale: true }, 'description', message);
}

const shut =
  'No call will get there: the address must be public and https, or be allowed with GATEHOUSE_EGRESS_ALLOW by whoever runs this gateway.';

function withProblem(offer: Offer, subject: string, message: string): Offer {
  return Object.freeze({ ...offer, problems: [{ subject, message }, ...offer.problems] });
}

function sentence(error: unknown): string {
  return error instanceof GatewayError ? error.message : 'an unexpected error; the log has it';
}

/** What the operations that are called with a token need of it. */
function scopesOf({ calls }: PreparedApi, { securitySchemes }: Conversion, { oauthScheme }: ApiTransport): readonly string[] {
  const kind = oauthScheme === undefined ? undefined : securitySchemes[oauthScheme]?.kind;
  // Of other schemes the list is one of roles (OpenAPI 3.1, Security Requirement Object).
  if (oauthScheme === undefined || (kind !== 'oauth2' && kind !== 'openIdConnect')) return [];
  const needed = Array.from(calls.values()).flatMap(({ operation, needsBearer }) =>
    needsBearer ? (operation.security.find((alternative) => Object.hasOwn(alternative, oauthScheme))?.[oauthScheme] ?? []) : [],
  );
  return [...new Set(needed)];
}

function headersOf({ headers }: PreparedCall, request: ApiRequest, { traceContext }: UpstreamCall): readonly string[] {
  if (traceContext === undefined) return [...headers, ...request.headers];
  const { traceparent, tracestate } = traceContext;
  const state = tracestate === undefined ? [] : ['tracestate', tracestate];
  return [...headers, ...request.headers, 'traceparent', traceparent, ...state];
}

function withBearer(headers: readonly string[], bearer: Bearer | undefined): readonly string[] {
  return bearer === undefined ? headers : [...headers, 'authorization', bearer.header];
}
