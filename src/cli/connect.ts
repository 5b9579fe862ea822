import { realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import type { JsonObject } from '../wire/json.ts';
import { FileError, writeEntry } from './client-file.ts';
import { type Client, clients, type Home, type LocalServer, type RemoteServer } from './clients.ts';
import { ConnectReport, type ExitCode, type Output } from './connect-report.ts';
import { TrialError, tryServer } from './try-server.ts';

export interface ConnectOptions {
  readonly client: string;
  readonly toolbox?: string | undefined;
  /** Of a gateway that runs already; with it, or with a key, the entry speaks HTTP to it instead of starting a process. */
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  readonly print?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** What a connected client starts, and where this runs. */
export interface ConnectContext extends Output {
  /** Node and the program, both absolute: a client starts with its own PATH and in its own directory. */
  readonly node: string;
  readonly script: string;
  /** Settings that are paths, absolute, by flag without dashes: `data`, `namespaces`. */
  readonly paths: Readonly<Record<string, string>>;
  /** Used where a key is given without an address. */
  readonly url: string;
  readonly home: Home;
  readonly timeoutMs: number;
}

/** The context of this process; `paths` and `url` come from its settings. */
export function connectContext(paths: ConnectContext['paths'], url: string): ConnectContext {
  return {
    node: process.execPath,
    script: process.argv[1] ?? '',
    paths,
    url,
    home: { platform: process.platform, directory: homedir(), environment: process.env },
    timeoutMs: 60_000,
    print: (line) => process.stdout.write(`${line}\n`),
    complain: (line) => process.stderr.write(`${line}\n`),
  };
}

/** `gatehouse connect`: writes a client's configuration, keeps what is there, and proves the entry with a real call. */
export async function connectCommand(options: ConnectOptions, context: ConnectContext): Promise<ExitCode> {
  const report = new ConnectReport(options.client, options.json === true, context);
  const client = clients.find(({ name }) => name === options.client);
  const name = options.toolbox === undefined ? 'gatehouse' : `gatehouse-${options.toolbox}`;
  try {
    const server = await serverOf(options, context);
    if (client === undefined) return report.unknownClient(options.client, name, server, endpoint(context.url, options.toolbox));
    const entry = entryOf(client, server);
    const file = client.file(context.home);
    if (options.print === true) return report.entry(client, name, file, entry);
    const written = await writeEntry(client, name, file, entry, server.kind === 'remote');
    report.written(client, name, written);
    const { protocolVersion } = client;
    const trial = await tryServer(server, { protocolVersion, environment: written.environment, timeoutMs: context.timeoutMs });
    return report.tried(client, trial);
  } catch (error) {
    if (error instanceof UsageError) return report.refused(error.message);
    if (error instanceof TrialError) return report.failed(error.message);
    if (error instanceof FileError && client !== undefined) return report.unwritable(client, name, error);
    throw error;
  }
}

class UsageError extends Error {}

async function serverOf(options: ConnectOptions, context: ConnectContext): Promise<LocalServer | RemoteServer> {
  const { toolbox, url } = options;
  if (toolbox !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(toolbox)) {
    throw new UsageError(`"${toolbox}" cannot be the name of a toolbox: names are letters, digits, "-" and "_".`);
  }
  if (url === undefined && options.key === undefined) {
    const pins = Object.entries(context.paths).flatMap(([flag, path]) => [`--${flag}`, path]);
    const script = await realpath(context.script);
    return {
      kind: 'local',
      command: context.node,
      args: [script, 'stdio', ...(toolbox === undefined ? [] : ['--toolbox', toolbox]), ...pins],
    };
  }
  const key = options.key ?? context.home.environment.GATEHOUSE_KEY;
  if (key === undefined || key === '') {
    throw new UsageError(`A gateway at an address needs a key. Set GATEHOUSE_KEY and repeat the command, or add --key.`);
  }
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new UsageError('The key holds characters that cannot travel in a header. Copy it again, without spaces.');
  return { kind: 'remote', url: endpoint(url ?? context.url, toolbox), key };
}

function endpoint(given: string, toolbox: string | undefined): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new UsageError(`"${given}" is no address of a gateway; one looks like http://127.0.0.1:8080/mcp.`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '') {
    throw new UsageError('An address holds no key. Give the key by GATEHOUSE_KEY or --key, and the address without it.');
  }
  const path = url.pathname === '/' ? '/mcp' : url.pathname.replace(/\/$/, '');
  url.pathname = toolbox === undefined ? path : `${path}/${toolbox}`;
  return url.href;
}

function entryOf(client: Client, server: LocalServer | RemoteServer): JsonObject {
  if (server.kind === 'local') return client.local(server);
  if (client.remote === undefined) {
    throw new UsageError(
      `The file of ${client.title} takes local servers only. Leave out --url and --key to let it start Gatehouse itself, ` +
        `or add the address among the connectors in its own settings.`,
    );
  }
  return client.remote(server);
}
