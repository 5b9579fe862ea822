import { createServer } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { acceptedContent, createMcpHandler, inputRequired, McpServer, type McpServerFactory } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { listenOn, type TestServer } from './listen-on.ts';

interface ModernState {
  /** Names of tools whose handlers were aborted. */
  readonly cancelled: string[];
  /** Tools that exist beside the fixed ones. */
  readonly extra: string[];
}

/** The same tools for every era the v2 SDK serves. */
export function modernFactory(state: ModernState): McpServerFactory {
  return () => {
    const server = new McpServer(
      { name: 'modern-peer', version: '2.0.0' },
      {
        capabilities: {
          tools: { listChanged: true },
          prompts: { listChanged: true },
          resources: { listChanged: true, subscribe: true },
          logging: {},
        },
        instructions: 'Ask nicely.',
      },
    );
    server.registerTool('echo', { description: 'Says it back', inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
      content: [{ type: 'text', text }],
    }));
    server.registerTool(
      'regional',
      { description: 'Needs a header', inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }) }) },
      ({ region }) => ({ content: [{ type: 'text', text: `in ${region}` }] }),
    );
    server.registerTool(
      'count',
      { description: 'Counts with progress', inputSchema: z.object({ to: z.number() }) },
      async ({ to }, ctx) => {
        const progressToken = ctx.mcpReq._meta?.progressToken;
        for (let progress = 1; progress <= to; progress++) {
          if (progressToken !== undefined) {
            await ctx.mcpReq.notify({
              method: 'notifications/progress',
              params: { progressToken, progress, total: to, message: `step ${progress}` },
            });
          }
        }
        return { content: [{ type: 'text', text: `counted to ${to}` }] };
      },
    );
    server.registerTool('hang', { description: 'Never answers', inputSchema: z.object({}) }, async (_args, ctx) => {
      await wait(60_000, undefined, { signal: ctx.mcpReq.signal }).catch(() => state.cancelled.push('hang'));
      return { content: [] };
    });
    server.registerTool('ask', { description: 'Asks for a name', inputSchema: z.object({}) }, (_args, ctx) => {
      const answer = acceptedContent<{ name: string }>(ctx.mcpReq.inputResponses, 'who');
      if (answer === undefined) {
        return inputRequired({
          inputRequests: {
            who: inputRequired.elicit({
              message: 'Who are you?',
              requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
            }),
          },
          requestState: 'round-1',
        });
      }
      return { content: [{ type: 'text', text: `hello ${answer.name}` }] };
    });
    server.registerTool('log', { description: 'Writes to the log', inputSchema: z.object({}) }, async (_args, ctx) => {
      await ctx.mcpReq.log('debug', 'quiet');
      await ctx.mcpReq.log('error', 'loud');
      return { content: [{ type: 'text', text: 'logged' }] };
    });
    server.registerTool('capabilities', { description: 'Says what it sees', inputSchema: z.object({}) }, (_args, ctx) => ({
      content: [{ type: 'text', text: JSON.stringify(ctx.mcpReq.envelope ?? null) }],
    }));
    for (const name of state.extra) {
      server.registerTool(name, { description: 'Came later', inputSchema: z.object({}) }, () => ({ content: [] }));
    }
    server.registerResource('note', 'test://note', { title: 'A note' }, (uri) => ({
      contents: [{ uri: uri.href, text: 'noted' }],
    }));
    server.registerPrompt('greet', { description: 'A greeting' }, () => ({
      messages: [{ role: 'user', content: { type: 'text', text: 'Hello' } }],
    }));
    return server;
  };
}

export interface ModernServer extends TestServer {
  readonly state: ModernState;
  toolsChanged(): void;
  resourceUpdated(uri: string): void;
}

/** A server of the v2 SDK over HTTP: 2026-07-28, and the older era without sessions unless `legacy` says otherwise. */
export async function startModernServer(options: { legacy?: 'stateless' | 'reject'; port?: number } = {}): Promise<ModernServer> {
  const state: ModernState = { cancelled: [], extra: [] };
  const handler = createMcpHandler(modernFactory(state), { legacy: options.legacy ?? 'reject' });
  const handle = toNodeHandler(handler);
  const server = createServer((request, response) => void handle(request as Parameters<typeof handle>[0], response));
  const running = await listenOn(server, options.port);
  return {
    ...running,
    state,
    toolsChanged: () => handler.notify.toolsChanged(),
    resourceUpdated: (uri) => handler.notify.resourceUpdated(uri),
    close: async () => {
      await handler.close();
      await running.close();
    },
  };
}
