/**
 * Answers that may be given again, and lists of what was asked, each under a key that says nothing of what it holds. Every
 * implementation passes test/contracts/reply-cache.contract.ts. It is on a call's way and worth nothing without being fast: what it
 * cannot say within 50 ms is not there, what it cannot take is dropped, and nothing of it throws.
 */
export interface ReplyCache {
  /** Other processes see what is kept here. */
  readonly isShared: boolean;
  /** Undefined where there is nothing. An answer known at once is no promise. */
  find(key: string): Buffer | undefined | Promise<Buffer | undefined>;
  /** For this long at most; behind the call. More than `longestReplyBytes` is not kept. */
  keep(key: string, reply: Buffer, ttlMs: number): void;
  /** Adds to the end of a list that every process sees; the oldest lines of a long one are dropped. It goes `ttlMs` after the last. */
  append(list: string, line: Buffer, ttlMs: number): void;
  /** What was added after a position, in order; of a list that was begun anew since, all of it. */
  linesAfter(list: string, position: string | undefined, limit: number): Promise<ListedLines>;
  /** Resolves when what was given to it is kept, or was dropped. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface ListedLines {
  readonly lines: readonly Buffer[];
  /** To go on from; undefined where there is nothing yet. */
  readonly position: string | undefined;
}

export const longestReplyBytes = 1024 * 1024;
export const longestListLines = 10_000;
