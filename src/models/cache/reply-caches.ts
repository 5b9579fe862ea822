import type { Clock } from '../../clock.ts';
import { type HmacKey, hmacKey } from '../../hmac.ts';
import type { ReplyCache } from '../../store/ports/reply-cache.ts';
import { Cancel } from '../../wire/cancel.ts';
import type { JsonObject } from '../../wire/json.ts';
import { type AskedLimits, type AskedQuestions, askedQuestions } from './asked-questions.ts';
import { type CacheWish, readCacheControl } from './cache-control.ts';
import { type CachedDialect, type CachePlace, nameOf, normalize } from './cache-key.ts';
import type { CachePolicy } from './cache-policy.ts';
import { type Bypass, whyNot } from './cacheable.ts';
import type { Embedder } from './embedder.ts';
import { objection } from './guard.ts';
import { isWorthKeeping, type KeptReply, readKept, writeKept } from './kept-reply.ts';
import { findQuestion } from './question.ts';

/** Whose request it is, of which model, and what that model's cache may do. */
export interface CacheScope {
  /** `namespace/name`. */
  readonly model: string;
  /** Another one when anything of the model changes that decides what it answers: targets, routing, defaults. */
  readonly version: string;
  /** The consumer, or the caller where there is none. */
  readonly consumer: string;
  readonly policy: CachePolicy;
}

export interface CacheRequest {
  readonly dialect: CachedDialect;
  /** As the client sent it. */
  readonly body: JsonObject;
  /** The client's header. */
  readonly cacheControl: string | undefined;
  /** What else the client says to the provider, and may decide what that answers. */
  readonly said?: JsonObject | undefined;
}

export type Lookup = CacheHit | CacheMiss;

export interface CacheHit {
  readonly kind: 'hit';
  /** `exact`: the same request. `semantic`: a question that means the same. */
  readonly how: 'exact' | 'semantic';
  readonly ageMs: number;
  /** Cosine of the two questions; 1 for the same request. */
  readonly similarity: number;
  readonly kept: KeptReply;
}

export interface CacheMiss {
  readonly kind: 'miss';
  /** Why nothing was looked for; undefined where it was, and there was nothing. */
  readonly why: Bypass | undefined;
  /** For the whole answer, once it ended well. Keeps it where it may be kept; whatever it is given, nothing is thrown. */
  keep(kept: KeptReply): void;
}

interface ReplyCachesPorts {
  readonly cache: ReplyCache;
  /** 32 bytes, the same for all replicas: names of entries say nothing of what was asked. */
  readonly key: Buffer;
  readonly clock: Clock;
  /** The registered embeddings model of this name. */
  readonly embedder: (model: string) => Embedder | undefined;
  /** Hears why no vector was made. */
  readonly warn: (error: unknown) => void;
  /** How long a call waits for the vector of its question. Default: 1,000. */
  readonly embedWithinMs?: number | undefined;
  readonly askedLimits?: AskedLimits | undefined;
}

/** What is known of a request on its way through the caches. */
interface Search {
  readonly scope: CacheScope;
  readonly place: CachePlace;
  readonly dialect: CachedDialect;
  readonly body: JsonObject;
  readonly said: JsonObject;
  readonly wish: CacheWish;
  /** Of its answer. */
  readonly name: string;
}

/** A question with its vector. */
interface Placed {
  readonly scope: string;
  readonly text: string;
  readonly rest: string;
  readonly vector: Float32Array;
}

const usualEmbedWithinMs = 1_000;

/** Answers of models that are given again. To be asked before the provider is; a hit has cost nothing. */
export class ReplyCaches {
  readonly #ports: ReplyCachesPorts;
  readonly #key: HmacKey;
  readonly #asked: AskedQuestions;

  constructor(ports: ReplyCachesPorts) {
    this.#ports = ports;
    this.#key = hmacKey(ports.key);
    this.#asked = askedQuestions(ports.cache, ports.askedLimits);
  }

  /** No promise where the answer is known at once. Never throws or rejects. */
  find(scope: CacheScope, request: CacheRequest, cancel: Cancel): Lookup | Promise<Lookup> {
    const wish = readCacheControl(request.cacheControl);
    if (!wish.keeps && !wish.reads) return bypassed('no-store');
    const { dialect, said = {} } = request;
    const why = whyNot(dialect, request.body, scope.policy.tools);
    if (why !== undefined) return bypassed(why);
    const { model, version, policy } = scope;
    const place = { model, version, consumer: policy.share === 'all' ? undefined : scope.consumer };
    const body = normalize(request.body);
    const name = nameOf(this.#key, 'reply', place, [dialect, body, said]);
    const search = { scope, place, dialect, body, said, wish, name };
    if (!wish.reads) return this.#miss(search, undefined, 'no-cache');
    const found = this.#ports.cache.find(search.name);
    if (found instanceof Promise) return found.then((bytes) => this.#judge(search, bytes, cancel));
    return this.#judge(search, found, cancel);
  }

  #judge(search: Search, bytes: Buffer | undefined, cancel: Cancel): Lookup | Promise<Lookup> {
    const hit = this.#hit(search, bytes, 'exact', 1);
    if (hit !== undefined) return hit;
    return search.scope.policy.semantic === undefined ? this.#miss(search) : this.#findAlike(search, cancel);
  }

  #hit({ scope, wish }: Search, bytes: Buffer | undefined, how: CacheHit['how'], similarity: number): CacheHit | undefined {
    const entry = bytes && readKept(bytes);
    if (entry === undefined) return undefined;
    // Clocks of replicas differ a little.
    const ageMs = Math.max(0, this.#ports.clock.nowMs() - entry.atMs);
    if (ageMs > Math.min(scope.policy.ttlMs, wish.maxAgeMs)) return undefined;
    return { kind: 'hit', how, ageMs, similarity, kept: entry.kept };
  }

  async #findAlike(search: Search, cancel: Cancel): Promise<Lookup> {
    const placed = await this.#place(search, cancel);
    if (placed === undefined) return this.#miss(search);
    const threshold = search.scope.policy.semantic?.threshold ?? 1;
    for (const { asked, cosine } of await this.#asked.find(placed.scope, placed.rest, placed.vector, threshold)) {
      if (objection(asked.text, placed.text) !== undefined) continue;
      const hit = this.#hit(search, await this.#ports.cache.find(asked.reply), 'semantic', Math.min(1, cosine));
      if (hit !== undefined) return hit;
    }
    return this.#miss(search, placed);
  }

  /** Undefined where there is no question to be compared, or nobody to make a vector of it. */
  async #place({ scope, place, dialect, body, said }: Search, cancel: Cancel): Promise<Placed | undefined> {
    const question = findQuestion(dialect, body);
    const model = scope.policy.semantic?.model ?? '';
    const embedder = this.#ports.embedder(model);
    if (question === undefined || embedder === undefined) return undefined;
    const name = nameOf(this.#key, 'scope', place, [model]);
    const rest = nameOf(this.#key, 'rest', place, [dialect, question.rest, said]);
    const [vector] = await Promise.all([this.#embed(embedder, question.text, cancel), this.#asked.catchUp(name)]);
    return vector && { scope: name, text: question.text, rest, vector };
  }

  async #embed(embedder: Embedder, text: string, outer: Cancel): Promise<Float32Array | undefined> {
    const cancel = new Cancel();
    const forget = outer.onCancel((reason) => cancel.cancel(reason));
    const limitMs = this.#ports.embedWithinMs ?? usualEmbedWithinMs;
    const timer = setTimeout(() => cancel.cancel(`The embeddings model did not answer within ${limitMs} ms.`), limitMs);
    const ended = new Promise<never>((_, reject) => {
      cancel.onCancel((reason) => reject(new Error(reason)));
    });
    try {
      const [vector] = await Promise.race([embedder.embed([text], cancel), ended]);
      return vector;
    } catch (error) {
      if (!outer.isCancelled) this.#ports.warn(error);
      return undefined;
    } finally {
      clearTimeout(timer);
      forget();
    }
  }

  #miss(search: Search, placed?: Placed, why?: Bypass): CacheMiss {
    let isKept = false;
    return {
      kind: 'miss',
      why,
      keep: (kept) => {
        if (isKept || !isWorthKeeping(kept, search.scope.policy.tools)) return;
        isKept = true;
        this.#keep(search, placed, kept);
      },
    };
  }

  #keep({ scope, name }: Search, placed: Placed | undefined, kept: KeptReply): void {
    const { ttlMs } = scope.policy;
    const atMs = this.#ports.clock.nowMs();
    this.#ports.cache.keep(name, writeKept(kept, atMs), ttlMs);
    if (placed === undefined) return;
    const { text, rest, vector } = placed;
    this.#asked.add(placed.scope, { text, rest, reply: name, atMs }, vector, ttlMs);
  }
}

function bypassed(why: Bypass): CacheMiss {
  return { kind: 'miss', why, keep() {} };
}
