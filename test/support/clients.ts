import {
  type ClientCapabilities,
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpTransportV2,
  type Transport as TransportV2,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioTransportV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioTransportV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpTransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport as TransportV1 } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { runMarker } from './processes.ts';

type Values = Record<string, unknown>;

export interface Content {
  readonly type: string;
  readonly text?: string;
  readonly [name: string]: unknown;
}
export interface ToolResult {
  readonly content: readonly Content[];
  readonly isError?: boolean | undefined;
  readonly _meta?: Values | undefined;
}

export interface CallOptions {
  readonly onProgress?: (progress: { progress: number; total?: number | undefined; message?: string | undefined }) => void;
  readonly signal?: AbortSignal;
  /** Asks for log messages at or above this level. */
  readonly logLevel?: 'debug' | 'info' | 'warning' | 'error';
}

/** What tests do with a client, whichever generation and era it is. */
export interface TestClient {
  readonly name: string;
  readonly era: 'legacy' | 'modern';
  call(tool: string, args?: Values, options?: CallOptions): Promise<ToolResult>;
  /** Any other request, its result as it came. */
  request(method: string, params?: Values): Promise<Values>;
  /** A prompt, questions answered on the way, as JSON. */
  getPrompt(name: string, args?: Record<string, string>): Promise<string>;
  listTools(): Promise<string[]>;
  /** Hears about changes from now on; resolves when the server has taken note. */
  watch(uris?: readonly string[]): Promise<void>;
  /** What the client was asked, in order. */
  readonly asked: { method: string; params: Values }[];
  /** What it answers. */
  readonly answers: { elicitation: Values; sampling: Values; roots: Values };
  readonly logs: Values[];
  readonly changes: string[];
  close(): Promise<void>;
}

export interface Door {
  readonly url: string;
  readonly key: string;
}
export interface StdioDoor {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export type ClientKind = 'v1' | 'v2 legacy' | 'v2 auto' | 'v2 pinned';
export const clientKinds: readonly ClientKind[] = ['v1', 'v2 legacy', 'v2 auto', 'v2 pinned'];
export const modernVersion = '2026-07-28';

export interface ClientOptions {
  /** Without it: elicitation, sampling and roots. */
  readonly capabilities?: ClientCapabilities;
}

const allCapabilities: ClientCapabilities = { elicitation: { form: {}, url: {} }, sampling: {}, roots: { listChanged: true } };

function createAnswers(): TestClient['answers'] {
  return {
    elicitation: { action: 'accept', content: { username: 'ada', email: 'ada@example.com' } },
    sampling: { role: 'assistant', content: { type: 'text', text: 'sampled' }, model: 'test-model', stopReason: 'endTurn' },
    roots: { roots: [{ uri: 'file:///work', name: 'work' }] },
  };
}

function markedEnvironment(environment: Readonly<Record<string, string>>): Record<string, string> {
  const [name = '', value = ''] = runMarker.split('=');
  return { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...environment, [name]: value };
}

export function connectClient(kind: ClientKind, door: Door | StdioDoor, options: ClientOptions = {}): Promise<TestClient> {
  if (kind === 'v1') return connectV1(door, options);
  const mode = { 'v2 legacy': 'legacy', 'v2 auto': 'auto', 'v2 pinned': { pin: modernVersion } }[kind] as VersionNegotiationMode;
  return connectV2(kind, mode, door, options);
}

async function connectV1(door: Door | StdioDoor, { capabilities = allCapabilities }: ClientOptions): Promise<TestClient> {
  const client = new ClientV1({ name: 'test-client-v1', version: '1.0.0' }, { capabilities });
  const asked: TestClient['asked'] = [];
  const logs: Values[] = [];
  const changes: string[] = [];
  const answers = createAnswers();
  const note = (request: { method: string; params?: object | undefined }): void => {
    asked.push({ method: request.method, params: withoutMeta(request.params) });
  };
  if (capabilities.elicitation !== undefined) {
    client.setRequestHandler(ElicitRequestSchema, (request) => {
      note(request);
      return answers.elicitation;
    });
  }
  if (capabilities.sampling !== undefined) {
    client.setRequestHandler(CreateMessageRequestSchema, (request) => {
      note(request);
      return answers.sampling;
    });
  }
  if (capabilities.roots !== undefined) {
    client.setRequestHandler(ListRootsRequestSchema, (request) => {
      note(request);
      return answers.roots;
    });
  }
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void logs.push(params));
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changes.push('tools'));
  client.setNotificationHandler(PromptListChangedNotificationSchema, () => void changes.push('prompts'));
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void changes.push(params.uri));
  const transport =
    'url' in door
      ? new HttpTransportV1(new URL(door.url), { requestInit: { headers: { authorization: `Bearer ${door.key}` } } })
      : new StdioTransportV1({ ...commandOf(door), env: markedEnvironment(door.environment), stderr: 'ignore' });
  // The v1 typings of the transports do not meet `exactOptionalPropertyTypes`.
  await client.connect(transport as TransportV1);
  return {
    name: 'v1',
    era: 'legacy',
    asked,
    answers,
    logs,
    changes,
    call: async (name, args = {}, { onProgress, signal, logLevel } = {}) => {
      if (logLevel !== undefined) await client.setLoggingLevel(logLevel);
      const result = await client.request({ method: 'tools/call', params: { name, arguments: args } }, CallToolResultSchema, {
        ...(onProgress === undefined ? {} : { onprogress: onProgress }),
        ...(signal === undefined ? {} : { signal }),
      });
      return result as ToolResult;
    },
    request: async (method, params = {}) => {
      const { z } = await import('zod');
      return (await client.request({ method, params } as never, z.looseObject({}) as never)) as Values;
    },
    getPrompt: async (name, args = {}) => JSON.stringify(await client.getPrompt({ name, arguments: args })),
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    watch: async (uris = []) => {
      for (const uri of uris) await client.subscribeResource({ uri });
    },
    close: async () => {
      if (transport instanceof HttpTransportV1) await transport.terminateSession().catch(() => {});
      await client.close();
    },
  };
}

async function connectV2(
  kind: ClientKind,
  mode: VersionNegotiationMode,
  door: Door | StdioDoor,
  { capabilities = allCapabilities }: ClientOptions,
): Promise<TestClient> {
  const client = new ClientV2({ name: 'test-client-v2', version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
  const asked: TestClient['asked'] = [];
  const logs: Values[] = [];
  const changes: string[] = [];
  const answers = createAnswers();
  const note = (request: { method: string; params?: object | undefined }): void => {
    asked.push({ method: request.method, params: withoutMeta(request.params) });
  };
  if (capabilities.elicitation !== undefined) {
    client.setRequestHandler('elicitation/create', (request) => {
      note(request);
      return answers.elicitation as { action: 'accept' };
    });
  }
  if (capabilities.sampling !== undefined) {
    client.setRequestHandler('sampling/createMessage', (request) => {
      note(request);
      return answers.sampling as never;
    });
  }
  if (capabilities.roots !== undefined) {
    client.setRequestHandler('roots/list', (request) => {
      note(request);
      return answers.roots as { roots: [] };
    });
  }
  client.setNotificationHandler('notifications/message', ({ params }) => void logs.push(params));
  client.setNotificationHandler('notifications/tools/list_changed', () => void changes.push('tools'));
  client.setNotificationHandler('notifications/prompts/list_changed', () => void changes.push('prompts'));
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => void changes.push(params.uri));
  const transport: TransportV2 =
    'url' in door
      ? new HttpTransportV2(new URL(door.url), { requestInit: { headers: { authorization: `Bearer ${door.key}` } } })
      : new StdioTransportV2({ ...commandOf(door), env: markedEnvironment(door.environment), stderr: 'ignore' });
  await client.connect(transport);
  const era = client.getProtocolEra() === 'modern' ? 'modern' : 'legacy';
  return {
    name: kind,
    era,
    asked,
    answers,
    logs,
    changes,
    call: async (name, args = {}, { onProgress, signal, logLevel } = {}) => {
      if (logLevel !== undefined && era === 'legacy') await client.setLoggingLevel(logLevel);
      const meta = logLevel !== undefined && era === 'modern' ? { _meta: { 'io.modelcontextprotocol/logLevel': logLevel } } : {};
      const result = await client.callTool(
        { name, arguments: args, ...meta },
        {
          ...(onProgress === undefined ? {} : { onprogress: onProgress }),
          ...(signal === undefined ? {} : { signal }),
        },
      );
      return result as ToolResult;
    },
    request: async (method, params = {}) => {
      const { z } = await import('zod');
      return (await client.request({ method, params } as never, z.looseObject({}) as never)) as Values;
    },
    getPrompt: async (name, args = {}) => JSON.stringify(await client.getPrompt({ name, arguments: args })),
    listTools: async () => (await client.listTools({}, { cacheMode: 'bypass' })).tools.map(({ name }) => name),
    watch: async (uris = []) => {
      if (era === 'modern') {
        await client.listen({ toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: [...uris] });
        return;
      }
      for (const uri of uris) await client.subscribeResource({ uri });
    },
    close: async () => {
      if (transport instanceof HttpTransportV2) await transport.terminateSession().catch(() => {});
      await client.close();
    },
  };
}

function commandOf({ command: [command = '', ...args] }: StdioDoor): { command: string; args: string[] } {
  return { command, args };
}

function withoutMeta(params: object | undefined): Values {
  const { _meta, ...rest } = (params ?? {}) as Values;
  return rest;
}

export function textOf(result: ToolResult): string {
  return result.content.map(({ text }) => text ?? '').join('\n');
}
