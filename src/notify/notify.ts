import type { Clock } from '../clock.ts';
import type { NoticeStore, StoredNotice } from '../store/ports/notices.ts';
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

/**
 * Tells people, behind whatever happens: nobody waits for it. What is to be told is kept until it was, or was tried often enough; then it
 * is in the log. A receiver may get an event twice, with the same id.
 */
export interface Notifier {
  notify(event: NotifyEvent): void;
  /** Resolves when what is due was told, or the time is over; the rest is told after the next start. */
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
  /** Keeps what has to be told until it was: over restarts, and for every replica. */
  readonly store: NoticeStore;
  readonly clock: Clock;
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
/** How long one that is being told is nobody else's: longer than any channel takes. */
const leaseMs = 2 * 60_000;
/** As far apart as the clocks of replicas may be. */
const aheadMs = 60_000;
/** What a replica that is gone had begun is looked for this often. */
const lookEveryMs = 30_000;

export function openNotifier({ channels, pausesMs = usualPausesMs, ...ports }: NotifierPorts): Notifier {
  const queues = channels.map((channel) => new Queue(channel, ports, pausesMs));
  return {
    notify(event) {
      for (const queue of queues) queue.add(event);
    },
    async close(withinMs = closeWithinMs) {
      await Promise.all(queues.map((queue) => queue.close(withinMs)));
    },
  };
}

/** What waits for one channel: in the store, and where that is away, here. */
class Queue {
  readonly #channel: Channel;
  readonly #ports: Pick<NotifierPorts, 'store' | 'clock' | 'log'>;
  readonly #pausesMs: readonly number[];
  readonly #working = new Set<Promise<void>>();
  #underWay = 0;
  #isLooking = false;
  #isWanted = false;
  #isClosing = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(channel: Channel, ports: Pick<NotifierPorts, 'store' | 'clock' | 'log'>, pausesMs: readonly number[]) {
    this.#channel = channel;
    this.#ports = ports;
    this.#pausesMs = pausesMs;
    this.#look();
  }

  add(event: NotifyEvent): void {
    this.#track(this.#keep(event).then(() => this.#look()));
  }

  /** What was not told stays in the store for the next start. */
  async close(withinMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    await Promise.race([this.#idle(), late]);
    this.#isClosing = true;
    clearTimeout(this.#timer);
    clearTimeout(timer);
  }

  /** Also what comes of what is under way. */
  async #idle(): Promise<void> {
    while (this.#working.size > 0) await Promise.allSettled(this.#working);
  }

  #track(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  async #keep(event: NotifyEvent): Promise<void> {
    const { store, clock } = this.#ports;
    const notice = { channel: this.#channel.name, id: event.id, event: JSON.stringify(event), tried: 0, dueAtMs: clock.nowMs() };
    try {
      if (!(await store.add(notice, mostWaiting))) this.#giveUp(event, 'too many events wait already');
    } catch {
      // Better told once than not at all.
      await this.#channel.send(event).catch((error: unknown) => this.#giveUp(event, reasonOf(error)));
    }
  }

  /** Takes what is due, as much as there is room for, and comes back for the rest. */
  #look(): void {
    if (this.#isClosing) return;
    this.#isWanted = true;
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#track(
      this.#takeAll().finally(() => {
        this.#isLooking = false;
        if (this.#isWanted) this.#look();
      }),
    );
  }

  async #takeAll(): Promise<void> {
    this.#isWanted = false;
    clearTimeout(this.#timer);
    const { store, clock } = this.#ports;
    const { name } = this.#channel;
    let inMs = lookEveryMs;
    try {
      const nowMs = clock.nowMs();
      const room = mostUnderWay - this.#underWay;
      // Whoever is done looks again.
      if (room === 0) return;
      const dueByMs = await this.#dueByMs(nowMs);
      const taken = await store.take(name, dueByMs, nowMs + leaseMs, room);
      for (const notice of taken) {
        this.#underWay += 1;
        this.#track(
          this.#deliver(notice).then(() => {
            this.#underWay -= 1;
            this.#look();
          }),
        );
      }
      const dueMs = taken.length === room ? undefined : await store.nextDueMs(name);
      if (dueMs !== undefined) inMs = Math.min(lookEveryMs, Math.max(0, dueMs - clock.nowMs()));
    } catch {
      // A store that is away is looked at again later.
    }
    if (!this.#isClosing) this.#timer = setTimeout(() => this.#look(), inMs).unref();
  }

  /** Nothing waits for longer than the longest pause: what is due later than that was put there by a clock that was ahead. */
  async #dueByMs(nowMs: number): Promise<number> {
    const { store } = this.#ports;
    const nextMs = await store.nextDueMs(this.#channel.name);
    const latestMs = nowMs + Math.max(leaseMs, ...this.#pausesMs) + aheadMs;
    return nextMs !== undefined && nextMs > latestMs ? nextMs : nowMs;
  }

  async #deliver({ channel, id, event: text, tried }: StoredNotice): Promise<void> {
    const { store, clock } = this.#ports;
    const event = JSON.parse(text) as NotifyEvent;
    try {
      const failure = await this.#send(event);
      const pauseMs = this.#pausesMs[tried];
      if (failure !== undefined && pauseMs !== undefined) {
        await store.postpone(channel, id, tried + 1, clock.nowMs() + pauseMs);
        return;
      }
      if (failure !== undefined) this.#giveUp(event, failure);
      await store.remove(channel, id);
    } catch (error) {
      // It is told once more after a while, under the same id.
      this.#ports.log.warn({ err: error, channel, event: id }, 'that people were told could not be noted');
    }
  }

  /** Why not, where it was not. */
  async #send(event: NotifyEvent): Promise<string | undefined> {
    try {
      await this.#channel.send(event);
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  }

  #giveUp({ id, kind }: NotifyEvent, reason: string): void {
    this.#ports.log.warn({ channel: this.#channel.name, event: id, kind, reason }, 'people could not be told of an event');
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown';
}
