import type { JsonObject } from '../wire/json.ts';
import { encodeHeaderValue, paramHeaders, paramHeaderText } from '../wire/param-headers.ts';

/** Code that makes one call. */
export interface Snippets {
  /** What a client's configuration takes, as JSON. */
  readonly mcp: string;
  readonly curl: string;
  readonly typescript: string;
  readonly python: string;
}

interface Example {
  /** The MCP address, e.g. `https://gatehouse.example.com/mcp/triage`. */
  readonly url: string;
  readonly tool: string;
  readonly arguments: JsonObject;
  readonly inputSchema: JsonObject;
}

/** How to call a tool from outside, with the key in the environment variable GATEHOUSE_KEY. */
export function snippetsFor(example: Example): Snippets {
  return { mcp: mcp(example), curl: curl(example), typescript: typescript(example), python: python(example) };
}

function mcp({ url }: Example): string {
  const headers = { Authorization: `Bearer \${GATEHOUSE_KEY}` };
  return JSON.stringify({ mcpServers: { gatehouse: { type: 'http', url, headers } } }, undefined, 2);
}

function curl({ url, tool, arguments: args, inputSchema }: Example): string {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'curl', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: tool, arguments: args, _meta: meta } };
  const headers = [
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    'MCP-Protocol-Version: 2026-07-28',
    'Mcp-Method: tools/call',
    `Mcp-Name: ${tool}`,
    ...mirrored(inputSchema, args),
  ];
  return [
    `curl -sS ${shellWord(url)}`,
    `-H "Authorization: Bearer $GATEHOUSE_KEY"`,
    ...headers.map((header) => `-H ${shellWord(header)}`),
    `-d ${shellWord(JSON.stringify(body))}`,
  ].join(' \\\n  ');
}

/** Arguments that the schema wants to see in headers as well (MCP 2026-07-28 basic/transports). */
function mirrored(inputSchema: JsonObject, args: JsonObject): string[] {
  const read = paramHeaders(inputSchema);
  if (!('headers' in read)) return [];
  return read.headers.flatMap((header) => {
    const text = paramHeaderText(args, header);
    return text === undefined ? [] : [`${header.name}: ${encodeHeaderValue(text)}`];
  });
}

const sdk = '@modelcontextprotocol/sdk';

function typescript({ url, tool, arguments: args }: Example): string {
  return `import { Client } from '${sdk}/client/index.js';
import { StreamableHTTPClientTransport } from '${sdk}/client/streamableHttp.js';

const transport = new StreamableHTTPClientTransport(new URL(${literal(url)}), {
  requestInit: { headers: { Authorization: \`Bearer \${process.env.GATEHOUSE_KEY}\` } },
});
const client = new Client({ name: 'example', version: '1.0.0' });
await client.connect(transport);
const result = await client.callTool({ name: ${literal(tool)}, arguments: JSON.parse(${literal(JSON.stringify(args))}) });
console.log(JSON.stringify(result, undefined, 2));
await client.close();`;
}

// A JSON text in quotes is a text of TypeScript and of Python as well, and nothing in it can end the quotes. As a text of each,
// arguments stay what they are: neither language reads numbers and names of members as JSON does.
function literal(value: string): string {
  return JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}

/** For the package `mcp` from 1.24 on, 2.x included: what the transport gives beside its two streams differs. */
function python({ url, tool, arguments: args }: Example): string {
  return `import asyncio
import json
import os

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


async def main():
    headers = {"Authorization": f"Bearer {os.environ['GATEHOUSE_KEY']}"}
    async with create_mcp_http_client(headers=headers) as http_client:
        async with streamable_http_client(${literal(url)}, http_client=http_client) as streams:
            async with ClientSession(*streams[:2]) as session:
                await session.initialize()
                result = await session.call_tool(${literal(tool)}, json.loads(${literal(JSON.stringify(args))}))
                print(result.model_dump_json(indent=2))


asyncio.run(main())`;
}

/** Within single quotes a shell reads nothing; a quote itself stands outside of them (POSIX 2.2.2). */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
