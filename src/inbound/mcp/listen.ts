import type { Caller } from '../../call/authenticate.ts';
import { mayUse } from '../../call/authorize.ts';
import { findToolbox } from '../../call/resolve.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { notificationBytes, type RequestMessage } from '../../wire/message.ts';
import type { Edge } from './edge.ts';
import { capabilitiesOf, changedLists } from './lists.ts';
import { ownModernResult, resultMessage } from './messages.ts';
import type { Reply } from './reply.ts';

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

  add(listener: Listener): void {
    if (this.#open.size >= maxListeners) {
      throw new GatewayError('too_many_sessions', 'This gateway holds as many open streams as it may; try again later.', {
        retryAfterMs: 10_000,
      });
    }
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

/** Opens one stream and acknowledges what of the wish is honoured. It ends with the client, or with us. */
export async function listen(
  edge: Edge,
  caller: Caller,
  toolboxName: string,
  request: RequestMessage,
  reply: Reply,
): Promise<void> {
  const toolbox = findToolbox(edge.catalog(), toolboxName);
  if (!mayUse(caller, toolbox)) throw new GatewayError('not_found', `There is no toolbox "${toolboxName}" here.`);
  const wish = request.params.notifications;
  if (!isObject(wish))
    throw new GatewayError('invalid_params', '"notifications" must be an object that says what to listen for.');
  const capabilities = capabilitiesOf(toolbox, 'modern');
  const honoured: JsonObject = {};
  const wanted = new Set<string>();
  for (const [key, { capability, method }] of Object.entries(notices)) {
    if (wish[key] !== true || capabilities[capability] === undefined) continue;
    honoured[key] = true;
    wanted.add(method);
  }

  const meta = { [subscriptionKey]: JSON.parse(request.id) as string | number };
  const listener: Listener = {
    caller,
    toolbox: toolboxName,
    wanted,
    notify: (method, params) => reply.send(notificationBytes(method, { ...params, _meta: meta })),
    end: () => {
      close();
      reply.finish(resultMessage(request.id, ownListenResult(meta)));
    },
  };
  const ends: (() => void)[] = [];
  let isClosed = false;
  const close = () => {
    isClosed = true;
    edge.listeners.delete(listener);
    for (const end of ends.splice(0)) end();
  };
  edge.listeners.add(listener);
  reply.onGone(close);

  const uris = await watch(edge, listener, wish.resourceSubscriptions, ends);
  if (isClosed) {
    close();
    return;
  }
  if (uris.length > 0) honoured.resourceSubscriptions = uris;
  listener.notify('notifications/subscriptions/acknowledged', { notifications: honoured });
}

async function watch(edge: Edge, listener: Listener, wish: unknown, ends: (() => void)[]): Promise<string[]> {
  if (!Array.isArray(wish)) return [];
  if (wish.length > maxUris) throw new GatewayError('invalid_params', `One stream may watch at most ${maxUris} resources.`);
  const honoured: string[] = [];
  for (const uri of wish) {
    if (typeof uri !== 'string') continue;
    try {
      const onUpdated = () => listener.notify('notifications/resources/updated', { uri });
      ends.push(await edge.subscriptions.add(edge.catalog(), listener.caller, listener.toolbox, uri, onUpdated));
      honoured.push(uri);
    } catch (error) {
      // What cannot be watched is simply not acknowledged.
      edge.log.debug({ err: error, uri }, 'a resource cannot be watched');
    }
  }
  return honoured;
}

function ownListenResult(meta: JsonObject): readonly Buffer[] {
  const [own] = ownModernResult({});
  const result = JSON.parse(String(own)) as { _meta: JsonObject };
  return [Buffer.from(JSON.stringify({ ...result, _meta: { ...result._meta, ...meta } }))];
}
