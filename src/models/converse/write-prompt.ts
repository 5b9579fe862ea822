import type { JsonObject } from '../../wire/json.ts';
import type { AnswerFormat, OfferedTool, Prompt, ToolChoice } from '../prompt.ts';
import { type Family, familyOf } from './family.ts';
import { writeReasoningWish } from './reasoning.ts';
import { writeMessages, writeText } from './write-blocks.ts';

/**
 * A Converse request; the model stands in its address. `seed`, penalties, `parallelTools` and `user` cannot be said. Calls are told
 * as text where no tools are offered, or none are to be called.
 */
export function writePrompt(prompt: Prompt, model: string): JsonObject {
  const family = familyOf(model);
  const withTools = prompt.tools.length > 0 && prompt.toolChoice?.kind !== 'none';
  const system = writeSystem(prompt);
  const reasoning = writeReasoningWish(prompt, model, family);
  const config = writeConfig(prompt, reasoning.isClaudeThinking);
  const fields = { ...writeTopK(reasoning.isClaudeThinking ? undefined : prompt.topK, family), ...reasoning.fields };
  const output = { ...writeFormat(prompt.format), ...(reasoning.effort !== undefined && { effort: reasoning.effort }) };
  return {
    messages: writeMessages(prompt.messages, withTools),
    ...(system.length > 0 && { system }),
    ...(Object.keys(config).length > 0 && { inferenceConfig: config }),
    ...(withTools && { toolConfig: writeTools(prompt.tools, prompt.toolChoice) }),
    ...(Object.keys(fields).length > 0 && { additionalModelRequestFields: fields }),
    ...(family === 'claude' && prompt.stop.length > 0 && { additionalModelResponseFieldPaths: ['/stop_sequence'] }),
    ...(Object.keys(output).length > 0 && { outputConfig: output }),
  };
}

/** There is no JSON mode without a schema: it is asked for in words. */
function writeSystem({ system, format }: Prompt): JsonObject[] {
  const blocks = system.flatMap(writeText);
  if (format.kind === 'json') blocks.push({ text: 'Answer with one JSON object and nothing else.' });
  return blocks;
}

/** A Claude that thinks takes no temperature but 1. */
function writeConfig({ maxTokens, temperature, topP, stop }: Prompt, isClaudeThinking: boolean): JsonObject {
  return {
    ...(maxTokens !== undefined && { maxTokens }),
    // 1 is the most here, where others go to 2.
    ...(temperature !== undefined && !isClaudeThinking && { temperature: Math.min(temperature, 1) }),
    ...(topP !== undefined && !isClaudeThinking && { topP }),
    ...(stop.length > 0 && { stopSequences: [...stop] }),
  };
}

function writeTopK(topK: number | undefined, family: Family): JsonObject {
  if (topK === undefined) return {};
  return family === 'nova' ? { inferenceConfig: { topK } } : { top_k: topK };
}

function writeTools(tools: readonly OfferedTool[], choice: ToolChoice | undefined): JsonObject {
  const toolChoice = choice === undefined || choice.kind === 'none' ? undefined : writeChoice(choice);
  return { tools: tools.map(writeTool), ...(toolChoice !== undefined && { toolChoice }) };
}

function writeTool({ name, description, schema, isStrict }: OfferedTool): JsonObject {
  const json: JsonObject = schema.type === undefined ? { type: 'object', ...schema } : schema;
  return {
    toolSpec: {
      name,
      ...(description !== undefined && description !== '' && { description }),
      inputSchema: { json },
      ...(isStrict === true && { strict: true }),
    },
  };
}

function writeChoice(choice: ToolChoice): JsonObject {
  if (choice.kind === 'tool') return { tool: { name: choice.name } };
  return choice.kind === 'required' ? { any: {} } : { auto: {} };
}

function writeFormat(format: AnswerFormat): JsonObject {
  if (format.kind !== 'schema') return {};
  const { name, description, schema } = format;
  const jsonSchema = { schema: JSON.stringify(schema), name, ...(description !== undefined && { description }) };
  return { textFormat: { type: 'json_schema', structure: { jsonSchema } } };
}
