import { createServer, type IncomingHttpHeaders } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { listenOn } from '../support/upstreams/listen-on.ts';

export interface ToolServer {
  readonly url: string;
  readonly port: number;
  /** Requests of any kind. */
  readonly requests: IncomingHttpHeaders[];
  close(): Promise<void>;
}

/** An MCP server with tools of these names, each of which says its own name and what it was told. */
export async function startToolServer(tools: readonly string[]): Promise<ToolServer> {
  const handler = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: 'tool-server', version: '1.0.0' }, { capabilities: { tools: { listChanged: true } } });
      for (const name of tools) {
        const description = `Does what ${name.replaceAll('_', ' ')} says`;
        server.registerTool(name, { description, inputSchema: z.object({ text: z.string().optional() }) }, ({ text = '' }) => ({
          content: [{ type: 'text', text: `${name} ${text}`.trim() }],
        }));
      }
      return server;
    }),
  );
  const requests: IncomingHttpHeaders[] = [];
  const server = await listenOn(
    createServer((request, response) => {
      requests.push(request.headers);
      void handler(request as Parameters<typeof handler>[0], response);
    }),
  );
  return { ...server, requests };
}
