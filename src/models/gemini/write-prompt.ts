import type { JsonObject } from '../../wire/json.ts';
import type { OfferedTool, Prompt, ReasoningWish, ToolChoice } from '../prompt.ts';
import { cleanSchema, takesNothing } from './schema.ts';
import { writeContents } from './write-contents.ts';

/** A generateContent request; the model stands in its address. `parallelTools` and `user` cannot be said. */
export function writePrompt(prompt: Prompt, model: string): JsonObject {
  const isThird = !/\bgemini-(?:1|2)\b/.test(model);
  const system = prompt.system.filter(({ text }) => text !== '').map(({ text }) => ({ text }));
  const config = writeConfig(prompt, model, isThird);
  const choice = prompt.tools.length === 0 ? undefined : writeChoice(prompt.toolChoice);
  return {
    contents: writeContents(prompt.messages, isThird),
    ...(system.length > 0 && { systemInstruction: { parts: system } }),
    ...(prompt.tools.length > 0 && { tools: [{ functionDeclarations: prompt.tools.map(writeTool) }] }),
    ...(choice !== undefined && { toolConfig: { functionCallingConfig: choice } }),
    ...(Object.keys(config).length > 0 && { generationConfig: config }),
  };
}

function writeTool({ name, description, schema }: OfferedTool): JsonObject {
  return {
    name,
    ...(description !== undefined && { description }),
    ...(!takesNothing(schema) && { parametersJsonSchema: cleanSchema(schema) }),
  };
}

function writeChoice(choice: ToolChoice | undefined): JsonObject | undefined {
  if (choice === undefined) return undefined;
  if (choice.kind === 'tool') return { mode: 'ANY', allowedFunctionNames: [choice.name] };
  return { mode: choice.kind === 'required' ? 'ANY' : choice.kind.toUpperCase() };
}

function writeConfig(prompt: Prompt, model: string, isThird: boolean): JsonObject {
  const numbers = {
    maxOutputTokens: prompt.maxTokens,
    temperature: prompt.temperature,
    topP: prompt.topP,
    topK: prompt.topK,
    seed: prompt.seed,
    presencePenalty: prompt.presencePenalty,
    frequencyPenalty: prompt.frequencyPenalty,
  };
  const config: JsonObject = {};
  for (const [name, value] of Object.entries(numbers)) if (value !== undefined) config[name] = value;
  if (prompt.stop.length > 0) config.stopSequences = [...prompt.stop];
  if (prompt.format.kind !== 'text') config.responseMimeType = 'application/json';
  if (prompt.format.kind === 'schema') config.responseJsonSchema = cleanSchema(prompt.format.schema);
  const thinking = prompt.reasoning && writeThinking(prompt.reasoning, model, isThird);
  if (thinking !== undefined) config.thinkingConfig = thinking;
  return config;
}

/** As Google's own endpoint for OpenAI clients has it. */
const budgets = { none: 0, minimal: 1_024, low: 1_024, medium: 8_192, high: 24_576, xhigh: 24_576, max: 24_576 } as const;

function levelOf(effort: NonNullable<ReasoningWish['effort']>, least: string): string {
  if (effort === 'none' || effort === 'minimal') return least;
  return effort === 'xhigh' || effort === 'max' ? 'HIGH' : effort.toUpperCase();
}

/** `none` is the least that a model can: those of the second generation named pro, and all later ones, always think. */
function writeThinking({ effort, budgetTokens }: ReasoningWish, model: string, isThird: boolean): JsonObject | undefined {
  if (budgetTokens !== undefined) return { thinkingBudget: budgetTokens, includeThoughts: budgetTokens > 0 };
  if (effort === undefined) return undefined;
  const isPro = /\bpro\b/.test(model);
  const includeThoughts = effort !== 'none';
  if (!isThird) return { thinkingBudget: effort === 'none' && isPro ? 128 : budgets[effort], includeThoughts };
  return { thinkingLevel: levelOf(effort, isPro ? 'LOW' : 'MINIMAL'), includeThoughts };
}
