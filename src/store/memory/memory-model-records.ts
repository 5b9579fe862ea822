import { keyOfModelCalls, mergeModelCalls } from '../merge-model-calls.ts';
import type {
  AlertEvent,
  AnsweredCall,
  FailoverEvent,
  ModelCalls,
  ModelCallsSum,
  ModelRating,
  ModelRecords,
  RatingSum,
} from '../ports/model-records.ts';
import { addModelCalls, modelDimensions, usualModelGroups } from '../ports/model-records.ts';
import { withStorableTexts } from '../storable-model-records.ts';

export function memoryModelRecords(): ModelRecords {
  const calls = new Map<string, ModelCalls>();
  const answers = new Map<string, AnsweredCall>();
  const ratings = new Map<string, ModelRating>();
  const alerts = new Map<string, AlertEvent>();
  const failovers = new Map<string, FailoverEvent>();
  return withStorableTexts({
    async addCalls(batch) {
      for (const row of mergeModelCalls(batch)) {
        const key = keyOfModelCalls(row);
        const earlier = calls.get(key);
        calls.set(key, earlier === undefined ? row : addModelCalls(earlier, row));
      }
    },

    async sumCalls({ fromMs, toMs, by, filters = {}, limit = usualModelGroups }) {
      const groups = new Map<string, ModelCallsSum>();
      for (const row of calls.values()) {
        if (row.minuteMs < fromMs || row.minuteMs >= toMs) continue;
        if (modelDimensions.some((dimension) => filters[dimension] !== undefined && filters[dimension] !== row[dimension]))
          continue;
        const {
          minuteMs: _,
          model: _model,
          version: _version,
          target: _target,
          consumer: _c,
          key: _k,
          ending: _e,
          ...numbers
        } = row;
        const sum = { ...numbers, group: by.map((dimension) => row[dimension]) };
        const key = JSON.stringify(sum.group);
        const earlier = groups.get(key);
        groups.set(key, earlier === undefined ? sum : addModelCalls(earlier, sum));
      }
      return [...groups.values()].sort((a, b) => b.calls - a.calls).slice(0, limit);
    },

    async addAnswers(added) {
      for (const answer of added) if (!answers.has(answer.id)) answers.set(answer.id, answer);
    },

    async findAnswer(id) {
      return answers.get(id);
    },

    async rate(rating) {
      if (ratings.has(rating.id)) return false;
      ratings.set(rating.id, rating);
      return true;
    },

    async sumRatings(model, fromMs, toMs, consumer) {
      const sums = new Map<string, RatingSum>();
      for (const { version, score, ...rating } of ratings.values()) {
        if (rating.model !== model || rating.atMs < fromMs || rating.atMs >= toMs) continue;
        if (consumer !== undefined && rating.consumer !== consumer) continue;
        const earlier = sums.get(version) ?? { version, ratings: 0, total: 0, totalSquare: 0 };
        const totalSquare = earlier.totalSquare + score * score;
        sums.set(version, { version, ratings: earlier.ratings + 1, total: earlier.total + score, totalSquare });
      }
      return [...sums.values()].sort((a, b) => (a.version < b.version ? -1 : 1));
    },

    async claimAlert(event) {
      if (alerts.has(event.id)) return false;
      alerts.set(event.id, event);
      return true;
    },

    async listAlerts(fromMs, limit) {
      return newest([...alerts.values()].filter(({ atMs }) => atMs >= fromMs)).slice(0, limit);
    },

    async addFailovers(events) {
      for (const event of events) if (!failovers.has(event.id)) failovers.set(event.id, event);
    },

    async listFailovers({ fromMs, toMs, model, namespaces, kind, target, limit }) {
      const isWanted = (event: FailoverEvent) =>
        event.atMs >= fromMs &&
        event.atMs < toMs &&
        (model === undefined || event.model === model) &&
        (namespaces === undefined || namespaces.has(event.model.slice(0, event.model.indexOf('/')))) &&
        (kind === undefined || event.kind === kind) &&
        (target === undefined || event.from === target || event.to === target);
      return newest([...failovers.values()].filter(isWanted)).slice(0, limit);
    },

    async prune(beforeMs) {
      const size = () => [calls, answers, ratings, alerts, failovers].reduce((sum, rows) => sum + rows.size, 0);
      const before = size();
      for (const [key, { minuteMs }] of calls) if (minuteMs < beforeMs) calls.delete(key);
      for (const events of [answers, ratings, alerts, failovers])
        for (const [key, { atMs }] of events) if (atMs < beforeMs) events.delete(key);
      return before - size();
    },
  });
}

function newest<Event extends { readonly atMs: number; readonly id: string }>(events: readonly Event[]): readonly Event[] {
  return [...events].sort((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1));
}
