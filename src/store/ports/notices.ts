/** What people have to be told yet, by the way it goes. Whoever takes a notice has it for a while; not removed by then, it is there again. */
export interface NoticeStore {
  /** Durable before it resolves; one that is there already stays as it is. False, and nothing is kept, where `most` wait in its channel. */
  add(notice: StoredNotice, most: number): Promise<boolean>;
  /** Those due at `nowMs`, the longest due first; nobody else gets them before `untilMs`. */
  take(channel: string, nowMs: number, untilMs: number, limit: number): Promise<readonly StoredNotice[]>;
  /** Puts one that was taken back, for another try. */
  postpone(channel: string, id: string, tried: number, dueAtMs: number): Promise<void>;
  remove(channel: string, id: string): Promise<void>;
  /** When the next one is due; undefined where none waits. */
  nextDueMs(channel: string): Promise<number | undefined>;
}

export interface StoredNotice {
  readonly channel: string;
  /** Of the event: whoever gets it twice knows it by this. */
  readonly id: string;
  /** JSON. */
  readonly event: string;
  readonly tried: number;
  readonly dueAtMs: number;
}
