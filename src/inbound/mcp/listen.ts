import type { Caller } from '../../call/authenticate.ts';
import { mayEnter, visibleToolbox } from '../../call/authorize.ts';
import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { notificationBytes, type RequestMessage } from '../../wire/message.ts';
import type { Edge } from './edge.ts';
import type { Watcher } from './list-changes.ts';
import { capabilitiesOf } from './lists.ts';
import { ownModernResult, resultMessage } from './messages.ts';
import type { Reply } from './reply.ts';
import type { Wish } from './subscriptions.ts';
import { followable, readTaskIds } from './task-notices.ts';
import { declaresTasks } from './tasks-extension.ts';

const subscriptionKey = 'io.modelcontextprotocol/subscriptionId';
/** Streams one process holds open; a client needs one. */
const maxListeners = 10_000;
/** Of one caller, so that nobody keeps everybody else from listening. */
const maxListenersPerCaller = maxListeners / 2;
/** Resources one stream may watch. */
const maxUris = 1000;

/** One open `subscriptions/listen` stream (MCP 2026-07-28 utilities/subscriptions). */
interface Listener extends Watcher {
  caller: Caller;
  end(): void;
}

/** Every open listen stream; each hears of its own toolbox only. */
export class Listeners {
  readonly #open = new Set<Listener>();
  readonly #perCaller = new Map<string, number>();

  get size(): number {
    return this.#open.size;
  }

  /** For one more of this caller. Throws GatewayError `too_many_sessions`. */
  makeRoom({ id }: Pick<Caller, 'id'>): void {
    const whose = this.#open.size >= maxListeners ? 'This gateway' : 'This caller';
    if (whose === 'This caller' && (this.#perCaller.get(id) ?? 0) < maxListenersPerCaller) return;
    throw new GatewayError('too_many_sessions', `${whose} holds as many open streams as it may; try again later.`, {
      retryAfterMs: 10_000,
    });
  }

  add(listener: Listener): void {
    this.#open.add(listener);
    this.#count(listener, 1);
  }

  delete(listener: Listener): void {
    if (this.#open.delete(listener)) this.#count(listener, -1);
  }

  #count({ caller: { id } }: Listener, more: 1 | -1): void {
    const count = (this.#perCaller.get(id) ?? 0) + more;
    if (count > 0) this.#perCaller.set(id, count);
    else this.#perCaller.delete(id);
  }

  /** All that are open. */
  open(): Iterable<Watcher> {
    return this.#open;
  }

  /** Knows every caller as they are now, and ends the streams of those who may not come here any more. */
  renew(renewed: (caller: Caller) => Caller | undefined): void {
    for (const listener of [...this.#open]) {
      const caller = renewed(listener.caller);
      if (caller === undefined || !mayEnter(caller, listener.toolbox)) listener.end();
      else listener.caller = caller;
    }
  }

  /** Ends the streams of callers whose proof has expired. */
  endOf(hasExpired: (caller: Caller) => boolean): void {
    for (const listener of [...this.#open]) if (hasExpired(listener.caller)) listener.end();
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
  /** As the client declared them. */
  readonly capabilities: JsonObject;
}

/** Opens one stream and acknowledges what of the wish is honoured. It ends with the client, or with us. */
export async function listen(
  edge: Edge,
  { caller, ip, toolbox: toolboxName, message: request, reply, capabilities: clientCan }: Listening,
): Promise<void> {
  const toolbox = visibleToolbox(edge.circumstances(ip), edge.catalog(), caller, toolboxName);
  const { notifications: wish } = request.params;
  if (!isObject(wish))
    throw new GatewayError('invalid_params', '"notifications" must be an object that says what to listen for.');
  const wantedUris = readUris(wish.resourceSubscriptions);
  const wantedTasks = declaresTasks(clientCan) ? readTaskIds(wish.taskIds) : [];
  if (!reply.canSend) throw new GatewayError('not_acceptable', 'This answer is an event stream: accept text/event-stream.');
  edge.listeners.makeRoom(caller);

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
    ip,
    toolbox: toolboxName,
    seen: toolbox,
    changed: (method) => {
      if (wanted.has(method)) notify(method, {});
    },
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
    const circumstances = () => edge.circumstances(ip);
    const end = await watch(edge, { circumstances, caller: () => listener.caller, toolbox: toolboxName, uri, onUpdated });
    if (end === undefined) continue;
    ends.push(end);
    uris.push(uri);
  }
  const follower = {
    caller: () => listener.caller,
    toolbox: toolboxName,
    ip,
    tell: (task: JsonObject) => notify('notifications/tasks', task),
  };
  const followed = new Map<string, () => () => void>();
  for (const id of wantedTasks) {
    const begin = await followable(edge, follower, id);
    if (begin !== undefined) followed.set(id, begin);
  }
  if (!isOpen) {
    close();
    return;
  }
  // Whoever began to listen may have lost the right to while their wishes were passed on.
  const renewed = edge.renewed(caller);
  if (renewed === undefined || !mayEnter(renewed, toolboxName)) {
    listener.end();
    return;
  }
  listener.caller = renewed;
  if (uris.length > 0) honoured.resourceSubscriptions = uris;
  if (followed.size > 0) honoured.taskIds = [...followed.keys()];
  // First of all messages (MCP 2026-07-28 utilities/subscriptions): only then may a change be told.
  notify('notifications/subscriptions/acknowledged', { notifications: honoured });
  isAcknowledged = true;
  edge.listeners.add(listener);
  for (const begin of followed.values()) ends.push(begin());
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
