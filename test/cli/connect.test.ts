import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clients } from '../../src/cli/clients.ts';
import { type ConnectContext, type ConnectOptions, connectCommand } from '../../src/cli/connect.ts';

const script = fileURLToPath(new URL('./tiny-server.ts', import.meta.url));
let directory: string;
let printed: string[];
let complained: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-connect-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function context(overrides: Partial<ConnectContext> = {}): ConnectContext {
  printed = [];
  complained = [];
  return {
    node: process.execPath,
    script,
    paths: { data: directory, namespaces: join(directory, 'namespaces') },
    url: 'http://127.0.0.1:8080/mcp',
    home: { platform: 'linux', directory, environment: {} },
    timeoutMs: 10_000,
    print: (line) => printed.push(line),
    complain: (line) => complained.push(line),
    ...overrides,
  };
}

function connect(options: ConnectOptions, overrides: Partial<ConnectContext> = {}) {
  return connectCommand(options, context(overrides));
}

function received(): { method: string; params: Record<string, unknown> }[] {
  const lines = readFileSync(join(directory, 'received.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

const cursorFile = () => join(directory, '.cursor', 'mcp.json');

function writeCursorFile(text: string): void {
  mkdirSync(dirname(cursorFile()), { recursive: true });
  writeFileSync(cursorFile(), text);
}

describe('where each client keeps its servers', () => {
  const home = (platform: NodeJS.Platform, environment = {}) => ({
    platform,
    directory: platform === 'win32' ? 'C:\\Users\\ann' : '/home/ann',
    environment,
  });
  const file = (name: string, platform: NodeJS.Platform, environment = {}) =>
    clients.find((client) => client.name === name)?.file(home(platform, environment));

  test.each([
    ['claude-desktop', 'darwin', '/home/ann/Library/Application Support/Claude/claude_desktop_config.json'],
    ['claude-desktop', 'win32', 'C:\\Users\\ann\\AppData\\Roaming\\Claude\\claude_desktop_config.json'],
    ['claude-desktop', 'linux', '/home/ann/.config/Claude/claude_desktop_config.json'],
    ['claude-code', 'linux', '/home/ann/.claude.json'],
    ['vscode', 'darwin', '/home/ann/Library/Application Support/Code/User/mcp.json'],
    ['vscode', 'linux', '/home/ann/.config/Code/User/mcp.json'],
    ['cursor', 'win32', 'C:\\Users\\ann\\.cursor\\mcp.json'],
    ['windsurf', 'linux', '/home/ann/.codeium/windsurf/mcp_config.json'],
    ['devin-desktop', 'darwin', '/home/ann/.config/devin/mcp_config.json'],
    ['codex', 'linux', '/home/ann/.codex/config.toml'],
    ['gemini-cli', 'linux', '/home/ann/.gemini/settings.json'],
  ] as const)('%s on %s', (name, platform, expected) => {
    expect(file(name, platform)).toBe(expected);
  });

  test('variables by which a client moves its file are followed', () => {
    expect(file('codex', 'linux', { CODEX_HOME: '/c' })).toBe('/c/config.toml');
    expect(file('claude-code', 'linux', { CLAUDE_CONFIG_DIR: '/c' })).toBe('/c/.claude.json');
    expect(file('vscode', 'linux', { XDG_CONFIG_HOME: '/c' })).toBe('/c/Code/User/mcp.json');
    expect(file('vscode', 'win32', { APPDATA: 'D:\\r' })).toBe('D:\\r\\Code\\User\\mcp.json');
  });
});

describe('connecting a client that starts Gatehouse itself', () => {
  test.each(clients.map((client) => [client.name, client] as const))(
    '%s: the written entry starts and answers a call',
    async (name, client) => {
      expect(await connect({ client: name })).toBe(0);
      const text = readFileSync(client.file(context().home), 'utf8');
      expect(text).toContain(JSON.stringify(process.execPath));
      expect(text).toContain(JSON.stringify(directory));
      expect(received().map(({ method }) => method)).toEqual([
        'initialize',
        'notifications/initialized',
        'tools/list',
        'tools/list',
        'tools/call',
        'tools/call',
      ]);
      expect(received()[0]?.params.protocolVersion).toBe(client.protocolVersion);
    },
  );

  test('it says what was written, what answered and what to do next', async () => {
    await connect({ client: 'cursor' });
    expect(printed.join('\n')).toMatch(/Wrote "gatehouse" into .*mcp\.json, which was not there before\./);
    expect(printed.join('\n')).toMatch(/tiny 1 lists 4 tools and answered a call of demo__list in \d+ ms\./);
    expect(printed.at(-1)).toMatch(/^Next: Restart Cursor/);
  });

  test('a second time it is already connected, and nothing is written', async () => {
    await connect({ client: 'codex' });
    await connect({ client: 'codex' });
    expect(printed[0]).toMatch(/Codex is already connected/);
    expect(readdirSync(join(directory, '.codex'))).toEqual(['config.toml']);
  });

  test('what is in the file stays, and the file as it was is kept', async () => {
    const text = '{\n  // mine\n  "mcpServers": {\n    "other": { "command": "x" }\n  }\n}\n';
    writeCursorFile(text);
    chmodSync(cursorFile(), 0o640);
    writeFileSync(`${cursorFile()}.gatehouse-backup-1`, 'older');
    expect(await connect({ client: 'cursor' })).toBe(0);
    expect(readFileSync(cursorFile(), 'utf8')).toContain(
      '  // mine\n  "mcpServers": {\n    "other": { "command": "x" },\n    "gatehouse"',
    );
    expect(statSync(cursorFile()).mode & 0o777).toBe(0o640);
    expect(readFileSync(`${cursorFile()}.gatehouse-backup-1`, 'utf8')).toBe('older');
    expect(readFileSync(`${cursorFile()}.gatehouse-backup-2`, 'utf8')).toBe(text);
    expect(readdirSync(dirname(cursorFile())).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test("what a person added to our entry stays, and the trial has the entry's environment", async () => {
    writeCursorFile(
      JSON.stringify({ mcpServers: { gatehouse: { url: 'http://old/mcp', env: { CRM_TOKEN: 't' }, disabled: false } } }),
    );
    expect(await connect({ client: 'cursor' })).toBe(0);
    const { gatehouse } = JSON.parse(readFileSync(cursorFile(), 'utf8')).mcpServers;
    expect(gatehouse).toMatchObject({ type: 'stdio', env: { CRM_TOKEN: 't' }, disabled: false });
    expect(gatehouse).not.toHaveProperty('url');
    const environment = JSON.parse(readFileSync(join(directory, 'environment.json'), 'utf8'));
    expect(environment).toMatchObject({ CRM_TOKEN: 't', PATH: process.env.PATH });
    // What only this shell knows is missing when a desktop application starts the server.
    expect(environment).not.toHaveProperty('VITEST');
  });

  test('a link stays a link', async () => {
    writeFileSync(join(directory, 'real.json'), '{}');
    mkdirSync(dirname(cursorFile()));
    symlinkSync(join(directory, 'real.json'), cursorFile());
    expect(await connect({ client: 'cursor' })).toBe(0);
    expect(readFileSync(join(directory, 'real.json'), 'utf8')).toContain('gatehouse');
  });

  test('each toolbox is a server of its own', async () => {
    await connect({ client: 'cursor' });
    await connect({ client: 'cursor', toolbox: 'triage' });
    const { mcpServers } = JSON.parse(readFileSync(cursorFile(), 'utf8'));
    expect(Object.keys(mcpServers)).toEqual(['gatehouse', 'gatehouse-triage']);
    expect(mcpServers['gatehouse-triage'].args).toEqual(expect.arrayContaining(['--toolbox', 'triage']));
  });

  test('a file that cannot be read is left alone, and there is something to paste', async () => {
    writeCursorFile('{ "mcpServers": ');
    expect(await connect({ client: 'cursor' })).toBe(1);
    expect(readFileSync(cursorFile(), 'utf8')).toBe('{ "mcpServers": ');
    expect(complained[0]).toMatch(/mcp\.json cannot be read as JSON: line 1.* Nothing was changed\./);
    expect(JSON.parse(complained[1] ?? '')).toHaveProperty('mcpServers.gatehouse.args');
  });
});

describe('the trial', () => {
  test.each([
    ['missing', /exit code 3.*It said: There is no toolbox "missing" here/],
    ['noisy', /no MCP message: Welcome!/],
    ['failing', /lists 3 tools, but demo__broken answered with an error: the upstream is away/],
  ])('of a server that is %s fails with the reason', async (fault, reason) => {
    expect(await connect({ client: 'cursor', toolbox: fault })).toBe(1);
    expect(complained[0]).toMatch(reason);
  });

  test('of a server that says nothing ends', async () => {
    expect(await connect({ client: 'cursor', toolbox: 'mute' }, { timeoutMs: 1500 })).toBe(1);
    expect(complained[0]).toMatch(/did not answer within 1\.5 s/);
  });

  test('of a server with an upstream that is away goes on with the others', async () => {
    expect(await connect({ client: 'cursor', toolbox: 'partly' })).toBe(0);
    const called = received().filter(({ method }) => method === 'tools/call');
    expect(called.map(({ params }) => params.name)).toEqual(['away__one', 'demo__list']);
  });

  test('calls nothing that may change something', async () => {
    expect(await connect({ client: 'cursor', toolbox: 'unsafe' })).toBe(0);
    expect(printed.join('\n')).toMatch(/so none was called/);
    expect(received().map(({ method }) => method)).not.toContain('tools/call');
  });

  test('of a program that is not there says so', async () => {
    expect(await connect({ client: 'cursor' }, { node: join(directory, 'no-node') })).toBe(1);
    expect(complained[0]).toMatch(/could not be started/);
  });
});

describe('connecting a client to a gateway at an address', () => {
  let server: Server;
  let url: string;
  let requests: { method: string | undefined; headers: NodeJS.Dict<string | string[]>; body: string }[];
  let contentType: string;

  beforeEach(async () => {
    requests = [];
    contentType = 'application/json';
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        requests.push({ method: request.method, headers: request.headers, body });
        if (request.headers.authorization !== 'Bearer good-key') {
          response.writeHead(401, { 'content-type': 'application/json' });
          response.end('{"jsonrpc":"2.0","id":null,"error":{"code":40100,"message":"This key is not known here."}}');
          return;
        }
        const { id, method } = body === '' ? {} : JSON.parse(body);
        if (id === undefined) {
          response.writeHead(202).end();
          return;
        }
        const result =
          method === 'initialize' ? { protocolVersion: '2025-11-25', serverInfo: { name: 'far', version: '2' } } : { tools: [] };
        const message = JSON.stringify({ jsonrpc: '2.0', id, result });
        response.writeHead(200, { 'content-type': contentType, 'mcp-session-id': 's1' });
        response.end(
          contentType === 'application/json' ? message : `: hi\n\ndata: {"jsonrpc":"2.0","method":"x"}\n\ndata: ${message}\n\n`,
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => server.close());

  test.each(['claude-code', 'vscode', 'cursor', 'windsurf', 'devin-desktop', 'codex', 'gemini-cli'])(
    '%s: the address and the key are written',
    async (name) => {
      expect(await connect({ client: name, url, key: 'good-key' })).toBe(0);
      const file = clients.find((client) => client.name === name)?.file(context().home) ?? '';
      expect(readFileSync(file, 'utf8')).toContain(`"${url}/mcp"`);
      expect(readFileSync(file, 'utf8')).toContain('"Bearer good-key"');
      expect(statSync(file).mode & 0o777).toBe(0o600);
    },
  );

  test('the session is opened, used and ended as a client would', async () => {
    contentType = 'text/event-stream';
    expect(await connect({ client: 'cursor', url: `${url}/mcp/`, toolbox: 'triage' }, { home: homeWithKey('good-key') })).toBe(0);
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'POST', 'POST', 'DELETE']);
    expect(requests[2]?.headers).toMatchObject({ 'mcp-session-id': 's1', 'mcp-protocol-version': '2025-11-25' });
    expect(readFileSync(cursorFile(), 'utf8')).toContain('/mcp/triage"');
  });

  test('a key that is refused is reported in the words of the gateway', async () => {
    expect(await connect({ client: 'cursor', url, key: 'bad-key' })).toBe(1);
    expect(complained[0]).toMatch(/This key is not known here\. \(HTTP 401\)/);
  });

  test('what a gateway says of itself moves no cursor, as sentences or as JSON', async () => {
    const odd = '\u001b]52;c;eA==\u0007\u001b[2J\u202e';
    const tool = { name: `${odd}tool`, inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } };
    for (const isError of [false, true]) {
      const hostile = createServer(async (request, response) => {
        const { id, method } = JSON.parse(await buffer(request).then(String));
        const serverInfo = { name: `${odd}far`, version: odd };
        const called = { content: [{ type: 'text', text: odd }], isError };
        const results = { initialize: { protocolVersion: '2025-11-25', serverInfo }, 'tools/list': { tools: [tool] } };
        const result = Object.hasOwn(results, method) ? results[method as 'initialize'] : called;
        response.writeHead(id === undefined ? 202 : 200, { 'content-type': 'application/json' });
        response.end(id === undefined ? '' : JSON.stringify({ jsonrpc: '2.0', id, result }));
      });
      await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
      const options = { client: 'cursor', url: `http://127.0.0.1:${(hostile.address() as AddressInfo).port}`, key: 'good-key' };
      for (const json of [false, true]) {
        expect(await connect({ ...options, json })).toBe(isError ? 1 : 0);
        const said = [...printed, ...complained].join('\n');
        expect(said).toContain('\\u001b]52;c;eA==\\u0007\\u001b[2J\\u202etool');
        expect(said).not.toMatch(/[^\n\P{C}]/u);
        if (json && !isError) expect(JSON.parse(printed[0] ?? '').trial.called).toBe(`${odd}tool`);
      }
      hostile.close();
    }
  });

  test('nobody at the address is reported with what to do', async () => {
    await new Promise((resolve) => server.close(resolve));
    expect(await connect({ client: 'cursor', url, key: 'good-key' })).toBe(1);
    expect(complained[0]).toMatch(/Nothing answers at .*ECONNREFUSED.*Start the gateway/);
  });

  test('an existing file that others can read is pointed out', async () => {
    writeCursorFile('{}');
    chmodSync(cursorFile(), 0o644);
    await connect({ client: 'cursor', url, key: 'good-key' });
    expect(printed.join('\n')).toMatch(/chmod 600/);
  });

  test('what cannot be asked for is refused before anything is written', async () => {
    expect(await connect({ client: 'cursor', url })).toBe(2);
    expect(complained[0]).toMatch(/GATEHOUSE_KEY/);
    expect(await connect({ client: 'claude-desktop', url, key: 'good-key' })).toBe(2);
    expect(complained[0]).toMatch(/local servers only/);
    expect(await connect({ client: 'cursor', url: 'http://u:p@x/mcp', key: 'k' })).toBe(2);
    expect(await connect({ client: 'cursor', url: 'nowhere', key: 'k' })).toBe(2);
    expect(await connect({ client: 'cursor', toolbox: '../x' })).toBe(2);
    expect(readdirSync(directory)).toEqual([]);
  });

  function homeWithKey(key: string): ConnectContext['home'] {
    return { platform: 'linux', directory, environment: { GATEHOUSE_KEY: key } };
  }
});

describe('what is printed', () => {
  test('--print shows the entry and writes nothing', async () => {
    expect(await connect({ client: 'vscode', print: true })).toBe(0);
    expect(JSON.parse(printed[1] ?? '')).toHaveProperty('servers.gatehouse.command', process.execPath);
    expect(await connect({ client: 'codex', print: true })).toBe(0);
    expect(printed[1]).toMatch(/^\[mcp_servers\.gatehouse\]\ncommand = /);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('a client without a row gets both forms to paste, and the names that are known', async () => {
    expect(await connect({ client: 'cursr' })).toBe(2);
    expect(printed[0]).toMatch(/Did you mean "cursor"\? Known: claude-desktop, /);
    expect(JSON.parse(printed[2] ?? '')).toHaveProperty('mcpServers.gatehouse.command');
    expect(JSON.parse(printed[4] ?? '')).toHaveProperty('mcpServers.gatehouse.headers.Authorization', 'Bearer <key>');
  });

  test('--json is one object, without the key', async () => {
    expect(await connect({ client: 'cursor', json: true })).toBe(0);
    expect(printed).toHaveLength(1);
    expect(JSON.parse(printed[0] ?? '')).toMatchObject({
      client: 'cursor',
      status: 'connected',
      file: cursorFile(),
      backup: null,
      trial: { server: 'tiny 1', tools: 4, called: 'demo__list' },
    });
    expect(await connect({ client: 'cursor', json: true, url: 'http://127.0.0.1:1', key: 'secret-key' })).toBe(1);
    expect(printed.join('')).not.toContain('secret-key');
  });
});
