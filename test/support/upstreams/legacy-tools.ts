import { setTimeout as wait } from 'node:timers/promises';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SubscribeRequestSchema, UnsubscribeRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

export interface LegacyState {
  /** Names of tools whose handlers were aborted. */
  readonly cancelled: string[];
  /** Calls of `echo`, to see what was carried out how often. */
  readonly echoed: string[];
  readonly subscribed: string[];
}

/** A server of the v1 SDK with tools that do what legacy servers do: report, ask, log, hang. */
export function legacyServer(state: LegacyState): McpServer {
  const server = new McpServer(
    { name: 'legacy-peer', version: '1.0.0' },
    { capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } }, instructions: 'Legacy.' },
  );
  server.registerTool('echo', { inputSchema: { text: z.string() } }, ({ text }) => {
    state.echoed.push(text);
    return { content: [{ type: 'text', text }] };
  });
  server.registerTool('count', { inputSchema: { to: z.number() } }, async ({ to }, extra) => {
    const progressToken = extra._meta?.progressToken;
    for (let progress = 1; progress <= to; progress++) {
      if (progressToken === undefined) continue;
      await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total: to } });
    }
    return { content: [{ type: 'text', text: `counted to ${to}` }] };
  });
  server.registerTool('hang', {}, async (extra) => {
    await wait(60_000, undefined, { signal: extra.signal }).catch(() => state.cancelled.push('hang'));
    return { content: [] };
  });
  const question = {
    message: 'Who are you?',
    requestedSchema: { type: 'object' as const, properties: { name: { type: 'string' as const } }, required: ['name'] },
  };
  server.registerTool('ask', {}, async (extra) => {
    const answer = await server.server.elicitInput(question, { relatedRequestId: extra.requestId });
    return { content: [{ type: 'text', text: `${answer.action}: ${answer.content?.name ?? 'nobody'}` }] };
  });
  // Like most servers in the field: the question does not say which call it belongs to.
  server.registerTool('ask-loosely', { inputSchema: { marker: z.string() } }, async ({ marker }) => {
    const answer = await server.server.elicitInput({ ...question, message: marker });
    return { content: [{ type: 'text', text: `${answer.action}: ${answer.content?.name ?? 'nobody'}` }] };
  });
  server.registerTool('sample', {}, async (extra) => {
    const answer = await server.server.createMessage(
      { messages: [{ role: 'user', content: { type: 'text', text: 'say hi' } }], maxTokens: 10 },
      { relatedRequestId: extra.requestId },
    );
    return { content: [{ type: 'text', text: answer.content.type === 'text' ? answer.content.text : '' }] };
  });
  server.registerTool('roots', {}, async (extra) => {
    const { roots } = await server.server.listRoots(undefined, { relatedRequestId: extra.requestId });
    return { content: [{ type: 'text', text: roots.map(({ uri }) => uri).join(' ') }] };
  });
  server.registerTool('log', {}, async (extra) => {
    for (const level of ['debug', 'error'] as const) {
      await extra.sendNotification({ method: 'notifications/message', params: { level, data: `${level} line` } });
    }
    return { content: [{ type: 'text', text: 'logged' }] };
  });
  server.registerTool('log-loosely', {}, async () => {
    await server.server.sendLoggingMessage({ level: 'error', data: 'whose is this?' });
    return { content: [{ type: 'text', text: 'logged' }] };
  });
  server.registerTool('touch', {}, async () => {
    await server.server.sendResourceUpdated({ uri: 'test://note' });
    return { content: [] };
  });
  server.registerTool('grow', {}, () => {
    server.registerTool('grown', {}, () => ({ content: [] }));
    return { content: [] };
  });
  server.registerTool('fail', {}, () => ({ content: [{ type: 'text', text: 'no luck' }], isError: true }));
  server.registerResource('note', 'test://note', {}, (uri) => ({ contents: [{ uri: uri.href, text: 'noted' }] }));
  server.registerResource('page', new ResourceTemplate('test://page/{id}', { list: undefined }), {}, (uri) => ({
    contents: [{ uri: uri.href, text: uri.pathname }],
  }));
  server.registerPrompt('greet', {}, () => ({ messages: [{ role: 'user', content: { type: 'text', text: 'Hello' } }] }));
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    state.subscribed.push(params.uri);
    return {};
  });
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    state.subscribed.splice(state.subscribed.indexOf(params.uri), 1);
    return {};
  });
  return server;
}

export function newLegacyState(): LegacyState {
  return { cancelled: [], echoed: [], subscribed: [] };
}
