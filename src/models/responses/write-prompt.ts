import type { JsonObject } from '../../wire/json.ts';
import { addressOf, fileData, nameFor, writeAudio } from '../chat/write-content.ts';
import { defined, effortOf } from '../chat/write-prompt.ts';
import { refuse } from '../members.ts';
import type {
  AnswerFormat,
  MediaPart,
  Message,
  OfferedTool,
  Prompt,
  ReasoningWish,
  TextPart,
  ToolChoice,
  ToolResultPart,
} from '../prompt.ts';
import { signatureForOpenai } from '../signature.ts';
import { writeReasoningItem } from './reasoning.ts';

/**
 * A request to the Responses API that leaves nothing behind there: thoughts come back to the client sealed, and go out again with
 * the next request. Left out is what the API has no word for (`topK`, `seed`, penalties); stop sequences would change the answer.
 */
export function writeResponsesPrompt(prompt: Prompt, model: string): JsonObject {
  if (prompt.stop.length > 0) refuse('stop', "is not there with this model's provider; leave it out, or choose another model");
  const reasoning = prompt.reasoning === undefined ? undefined : writeReasoningWish(prompt.reasoning);
  return defined({
    model,
    instructions: prompt.system.length === 0 ? undefined : prompt.system.map(({ text }) => text).join('\n\n'),
    input: prompt.messages.flatMap(writeMessage),
    ...writeTools(prompt),
    max_output_tokens: prompt.maxTokens,
    temperature: prompt.temperature,
    top_p: prompt.topP,
    text: prompt.format.kind === 'text' ? undefined : { format: writeFormat(prompt.format) },
    reasoning,
    // A model that does not reason refuses to be asked for it.
    include: reasoning === undefined || reasoning.effort === 'none' ? undefined : ['reasoning.encrypted_content'],
    store: false,
    user: prompt.user,
    stream: prompt.isStream ? true : undefined,
  });
}

function writeReasoningWish(wish: ReasoningWish): JsonObject {
  const isShown = wish.isShown ?? (wish.budgetTokens !== undefined && wish.budgetTokens > 0);
  return defined({ effort: effortOf(wish), summary: isShown ? 'auto' : undefined });
}

/** In the order of its parts; texts and media that follow each other are one item. */
function writeMessage({ role, parts }: Message): JsonObject[] {
  const items: JsonObject[] = [];
  let content: JsonObject[] | undefined;
  for (const part of parts) {
    if (part.kind === 'text' || part.kind === 'media' || part.kind === 'refusal') {
      if (content === undefined) {
        content = [];
        items.push({ type: 'message', role, content });
      }
      content.push(part.kind === 'media' ? writeMedia(part) : writeWords(role, part.kind, part.text));
      continue;
    }
    content = undefined;
    if (part.kind === 'tool-call')
      items.push({ type: 'function_call', call_id: part.id, name: part.name, arguments: part.arguments || '{}' });
    else if (part.kind === 'tool-result') items.push(writeResult(part));
    else if (signatureForOpenai(part.redacted ?? part.signature) !== undefined) items.push(writeReasoningItem(part));
  }
  return items;
}

function writeWords(role: Message['role'], kind: 'text' | 'refusal', text: string): JsonObject {
  if (kind === 'refusal') return { type: 'refusal', refusal: text };
  return role === 'user' ? { type: 'input_text', text } : { type: 'output_text', text, annotations: [] };
}

function writeMedia(part: MediaPart): JsonObject {
  if (part.mediaType.startsWith('image/'))
    return { type: 'input_image', image_url: addressOf(part), detail: part.detail ?? 'auto' };
  if (part.source.kind === 'url') return defined({ type: 'input_file', file_url: part.source.url, filename: part.name });
  if (part.mediaType.startsWith('audio/'))
    return { type: 'input_audio', input_audio: writeAudio(part.mediaType, part.source.data) };
  return {
    type: 'input_file',
    filename: part.name ?? nameFor(part.mediaType),
    file_data: fileData(part.mediaType, part.source.data),
  };
}

function writeResult({ callId, parts }: ToolResultPart): JsonObject {
  return { type: 'function_call_output', call_id: callId, output: writeOutput(parts) };
}

function writeOutput(parts: readonly (TextPart | MediaPart)[]): string | JsonObject[] {
  const [first] = parts;
  if (first === undefined) return '';
  if (parts.length === 1 && first.kind === 'text') return first.text;
  return parts.map((part) => (part.kind === 'media' ? writeMedia(part) : { type: 'input_text', text: part.text }));
}

function writeTools({ tools, toolChoice, parallelTools }: Prompt): Readonly<Record<string, JsonObject[string] | undefined>> {
  if (tools.length === 0) return {};
  return {
    tools: tools.map(writeTool),
    tool_choice: toolChoice === undefined ? undefined : writeToolChoice(toolChoice),
    parallel_tool_calls: parallelTools,
  };
}

/** Strict unless it says no: what other dialects leave open is not strict. */
export function writeTool({ name, description, schema, isStrict }: OfferedTool): JsonObject {
  return defined({ type: 'function', name, description, parameters: schema, strict: isStrict ?? false });
}

export function writeToolChoice(choice: ToolChoice): string | JsonObject {
  return choice.kind === 'tool' ? { type: 'function', name: choice.name } : choice.kind;
}

export function writeFormat(format: AnswerFormat): JsonObject {
  if (format.kind !== 'schema') return { type: format.kind === 'json' ? 'json_object' : 'text' };
  const { name, description, schema, isStrict } = format;
  return defined({ type: 'json_schema', name, description, schema, strict: isStrict ?? false });
}
