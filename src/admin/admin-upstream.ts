import type { Misfit } from '../arguments/find-misfits.ts';
import { asCaller } from '../call/authenticate/caller.ts';
import type { Caller } from '../call/authenticate.ts';
import { BadArguments } from '../call/bad-arguments.ts';
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
  #misfitsOf: (action: Action, args: JsonObject) => readonly Misfit[] = () => [];
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

  /** The roles that show this action, any of which is enough. */
  rolesOf(name: string): readonly string[] | undefined {
    const action = this.#actions.get(name);
    return action && [...new Set(['admin', ...action.roles])];
  }

  /** Everything that this action has against its arguments. */
  misfits(name: string, args: JsonObject): readonly Misfit[] {
    const action = this.#actions.get(name);
    return action === undefined ? [] : this.#misfitsOf(action, args);
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
    const args = isObject(params.arguments) ? params.arguments : {};
    const read = action.input.safeParse(args);
    if (!read.success) throw new BadArguments({ found: this.#misfitsOf(action, args), isPartial: false });
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
    const [{ actions }, { toTool }, { inputMisfits }] = await Promise.all([
      import('./actions.ts'),
      import('./action-tool.ts'),
      import('./input-misfits.ts'),
    ]);
    this.#misfitsOf = inputMisfits;
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
