import type { JsonObject } from '../../wire/json.ts';
import type { Prompt, ReasoningWish } from '../prompt.ts';
import { type Family, thinksAdaptively } from './family.ts';

/** What a wish for reasoning comes to. */
interface WrittenWish {
  /** Of `additionalModelRequestFields`. */
  readonly fields: JsonObject;
  /** Of `outputConfig`. */
  readonly effort?: string;
  readonly isClaudeThinking: boolean;
}

const nothing: WrittenWish = { fields: {}, isClaudeThinking: false };

/** Each maker's models call it differently; others are not told. */
export function writeReasoningWish(prompt: Prompt, model: string, family: Family): WrittenWish {
  const { reasoning } = prompt;
  if (reasoning === undefined) return nothing;
  if (family === 'claude') return writeForClaude(prompt, reasoning, model);
  const effort = effortOf(reasoning);
  if (effort === undefined) return nothing;
  if (family === 'gpt') return { ...nothing, fields: { reasoning_effort: effort } };
  if (family === 'nova') return { ...nothing, fields: { reasoningConfig: { type: 'enabled', maxReasoningEffort: effort } } };
  return nothing;
}

/** Three steps; undefined for none. */
function effortOf({ effort, budgetTokens }: ReasoningWish): 'low' | 'medium' | 'high' | undefined {
  if (effort === 'none') return undefined;
  if (effort === 'xhigh' || effort === 'max') return 'high';
  if (effort !== undefined) return effort === 'minimal' ? 'low' : effort;
  if (budgetTokens === undefined || budgetTokens === 0) return undefined;
  return budgetTokens < 4_096 ? 'low' : budgetTokens < 16_384 ? 'medium' : 'high';
}

const budgets = { low: 2_048, medium: 8_192, high: 24_576 } as const;
const leastBudget = 1_024;

/** Claude does not think where it is told which tool to call, and needs room for more than its thoughts. */
function writeForClaude({ toolChoice, maxTokens }: Prompt, wish: ReasoningWish, model: string): WrittenWish {
  const effort = effortOf(wish);
  if (effort === undefined || toolChoice?.kind === 'required' || toolChoice?.kind === 'tool') return nothing;
  if (thinksAdaptively(model)) return { fields: { thinking: { type: 'adaptive' } }, effort, isClaudeThinking: true };
  const wanted = Math.max(wish.budgetTokens ?? budgets[effort], leastBudget);
  const budget = maxTokens === undefined ? wanted : Math.min(wanted, maxTokens - 1);
  if (budget < leastBudget) return nothing;
  return { fields: { thinking: { type: 'enabled', budget_tokens: budget } }, isClaudeThinking: true };
}
