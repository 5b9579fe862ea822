import type { ModelTransport, UpstreamConfig } from '../../catalog/config.ts';
import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';
import { BoundedLog } from '../bounded-log.ts';
import { ChangeListeners } from '../change-listeners.ts';
import { Health } from '../health.ts';
import { LinkError } from '../link-error.ts';
import {
  type Answer,
  type CallEstimate,
  emptyOffer,
  type Offer,
  type Upstream,
  type UpstreamCall,
  type UpstreamChange,
  type UpstreamHealth,
} from '../upstream.ts';
import { modelTool } from './model-tool.ts';
import type { ModelDeps, OpenModel } from './open-model.ts';
import type { RoutingEvent } from './routing.ts';
import type { TargetStatus } from './target-state.ts';

/** How the targets of a model fare, and what happened to them. */
export interface ModelState {
  /** False for one that lacks what it needs to be called at all: a secret, most often. */
  readonly isReady: boolean;
  readonly targets: readonly TargetStatus[];
  /** The last ones, the newest last. */
  readonly events: readonly RoutingEvent[];
}

const retryMs = 30_000;

/** A model: one tool, and whatever its clients say to it in their own dialects. */
export class ModelUpstream implements Upstream {
  readonly id: string;
  readonly kind = 'model';
  readonly #config: UpstreamConfig;
  readonly #transport: ModelTransport;
  readonly #deps: ModelDeps;
  readonly #log: BoundedLog;
  readonly #subject: string;
  readonly #health: Health;
  readonly #changes: ChangeListeners;
  readonly #ready = Promise.withResolvers<void>();
  #offer: Offer;
  #model: OpenModel | undefined;
  #opening: Promise<void> | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #callsInFlight = 0;

  constructor(config: UpstreamConfig, deps: ModelDeps) {
    const { transport } = config;
    if (transport.type !== 'model') throw new GatewayError('bad_configuration', `${config.id} has no targets.`);
    this.id = config.id;
    this.#config = config;
    this.#transport = transport;
    this.#deps = deps;
    // Its tool is made of its entry alone: it is there whether it can be called yet or not, so that whoever calls it is told which.
    this.#offer = Object.freeze({ ...emptyOffer, tools: [modelTool(config)] });
    const log = deps.log.child({ upstream: config.id });
    this.#changes = new ChangeListeners(log);
    this.#log = new BoundedLog(log, deps.clock);
    this.#subject = `The model ${config.id}`;
    this.#health = new Health(this.#subject, deps.clock, () => this.#changes.tell({ kind: 'health' }));
  }

  start(): void {
    if (this.#opening === undefined && !this.#isClosed) this.#open();
  }

  offer(): Offer {
    return this.#offer;
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  get state(): ModelState {
    const isReady = this.#health.state !== 'down';
    return { isReady, targets: this.#model?.status() ?? [], events: this.#model?.events() ?? [] };
  }

  health(): UpstreamHealth {
    const providers = [...new Set(this.#transport.targets.map(({ provider }) => provider))];
    return {
      ...this.#health.figures,
      protocolVersion: undefined,
      era: undefined,
      transport: 'http',
      server: providers.join(', '),
      callsInFlight: this.#callsInFlight,
      connections: 0,
    };
  }

  estimate(params: JsonObject): CallEstimate | Promise<CallEstimate> {
    if (this.#model !== undefined) return this.#model.estimate(params);
    return (this.#opening ?? Promise.resolve()).then(() => this.#opened().estimate(params));
  }

  async call(call: UpstreamCall): Promise<Answer> {
    this.#callsInFlight++;
    try {
      if (this.#model === undefined && this.#opening !== undefined) await this.#opening;
      const answer = await this.#opened().call(call);
      this.#health.callSucceeded();
      return answer;
    } catch (error) {
      this.#health.callThrew(error, call, 'credentials_failed');
      throw error;
    } finally {
      this.#callsInFlight--;
    }
  }

  // Providers tell nothing by themselves.
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
    clearTimeout(this.#retryTimer);
    this.#ready.resolve();
    await this.#opening;
    await this.#model?.close(new LinkError('upstream_unavailable', `${this.#subject} was taken out, or Gatehouse stops.`));
  }

  get #isClosed(): boolean {
    return this.#health.state === 'closed';
  }

  #opened(): OpenModel {
    if (this.#isClosed) throw this.#health.unavailable();
    if (this.#model === undefined) throw this.#notReady();
    return this.#model;
  }

  /** What it lacks is for those who administer it: callers are told whom to ask. */
  #notReady(): GatewayError {
    const { id, namespace } = this.#config;
    return new GatewayError(
      'model_not_ready',
      `The model ${id} is registered here and not ready: its setup is not complete. Nothing is wrong with the request. Tell whoever administers the namespace ${namespace}; the same call works as soon as that is mended.`,
    );
  }

  #open(): void {
    this.#opening = this.#load()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => this.#ready.resolve());
  }

  async #load(): Promise<void> {
    // Dialects, prices and the tokenizer are large, and a gateway without models needs none of them.
    const { openModel } = await import('./open-model.ts');
    const model = await openModel(this.#config, this.#transport, this.#deps);
    this.#model = model;
    if (this.#isClosed) return;
    this.#offer = Object.freeze({ ...this.#offer, isStale: false, problems: model.problems });
    for (const { subject, message } of model.problems)
      this.#log.warn({ target: subject, problem: message }, 'a target is not used');
    this.#changes.tell({ kind: 'offer' });
    this.#health.become('healthy');
  }

  #failed(error: unknown): void {
    if (this.#isClosed) return;
    this.#health.down(error, retryMs);
    const err = error instanceof GatewayError ? undefined : error;
    this.#log.warn({ reason: this.#health.lastError?.message, err }, 'the model is not served');
    this.#retryTimer = setTimeout(() => this.#open(), retryMs).unref();
  }
}
