import { posix, win32 } from 'node:path';
import type { JsonObject } from '../wire/json.ts';

/** A server that the client starts itself and speaks to over stdio. */
export interface LocalServer {
  readonly kind: 'local';
  readonly command: string;
  readonly args: readonly string[];
}

/** A server that runs already and is spoken to over Streamable HTTP. */
export interface RemoteServer {
  readonly kind: 'remote';
  readonly url: string;
  /** Goes into the client's file as it is; the file is as secret as the key. */
  readonly key: string;
}

/** Whose configuration it is, and on what machine. */
export interface Home {
  readonly platform: NodeJS.Platform;
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** An application that can be connected. Adding one is adding a row below. */
export interface Client {
  /** As it is typed on the command line. */
  readonly name: string;
  readonly title: string;
  readonly file: (home: Home) => string;
  readonly format: 'json' | 'toml';
  /** The object in that file which holds one entry per server. */
  readonly section: string;
  readonly local: (server: LocalServer) => JsonObject;
  /** Undefined where the client's file takes local servers only. */
  readonly remote: ((server: RemoteServer) => JsonObject) | undefined;
  /** The version its `initialize` asks for. */
  readonly protocolVersion: string;
  /** What a person does for the client to notice. */
  readonly next: string;
}

const latestLegacy = '2025-11-25';

export const clients: readonly Client[] = [
  {
    name: 'claude-desktop',
    title: 'Claude Desktop',
    file: (home) => inAppData(home, 'Claude', 'claude_desktop_config.json'),
    format: 'json',
    section: 'mcpServers',
    local: commandAndArgs,
    remote: undefined,
    protocolVersion: latestLegacy,
    next: 'Quit Claude Desktop completely and start it again.',
  },
  {
    name: 'claude-code',
    title: 'Claude Code',
    file: (home) => join(home, home.environment.CLAUDE_CONFIG_DIR ?? home.directory, '.claude.json'),
    format: 'json',
    section: 'mcpServers',
    local: withType,
    remote: (server) => ({ type: 'http', url: server.url, headers: bearer(server) }),
    protocolVersion: latestLegacy,
    next: 'Start a new session; /mcp shows it.',
  },
  {
    name: 'vscode',
    title: 'VS Code',
    file: (home) => inAppData(home, 'Code', 'User', 'mcp.json'),
    format: 'json',
    section: 'servers',
    local: withType,
    remote: (server) => ({ type: 'http', url: server.url, headers: bearer(server) }),
    protocolVersion: latestLegacy,
    next: 'Run "MCP: List Servers" in VS Code and start it there.',
  },
  {
    name: 'cursor',
    title: 'Cursor',
    file: (home) => join(home, home.directory, '.cursor', 'mcp.json'),
    format: 'json',
    section: 'mcpServers',
    local: withType,
    remote: (server) => ({ url: server.url, headers: bearer(server) }),
    protocolVersion: latestLegacy,
    next: 'Restart Cursor, and switch it on in the list of MCP servers if it is off.',
  },
  {
    name: 'windsurf',
    title: 'Windsurf',
    file: (home) => join(home, home.directory, '.codeium', 'windsurf', 'mcp_config.json'),
    format: 'json',
    section: 'mcpServers',
    local: commandAndArgs,
    remote: (server) => ({ serverUrl: server.url, headers: bearer(server) }),
    protocolVersion: latestLegacy,
    next: 'Refresh the MCP panel of Windsurf. Under its newer name, Devin Desktop, it reads another file: connect "devin-desktop" instead.',
  },
  {
    name: 'devin-desktop',
    title: 'Devin Desktop',
    file: (home) =>
      home.platform === 'win32'
        ? inAppData(home, 'devin', 'mcp_config.json')
        : join(home, home.directory, '.config', 'devin', 'mcp_config.json'),
    format: 'json',
    section: 'mcpServers',
    local: commandAndArgs,
    remote: (server) => ({ url: server.url, transport: 'http', headers: bearer(server) }),
    protocolVersion: latestLegacy,
    next: 'Refresh the MCP list of Devin Desktop.',
  },
  {
    name: 'codex',
    title: 'Codex',
    file: (home) => join(home, home.environment.CODEX_HOME ?? join(home, home.directory, '.codex'), 'config.toml'),
    format: 'toml',
    section: 'mcp_servers',
    local: commandAndArgs,
    remote: (server) => ({ url: server.url, http_headers: bearer(server) }),
    protocolVersion: '2025-06-18',
    next: 'Start a new session; /mcp shows it.',
  },
  {
    name: 'gemini-cli',
    title: 'Gemini CLI',
    file: (home) => join(home, home.directory, '.gemini', 'settings.json'),
    format: 'json',
    section: 'mcpServers',
    local: commandAndArgs,
    remote: (server) => ({ httpUrl: server.url, headers: bearer(server) }),
    protocolVersion: '2025-06-18',
    next: 'Start a new session; /mcp shows it.',
  },
];

/** Every key by which one of the clients says how to reach a server; the rest of an entry (env, time-outs) is its user's. */
export const transportKeys: readonly string[] = [
  'type',
  'transport',
  'command',
  'args',
  'url',
  'httpUrl',
  'serverUrl',
  'headers',
  'http_headers',
  'env_http_headers',
  'bearer_token_env_var',
];

/** The form most clients share, for those that have no row. */
export function commonEntry(server: LocalServer | RemoteServer): JsonObject {
  return server.kind === 'local' ? withType(server) : { type: 'http', url: server.url, headers: bearer(server) };
}

function commandAndArgs({ command, args }: LocalServer): JsonObject {
  return { command, args: [...args] };
}

function withType(server: LocalServer): JsonObject {
  return { type: 'stdio', ...commandAndArgs(server) };
}

function bearer({ key }: RemoteServer): JsonObject {
  return { Authorization: `Bearer ${key}` };
}

function inAppData(home: Home, ...parts: string[]): string {
  const { directory, environment, platform } = home;
  if (platform === 'win32') return join(home, environment.APPDATA ?? join(home, directory, 'AppData', 'Roaming'), ...parts);
  if (platform === 'darwin') return join(home, directory, 'Library', 'Application Support', ...parts);
  return join(home, environment.XDG_CONFIG_HOME ?? join(home, directory, '.config'), ...parts);
}

function join({ platform }: Home, ...parts: string[]): string {
  return (platform === 'win32' ? win32 : posix).join(...parts);
}
