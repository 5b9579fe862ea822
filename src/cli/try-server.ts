import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { version } from '../version.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { type Message, MessageError, notificationBytes, readMessage, requestBytes } from '../wire/message.ts';
import { SseReader } from '../wire/sse.ts';
import type { LocalServer, RemoteServer } from './clients.ts';

/** What a client would have seen of a server. */
export interface Trial {
  /** Name and version, as the server says. */
  readonly server: string;
  readonly tools: number;
  /** The tool that was called; undefined where none is read-only and needs no argument. */
  readonly called: string | undefined;
  /** From the start of the process, or the first request, to the last answer. */
  readonly ms: number;
}

interface TrialOptions {
  readonly protocolVersion: string;
  /** For a local server: what its entry adds to the few variables that clients pass on. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** The server did not do what a client needs. The message says what happened and what to do, in sentences. */
export class TrialError extends Error {}

/** Starts or calls a server exactly as its entry says, opens a session, lists the tools and calls a harmless one. Throws TrialError. */
export async function tryServer(server: LocalServer | RemoteServer, options: TrialOptions): Promise<Trial> {
  const startedAtMs = performance.now();
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const link = server.kind === 'local' ? new StdioLink(server, options) : new HttpLink(server, deadline);
  const expired = once(deadline, 'abort').then(() => {
    throw new TrialError(`It did not answer within ${options.timeoutMs / 1000} s.${link.lastWords()}`);
  });
  expired.catch(() => {});
  try {
    return await Promise.race([converse(link, options.protocolVersion, startedAtMs), expired]);
  } finally {
    await link.close();
  }
}

async function converse(link: Link, protocolVersion: string, startedAtMs: number): Promise<Trial> {
  const hello = await link.request('initialize', {
    protocolVersion,
    capabilities: {},
    clientInfo: { name: 'gatehouse-connect', version },
  });
  link.protocolVersion = typeof hello.protocolVersion === 'string' ? hello.protocolVersion : protocolVersion;
  await link.notify('notifications/initialized');
  const tools = await listTools(link);
  const called = await callHarmless(link, tools);
  const { serverInfo } = hello;
  const server = isObject(serverInfo) ? `${serverInfo.name} ${serverInfo.version}` : 'the server';
  return { server, tools: tools.length, called, ms: Math.round(performance.now() - startedAtMs) };
}

const pageLimit = 100;

async function listTools(link: Link): Promise<JsonObject[]> {
  const tools: JsonObject[] = [];
  let cursor: Json | undefined;
  for (let page = 0; page < pageLimit; page++) {
    const result = await link.request('tools/list', cursor === undefined ? {} : { cursor });
    if (Array.isArray(result.tools)) tools.push(...result.tools.filter(isObject));
    cursor = result.nextCursor;
    if (typeof cursor !== 'string') break;
  }
  return tools;
}

// A tool can be down while its server is up, so that one failure is no verdict; three are.
const attempts = 3;

async function callHarmless(link: Link, tools: readonly JsonObject[]): Promise<string | undefined> {
  const harmless = oneOfEach(tools.filter(isHarmless)).slice(0, attempts);
  let failure = '';
  for (const { name } of harmless) {
    const result = await link.request('tools/call', { name: name ?? '', arguments: {} });
    if (result.isError !== true) return String(name);
    failure ||= `It lists ${tools.length} tools, but ${name} answered with an error: ${textOf(result)}`;
  }
  if (failure !== '') throw new TrialError(failure);
  return undefined;
}

/** The first of each namespace before the others: a server that is down has all of its tools down. */
function oneOfEach(tools: readonly JsonObject[]): readonly JsonObject[] {
  const namespaces = new Set<string>();
  const first = tools.filter(({ name }) => {
    const [namespace = ''] = String(name).split('__');
    return !namespaces.has(namespace) && namespaces.add(namespace);
  });
  return [...first, ...tools.filter((tool) => !first.includes(tool))];
}

function isHarmless(tool: JsonObject): boolean {
  const { annotations, inputSchema } = tool;
  if (!isObject(annotations) || annotations.readOnlyHint !== true || !isObject(inputSchema)) return false;
  return !Array.isArray(inputSchema.required) || inputSchema.required.length === 0;
}

function textOf({ content }: JsonObject): string {
  const [first] = Array.isArray(content) ? content : [];
  return isObject(first) && typeof first.text === 'string' ? shorten(first.text) : 'no text';
}

function shorten(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, ' ');
  return line.length <= 300 ? line : `${line.slice(0, 300)}...`;
}

interface Link {
  /** Set once both sides agreed. */
  protocolVersion: string | undefined;
  request(method: string, params: JsonObject): Promise<JsonObject>;
  notify(method: string): Promise<void>;
  /** What a process said before it stopped answering; starts with a space, or is empty. */
  lastWords(): string;
  close(): Promise<void>;
}

// What desktop applications pass on to the servers they start; a setting that only a shell knows is missing there.
const inherited = {
  posix: ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER'],
  windows: [
    'APPDATA',
    'HOMEDRIVE',
    'HOMEPATH',
    'LOCALAPPDATA',
    'PATH',
    'PATHEXT',
    'PROCESSOR_ARCHITECTURE',
    'SYSTEMDRIVE',
    'SYSTEMROOT',
    'TEMP',
    'USERNAME',
    'USERPROFILE',
  ],
};

function inheritedEnvironment(): Record<string, string> {
  const names = inherited[process.platform === 'win32' ? 'windows' : 'posix'];
  const wanted = (name: string) => names.includes(process.platform === 'win32' ? name.toUpperCase() : name);
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (wanted(name) && value !== undefined ? [[name, value]] : [])),
  );
}

const lastWordsLimit = 1000;
const closeWaitMs = 5000;

class StdioLink implements Link {
  protocolVersion: string | undefined;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<string, { resolve: (result: JsonObject) => void; reject: (error: Error) => void }>();
  readonly #ended: Promise<void>;
  #nextId = 1;
  #said = '';
  #failure: TrialError | undefined;

  constructor(server: LocalServer, { environment }: TrialOptions) {
    this.#child = spawn(server.command, server.args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...inheritedEnvironment(), ...environment },
      windowsHide: true,
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#fail(`${server.command} could not be started: ${error.message}.`);
        resolve();
      });
      this.#child.once('close', (code, signal) => {
        this.#fail(`The process ended (${signal ?? `exit code ${code}`}).${this.lastWords()}`);
        resolve();
      });
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString('utf8')).slice(-lastWordsLimit);
    });
    // A child that is gone shows in `close`; its broken pipe is no news.
    this.#child.stdin?.on('error', () => {});
    if (this.#child.stdout) createInterface({ input: this.#child.stdout }).on('line', (line) => this.#receive(line));
  }

  request(method: string, params: JsonObject): Promise<JsonObject> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#waiting.set(String(id), { resolve, reject });
    this.#send(requestBytes(id, method, params));
    return promise;
  }

  async notify(method: string): Promise<void> {
    this.#send(notificationBytes(method, {}));
  }

  lastWords(): string {
    const lines = this.#said.split('\n').filter((line) => line.trim() !== '');
    // Between the lines of a log, the sentence that is meant for people says most.
    const last = lines.findLast((line) => !line.startsWith('{')) ?? lines.at(-1);
    return last === undefined ? '' : ` It said: ${shorten(last)}`;
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    const timers = [
      setTimeout(() => this.#child.kill('SIGTERM'), closeWaitMs),
      setTimeout(() => this.#child.kill('SIGKILL'), 2 * closeWaitMs),
    ];
    await this.#ended;
    for (const timer of timers) clearTimeout(timer);
  }

  #send(text: string): void {
    this.#child.stdin?.write(`${text}\n`);
  }

  #receive(line: string): void {
    if (line.trim() === '') return;
    const message = read(Buffer.from(line));
    if (message === undefined) {
      this.#fail(`It wrote something to its output that is no MCP message: ${shorten(line)}`);
    } else if (message.kind === 'request') {
      this.#send(answerTo(message.method, message.id));
    } else if (message.kind === 'result' || message.kind === 'error') {
      const waiting = this.#waiting.get(message.id ?? '');
      this.#waiting.delete(message.id ?? '');
      if (message.kind === 'result') waiting?.resolve(message.result.value);
      else waiting?.reject(refusal(message.error.message));
    }
  }

  #fail(reason: string): void {
    this.#failure ??= new TrialError(reason);
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}

const answerLimitBytes = 64 * 1024 * 1024;

class HttpLink implements Link {
  protocolVersion: string | undefined;
  readonly #server: RemoteServer;
  readonly #deadline: AbortSignal;
  #session: string | undefined;
  #nextId = 1;

  constructor(server: RemoteServer, deadline: AbortSignal) {
    this.#server = server;
    this.#deadline = deadline;
  }

  async request(method: string, params: JsonObject): Promise<JsonObject> {
    const id = this.#nextId++;
    const response = await this.#send('POST', requestBytes(id, method, params));
    this.#session ??= response.headers.get('mcp-session-id') ?? undefined;
    const message = await findAnswer(response, String(id));
    if (message?.kind === 'error') throw refusal(message.error.message);
    if (message?.kind !== 'result') throw this.#noMcp(response.status);
    return message.result.value;
  }

  async notify(method: string): Promise<void> {
    const response = await this.#send('POST', notificationBytes(method, {}));
    await response.body?.cancel();
  }

  lastWords(): string {
    return '';
  }

  async close(): Promise<void> {
    // The session would idle out by itself; this is a courtesy.
    if (this.#session !== undefined) await this.#send('DELETE').catch(() => {});
  }

  async #send(method: 'POST' | 'DELETE', body: string | null = null): Promise<Response> {
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.#server.key}`,
      accept: 'application/json, text/event-stream',
    };
    if (body !== null) headers['content-type'] = 'application/json';
    if (this.#session !== undefined) headers['mcp-session-id'] = this.#session;
    if (this.protocolVersion !== undefined) headers['mcp-protocol-version'] = this.protocolVersion;
    let response: Response;
    try {
      response = await fetch(this.#server.url, { method, body, headers, redirect: 'error', signal: this.#deadline });
    } catch (error) {
      const reason = (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).message;
      throw new TrialError(`Nothing answers at ${this.#server.url} (${reason}). Start the gateway there, or correct --url.`);
    }
    if (response.ok) return response;
    const text = await response.text();
    const message = read(Buffer.from(text));
    if (message?.kind === 'error') throw refusal(`${message.error.message} (HTTP ${response.status})`);
    throw this.#noMcp(response.status);
  }

  #noMcp(status: number): TrialError {
    return new TrialError(
      `${this.#server.url} does not speak MCP (HTTP ${status}). The address of a gateway ends in /mcp or /mcp/<toolbox>.`,
    );
  }
}

async function findAnswer(response: Response, id: string): Promise<Message | undefined> {
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  if (!isStream || response.body === null) return read(Buffer.from(await response.arrayBuffer()));
  let found: Message | undefined;
  const reader = new SseReader(
    {
      onEvent: ({ data }) => {
        const message = read(data);
        if ((message?.kind === 'result' || message?.kind === 'error') && message.id === id) found = message;
      },
    },
    answerLimitBytes,
  );
  for await (const chunk of response.body) {
    reader.push(Buffer.from(chunk));
    if (found !== undefined) break;
  }
  return found;
}

function read(bytes: Buffer): Message | undefined {
  try {
    return readMessage(bytes);
  } catch (error) {
    if (error instanceof MessageError) return undefined;
    throw error;
  }
}

function refusal(message: string): TrialError {
  return new TrialError(`It refused: ${shorten(message)}`);
}

// This client said that it can do nothing, so only a ping is asked of it rightly.
function answerTo(method: string, id: string): string {
  const outcome = method === 'ping' ? '"result":{}' : '"error":{"code":-32601,"message":"Method not found"}';
  return `{"jsonrpc":"2.0","id":${id},${outcome}}`;
}
