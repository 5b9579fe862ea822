import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { CachedDialect } from './cache-key.ts';

/** Why a request is not answered from the cache. */
export type Bypass =
  /** The client said so. */
  | 'no-store'
  | 'no-cache'
  /** It offers tools, or holds what they said. */
  | 'tools'
  /** It refers to what the provider keeps, or asks it to keep something. */
  | 'state'
  /** It asks for more than text: several answers, probabilities, sound. */
  | 'shape'
  | 'too-large';

/** Characters of a request, and values in it. Digesting more costs more than most answers are worth. */
const longestChars = 256 * 1024;
const mostValues = 20_000;

/** Undefined where an answer of it can be kept and given again. */
export function whyNot(dialect: CachedDialect, body: JsonObject, takesTools: boolean): Bypass | undefined {
  if (!isSmall(body)) return 'too-large';
  if (hasState(dialect, body)) return 'state';
  if (hasOddShape(body)) return 'shape';
  return !takesTools && hasTools(body) ? 'tools' : undefined;
}

function isSmall(body: JsonObject): boolean {
  const open: Json[] = [body];
  let chars = 0;
  let values = 0;
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    values += 1;
    if (typeof value === 'string') chars += value.length;
    else if (Array.isArray(value)) {
      if (value.length + values > mostValues) return false;
      open.push(...value);
    } else if (isObject(value)) {
      const names = Object.keys(value);
      if (names.length + values > mostValues) return false;
      for (const name of names) {
        chars += name.length;
        open.push(value[name] ?? null);
      }
    }
    if (chars > longestChars || values + open.length > mostValues) return false;
  }
  return true;
}

function hasState(dialect: CachedDialect, body: JsonObject): boolean {
  if (isSaid(body.previous_response_id) || isSaid(body.conversation) || isSaid(body.container) || isSaid(body.thread))
    return true;
  if (body.background === true || isSaid(body.context_management)) return true;
  // By its id an item may say more than stands in it.
  if (dialect === 'responses' && Array.isArray(body.input) && body.input.some((item) => isObject(item) && isSaid(item.id)))
    return true;
  // A template that lies at the provider, and may be another one tomorrow.
  if (dialect === 'responses' && isSaid(body.prompt)) return true;
  return body.store === true;
}

function hasOddShape(body: JsonObject): boolean {
  const { n, best_of, logprobs, top_logprobs, echo, audio, modalities, include } = body;
  if (isMoreThanOne(n) || isMoreThanOne(best_of) || echo === true || isSaid(audio)) return true;
  if ((isSaid(logprobs) && logprobs !== false) || isSaid(top_logprobs) || isFilled(include)) return true;
  return Array.isArray(modalities) && modalities.some((modality) => modality !== 'text');
}

/** In any dialect: what is offered, what was called, and what came of it. */
function hasTools(body: JsonObject): boolean {
  if (isFilled(body.tools) || isFilled(body.functions) || isFilled(body.mcp_servers) || isSaid(body.web_search_options))
    return true;
  return [body.messages, body.input].some((said) => Array.isArray(said) && said.some(isOfTools));
}

function isOfTools(message: Json): boolean {
  if (!isObject(message)) return false;
  const { role, type, content } = message;
  if (role === 'tool' || role === 'function' || isFilled(message.tool_calls) || isSaid(message.function_call)) return true;
  if (isToolType(type)) return true;
  return Array.isArray(content) && content.some((part) => isObject(part) && isToolType(part.type));
}

const otherTypes: ReadonlySet<Json> = new Set([
  'message',
  'reasoning',
  'item_reference',
  'text',
  'input_text',
  'output_text',
  'refusal',
  'image',
  'image_url',
  'input_image',
  'file',
  'input_file',
  'document',
  'input_audio',
  'thinking',
  'redacted_thinking',
]);

/** Whatever is not known to be something else. */
function isToolType(type: Json | undefined): boolean {
  return typeof type === 'string' && !otherTypes.has(type);
}

function isSaid(value: Json | undefined): boolean {
  return value !== undefined && value !== null;
}

function isFilled(value: Json | undefined): boolean {
  return Array.isArray(value) && value.length > 0;
}

function isMoreThanOne(value: Json | undefined): boolean {
  return isSaid(value) && value !== 1;
}
