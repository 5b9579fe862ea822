import type { JsonObject } from '../../wire/json.ts';
import type { Message, Prompt, ReasoningWish } from '../prompt.ts';
import { signatureForClaude } from '../signature.ts';
import type { Generation } from './generations.ts';

const leastBudget = 1024;
const budgets = { minimal: 1024, low: 2048, medium: 8192, high: 24_576, xhigh: 32_768, max: 32_768 } as const;

/** How a model is asked to think. Nothing at all where it cannot, or where thinking does not go with the rest of the request. */
export function writeReasoning(
  prompt: Prompt,
  generation: Generation,
  maxTokens: number,
): { readonly thinking?: JsonObject; readonly effort?: string } {
  const { reasoning } = prompt;
  if (reasoning === undefined) return {};
  if (reasoning.effort === 'none') return generation.thinksByItself ? { effort: 'low' } : {};
  const effort = generation.hasEffort ? { effort: effortOf(reasoning, generation) } : {};
  if (generation.thinking === 'never' || isForced(prompt)) return effort;
  if (generation.thinking === 'adaptive')
    return {
      ...effort,
      thinking: { type: 'adaptive', ...(generation.hidesThoughts && reasoning.isShown !== false && { display: 'summarized' }) },
    };
  const budget = Math.min(budgetOf(reasoning), Math.floor(maxTokens * 0.8));
  if (budget < leastBudget || isToolTurnWithoutThoughts(prompt.messages)) return effort;
  return { ...effort, thinking: { type: 'enabled', budget_tokens: budget } };
}

/** A tool that has to be called and thinking exclude each other. */
function isForced({ toolChoice, tools }: Prompt): boolean {
  return tools.length > 0 && (toolChoice?.kind === 'required' || toolChoice?.kind === 'tool');
}

/** With a budget, a turn that called tools has to begin with the thoughts that led to them; another provider's are not good here. */
function isToolTurnWithoutThoughts(messages: readonly Message[]): boolean {
  const parts = messages.findLast(({ role }) => role === 'assistant')?.parts ?? [];
  if (!parts.some(({ kind }) => kind === 'tool-call')) return false;
  return !parts.some((part) => part.kind === 'reasoning' && signatureForClaude(part.signature ?? part.redacted) !== undefined);
}

function budgetOf({ effort, budgetTokens }: ReasoningWish): number {
  if (budgetTokens !== undefined) return budgetTokens;
  return effort === undefined || effort === 'none' ? budgets.medium : budgets[effort];
}

function effortOf({ effort, budgetTokens }: ReasoningWish, generation: Generation): string {
  if (effort === 'minimal') return 'low';
  if (effort === 'xhigh' && !generation.hasXhighEffort) return 'high';
  if (effort === 'max' && !generation.hasMaxEffort) return 'high';
  if (effort !== undefined) return effort;
  if (budgetTokens === undefined) return 'medium';
  return budgetTokens <= budgets.low * 2 ? 'low' : budgetTokens < budgets.high * 0.75 ? 'medium' : 'high';
}
