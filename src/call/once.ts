/**
 * Refuses to make a call again whose client gave it a key: it gets what came of the first one. Who sends it meanwhile waits for that;
 * a key that stands for another request is refused, and so is every one while nobody can say what it stands for.
 */
import { createHmac, randomUUID } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { type HmacKey, hmac, hmacKey } from '../hmac.ts';
import type { Claim, KeyedCall, KeyedCalls } from '../store/ports/keyed-calls.ts';
import { Cancel, clientLeft } from '../wire/cancel.ts';
import type { Ask } from './ask.ts';
import type { Outcome } from './inspect.ts';
import type { HeldSlots } from './limit.ts';
import { failureOf, type Kept, type KeptAnswer, longestKeptBytes, openKept, sealKept } from './once/kept.ts';
import { KeptBytes } from './once/kept-bytes.ts';
import { holdLease } from './once/lease.ts';
import { RecordingStream } from './once/recording-stream.ts';
import { digestRequest } from './once/request-digest.ts';
import { asked, keyInUse, keyReused, pause, within } from './once/waiting.ts';
import { answerOf, keptFailure, sizeOf } from './once/what-came.ts';
import type { Screened } from './screen.ts';

/** What is done with a call that has a key. */
export interface Work {
  make(ask: Ask): Promise<Outcome>;
  /** Hands out what came of it before. */
  repeat(answer: KeptAnswer): Promise<Outcome>;
  /** Whether the upstream cannot have heard of a call that ended so. */
  isUnheard(error: unknown): boolean;
  /** What it holds of limits on how many run at once. Who waits for what another request makes leaves it to those who do something. */
  readonly slots?: HeldSlots | undefined;
}

interface OnceLimits {
  /** What a replica that died holds up others for. */
  readonly leaseMs: number;
  /** How long a key is remembered. */
  readonly ttlMs: number;
  /** How long somebody waits for what comes of a call that another request makes. */
  readonly waitMs: number;
  readonly firstPauseMs: number;
  /** Most that is kept for one caller in an hour, by one replica. */
  readonly keptBytes: number;
  /** Most that wait here at once for what other requests of the same caller make. */
  readonly waiting: number;
}

const usual: OnceLimits = {
  leaseMs: 20_000,
  ttlMs: 24 * 3_600_000,
  waitMs: 55_000,
  firstPauseMs: 50,
  keptBytes: 64 * 1024 * 1024,
  waiting: 64,
};
const longestPauseMs = 1_000;
/** A call that was answered waits for its answer to be kept, but not for long. */
const keepWithinMs = 2_000;
const keepAgainMs = 1_000;

interface OncePorts {
  readonly rows: KeyedCalls;
  /** 32 bytes, the same for all replicas. */
  readonly key: Buffer;
  readonly warn: (error: unknown) => void;
  readonly limits?: Partial<OnceLimits>;
}

export type KeyedAsk = Ask & { readonly idempotencyKey: string };

/** What those who wait here for the same call are told: what came of it, an error for all of them, or that it is anybody's turn. */
type News = Kept | GatewayError | undefined;

/** Calls that are made once, of all replicas together. */
export class Once {
  readonly #rows: KeyedCalls;
  readonly #limits: OnceLimits;
  readonly #digestKey: HmacKey;
  readonly #sealKey: Buffer;
  readonly #warn: (error: unknown) => void;
  /** Those that somebody of this process makes or waits for, by key and request. */
  readonly #flights = new Map<string, Promise<News>>();
  /** How many wait, by caller: no limit holds them, as they hold nothing of it. */
  readonly #waiting = new Map<string, number>();
  readonly #keeping = new Set<Promise<void>>();
  readonly #keptBytes: KeptBytes;
  #isClosed = false;

  constructor({ rows, key, warn, limits }: OncePorts) {
    this.#rows = rows;
    this.#limits = { ...usual, ...limits };
    this.#digestKey = hmacKey(derived(key, 'names of keyed calls'));
    this.#sealKey = derived(key, 'answers of keyed calls');
    this.#warn = warn;
    this.#keptBytes = new KeptBytes(this.#limits.keptBytes, () => performance.now());
  }

  /**
   * Makes the call, or gives what came of it. Rejects with GatewayError `key_reused`, `key_in_use`, `conflict`, `store_unavailable`,
   * and as the call itself does.
   */
  async run(screened: Screened, ask: KeyedAsk, work: Work): Promise<Outcome> {
    const request = this.#requestOf(screened, ask);
    const claim = this.#claimFor(screened, ask, request instanceof Promise ? await request : request);
    const place = placeOf(claim);
    const untilMs = performance.now() + this.#limits.waitMs;
    for (;;) {
      const flight = this.#flights.get(place);
      if (flight === undefined) return await this.#lead(claim, screened, ask, work, untilMs);
      const news = await this.#wait(flight, screened, ask, work, untilMs);
      if (news instanceof GatewayError) throw news;
      if (news !== undefined) return await give(news, work);
    }
  }

  /** Resolves when what is still to be kept is, or cannot be. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#keeping);
  }

  #requestOf({ capability, toolbox, params }: Screened, { method, bytesIn }: KeyedAsk): string | Promise<string> {
    const head = `request\n${JSON.stringify([method, toolbox.name, capability])}\n`;
    return digestRequest(this.#digestKey, head, params, bytesIn);
  }

  #claimFor({ caller }: Screened, { idempotencyKey }: KeyedAsk, request: string): Claim {
    const { leaseMs, ttlMs } = this.#limits;
    return {
      key: hmac(this.#digestKey, `key\n${JSON.stringify([caller.id, idempotencyKey])}`, 'base64url'),
      request,
      holder: randomUUID(),
      leaseMs,
      ttlMs,
    };
  }

  async #lead(claim: Claim, screened: Screened, ask: KeyedAsk, work: Work, untilMs: number): Promise<Outcome> {
    const place = placeOf(claim);
    const { promise, resolve } = Promise.withResolvers<News>();
    this.#flights.set(place, promise);
    const tell = (news: News) => {
      this.#flights.delete(place);
      resolve(news);
    };
    let found: Kept | 'taken';
    const sinceMs = performance.now();
    try {
      found = await this.#obtain(claim, screened, ask, work, untilMs);
    } catch (error) {
      tell(error instanceof GatewayError && forAll.has(error.code) ? error : undefined);
      throw error;
    }
    if (found === 'taken') return await this.#make(claim, screened, ask, work, { sinceMs, resolve });
    tell(found);
    return await give(found, work);
  }

  /** The key itself, or what came of the call that has it. */
  async #obtain(claim: Claim, screened: Screened, ask: KeyedAsk, work: Work, untilMs: number): Promise<Kept | 'taken'> {
    const rows = this.#rows;
    for (let pauseMs = this.#limits.firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 1.5)) {
      const known = await asked(this.#take(claim));
      if (known === undefined) return await this.#begin(claim, work);
      if (known.request !== claim.request) throw keyReused();
      if (known.answer !== undefined) return this.#open(claim, known.answer);
      if (known.leaseLeftMs <= 0) {
        // Whoever made it is gone. What may be made again is; of all else nobody knows what came of it.
        if (!isRepeatable(ask)) return { kind: 'unkept', why: 'unknown' };
        if (await asked(rows.takeOver(known.holder, claim))) return await this.#begin(claim, work);
      }
      await this.#wait(pause(pauseMs), screened, ask, work, untilMs);
    }
  }

  /** Holds nothing meanwhile that others wait for. Rejects with GatewayError `cancelled` and `key_in_use`. */
  async #wait<T>(work: Promise<T>, { caller }: Screened, { cancel }: Ask, { slots }: Work, untilMs: number): Promise<T> {
    const waiting = this.#waiting.get(caller.id) ?? 0;
    if (waiting >= this.#limits.waiting) throw keyInUse();
    slots?.leave();
    this.#waiting.set(caller.id, waiting + 1);
    try {
      return await within(work, cancel, untilMs);
    } finally {
      const left = (this.#waiting.get(caller.id) ?? 1) - 1;
      if (left > 0) this.#waiting.set(caller.id, left);
      else this.#waiting.delete(caller.id);
    }
  }

  /** The key is taken; whoever waited for it needs slots again, and gives the key back where there are none. */
  async #begin(claim: Claim, { slots }: Work): Promise<'taken'> {
    try {
      const entering = slots?.comeBack();
      if (entering !== undefined) await entering;
      return 'taken';
    } catch (error) {
      void this.#rows.release(claim).catch(() => {});
      throw error;
    }
  }

  async #take(claim: Claim): Promise<KeyedCall | undefined> {
    try {
      return await this.#rows.take(claim);
    } catch (error) {
      // It may have been taken all the same, and nobody would use it.
      void this.#rows.release(claim).catch(() => {});
      throw error;
    }
  }

  #open(claim: Claim, sealed: string): Kept {
    return openKept(this.#sealKey, placeOf(claim), sealed) ?? { kind: 'unkept', why: 'unknown' };
  }

  async #make(claim: Claim, screened: Screened, ask: KeyedAsk, work: Work, { sinceMs, resolve }: Turn): Promise<Outcome> {
    const cancel = new Cancel();
    // Whoever gives a key means to come back for the answer.
    const takeBack = ask.cancel.onCancel((reason) => {
      if (reason !== clientLeft) cancel.cancel(reason);
    });
    const lease = holdLease(this.#rows, claim, sinceMs, () => cancel.cancel('another replica may make this call by now'));
    const stream = ask.stream === undefined ? undefined : new RecordingStream(ask.stream);
    let kept: Kept | undefined;
    try {
      if (ask.cancel.isCancelled) throw new GatewayError('cancelled', ask.cancel.reason ?? '');
      const outcome = await work.make({ ...ask, idempotencyKey: undefined, cancel, stream });
      kept = this.#keptOf(outcome, screened, stream);
      return outcome;
    } catch (error) {
      kept = keptFailure(error, isRepeatable(ask), work.isUnheard(error));
      throw error;
    } finally {
      takeBack();
      await this.#keep(claim, kept, () => {
        lease.stop();
        this.#flights.delete(placeOf(claim));
      });
      resolve(kept);
    }
  }

  #keptOf(outcome: Outcome, { member, caller }: Screened, stream: RecordingStream | undefined): Kept | undefined {
    // A question to the client is no end: the next round of the call has the same key.
    if (outcome.kind === 'input-required') return undefined;
    if (member.config.kind === 'admin') return { kind: 'unkept', why: 'secret' };
    const answer = answerOf(outcome, stream);
    const bytes = answer === undefined ? Number.POSITIVE_INFINITY : sizeOf(answer);
    if (answer === undefined || bytes > longestKeptBytes) return { kind: 'unkept', why: 'size' };
    return this.#keptBytes.take(caller.id, bytes) ? { kind: 'answer', answer } : { kind: 'unkept', why: 'much' };
  }

  async #keep(claim: Claim, kept: Kept | undefined, done: () => void): Promise<void> {
    const sealed = kept && sealKept(this.#sealKey, placeOf(claim), kept);
    const once = async () => {
      if (sealed === undefined) await this.#rows.release(claim);
      else await this.#rows.settle(claim, sealed);
    };
    const keeping = (async () => {
      const lastMs = performance.now() + claim.leaseMs * 10;
      for (;;) {
        try {
          await once();
          return;
        } catch (error) {
          this.#warn(error);
          if (this.#isClosed || performance.now() > lastMs) return;
          await pause(keepAgainMs);
        }
      }
    })().finally(() => {
      done();
      this.#keeping.delete(keeping);
    });
    this.#keeping.add(keeping);
    await Promise.race([keeping, pause(keepWithinMs)]);
  }
}

interface Turn {
  readonly sinceMs: number;
  readonly resolve: (news: News) => void;
}

/** What one of them is told, all of them would be. */
const forAll: ReadonlySet<string> = new Set(['store_unavailable', 'key_reused']);

/** A model that is asked twice does nothing twice: where an answer was lost with the one who waited for it, it is asked again. */
function isRepeatable({ method }: Ask): boolean {
  return method === 'models/call';
}

async function give(kept: Kept, work: Work): Promise<Outcome> {
  if (kept.kind === 'answer') return await work.repeat(kept.answer);
  throw failureOf(kept);
}

function placeOf({ key, request }: Claim): string {
  return `${key} ${request}`;
}

function derived(key: Buffer, purpose: string): Buffer {
  return createHmac('sha256', key).update(purpose).digest();
}
