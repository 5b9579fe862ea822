import { randomUUID } from 'node:crypto';
import type { Redis, Result } from 'ioredis';
import { connectLimitMs, LateError, redisClient, within } from './connect.ts';
import { takeScript, tellScript } from './counter-scripts.ts';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    takeLimits(keyCount: number, ...keysAndArguments: (string | number)[]): Result<unknown, Context>;
    tellLimits(keyCount: number, ...keysAndArguments: (string | number)[]): Result<unknown, Context>;
  }
}

export interface LinkOptions {
  readonly url: string;
  /** How long a decision waits for a Redis that is silent before it is made without. */
  readonly answerWithinMs: number;
  /** How long after its last sign of life a replica's slots and reservations are free. */
  readonly leaseMs: number;
  /** Hears of what Redis did not do. */
  warn(error: unknown): void;
}

/** What a link needs of its owner. */
export interface LinkOwner {
  /** From now on decisions are made without Redis, where they were not before. */
  lost(): void;
  /** Redis did not do what it was asked, and why. */
  failed(error: unknown): void;
  /** All that has to be told when Redis is there (again): what is held, what was used up meanwhile. What is sent is not told again. */
  catchUp(): readonly Change[];
  /** Redis decides, from now on. */
  found(): void;
  /** These were not sent, and will not be. */
  unsent(changes: readonly Change[]): void;
}

/** One line of the script that tells Redis: a counter, what happens to it, and up to four values. */
export interface Change {
  readonly key: string;
  readonly line: readonly [what: string, amount: number, ...rest: (string | number)[]];
}

/** Where all keys live. What stands in braces decides a cluster's slot: one for all, since one script decides over all. */
const prefix = '{gatehouse}:limits:';
const tryAgainMs = 250;
/** A connection that lost its packets on the way is given up, rather than waited for until TCP finds out. */
const silentTries = 4;
const changesPerScript = 200;
const mostGone = 100;
/** A Redis that answers those who asked before is only busy: it is waited for this many times as long. */
const mostPatience = 5;

/**
 * `up`: Redis decides. `away`: it is tried again and again, and decisions are made without. `joining`: it is being told what
 * happened meanwhile; decisions are still made without, and are told after that.
 */
export class CounterLink {
  state: 'up' | 'away' | 'joining' = 'away';
  /** Whom Redis knows this process as. A new one with each join: what the old one held, and Redis may or may not know of, is void. */
  holder = '';
  epoch = '';
  replicas = 1;
  readonly #redis: Redis;
  readonly #options: LinkOptions;
  readonly #owner: LinkOwner;
  readonly #outbox: Change[] = [];
  #isFlushPlanned = false;
  /** Earlier names of this process that Redis may still know. */
  #gone: string[] = [];
  #joining: Promise<void> | undefined;
  #failures = 0;
  #heardAtMs = 0;
  #retry: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: LinkOptions, owner: LinkOwner) {
    this.#options = options;
    this.#owner = owner;
    const warn = (error: unknown) => {
      owner.failed(error);
      options.warn(error);
    };
    this.#redis = redisClient(options.url, 1_000, warn, {
      maxRetriesPerRequest: 1,
      // Sent again, a decision would count twice.
      autoResendUnfulfilledCommands: false,
    });
    this.#redis.defineCommand('takeLimits', { lua: takeScript });
    this.#redis.defineCommand('tellLimits', { lua: tellScript });
    this.#redis.on('ready', () => void this.#join());
    this.#redis.on('close', () => {
      if (this.state !== 'away') owner.failed(new Error('The connection to Redis ended.'));
      this.#leave();
    });
  }

  /** Waits a second at most; a Redis that is away is joined when it comes. */
  async open(): Promise<void> {
    const connected = this.#redis.connect().then(() => this.#join());
    await within(connectLimitMs, connected).catch((error: unknown) => this.#fail(error));
    this.#heartbeat = setInterval(() => this.flush(true), this.#options.leaseMs / 3).unref();
  }

  /**
   * Runs the deciding script. Undefined when Redis did not decide in time; where it decides after that, `late` hears of it. Of a
   * connection that broke meanwhile nobody will know.
   */
  async take(
    mode: 'take' | 'look',
    keys: readonly string[],
    values: readonly (string | number)[],
    late: (reply: unknown) => void,
  ): Promise<unknown> {
    this.flush(false);
    const head = [this.holder, this.epoch, this.#options.leaseMs, randomUUID(), mode];
    try {
      const work = this.#redis.takeLimits(keys.length + 2, ...redisKeys(keys), ...head, ...values);
      return await this.#patiently(work, late);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** A thousand calls at once are answered one after the other: given up, each would be decided without the others. */
  async #patiently(work: Promise<unknown>, late: (reply: unknown) => void): Promise<unknown> {
    for (let waits = 1; ; waits += 1) {
      const sinceMs = performance.now();
      try {
        const reply = await within(this.#options.answerWithinMs, work);
        this.#heardAtMs = performance.now();
        return reply;
      } catch (error) {
        const isSilent = this.#heardAtMs < sinceMs;
        if (error instanceof LateError && !isSilent && waits < mostPatience) continue;
        if (error instanceof LateError) work.then(late, () => {});
        throw error;
      }
    }
  }

  /** Told with the next decision, or at the end of this turn of the event loop. */
  tell(change: Change): void {
    if (this.state === 'away') {
      this.#owner.unsent([change]);
      return;
    }
    this.#outbox.push(change);
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    setImmediate(() => {
      this.#isFlushPlanned = false;
      this.flush(false);
    });
  }

  /** Another epoch than the one this process joined: Redis has lost what it knew. */
  notice(epoch: string): void {
    if (epoch === this.epoch || this.state !== 'up') return;
    this.#options.warn(new Error('Redis has lost its data; limits are counted on from what this replica saw last.'));
    this.#leave();
    void this.#join();
  }

  flush(isHeartbeat: boolean): void {
    if (this.state !== 'up' || (this.#outbox.length === 0 && !isHeartbeat)) return;
    do void this.#send(this.#outbox.splice(0, changesPerScript));
    while (this.#outbox.length > 0);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retry);
    if (this.state === 'up') {
      this.flush(false);
      // In order: when it is answered, all that was to be told is.
      const goodbye = this.#redis.zrem(`${prefix}replicas`, this.holder);
      await within(this.#options.answerWithinMs, goodbye).catch(this.#options.warn);
    }
    this.state = 'away';
    this.#redis.disconnect();
  }

  /** What was in it when it failed may have been counted or not: telling it again could count it twice. */
  async #send(changes: readonly Change[]): Promise<void> {
    try {
      const [epoch, replicas] = await this.#tell(changes);
      this.replicas = Math.max(1, replicas);
      this.notice(epoch);
    } catch (error) {
      this.#fail(error);
    }
  }

  #join(): Promise<void> {
    this.#joining ??= this.#joinOnce().finally(() => {
      this.#joining = undefined;
    });
    return this.#joining;
  }

  async #joinOnce(): Promise<void> {
    if (this.#isClosed || this.state === 'up' || this.#redis.status !== 'ready') return;
    if (this.holder !== '') this.#gone.push(this.holder);
    this.#gone = this.#gone.slice(-mostGone);
    this.holder = randomUUID();
    let changes: Change[] = [];
    try {
      // Nothing is told before it is known that somebody listens, and may write.
      await this.#introduce();
      this.state = 'joining';
      changes = [...this.#owner.catchUp()];
      while (changes.length > 0 && !this.#isAway()) await this.#tell(changes.splice(0, changesPerScript));
    } catch (error) {
      this.#options.warn(error);
      this.#owner.failed(error);
      this.#leave();
    }
    this.#owner.unsent(changes);
    if (this.#isAway()) return;
    this.#failures = 0;
    this.state = 'up';
    this.#owner.found();
    this.flush(false);
  }

  async #introduce(): Promise<void> {
    const gone = this.#gone;
    const [epoch, replicas] = await this.#tell([], gone.join(' '));
    this.epoch = epoch;
    this.replicas = Math.max(1, replicas);
    this.#gone = [];
  }

  #isAway(): boolean {
    return this.state === 'away';
  }

  async #tell(changes: readonly Change[], gone = ''): Promise<readonly [string, number]> {
    const keys = redisKeys(changes.map(({ key }) => key));
    const lines = changes.flatMap(({ line: [what, amount, a = '', b = '', c = ''] }) => [what, amount, a, b, c]);
    const head = [this.holder, this.epoch, this.#options.leaseMs, randomUUID(), gone];
    const work = this.#redis.tellLimits(keys.length, ...keys, ...head, ...lines);
    const reply = await within(this.#options.answerWithinMs, work);
    if (!Array.isArray(reply)) throw new Error('Redis answered with something else than a list.');
    return [String(reply[0]), Number(reply[1])];
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    this.#options.warn(error);
    this.#owner.failed(error);
    this.#leave();
  }

  #leave(): void {
    if (this.#isClosed) return;
    if (this.state === 'up') this.#owner.lost();
    this.state = 'away';
    this.#owner.unsent(this.#outbox.splice(0));
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#tryAgain(), tryAgainMs).unref();
  }

  #tryAgain(): void {
    if (this.state !== 'away' || this.#isClosed) return;
    this.#failures += 1;
    const isConnected = this.#redis.status === 'ready' || this.#redis.status === 'connect';
    if (isConnected && this.#failures % silentTries === 0) this.#redis.disconnect(true);
    else if (this.#redis.status === 'ready') void this.#join();
    else this.#leave();
  }
}

function redisKeys(keys: readonly string[]): string[] {
  return [`${prefix}replicas`, `${prefix}epoch`, ...keys.map((key) => prefix + key)];
}
