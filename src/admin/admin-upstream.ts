import { asCaller } from '../call/authenticate/caller.ts';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';
import { builtInConfig, builtInHealth } from '../upstreams/built-in.ts';
import {
  type Answer,
  emptyOffer,
  type Offer,
  type Upstream,
  type UpstreamCall,
  type UpstreamChange,
  type UpstreamHealth,
} from '../upstreams/upstream.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { RawResult } from '../wire/message.ts';
import type { Action, LastingPorts } from './action.ts';
import { maySee } from './roles.ts';

export const adminNamespace = 'admin';

/** How long a start is left alone before what administration needs is loaded. */
const loadAfterMs = 1_000;

/**
 * The gateway's own administration as an upstream: its actions are tools like any other, and each call of one takes the whole path:
 * authenticated, authorized, limited, checked and on record.
 */
export class AdminUpstream implements Upstream {
  readonly id = `${adminNamespace}/actions`;
  readonly kind = 'admin';
  readonly #ports: () => LastingPorts;
  readonly #listeners = new Set<(change: UpstreamChange) => void>();
  #actions: ReadonlyMap<string, Action> = new Map();
  #offer: Offer = { ...emptyOffer, isStale: false };
  #loading: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #calls = { succeeded: 0, failed: 0 };

  constructor(ports: () => LastingPorts) {
    this.#ports = ports;
  }

  start(): void {
    this.#timer = setTimeout(() => void this.load(), loadAfterMs).unref();
  }

  /** Loads the actions now, for whoever is about to use them. */
  load(): Promise<void> {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  maySee(caller: Caller, name: string): boolean {
    const action = this.#actions.get(name);
    return action !== undefined && maySee(caller, action);
  }

  get isLoaded(): boolean {
    return this.#actions.size > 0;
  }

  offer(): Offer {
    return this.#offer;
  }

  async ready(): Promise<void> {}

  health(): UpstreamHealth {
    return builtInHealth(this.#calls);
  }

  async call({ params, caller: whoever, ip = '', door, trace, cancel }: UpstreamCall): Promise<Answer> {
    await this.load();
    const action = this.#actions.get(String(params.name));
    const caller = asCaller(whoever);
    if (action === undefined || caller === undefined) throw new GatewayError('unknown_capability', 'There is no such action.');
    const read = action.input.safeParse(isObject(params.arguments) ? params.arguments : {});
    if (!read.success) {
      const { describeProblems } = await import('./action-tool.ts');
      throw new GatewayError('bad_arguments', describeProblems(read.error));
    }
    const given = await action.run(
      { ...this.#ports(), door: door === 'rest' || door === 'cli' ? door : 'mcp', trace, cancel },
      caller,
      read.data as never,
      ip,
    );
    const output = JSON.parse(JSON.stringify(given)) as JsonObject;
    const result = { content: [{ type: 'text', text: JSON.stringify(output, undefined, 2) }], structuredContent: output };
    this.#calls = { ...this.#calls, succeeded: this.#calls.succeeded + 1 };
    return { kind: 'result', result: RawResult.from(result) };
  }

  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}
  notify(): void {}
  endSession(): void {}

  onChange(listener: (change: UpstreamChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
  }

  async #load(): Promise<void> {
    clearTimeout(this.#timer);
    const [{ actions }, { toTool }] = await Promise.all([import('./actions.ts'), import('./action-tool.ts')]);
    this.#actions = new Map(actions.map((action) => [action.name, action]));
    this.#offer = { ...emptyOffer, isStale: false, tools: actions.map(toTool) };
    for (const listener of this.#listeners) listener({ kind: 'offer' });
  }
}

/** The entry under which the catalog has it. */
export const adminConfig = builtInConfig({
  namespace: adminNamespace,
  name: 'actions',
  kind: 'admin',
  // A description is fetched, read, and shown in the catalog before its registration answers.
  timeoutMs: 180_000,
  maxDurationMs: 600_000,
});
