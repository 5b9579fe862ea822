import type { Clock } from '../../clock.ts';
import { longestListLines, longestReplyBytes, type ReplyCache } from '../ports/reply-cache.ts';

interface Kept {
  readonly bytes: Buffer;
  readonly untilMs: number;
}

interface List {
  /** Tells it from one of the same name that was begun later. */
  readonly mark: number;
  readonly lines: Buffer[];
  /** Position of the first line that is still there. */
  first: number;
  bytes: number;
  untilMs: number;
}

/** What an entry takes beside its bytes. */
const overheadBytes = 200;

/** In this process: at most `limitBytes` together, what was used longest ago goes first. */
export function memoryReplies(clock: Clock, limitBytes: number): ReplyCache {
  /** In the order of their last use. */
  const replies = new Map<string, Kept>();
  const lists = new Map<string, List>();
  let usedBytes = 0;
  let marks = 0;

  function drop(key: string): void {
    const kept = replies.get(key);
    if (kept === undefined) return;
    replies.delete(key);
    usedBytes -= kept.bytes.length + overheadBytes;
  }

  function dropList(name: string): void {
    usedBytes -= lists.get(name)?.bytes ?? 0;
    lists.delete(name);
  }

  function findList(name: string): List | undefined {
    const list = lists.get(name);
    if (list === undefined || list.untilMs > clock.nowMs()) return list;
    dropList(name);
    return undefined;
  }

  function makeRoom(): void {
    while (usedBytes > limitBytes && replies.size > 0) drop(replies.keys().next().value as string);
    while (usedBytes > limitBytes && lists.size > 0) dropList(lists.keys().next().value as string);
  }

  return {
    isShared: false,
    find(key) {
      const kept = replies.get(key);
      if (kept === undefined) return undefined;
      if (kept.untilMs <= clock.nowMs()) {
        drop(key);
        return undefined;
      }
      replies.delete(key);
      replies.set(key, kept);
      return kept.bytes;
    },
    keep(key, bytes, ttlMs) {
      drop(key);
      if (bytes.length > longestReplyBytes) return;
      replies.set(key, { bytes, untilMs: clock.nowMs() + ttlMs });
      usedBytes += bytes.length + overheadBytes;
      makeRoom();
    },
    append(name, line, ttlMs) {
      if (line.length > longestReplyBytes) return;
      const list = findList(name) ?? { mark: ++marks, lines: [], first: 0, bytes: 0, untilMs: 0 };
      list.lines.push(line);
      list.untilMs = clock.nowMs() + ttlMs;
      addBytes(list, line.length + overheadBytes);
      if (list.lines.length > longestListLines) {
        list.first += 1;
        addBytes(list, -(list.lines.shift()!.length + overheadBytes));
      }
      lists.delete(name);
      lists.set(name, list);
      makeRoom();
    },
    async linesAfter(name, position, limit) {
      const list = findList(name);
      if (list === undefined) return { lines: [], position };
      const [mark, at] = (position ?? '').split('-').map(Number);
      const from = mark === list.mark ? Math.max(0, at! - list.first) : 0;
      const lines = list.lines.slice(from, from + limit);
      return { lines, position: `${list.mark}-${list.first + from + lines.length}` };
    },
    async flush() {},
    async close() {
      replies.clear();
      lists.clear();
      usedBytes = 0;
    },
  };

  function addBytes(list: List, bytes: number): void {
    list.bytes += bytes;
    usedBytes += bytes;
  }
}
