import type { NoticeStore, StoredNotice } from '../ports/notices.ts';

/** The twin of sql/notices.ts that forgets with the process. */
export function memoryNotices(): NoticeStore {
  const kept = new Map<string, StoredNotice>();
  const keyOf = (channel: string, id: string) => JSON.stringify([channel, id]);
  const of = (channel: string) => [...kept.values()].filter((notice) => notice.channel === channel);
  return {
    async add(notice, most) {
      if (of(notice.channel).length >= most) return false;
      const key = keyOf(notice.channel, notice.id);
      if (!kept.has(key)) kept.set(key, notice);
      return true;
    },
    async take(channel, nowMs, untilMs, limit) {
      const due = of(channel)
        .filter(({ dueAtMs }) => dueAtMs <= nowMs)
        .sort((a, b) => a.dueAtMs - b.dueAtMs || (a.id < b.id ? -1 : 1))
        .slice(0, limit)
        .map((notice) => ({ ...notice, dueAtMs: untilMs }));
      for (const notice of due) kept.set(keyOf(channel, notice.id), notice);
      return due;
    },
    async postpone(channel, id, tried, dueAtMs) {
      const notice = kept.get(keyOf(channel, id));
      if (notice !== undefined) kept.set(keyOf(channel, id), { ...notice, tried, dueAtMs });
    },
    remove: async (channel, id) => void kept.delete(keyOf(channel, id)),
    async nextDueMs(channel) {
      const due = of(channel).map(({ dueAtMs }) => dueAtMs);
      return due.length === 0 ? undefined : Math.min(...due);
    },
  };
}
