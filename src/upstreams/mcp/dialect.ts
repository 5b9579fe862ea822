import { isObject, type JsonObject } from '../../wire/json.ts';
import { passesLevel } from '../../wire/mcp.ts';
import type { ErrorMessage, RawResult, ResultMessage } from '../../wire/message.ts';
import { requestBytes } from '../../wire/message.ts';
import { LinkError } from '../link-error.ts';
import type { Answer, Conversation, UpstreamCall } from '../upstream.ts';
import type { InFlight, Link } from './link.ts';

export type ListKind = 'tools' | 'prompts' | 'resources';

/** One era of MCP spoken over a link: `modern.ts` and `legacy.ts`. */
export interface Dialect {
  readonly era: 'modern' | 'legacy';
  readonly transport: Link['transport'];
  readonly protocolVersion: string;
  readonly server: string | undefined;
  readonly capabilities: JsonObject;
  readonly instructions: string | undefined;
  /** Sessions and child processes held open. */
  readonly connections: number;
  /** Sends a request of our own, such as a list. Rejects with LinkError. */
  ask(method: string, params: JsonObject): Promise<ResultMessage | ErrorMessage>;
  call(call: UpstreamCall): Promise<Answer>;
  /** The URIs whose updates are wanted, from now on. */
  watch(uris: ReadonlySet<string>): void;
  /** Whether the far end says by itself when a list has changed, and can be heard right now. */
  announces(): boolean;
  notify(session: string, method: string, params: JsonObject): void;
  endSession(session: string): void;
  close(): Promise<void>;
}

/** What a dialect tells the upstream it works for. */
export interface DialectEvents {
  listChanged(kind: ListKind): void;
  resourceUpdated(uri: string): void;
  /** The connection is gone: nothing can be called until it is opened again. */
  lost(error: LinkError): void;
  /** A question came that no caller could be found for with certainty. */
  needsOwnSessions(): void;
}

/** The far end does not speak this era (any more) and has certainly not acted: ask again which it speaks, then send again. */
export class MisfitError extends LinkError {}

export const listOf: Readonly<Record<string, ListKind>> = {
  'notifications/tools/list_changed': 'tools',
  'notifications/prompts/list_changed': 'prompts',
  'notifications/resources/list_changed': 'resources',
};

/** Whether a far end declares, of each list that it offers, that it says when that list has changed. */
export function promisesNews(capabilities: JsonObject): boolean {
  return Object.values(listOf).every((kind) => {
    const declared = capabilities[kind];
    return !isObject(declared) || declared.listChanged === true;
  });
}

interface AskedAnswer {
  readonly answer: ResultMessage | ErrorMessage;
  readonly status: number;
  readonly sessionId: string | undefined;
}

/** Sends one request and waits for its answer, with a deadline. For everything but calls, whose deadline is their caller's. */
export function askLink(
  link: Link,
  method: string,
  params: JsonObject,
  options: {
    readonly headers: readonly string[];
    readonly limitBytes: number;
    readonly timeoutMs: number;
    readonly subject: string;
  },
): Promise<AskedAnswer> {
  return new Promise((resolve, reject) => {
    const id = link.nextId();
    let sessionId: string | undefined;
    let sent: InFlight | undefined;
    const timer = setTimeout(() => {
      sent?.giveUp();
      reject(
        new LinkError('upstream_timeout', `${options.subject} did not answer ${method} within ${options.timeoutMs / 1000} s.`, {
          detail: `no answer to ${method} within ${options.timeoutMs / 1000} s`,
        }),
      );
    }, options.timeoutMs);
    const { headers, limitBytes } = options;
    const request = { id, body: requestBytes(id, method, params), headers, limitBytes, isResumable: false };
    sent = link.request(request, {
      received: (message) => link.inbox.received(message),
      opened: (_status, session) => {
        sessionId = session;
      },
      answered: (answer, status) => {
        clearTimeout(timer);
        resolve({ answer, status, sessionId });
      },
      failed: (error) => {
        clearTimeout(timer);
        reject(error);
      },
    });
  });
}

/** The whole value of a result of our own request. Throws LinkError where it only looked like JSON. */
export function readValue(result: RawResult, subject: string): JsonObject {
  try {
    return result.value;
  } catch {
    const detail = 'it sent something that is not JSON';
    throw new LinkError('upstream_failed', `${subject} sent something that is not JSON.`, { detail });
  }
}

/** Hands progress to the client that asked for it, without our token. */
export function passProgress(conversation: Conversation, params: JsonObject): void {
  if (conversation.progress === undefined) return;
  const { progressToken: _, ...rest } = params;
  conversation.progress(rest);
}

/** Hands a log message to the client, if it asked for that level. */
export function passLog(conversation: Conversation, params: JsonObject): void {
  if (conversation.logLevel === undefined) return;
  if (passesLevel(params.level, conversation.logLevel)) conversation.log(params);
}

const tasksExtension = 'io.modelcontextprotocol/tasks';

/** A client's capabilities as an upstream may see them: without tasks, which are not passed through. */
export function passableCapabilities(capabilities: JsonObject): JsonObject {
  const { extensions } = capabilities;
  const hasTasks =
    Object.hasOwn(capabilities, 'tasks') ||
    (typeof extensions === 'object' && extensions !== null && Object.hasOwn(extensions, tasksExtension));
  if (!hasTasks) return capabilities;
  const { tasks: _, ...rest } = capabilities;
  if (typeof extensions === 'object' && extensions !== null && !Array.isArray(extensions)) {
    const { [tasksExtension]: _tasks, ...others } = extensions;
    rest.extensions = others;
  }
  return rest;
}

/** Whether a client can be asked anything at all. */
export function isInteractive(capabilities: JsonObject): boolean {
  return capabilities.elicitation !== undefined || capabilities.sampling !== undefined || capabilities.roots !== undefined;
}
