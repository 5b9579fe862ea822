import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, killAll, type Placement, pinSelf, placeProcesses, start } from './child.ts';
import {
  freePort,
  type Gateway,
  type GatewaySettings,
  type ModelGateway,
  type Served,
  startGateway,
  startModelGateway,
  untilCompleted,
} from './gateway.ts';
import type { CallJob, Job, LoadResult, SessionJob, SessionResult } from './load.ts';
import type { Address, Era } from './messages.ts';
import { chatPath, type Prompt } from './prompt.ts';
import type { Behaviour as ProviderBehaviour } from './provider.ts';
import { installRival, rivalCommand, rivalHeaders } from './rival.ts';
import type { Load } from './rounds.ts';
import type { HeldJob, HeldResult, StepJob, StepResult } from './streams.ts';
import type { Behaviour, Order, Plan } from './upstream.ts';

export interface LabSettings {
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly calmRounds: number;
  readonly warmMs: number;
  readonly measureMs: number;
  /** On the clock of `performance.now()`; measuring that has begun gets no further round after it. */
  readonly deadline: number;
  readonly gatewayCommand: readonly string[];
}

export interface PassThrough {
  readonly child: Child;
  at(era: Era): Address;
  /** Where it passes chat completions through. */
  readonly chat: Address;
}

/** Another gateway, which is measured beside. */
export interface Rival {
  readonly child: Child;
  readonly address: Address;
  readonly headers: readonly string[];
}

/** Starts what a suite needs and hands its loads to the generator. A suite leaves nothing behind: `clear` ends what it started. */
export class Lab {
  readonly settings: LabSettings;
  /** Measuring ends before its rounds are over when so many of them were calm. */
  calmRounds: number;
  readonly placement: Placement;
  readonly #directory = mkdtempSync(join(tmpdir(), 'gatehouse-bench-'));
  readonly #started = new Set<{ stop(): Promise<void> }>();
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #generator: Child | undefined;
  #nextJob = 1;

  static async open(settings: LabSettings): Promise<Lab> {
    const lab = new Lab(settings);
    pinSelf(lab.placement.generator);
    const generator = await start(program('the load generator', './load.ts', [], lab.placement.generator));
    generator.onMessage((message) => lab.#finish(message as { id: number; result?: unknown; error?: string }));
    lab.#generator = generator;
    return lab;
  }

  private constructor(settings: LabSettings) {
    this.settings = settings;
    this.calmRounds = settings.calmRounds;
    this.placement = placeProcesses();
  }

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** An upstream for gateways to stand before, or one to be measured itself. */
  async startUpstream(plans: readonly Plan[], role: 'behind' | 'direct' = 'behind'): Promise<UpstreamProcess> {
    const cpu = role === 'behind' ? this.placement.upstream : this.placement.measured;
    const child = await start(program('an upstream', './upstream.ts', [JSON.stringify(plans)], cpu));
    this.#started.add(child);
    return new UpstreamProcess(child);
  }

  async startPassThrough(upstreamPort: number, connections = 256): Promise<PassThrough> {
    const port = await freePort();
    const args = [port, upstreamPort, connections].map(String);
    const child = await start(program('the pass-through', './pass-through.ts', args, this.placement.measured));
    this.#started.add(child);
    return { child, at: (era) => addressOf(port, era), chat: chatAddress(port) };
  }

  /** A stand-in for a provider of models, to stand behind gateways or to be measured itself. */
  async startProvider(role: 'behind' | 'direct' = 'behind'): Promise<ProviderProcess> {
    const cpu = role === 'behind' ? this.placement.upstream : this.placement.measured;
    const child = await start(program('a provider', './provider.ts', [], cpu));
    this.#started.add(child);
    return new ProviderProcess(child);
  }

  async startModelGateway(
    settings: Pick<GatewaySettings, 'data' | 'key' | 'environment'>,
    namespaceFile: { readonly name: string; readonly text: string },
    prompt: Prompt,
  ): Promise<ModelGateway> {
    const { gatewayCommand: command } = this.settings;
    const place = { command, cpu: this.placement.measured, directory: this.#directory };
    const gateway = await startModelGateway({ ...place, ...settings }, namespaceFile, prompt);
    this.#started.add(gateway);
    return gateway;
  }

  /** Portkey's gateway before this provider. Throws where it cannot be installed. */
  async startRival(providerPort: number): Promise<Rival> {
    await installRival((text) => this.say(text));
    const port = await freePort();
    const [command, cpu] = [rivalCommand(port), this.placement.measured];
    const child = await start({ name: 'Portkey', command, cpu, env: { NODE_ENV: 'production' }, speaksIpc: false });
    this.#started.add(child);
    const rival = { child, address: chatAddress(port), headers: rivalHeaders(providerPort) };
    await untilCompleted(child, rival.address, { model: 'gpt-5-mini', isStream: false, headers: rival.headers });
    return rival;
  }

  /** A data directory that is gone when the run ends. */
  newData(): string {
    return mkdtempSync(join(this.#directory, 'data-'));
  }

  async startGateway(
    served: readonly Served[],
    settings: Pick<GatewaySettings, 'data' | 'key' | 'environment'> = {},
  ): Promise<Gateway> {
    const gateway = await startGateway({
      command: this.settings.gatewayCommand,
      cpu: this.placement.measured,
      directory: this.#directory,
      served,
      ...settings,
    });
    this.#started.add(gateway);
    return gateway;
  }

  run(job: CallJob): Promise<LoadResult> {
    const { cpus } = this.placement;
    return this.#hand(cpus === undefined ? job : { ...job, cpus }) as Promise<LoadResult>;
  }

  /** Enough calls for the hot code of a process to be compiled: about 15,000, a good part of them per kind of load. Those of models run more of it. */
  async warmUp(load: Load): Promise<void> {
    const measureMs = this.settings.isQuick && load.prompt === undefined ? 1600 : 5000;
    await this.run({ kind: 'calls', ...load, callers: Math.max(16, load.callers), warmMs: 0, measureMs, maxCalls: 25_000 });
  }

  openSessions(job: SessionJob): Promise<SessionResult> {
    return this.#hand(job) as Promise<SessionResult>;
  }

  holdStreams(job: HeldJob): Promise<HeldResult> {
    const { cpus } = this.placement;
    return this.#hand(cpus === undefined ? job : { ...job, cpus }) as Promise<HeldResult>;
  }

  stepStreams(job: StepJob): Promise<StepResult> {
    return this.#hand(job) as Promise<StepResult>;
  }

  async clear(): Promise<void> {
    const started = [...this.#started];
    this.#started.clear();
    await Promise.all(started.map((each) => each.stop()));
  }

  async close(): Promise<void> {
    await this.clear();
    await this.#generator?.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** For signals and crashes. */
  abandon(): void {
    killAll();
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }

  #hand(job: Job): Promise<unknown> {
    this.#generator!.check();
    const id = this.#nextJob++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    this.#generator!.send({ id, job });
    // No load runs longer than its time and a last answer's; whatever does is a defect, and must not stop a test run for ever.
    const limitMs = (job.kind === 'calls' ? job.warmMs + job.measureMs : 0) + 60_000;
    const late = setTimeout(() => this.#finish({ id, error: `the load did not end within ${limitMs} ms` }), limitMs);
    return answer.promise.finally(() => clearTimeout(late));
  }

  #finish({ id, result, error }: { id: number; result?: unknown; error?: string }): void {
    const answer = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) answer?.resolve(result);
    else answer?.reject(new Error(error));
  }
}

export interface Counts {
  readonly lists: number;
  readonly calls: number;
}

export class UpstreamProcess {
  readonly child: Child;
  readonly ports: readonly number[];
  readonly #waiting = new Map<number, (counts: Counts) => void>();
  #nextOrder = 1;

  constructor(child: Child) {
    this.child = child;
    this.ports = child.greeting.ports as number[];
    child.onMessage((message) => {
      const { id, ...counts } = message as Counts & { id: number };
      this.#waiting.get(id)?.(counts);
      this.#waiting.delete(id);
    });
  }

  /** The address of one of its servers. */
  at(index: number, era: Era): Address {
    return addressOf(this.ports[index]!, era);
  }

  async behave(behaviour: Partial<Behaviour>, index?: number): Promise<void> {
    await this.#order(index === undefined ? { behaviour } : { behaviour, index });
  }

  counts(): Promise<Counts> {
    return this.#order({});
  }

  stop(): Promise<void> {
    return this.child.stop();
  }

  #order(order: Omit<Order, 'id'>): Promise<Counts> {
    this.child.check();
    const id = this.#nextOrder++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.child.send({ id, ...order });
    });
  }
}

export class ProviderProcess {
  readonly child: Child;
  readonly port: number;
  readonly #waiting = new Map<number, () => void>();
  #nextOrder = 1;

  constructor(child: Child) {
    this.child = child;
    this.port = child.greeting.port as number;
    child.onMessage((message) => {
      const { id } = message as { readonly id: number };
      this.#waiting.get(id)?.();
      this.#waiting.delete(id);
    });
  }

  get address(): Address {
    return chatAddress(this.port);
  }

  behave(behaviour: Partial<ProviderBehaviour>): Promise<void> {
    this.child.check();
    const id = this.#nextOrder++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.child.send({ id, behaviour });
    });
  }
}

function chatAddress(port: number): Address {
  return { ...addressOf(port, 'modern'), path: chatPath };
}

function addressOf(port: number, era: Era): Address {
  // The same headers for every target: the upstream only does not look at the key.
  return { port, path: '/mcp', key: `bench-${'0123456789abcdef'.repeat(3)}`, era };
}

function program(name: string, file: string, args: readonly string[], cpu: string | undefined) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return { name, command: [process.execPath, path, ...args], cpu, speaksIpc: true };
}
