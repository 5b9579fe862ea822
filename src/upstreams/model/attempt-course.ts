import type { ModelTransport } from '../../catalog/config.ts';
import { costOf } from '../../models/prices.ts';
import { noUsage, type Reply, type Usage } from '../../models/reply.ts';
import type { Lost, Spent } from '../../models/spent.ts';
import type { UpstreamCall } from '../upstream.ts';
import { believed } from './believed-usage.ts';
import type { EmbeddingAsk, ModelAsk } from './model-calls.ts';
import type { OpenTarget } from './open-target.ts';
import type { Attempt, Route } from './routing.ts';
import { StreamMeter } from './stream-meter.ts';

interface AttemptFacts {
  readonly call: UpstreamCall;
  readonly target: OpenTarget;
  readonly route: Route;
  readonly attempt: Attempt;
  readonly firstByteMs: number | undefined;
  readonly isCompared: boolean;
  readonly ask: ModelAsk | EmbeddingAsk;
  readonly transport: ModelTransport;
  /** Is told where a provider told of more than there can be. */
  readonly onDisbelief: (target: string, told: Usage, counted: Usage) => void;
  /** Of the prompt, as estimated. */
  readonly inputTokens: () => number;
  /** What the attempts before it used up. */
  readonly lost: readonly Lost[];
}

/** One attempt of a call while it runs: what it is measured by, and what becomes of what it used up. */
export class AttemptCourse {
  readonly meter = new StreamMeter();
  /** A provider was turned to. */
  wasHeard = false;
  /** What is asked costs nothing. */
  isFree = false;
  readonly #facts: AttemptFacts;
  #sentBytes = 0;
  #spokenBytes: (() => number) | undefined;

  constructor(facts: AttemptFacts) {
    this.#facts = facts;
  }

  get firstByteMs(): number | undefined {
    return this.#facts.firstByteMs;
  }

  /** A request is on its way. */
  sends(body: Buffer): Buffer {
    this.wasHeard = true;
    this.#sentBytes += body.length;
    return body;
  }

  /** A whole answer came. `spokenBytes`: what it says, for where nobody told how many tokens that is, or too many. */
  took(
    usage: Usage | undefined,
    finish: Reply['finish'] | undefined,
    model: string | undefined,
    spokenBytes?: () => number,
  ): void {
    this.meter.firstTokenMs ??= this.meter.elapsedMs();
    const told = usage === undefined || isNothing(usage) ? undefined : usage;
    this.meter.usage = told;
    if (told === undefined && spokenBytes !== undefined) this.meter.spokenBytes = spokenBytes();
    this.#spokenBytes = spokenBytes;
    this.meter.finish = finish;
    if (model !== undefined && model !== '') this.meter.model = model;
  }

  succeeded(): void {
    this.#facts.attempt.succeeded(this.wasHeard ? (this.meter.firstTokenMs ?? this.meter.elapsedMs()) : undefined);
    if (this.wasHeard) this.settle(true);
  }

  /** `mayBeCharged`: something may have been used that nobody told us. Returns what is counted for this attempt alone. */
  settle(mayBeCharged: boolean): Lost {
    const isCharged = mayBeCharged && !this.isFree;
    const { usage: told, finish, model, firstTokenMs, spokenBytes } = this.meter;
    const isWhole = told !== undefined && finish !== undefined;
    const claimed = isWhole || !isCharged ? (told ?? noUsage) : this.#guess(told);
    const usage = this.#believed(claimed);
    const { attempt, call, target, isCompared, route, lost } = this.#facts;
    const { config, price } = target;
    attempt.used(usage.input + usage.output);
    const spent: Spent = {
      usage,
      isEstimated: !isWhole && isCharged && (told === undefined || spokenBytes > 0),
      ...(usage === claimed ? {} : { isCorrected: true }),
      nanoUsd: price === undefined ? undefined : Math.min(costOf(usage, price), mostNanoUsd),
      target: config.name,
      version: config.version,
      isCompared,
      provider: config.provider,
      model: model ?? config.model,
      finish,
      firstTokenMs,
      cache: undefined,
      failovers: route.failovers,
      ...(lost.length === 0 ? {} : { lost: [...lost] }),
    };
    call.spent?.(spent);
    return spent;
  }

  #believed(claimed: Usage): Usage {
    const { ask, transport, target, onDisbelief } = this.#facts;
    const spokenBytes = () => Math.max(this.meter.spokenBytes, this.#spokenBytes?.() ?? 0);
    const usage = believed(claimed, { ask, transport, sentBytes: this.#sentBytes, spokenBytes });
    if (usage !== claimed) onDisbelief(target.config.name, claimed, usage);
    return usage;
  }

  /** What was said so far counts, where the provider told nothing of it or told it too early. */
  #guess(told: Usage | undefined): Usage {
    const output = Math.max(told?.output ?? 0, this.meter.spokenTokens());
    return { ...(told ?? noUsage), input: told?.input || this.#facts.inputTokens(), output };
  }
}

/** Of one call: more than a store can add up. */
const mostNanoUsd = 1e15;

function isNothing({ input, output }: Usage): boolean {
  return input === 0 && output === 0;
}
