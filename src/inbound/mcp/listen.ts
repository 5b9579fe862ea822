import type { Caller } from '../../call/authenticate.ts';
import { visibleToolbox } from '../../call/authorize.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { notificationBytes, type RequestMessage } from '../../wire/message.ts';
import type { Edge } from './edge.ts';
import { capabilitiesOf, changedLists } from './lists.ts';
import { ownModernResult, resultMessage } from './messages.ts';
import type { Reply } from './reply.ts';
import type { Wish } from './subscriptions.ts';

const subscriptionKey = 'io.modelcontextprotocol/subscriptionId';
/** Streams one process holds open; a client needs one. */
const maxListeners = 10_000;
/** Resources one stream may watch. */
const maxUris = 1000;

/** One open `subscriptions/listen` stream (MCP 2026-07-28 utilities/subscriptions). */
interface Listener {
  readonly caller: Caller;
  readonly toolbox: string;
  /** The list notifications it asked for and that this toolbox can send. */
  readonly wanted: ReadonlySet<string>;
  notify(method: string, params: JsonObject): void;
  end(): void;
}

/** Every open listen stream; each hears of its own toolbox only. */
export class Listeners {
  readonly #open = new Set<Listener>();

  get size(): number {
    return this.#open.size;
  }

  /** Throws GatewayError `too_many_sessions`. */
  makeRoom(): void {
    if (this.#open.size >= maxListeners) {
      throw new GatewayError('too_many_sessions', 'This gateway holds as many open streams as it may; try again later.', {
        retryAfterMs: 10_000,
      });
    }
  }

  add(listener: Listener): void {
    this.#open.add(listener);
  }

  delete(listener: Listener): void {
    this.#open.delete(listener);
  }

  swapped(before: Catalog, after: Catalog): void {
    const changes = new Map<string, readonly string[]>();
    for (const listener of this.#open) {
      const { toolbox } = listener;
      let changed = changes.get(toolbox);
      if (changed === undefined) {
        const of = (catalog: Catalog) => (toolbox === '' ? catalog.everything : catalog.toolboxes.get(toolbox));
        changed = changedLists(of(before), of(after));
        changes.set(toolbox, changed);
      }
      for (const method of changed) if (listener.wanted.has(method)) listener.notify(method, {});
    }
  }

  /** Ends the streams of callers that are no longer let in. */
  endOf(isGone: (caller: Caller) => boolean): void {
    for (const listener of [...this.#open]) if (isGone(listener.caller)) listener.end();
  }

  /** Ends every stream the way the specification calls graceful. */
  endAll(): void {
    for (const listener of [...this.#open]) listener.end();
  }
}

const notices = {
  toolsListChanged: { capability: 'tools', method: 'notifications/tools/list_changed' },
  promptsListChanged: { capability: 'prompts', method: 'notifications/prompts/list_changed' },
  resourcesListChanged: { capability: 'resources', method: 'notifications/resources/list_changed' },
} as const;

/** Somebody who listens. */
interface Listening {
  readonly caller: Caller;
  readonly ip: string;
  readonly toolbox: string;
  readonly message: RequestMessage;
  readonly reply: Reply;
}

/** Opens one stream and acknowledges what of the wish is honoured. It ends with the client, or with us. */
export async function listen(
  edge: Edge,
  { caller, ip, toolbox: toolboxName, message: request, reply }: Listening,
): Promise<void> {
  const toolbox = visibleToolbox(edge.circumstances(ip), edge.catalog(), caller, toolboxName);
  const { notifications: wish } = request.params;
  if (!isObject(wish))
    throw new GatewayError('invalid_params', '"notifications" must be an object that says what to listen for.');
  const wantedUris = readUris(wish.resourceSubscriptions);
  if (!reply.canSend) throw new GatewayError('not_acceptable', 'This answer is an event stream: accept text/event-stream.');
  edge.listeners.makeRoom();

  const capabilities = capabilitiesOf(toolbox, 'modern');
  const honoured: JsonObject = {};
  const wanted = new Set<string>();
  for (const [key, { capability, method }] of Object.entries(notices)) {
    if (wish[key] !== true || capabilities[capability] === undefined) continue;
    honoured[key] = true;
    wanted.add(method);
  }

  const meta = { [subscriptionKey]: JSON.parse(request.id) as string | number };
  const ends: (() => void)[] = [];
  let isOpen = true;
  let isAcknowledged = false;
  const close = () => {
    isOpen = false;
    edge.listeners.delete(listener);
    for (const end of ends.splice(0)) end();
  };
  const notify = (method: string, params: JsonObject) => reply.send(notificationBytes(method, { ...params, _meta: meta }));
  const listener: Listener = {
    caller,
    toolbox: toolboxName,
    wanted,
    notify,
    end: () => {
      close();
      reply.finish(resultMessage(request.id, ownModernResult({}, meta)));
    },
  };
  reply.onGone(() => {
    close();
    reply.abandon();
  });

  const uris: string[] = [];
  for (const uri of wantedUris) {
    const onUpdated = () => {
      if (isAcknowledged) notify('notifications/resources/updated', { uri });
    };
    const end = await watch(edge, { circumstances: () => edge.circumstances(ip), caller, toolbox: toolboxName, uri, onUpdated });
    if (end === undefined) continue;
    ends.push(end);
    uris.push(uri);
  }
  if (!isOpen) {
    close();
    return;
  }
  if (uris.length > 0) honoured.resourceSubscriptions = uris;
  // First of all messages (MCP 2026-07-28 utilities/subscriptions): only then may a change be told.
  notify('notifications/subscriptions/acknowledged', { notifications: honoured });
  isAcknowledged = true;
  edge.listeners.add(listener);
}

function readUris(wish: unknown): readonly string[] {
  if (!Array.isArray(wish)) return [];
  if (wish.length > maxUris) throw new GatewayError('invalid_params', `One stream may watch at most ${maxUris} resources.`);
  return [...new Set(wish.filter((uri) => typeof uri === 'string'))];
}

/** Undefined where a resource cannot be watched: it is then not acknowledged. */
async function watch(edge: Edge, wish: Wish): Promise<(() => void) | undefined> {
  try {
    return await edge.subscriptions.add(edge.catalog(), wish);
  } catch (error) {
    edge.log.debug({ err: error, uri: wish.uri }, 'a resource cannot be watched');
    return undefined;
  }
}
