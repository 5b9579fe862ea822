import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { OfferedTool, Prompt, TextPart } from '../prompt.ts';
import { fitSchema } from './fit-schema.ts';
import { type Generation, generationOf } from './generations.ts';
import { cacheControl, writeText } from './write-blocks.ts';
import { writeMessages } from './write-messages.ts';
import { writeReasoning } from './write-reasoning.ts';

/**
 * A request to `POST /v1/messages`. What Anthropic does not have (seed, penalties) and what this model would refuse is left out.
 * Throws GatewayError `invalid_request`.
 */
export function writePrompt(prompt: Prompt, model: string): JsonObject {
  const generation = generationOf(model);
  const maxTokens = prompt.maxTokens ?? generation.defaultMaxTokens;
  const reasoning = writeReasoning(prompt, generation, maxTokens);
  const schema = prompt.format.kind === 'schema' && generation.hasStructuredOutput ? fitSchema(prompt.format.schema) : undefined;
  return {
    model,
    max_tokens: maxTokens,
    ...writeConversation(prompt, schema === undefined),
    ...writeTools(prompt, generation),
    ...(prompt.stop.length > 0 && { stop_sequences: prompt.stop.filter((text) => text.trim() !== '') }),
    ...(reasoning.thinking === undefined ? writeSampling(prompt, generation) : { thinking: reasoning.thinking }),
    ...writeOutput(schema, reasoning.effort),
    ...(prompt.user !== undefined && { metadata: { user_id: prompt.user } }),
    ...(prompt.isStream && { stream: true }),
  };
}

/** Instructions alone are what the model is asked, where there is nothing else: Anthropic wants a message of the user. */
function writeConversation(prompt: Prompt, asksInWords: boolean): JsonObject {
  const system = writeSystem([...prompt.system, ...(asksInWords ? formatInstruction(prompt) : [])]);
  const messages = writeMessages(prompt.messages);
  if (messages.length > 0) return { ...(system.length > 0 && { system }), messages };
  if (system.length > 0) return { messages: [{ role: 'user', content: system }] };
  throw new GatewayError('invalid_request', 'There is nothing to answer in messages; send at least one with text.');
}

function writeSystem(parts: readonly TextPart[]): JsonObject[] {
  return parts.map(writeText).filter((block) => block !== undefined);
}

/** How an answer is asked for where there is no parameter for it. */
function formatInstruction({ format }: Prompt): readonly TextPart[] {
  if (format.kind === 'text') return [];
  const all = 'Answer with one JSON object and nothing else: no words before or after it, and no code fence.';
  if (format.kind !== 'schema') return [{ kind: 'text', text: all }];
  return [{ kind: 'text', text: `${all} It has to fit this JSON Schema:\n${JSON.stringify(format.schema)}` }];
}

function writeTools({ tools, toolChoice, parallelTools }: Prompt, generation: Generation): JsonObject {
  if (tools.length === 0) return {};
  const single = parallelTools === undefined ? {} : { disable_parallel_tool_use: !parallelTools };
  const written = { tools: tools.map((tool) => writeTool(tool, generation)) };
  switch (toolChoice?.kind) {
    case 'none':
      return { ...written, tool_choice: { type: 'none' } };
    case 'required':
      return { ...written, tool_choice: { type: 'any', ...single } };
    case 'tool':
      return { ...written, tool_choice: { type: 'tool', name: toolChoice.name, ...single } };
    default:
      if (toolChoice === undefined && parallelTools === undefined) return written;
      return { ...written, tool_choice: { type: 'auto', ...single } };
  }
}

function writeTool(tool: OfferedTool, generation: Generation): JsonObject {
  return {
    name: tool.name,
    ...(tool.description !== undefined && tool.description !== '' && { description: tool.description }),
    input_schema: tool.schema.type === 'object' ? tool.schema : { ...tool.schema, type: 'object' },
    ...(tool.isStrict === true && generation.hasStructuredOutput && { strict: true }),
    ...(tool.isCached && cacheControl),
  };
}

/** Other dialects go to 2 with the temperature. */
function writeSampling({ temperature, topP, topK }: Prompt, generation: Generation): JsonObject {
  if (!generation.hasSampling) return {};
  return {
    ...(temperature !== undefined && { temperature: Math.min(1, temperature) }),
    ...(topP !== undefined && !(temperature !== undefined && generation.hasOneSamplingOnly) && { top_p: topP }),
    ...(topK !== undefined && { top_k: topK }),
  };
}

function writeOutput(schema: JsonObject | undefined, effort: string | undefined): JsonObject {
  if (schema === undefined && effort === undefined) return {};
  return {
    output_config: {
      ...(effort !== undefined && { effort }),
      ...(schema !== undefined && { format: { type: 'json_schema', schema } }),
    },
  };
}
