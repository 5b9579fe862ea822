import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type Spawned, spawnMarked } from './processes.ts';
import { until } from './until.ts';

/** What the tests read of `/api/status`. */
export interface Status {
  readonly upstreams: readonly {
    id: string;
    state: string;
    connections: number;
    transport: string;
    era?: string;
    tools: number;
  }[];
  readonly configuration: readonly { file?: string; line?: number; message: string }[];
  readonly sessions: number;
  readonly streams: number;
}

export interface Gateway {
  /** Without a path: `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** A key that may use every toolbox. */
  readonly key: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly process: Spawned;
  /** Environment of a `gatehouse stdio` with the same namespaces and a data directory of its own, until it is removed. */
  forStdio(): { readonly environment: Record<string, string>; remove(): void };
  /** Writes one namespace file, as an editor does; the gateway notices by itself. */
  writeNamespace(name: string, yaml: string): void;
  status(): Promise<Status>;
  /** The MCP address of a toolbox; without a name, of everything. */
  mcpUrl(toolbox?: string): string;
  stop(): Promise<void>;
}

const main = new URL('../../dist/gatehouse.mjs', import.meta.url).pathname;

/** The command line of this gateway, for spawning it with `serve` or `stdio`. */
export const gatewayCommand: readonly string[] = [process.execPath, '--disable-warning=ExperimentalWarning', main];

/** A gateway process of its own: own directories, own port, own key. Waits for its upstreams unless told that one is not well. */
export async function startGateway(
  namespaces: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  { isHealthy = true }: { readonly isHealthy?: boolean } = {},
): Promise<Gateway> {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-test-'));
  const namespaceDirectory = mkdtempSync(join(directory, 'namespaces-'));
  const writeNamespace = (name: string, yaml: string): void => writeFileSync(join(namespaceDirectory, `${name}.yaml`), yaml);
  for (const yaml of namespaces) writeNamespace((parse(yaml) as { namespace: string }).namespace, yaml);
  const key = settings.GATEHOUSE_ADMIN_KEY ?? `test-admin-key-${process.pid}-${Date.now()}-0123456789abcdef`;
  const environment = {
    GATEHOUSE_PORT: '0',
    GATEHOUSE_DATA: join(directory, 'data'),
    GATEHOUSE_NAMESPACES: namespaceDirectory,
    GATEHOUSE_ADMIN_KEY: key,
    ...settings,
  };
  const [command = '', ...args] = gatewayCommand;
  const spawned = spawnMarked(command, [...args, 'serve'], { env: environment, cwd: directory });
  const stop = async (): Promise<void> => {
    const hasCrashed = spawned.hasExited;
    await spawned.stop();
    rmSync(directory, { recursive: true, force: true });
    if (hasCrashed) throw new Error(`the gateway ended by itself\n${spawned.stderr.slice(-20).join('\n')}`);
  };
  try {
    // A busy machine may take its time: no test is about how quickly a process starts.
    const url = await spawned.line('the gateway prints its URL', readUrl, 60_000);
    const status = (): Promise<Status> => readStatus(url, key);
    if (isHealthy) {
      await until('every upstream is healthy', async () => (await status()).upstreams.every(isWell), 20_000).catch(
        async (error: Error) => {
          throw new Error(`${error.message}\n${JSON.stringify(await status(), undefined, 1)}`);
        },
      );
    }
    return {
      writeNamespace,
      status,
      url,
      key,
      pid: spawned.pid,
      dataDir: environment.GATEHOUSE_DATA,
      process: spawned,
      forStdio: () => {
        const data = mkdtempSync(join(tmpdir(), 'gatehouse-stdio-'));
        return {
          environment: { GATEHOUSE_DATA: data, GATEHOUSE_NAMESPACES: namespaceDirectory },
          remove: () => rmSync(data, { recursive: true, force: true }),
        };
      },
      mcpUrl: (toolbox) => `${url}/mcp${toolbox === undefined ? '' : `/${toolbox}`}`,
      stop,
    };
  } catch (error) {
    await stop().catch(() => {});
    throw new Error(`${(error as Error).message}\n${spawned.stderr.slice(-20).join('\n')}`);
  }
}

/** From the log's first line, or from the greeting where the log is quiet. */
function readUrl(line: string): string | undefined {
  return /"url":"(http:[^"]+)"|^ {2}MCP +(http:\S+)\/mcp$/
    .exec(line)
    ?.slice(1)
    .find((url) => url !== undefined);
}

function isWell({ state }: Status['upstreams'][number]): boolean {
  return state === 'healthy';
}

async function readStatus(url: string, key: string): Promise<Status> {
  const response = await fetch(`${url}/api/status`, { headers: { authorization: `Bearer ${key}` } });
  return (await response.json()) as Status;
}
