import type { JsonObject } from '../wire/json.ts';

/** Something that people should hear of. */
export interface NotifyEvent {
  /** Unique: whoever gets an event twice knows it by this. At most 128 characters of A-Z a-z 0-9 _ - and `.`. */
  readonly id: string;
  /** `approval.requested`, `approval.decided`, ... */
  readonly kind: string;
  readonly atMs: number;
  /** One line for people. */
  readonly title: string;
  /** Sentences for people; nothing that a caller sent. */
  readonly text: string;
  /** Where to look at it; undefined where this gateway has no address. */
  readonly url: string | undefined;
  /** Whom it is for. */
  readonly audience: Audience;
  /** For programs. Neither arguments nor secrets belong into it. */
  readonly data: JsonObject;
}

/** Members by id, or whoever has the role, in this namespace or everywhere. */
export interface Audience {
  readonly members: readonly string[];
  readonly role: string | undefined;
  /** Empty: the gateway as a whole. */
  readonly namespace: string;
}

/** Tells people, behind whatever happens: nobody waits for it, and what cannot be told is in the log. */
export interface Notifier {
  notify(event: NotifyEvent): void;
  /** Resolves when everything was told, given up, or the time is over. */
  close(withinMs?: number): Promise<void>;
}

/** One way to tell people. */
export interface Channel {
  /** `webhook`, `smtp`, ... */
  readonly name: string;
  /** Rejects where it may be tried again. */
  send(event: NotifyEvent): Promise<void>;
}

interface NotifierPorts {
  readonly channels: readonly Channel[];
  readonly log: NotifyLog;
  /** Pauses before each further try, ms. */
  readonly pausesMs?: readonly number[];
}

interface NotifyLog {
  warn(fields: object, message: string): void;
}

/** Of one channel; what comes on top is dropped, and said so. */
const mostWaiting = 1_000;
/** At the same time, of one channel: a receiver that hangs holds up few others. */
const mostUnderWay = 4;
const usualPausesMs = [1_000, 5_000, 30_000, 120_000, 600_000];
const closeWithinMs = 2_000;

export function openNotifier({ channels, log, pausesMs = usualPausesMs }: NotifierPorts): Notifier {
  const queues = channels.map((channel) => new Queue(channel, log, pausesMs));
  return {
    notify(event) {
      for (const queue of queues) queue.add(event);
    },
    async close(withinMs = closeWithinMs) {
      await Promise.all(queues.map((queue) => queue.close(withinMs)));
    },
  };
}

/** What waits for one channel. */
class Queue {
  readonly #channel: Channel;
  readonly #log: NotifyLog;
  readonly #pausesMs: readonly number[];
  readonly #waiting: NotifyEvent[] = [];
  readonly #pauses = new Set<() => void>();
  #underWay = 0;
  #isClosing = false;
  #whenEmpty: (() => void) | undefined;

  constructor(channel: Channel, log: NotifyLog, pausesMs: readonly number[]) {
    this.#channel = channel;
    this.#log = log;
    this.#pausesMs = pausesMs;
  }

  add(event: NotifyEvent): void {
    if (this.#isClosing || this.#waiting.length >= mostWaiting) {
      this.#giveUp(event, 'too many events wait already');
      return;
    }
    this.#waiting.push(event);
    this.#next();
  }

  async close(withinMs: number): Promise<void> {
    this.#isClosing = true;
    // Nobody waits for a pause of ten minutes: each that waits is tried once more at once.
    for (const end of this.#pauses) end();
    if (this.#underWay === 0 && this.#waiting.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    await Promise.race([empty, late]);
    clearTimeout(timer);
    for (const event of this.#waiting.splice(0)) this.#giveUp(event, 'the gateway stops');
  }

  #next(): void {
    while (this.#underWay < mostUnderWay) {
      const event = this.#waiting.shift();
      if (event === undefined) break;
      this.#underWay += 1;
      void this.#deliver(event).then(() => {
        this.#underWay -= 1;
        this.#next();
      });
    }
    if (this.#underWay === 0 && this.#waiting.length === 0) this.#whenEmpty?.();
  }

  async #deliver(event: NotifyEvent): Promise<void> {
    for (let tried = 0; ; tried++) {
      try {
        await this.#channel.send(event);
        return;
      } catch (error) {
        const pauseMs = this.#pausesMs[tried];
        const reason = error instanceof Error ? error.message : 'unknown';
        if (pauseMs === undefined || (this.#isClosing && tried > 0)) {
          this.#giveUp(event, reason);
          return;
        }
        if (!this.#isClosing) await this.#pause(pauseMs);
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms).unref();
      this.#pauses.add(end);
    });
  }

  #giveUp({ id, kind }: NotifyEvent, reason: string): void {
    this.#log.warn({ channel: this.#channel.name, event: id, kind, reason }, 'people could not be told of an event');
  }
}
