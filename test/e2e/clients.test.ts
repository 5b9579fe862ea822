import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createMCPClient, ElicitationRequestSchema } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as AiStdioTransport } from '@ai-sdk/mcp/mcp-stdio';
import { AxMCPClient, AxMCPStreamableHTTPTransport } from '@ax-llm/ax';
import { AxMCPStdioTransport } from '@ax-llm/ax-tools';
import { MCPServerStdio, MCPServerStreamableHttp } from '@openai/agents-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ClientKind, clientKinds, connectClient, type Door, type StdioDoor, textOf } from '../support/clients.ts';
import { type Gateway, gatewayCommand, startGateway } from '../support/gateway.ts';
import { expectNoneLeft, runMarker, type Spawned, startFixture } from '../support/processes.ts';

/** As much of a client as all of them have. */
interface AnyClient {
  list(): Promise<string[]>;
  call(name: string, args?: Record<string, unknown>): Promise<{ text: string; isError: boolean }>;
  readResource(uri: string): Promise<string>;
  /** Undefined for a client that knows tools and resources only. */
  readonly getPrompt: ((name: string, args: Record<string, string>) => Promise<string>) | undefined;
  /** Messages of the questions it was asked; undefined for a client that cannot be asked. */
  readonly asked: string[] | undefined;
  close(): Promise<void>;
}
type Connect = (door: Door | StdioDoor) => Promise<AnyClient>;

const answer = { action: 'accept' as const, content: { username: 'ada', email: 'ada@example.com' } };
const [markerName = '', markerValue = ''] = runMarker.split('=');

function outcome(result: object): { text: string; isError: boolean } {
  const { content = [], isError } = result as { content?: { text?: string }[]; isError?: boolean };
  return { text: content.map(({ text = '' }) => text).join('\n'), isError: isError === true };
}

function spawning({ command: [command = '', ...args], environment }: StdioDoor) {
  return { command, args, env: { ...environment, PATH: process.env.PATH ?? '', [markerName]: markerValue } };
}

function official(kind: ClientKind): Connect {
  return async (door) => {
    const client = await connectClient(kind, door);
    client.answers.elicitation = answer;
    const asked: string[] = [];
    return {
      list: client.listTools,
      call: async (name, args) => {
        const result = await client.call(name, args);
        asked.push(...client.asked.splice(0).map(({ params }) => String(params.message)));
        return { text: textOf(result), isError: result.isError === true };
      },
      readResource: async (uri) => JSON.stringify(await client.request('resources/read', { uri })),
      getPrompt: (name, args) => client.getPrompt(name, args),
      asked,
      close: client.close,
    };
  };
}

/** Vercel's AI SDK: a protocol implementation of its own. */
const connectAiSdk: Connect = async (door) => {
  const asked: string[] = [];
  const client = await createMCPClient({
    transport:
      'url' in door
        ? { type: 'http', url: door.url, headers: { authorization: `Bearer ${door.key}` } }
        : new AiStdioTransport({
            ...spawning(door),
            stderr: 'ignore',
          }),
    capabilities: { elicitation: {} },
  });
  client.onElicitationRequest(ElicitationRequestSchema, ({ params }) => {
    asked.push(params.message);
    return answer;
  });
  return {
    list: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args = {}) => outcome(await client.callTool({ name, arguments: args })),
    readResource: async (uri) => JSON.stringify(await client.readResource({ uri })),
    getPrompt: async (name, args) => JSON.stringify(await client.getPrompt({ name, arguments: args })),
    asked,
    close: () => client.close(),
  };
};

/** Ax: another protocol implementation of its own. */
function connectAx(era: 'auto' | 'legacy' | 'modern'): Connect {
  return async (door) => {
    const asked: string[] = [];
    const transport =
      'url' in door
        ? new AxMCPStreamableHTTPTransport(door.url, {
            authorization: `Bearer ${door.key}`,
            ssrfProtection: { allowHTTP: true, allowLoopback: true },
          })
        : // It reads nothing of what the server logs, which would wait for a reader.
          new AxMCPStdioTransport(spawning({ ...door, environment: { ...door.environment, GATEHOUSE_LOG_LEVEL: 'silent' } }));
    const client = new AxMCPClient(transport, {
      era,
      elicitation: (params) => {
        asked.push(params.message);
        return answer;
      },
    });
    await client.init();
    return {
      list: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: async (name, args = {}) => outcome(await client.callTool(name, args)),
      readResource: async (uri) => JSON.stringify(await client.readResource(uri)),
      getPrompt: async (name, args) => JSON.stringify(await client.getPrompt(name, args)),
      asked,
      close: async () => {
        await client.close();
        if (transport instanceof AxMCPStdioTransport) await transport.terminate();
      },
    };
  };
}

/** OpenAI's Agents SDK: lists, caches and reports errors in its own way, cannot be asked and has no prompts. */
const connectAgents: Connect = async (door) => {
  const server =
    'url' in door
      ? new MCPServerStreamableHttp({ url: door.url, requestInit: { headers: { authorization: `Bearer ${door.key}` } } })
      : // It prints what the server logs, and cannot be told not to.
        new MCPServerStdio(spawning({ ...door, environment: { ...door.environment, GATEHOUSE_LOG_LEVEL: 'silent' } }));
  await server.connect();
  return {
    list: async () => (await server.listTools()).map(({ name }) => name),
    call: async (name, args = {}) => outcome(await server.callToolResult(name, args)),
    readResource: async (uri) => JSON.stringify(await server.readResource(uri)),
    getPrompt: undefined,
    asked: undefined,
    close: () => server.close(),
  };
};

let home: string;

/** The bridge that Claude Desktop users put before remote servers: a client of its own process, spoken to over stdio. */
function throughMcpRemote(kind: ClientKind): Connect {
  const program = fileURLToPath(new URL('../../node_modules/mcp-remote/dist/proxy.js', import.meta.url));
  return (door) => {
    if (!('url' in door)) throw new Error('mcp-remote connects over HTTP only');
    const header = `authorization:Bearer ${door.key}`;
    return official(kind)({
      command: [process.execPath, program, door.url, '--transport', 'http-only', '--header', header],
      environment: { MCP_REMOTE_CONFIG_DIR: home, HOME: home },
    });
  };
}

const overHttp: Record<string, Connect> = {
  ...Object.fromEntries(clientKinds.map((kind) => [`SDK ${kind}`, official(kind)])),
  '@ai-sdk/mcp': connectAiSdk,
  '@openai/agents': connectAgents,
  'Ax, finding out the era': connectAx('auto'),
  'Ax, legacy': connectAx('legacy'),
  'Ax, modern': connectAx('modern'),
  'mcp-remote': throughMcpRemote('v1'),
};
const overStdio: Record<string, Connect> = {
  ...Object.fromEntries(clientKinds.map((kind) => [`SDK ${kind}`, official(kind)])),
  '@ai-sdk/mcp': connectAiSdk,
  '@openai/agents': connectAgents,
  'Ax, finding out the era': connectAx('auto'),
  'Ax, legacy': connectAx('legacy'),
  'Ax, modern': connectAx('modern'),
};

let fixtures: (Spawned & { url: string })[];
let gateway: Gateway;
let namespaces: string[];

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'gatehouse-home-'));
  fixtures = await Promise.all([startFixture('everything-legacy.ts'), startFixture('everything-modern.ts')]);
  namespaces = ['old', 'new'].map(
    (namespace, index) => `
namespace: ${namespace}
upstreams:
  fixture: { kind: mcp, url: "${fixtures[index]?.url}" }
`,
  );
  gateway = await startGateway(namespaces);
});

afterAll(async () => {
  await gateway?.stop();
  await Promise.all((fixtures ?? []).map((fixture) => fixture.stop()));
  rmSync(home, { recursive: true, force: true });
  await expectNoneLeft();
});

function suite(connect: Connect, door: () => Door | StdioDoor): void {
  let client: AnyClient;
  beforeAll(async () => {
    client = await connect(door());
  });
  afterAll(async () => {
    await client?.close();
  });

  test('lists the tools of both upstreams, twice the same', async () => {
    const names = await client.list();
    expect(names).toContain('old__test_echo');
    expect(names).toContain('new__test_echo');
    expect(await client.list()).toEqual(names);
  });

  describe.each(['old', 'new'])('upstream %s', (namespace) => {
    test('answers a call', async () => {
      expect(await client.call(`${namespace}__test_echo`, { text: 'naïve 漢字' })).toEqual({
        text: 'naïve 漢字',
        isError: false,
      });
    });

    test('fails with its own words', async () => {
      const result = await client.call(`${namespace}__test_error_handling`);
      expect(result).toEqual({ text: 'This tool intentionally returns an error for testing', isError: true });
    });

    test('is refused what it does not have', async () => {
      const failure = await client.call(`${namespace}__no_such_tool`).then(
        ({ text }) => text,
        (error: Error) => error.message,
      );
      expect(failure).toMatch(/no_such_tool|not found|unknown/i);
    });

    test('has its resource read', async () => {
      expect(await client.readResource(`test://gh.${namespace}.fixture/static-text`)).toContain(
        'This is the content of the static text resource.',
      );
    });

    test('has its prompt filled', async ({ skip }) => {
      if (client.getPrompt === undefined) return skip('this client has no prompts');
      const prompt = await client.getPrompt(`${namespace}__test_prompt_with_arguments`, { arg1: 'one', arg2: 'two' });
      expect(prompt).toContain("arg1='one', arg2='two'");
    });

    test('asks the user, or says that it cannot', async () => {
      client.asked?.splice(0);
      const asking = client.call(`${namespace}__test_elicitation`, { message: 'Who are you?' });
      if (client.asked === undefined) {
        const told = await asking.then(
          ({ text }) => text,
          (error: Error) => error.message,
        );
        expect(told).toMatch(/elicitation/i);
        return;
      }
      const result = await asking;
      expect(result.text).toContain('"username":"ada"');
      expect(client.asked).toEqual(['Who are you?']);
    });
  });
}

describe.each(Object.entries(overHttp))('%s over HTTP', (_name, connect) => {
  suite(connect, () => ({ url: gateway.mcpUrl(), key: gateway.key }));
});

describe.each(Object.entries(overStdio))('%s over stdio', (_name, connect) => {
  let local: { environment: Record<string, string>; remove: () => void };
  beforeAll(() => {
    local = gateway.forStdio();
  });
  afterAll(() => local.remove());
  suite(connect, () => ({ command: [...gatewayCommand, 'stdio'], environment: local.environment }));
});
