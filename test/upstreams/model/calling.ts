import { Writable } from 'node:stream';
import { pino } from 'pino';
import { completeConfig } from '../../../src/catalog/complete-config.ts';
import { readNamespaceFile } from '../../../src/catalog/namespace-file.ts';
import { hmacKey } from '../../../src/hmac.ts';
import type { Spent } from '../../../src/models/spent.ts';
import type { Facts } from '../../../src/policy/rule-facts.ts';
import { createEgressGuard } from '../../../src/upstreams/egress.ts';
import { ModelUpstream } from '../../../src/upstreams/model/model-upstream.ts';
import type { RoutingEvent } from '../../../src/upstreams/model/routing.ts';
import type { AnswerStream, UpstreamCall } from '../../../src/upstreams/upstream.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { toolCall } from '../../support/upstreams/harness.ts';

export interface Opened {
  readonly upstream: ModelUpstream;
  readonly events: RoutingEvent[];
  readonly logged: string[];
  readonly clock: { ms: number; nowMs(): number };
}

interface Options {
  readonly secrets?: Readonly<Record<string, string>>;
  readonly caller?: Partial<Facts['caller']>;
}

const nobody = { id: '', kind: '', roles: [], role: '', consumer: '', member: '', key: '' };

/** A model as a namespace file describes it. */
export async function openModel(entry: object, { secrets = {}, caller = {} }: Options = {}): Promise<Opened> {
  const read = readNamespaceFile({ namespace: 'models', upstreams: { fast: { kind: 'model', ...entry } } });
  if (!('file' in read)) throw new Error(JSON.stringify(read.flaws));
  const [config] = completeConfig(read.file, '/gh/namespaces/models.yaml').upstreams;
  if (config === undefined) throw new Error('no model');
  const events: RoutingEvent[] = [];
  const logged: string[] = [];
  const clock = { ms: Date.now(), nowMs: () => clock.ms };
  const upstream = new ModelUpstream(config, {
    resolveSecrets: (text) =>
      text.replaceAll(/\$\{secret:([A-Z_]+)\}/g, (_whole, name: string) => secrets[name] ?? 'key-of-ours-0123456789'),
    egress: createEgressGuard([]),
    log: pino(
      { level: 'debug' },
      new Writable({
        write(chunk, _encoding, done) {
          logged.push(String(chunk));
          done();
        },
      }),
    ),
    clock,
    responseKey: hmacKey(Buffer.alloc(32, 5)),
    callerFacts: () => ({ ...nobody, ...caller }),
    onRouting: (_model, event) => events.push(event),
  });
  upstream.start();
  await upstream.ready();
  return { upstream, events, logged, clock };
}

/** What a client got of a stream. */
class Received implements AnswerStream {
  readonly chunks: string[] = [];
  /** Resolves with each chunk. */
  #waiting: (() => void)[] = [];
  /** What `write` gives back. */
  wait: (() => Promise<void> | undefined) | undefined;

  write(bytes: Uint8Array): Promise<void> | undefined {
    this.chunks.push(Buffer.from(bytes).toString());
    for (const resolve of this.#waiting.splice(0)) resolve();
    return this.wait?.();
  }

  get text(): string {
    return this.chunks.join('');
  }

  async until(part: string): Promise<void> {
    while (!this.text.includes(part)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

export interface Asked {
  readonly call: UpstreamCall;
  readonly spent: Spent[];
  readonly received: Received;
}

export function ask(dialect: string, body: JsonObject, more: Partial<UpstreamCall> = {}): Asked {
  const spent: Spent[] = [];
  const received = new Received();
  const params: JsonObject = { name: 'models/fast', dialect, arguments: body };
  const call: UpstreamCall = {
    ...toolCall('fast', {}, { params }),
    method: 'models/call',
    ...(body.stream === true ? { stream: received } : {}),
    spent: (one) => spent.push(one),
    ...more,
  };
  return { call, spent, received };
}

export const question = { model: 'models/fast', messages: [{ role: 'user', content: 'Say hello.' }] };
