import { mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { apiDescription } from './api-description.ts';
import { type Child, start } from './child.ts';
import { Connection } from './connection.ts';
import type { Tool } from './load.ts';
import { type Address, callTemplate, type Era, firstId, template } from './messages.ts';
import { chatPath, type Prompt, promptTemplate } from './prompt.ts';
import { type Expectation, findFault, readReply } from './verify.ts';

interface ServedUpstream {
  readonly name: string;
  readonly port: number;
  readonly tools: number;
  /** The same tools as operations of an HTTP API, with a description; an MCP server otherwise. */
  readonly isApi?: boolean;
}

/** What the gateway is to serve: a namespace with a toolbox of the same name. */
export interface Served {
  readonly namespace: string;
  readonly upstreams: readonly ServedUpstream[];
  /** More toolboxes with everything in them, called `box-0` and so on. */
  readonly toolboxes?: number;
}

/** A running gateway whose toolboxes are complete. */
export interface Gateway {
  readonly child: Child;
  readonly pid: number;
  /** From the spawn to the first right answer of a `tools/call`. */
  readonly firstCallMs: number;
  readonly data: string;
  at(namespace: string, era: Era): Address;
  tools(namespace: string): readonly Tool[];
  stop(): Promise<void>;
}

export interface GatewaySettings {
  readonly command: readonly string[];
  readonly cpu: string | undefined;
  readonly directory: string;
  /** The data directory of an earlier start; a new one otherwise. */
  readonly data?: string;
  readonly served: readonly Served[];
  /** The key that calls; without one, the admin's. */
  readonly key?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

const echo: Expectation = { kind: 'echo', answerBytes: 0 };
const converted: Expectation = { kind: 'converted' };

const startWithinMs = 20_000;
// As long as a key of the gateway's own making; there is nothing to guess on a loopback port of a throwaway process.
const adminKey = `bench-${'0123456789abcdef'.repeat(3)}`;

export async function startGateway(settings: GatewaySettings): Promise<Gateway> {
  const { served } = settings;
  const files = served.map((each) => ({ name: each.namespace, text: namespaceFile(each) }));
  const imports = served.flatMap(({ upstreams }) => upstreams.filter(({ isApi }) => isApi));
  const { child, port, data, log } = await launch(settings, files, imports);
  const key = settings.key ?? adminKey;
  const at = (namespace: string, era: Era): Address => ({ port, path: `/mcp/${namespace}`, key, era });
  return orLastLines(child, log, async () => {
    const [{ namespace, upstreams }] = served as [Served];
    const upstreamName = `${upstreams[0]!.name}_echo_0`;
    const expected = upstreams[0]!.isApi ? converted : echo;
    await untilAnswered(child, at(namespace, 'modern'), { name: `${namespace}__${upstreamName}`, upstreamName }, expected);
    const firstCallMs = performance.now() - child.spawnedAt;
    const tools = new Map<string, readonly Tool[]>();
    for (const each of served) {
      tools.set(each.namespace, await untilListed(child, at(each.namespace, 'modern'), each));
    }
    const toolsOf = (name: string) => tools.get(name)!;
    return { child, pid: child.pid, firstCallMs, data, at, tools: toolsOf, stop: () => child.stop() };
  });
}

/** A gateway that serves models and nothing else. */
export interface ModelGateway {
  readonly child: Child;
  readonly pid: number;
  readonly address: Address;
  stop(): Promise<void>;
}

/** `text` is that of the only namespace file; ready when `prompt` is answered. */
export async function startModelGateway(
  settings: Omit<GatewaySettings, 'served'>,
  file: NamespaceFile,
  prompt: Prompt,
): Promise<ModelGateway> {
  const { child, port, log } = await launch(settings, [file], []);
  const address: Address = { port, path: chatPath, key: settings.key ?? adminKey, era: 'modern' };
  return orLastLines(child, log, async () => {
    await untilCompleted(child, address, prompt);
    return { child, pid: child.pid, address, stop: () => child.stop() };
  });
}

interface NamespaceFile {
  readonly name: string;
  readonly text: string;
}

interface Launched {
  readonly child: Child;
  readonly port: number;
  readonly data: string;
  readonly log: string;
}

async function launch(
  settings: Omit<GatewaySettings, 'served'>,
  files: readonly NamespaceFile[],
  apis: readonly ServedUpstream[],
): Promise<Launched> {
  const home = mkdtempSync(join(settings.directory, 'gateway-'));
  const data = settings.data ?? join(home, 'data');
  const namespaces = join(home, 'namespaces');
  mkdirSync(data, { recursive: true });
  mkdirSync(namespaces);
  const imports = join(home, 'openapi-imports');
  mkdirSync(imports);
  for (const api of apis) writeFileSync(join(imports, `${api.name}.json`), JSON.stringify(apiDescription(api)));
  for (const { name, text } of files) writeFileSync(join(namespaces, `${name}.yaml`), text);
  const port = await freePort();
  const log = join(home, 'gateway.log');
  const child = await start({
    name: 'the gateway',
    command: settings.command,
    cpu: settings.cpu,
    env: {
      GATEHOUSE_PORT: String(port),
      GATEHOUSE_DATA: data,
      GATEHOUSE_NAMESPACES: namespaces,
      GATEHOUSE_OPENAPI_IMPORTS: imports,
      GATEHOUSE_ADMIN_KEY: adminKey,
      GATEHOUSE_LOG_LEVEL: 'info',
      ...settings.environment,
    },
    output: openSync(log, 'a'),
    speaksIpc: false,
  });
  return { child, port, data, log };
}

async function orLastLines<Result>(child: Child, log: string, begin: () => Promise<Result>): Promise<Result> {
  try {
    return await begin();
  } catch (error) {
    await child.stop();
    throw new Error(`${(error as Error).message}\nIts last lines:\n${lastLines(log)}`);
  }
}

function namespaceFile({ namespace, upstreams, toolboxes = 0 }: Served): string {
  return [
    `namespace: ${namespace}`,
    'description: Servers of the benchmark',
    'upstreams:',
    // Room for every caller of a suite, and a time-out that a run of a few seconds gets to see.
    ...upstreams.map(({ name, port, isApi }) => {
      const far = isApi
        ? `kind: openapi, import: ${name}, baseUrl: "http://127.0.0.1:${port}/api"`
        : `kind: mcp, url: "http://127.0.0.1:${port}/mcp"`;
      return `  ${name}: { ${far}, timeoutMs: 2000, concurrency: 512 }`;
    }),
    'toolboxes:',
    ...[namespace, ...Array.from({ length: toolboxes }, (_, index) => `box-${index}`)].map(
      // Whole lists are measured.
      (toolbox) => `  ${toolbox}: { include: ["${namespace}/*"], search: false }`,
    ),
    '',
  ].join('\n');
}

/** Asks every few milliseconds, as an impatient client would, until a call is answered right. */
export async function untilAnswered(
  child: Child,
  address: Address,
  { name, upstreamName }: Tool,
  expected: Expectation = echo,
): Promise<void> {
  const request = callTemplate(address, name).fill(firstId, '');
  await until(child, address.port, 2, async (connection) => {
    return findFault(await connection.exchange(request), expected, firstId, upstreamName);
  });
}

/** The same for a model. */
export async function untilCompleted(child: Child, address: Address, prompt: Prompt): Promise<void> {
  const request = promptTemplate(address, prompt).fill(firstId, '');
  await until(child, address.port, 20, async (connection) => {
    const { status, body } = await connection.exchange(request);
    return status === 200 ? undefined : `HTTP ${status}: ${body.toString('utf8', 0, 300)}`;
  });
}

/** The tools of a toolbox once all of its upstreams are in. */
async function untilListed(child: Child, address: Address, served: Served): Promise<readonly Tool[]> {
  const wanted = served.upstreams.flatMap(({ name, tools }) =>
    Array.from({ length: tools }, (_, index) => `${name}_echo_${index}`),
  );
  let found: readonly Tool[] = [];
  await until(child, address.port, 20, async (connection) => {
    const names = await listNames(connection, address);
    if (typeof names === 'string') return names;
    found = wanted.flatMap((upstreamName) => {
      const name = names.find((candidate) => candidate.endsWith(upstreamName));
      return name === undefined ? [] : [{ name, upstreamName }];
    });
    if (found.length === wanted.length) return undefined;
    return `${found.length} of ${wanted.length} tools of ${served.namespace} are listed, among ${names.length}`;
  });
  return found;
}

async function listNames(connection: Connection, address: Address): Promise<readonly string[] | string> {
  const answer = await connection.exchange(template(address, 'tools/list', {}).fill(firstId, ''));
  const fault = findFault(answer, { kind: 'result' }, firstId, '');
  if (fault !== undefined) return fault;
  const reply = readReply(answer, firstId);
  return typeof reply === 'string' ? reply : (reply.result?.tools ?? []).map((tool) => String(tool.name));
}

type Attempt = (connection: Connection) => Promise<string | undefined>;

/** Repeats an attempt, each on a connection of its own, until it names no fault. */
async function until(child: Child, port: number, pauseMs: number, attempt: Attempt): Promise<void> {
  const deadline = performance.now() + startWithinMs;
  for (;;) {
    const fault = await once(port, attempt);
    if (fault === undefined) return;
    child.check();
    if (performance.now() > deadline) throw new Error(`${child.name} was not ready within ${startWithinMs} ms: ${fault}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function once(port: number, attempt: Attempt): Promise<string | undefined> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.open(port);
    const late = AbortSignal.timeout(5000);
    late.onabort = () => connection?.fail('no answer within 5 s');
    return await attempt(connection);
  } catch (error) {
    return (error as Error).message;
  } finally {
    connection?.close();
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function lastLines(log: string): string {
  return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
}
