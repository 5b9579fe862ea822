import { addRollUps, keyOf, mergeRollUps } from '../merge-roll-ups.ts';
import {
  type RollUp,
  type RollUpDimension,
  type RollUpQuery,
  type RollUpSum,
  type RollUps,
  rollUpDimensions,
} from '../ports/roll-ups.ts';
import { stepsOf } from '../roll-up-query.ts';

export function memoryRollUps(): RollUps {
  const rows = new Map<string, RollUp>();
  return {
    async add(batch) {
      for (const rollUp of mergeRollUps(batch)) {
        const earlier = rows.get(keyOf(rollUp));
        rows.set(keyOf(rollUp), earlier === undefined ? rollUp : addRollUps(earlier, rollUp));
      }
    },

    async query(query) {
      const { stepMs, limit } = stepsOf(query);
      const found = [...rows.values()].filter((row) => matches(row, query));
      const groups = sumBy(found, (row) => groupOf(row, query.by), query.fromMs);
      const top = groups.sort((a, b) => b.calls - a.calls || order(a.group, b.group)).slice(0, limit);
      if (stepMs === undefined) return top;
      return top.flatMap(({ group }) => {
        const ofGroup = found.filter((row) => groupOf(row, query.by) === group);
        const steps = Map.groupBy(ofGroup, (row) => row.minuteMs - (row.minuteMs % stepMs));
        const inOrder = [...steps].sort(([a], [b]) => a - b);
        return inOrder.flatMap(([atMs, step]) => sumBy(step, () => group, atMs));
      });
    },

    async prune(beforeMs) {
      const old = [...rows].filter(([, row]) => row.minuteMs + 60_000 <= beforeMs);
      for (const [key] of old) rows.delete(key);
      return old.length;
    },
  };
}

function matches(row: RollUp, { fromMs, toMs, filters = {} }: RollUpQuery): boolean {
  if (row.minuteMs < fromMs || row.minuteMs >= toMs) return false;
  return rollUpDimensions.every((dimension) => filters[dimension] === undefined || filters[dimension] === row[dimension]);
}

function groupOf(row: RollUp, by: RollUpDimension | undefined): string {
  return by === undefined ? '' : row[by];
}

function sumBy(rows: readonly RollUp[], group: (row: RollUp) => string, atMs: number): RollUpSum[] {
  return Array.from(Map.groupBy(rows, group), ([name, members]) => {
    const { calls, latency, totalMs, bytesIn, bytesOut, tokensIn, tokensOut, costMicros } = members.reduce(addRollUps);
    const errors = members.reduce((sum, row) => sum + (row.code === '' ? 0 : row.calls), 0);
    return { group: name, atMs, errors, calls, latency, totalMs, bytesIn, bytesOut, tokensIn, tokensOut, costMicros };
  });
}

function order(a: string, b: string): number {
  return a < b ? -1 : 1;
}
