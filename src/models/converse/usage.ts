import type { JsonObject } from '../../wire/json.ts';
import { countAt, objectAt } from '../read-members.ts';
import type { Finish, Usage } from '../reply.ts';

/** `inputTokens` is what was neither read from the cache nor written to it, unless the total says otherwise. */
export function readUsage(body: JsonObject): Usage | undefined {
  const usage = objectAt(body, 'usage');
  if (usage === undefined) return undefined;
  const [said, output] = [countAt(usage, 'inputTokens') ?? 0, countAt(usage, 'outputTokens') ?? 0];
  const cacheRead = countAt(usage, 'cacheReadInputTokens') ?? 0;
  const cacheWrite = countAt(usage, 'cacheWriteInputTokens') ?? 0;
  const isWhole = countAt(usage, 'totalTokens') === said + output && said >= cacheRead + cacheWrite;
  return { input: isWhole ? said : said + cacheRead + cacheWrite, output, cacheRead, cacheWrite, reasoning: 0 };
}

const finishes: Readonly<Record<string, Finish>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  tool_use: 'tool-calls',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  guardrail_intervened: 'content-filter',
  content_filtered: 'content-filter',
  refusal: 'refusal',
  pause_turn: 'pause',
};

export function finishOf(reason: string | undefined): Finish {
  return reason !== undefined && Object.hasOwn(finishes, reason) ? (finishes[reason] ?? 'other') : 'other';
}
