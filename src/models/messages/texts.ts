import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { TextSlot } from '../dialect.ts';

/**
 * Texts of a message, or of one event's data. All text is one channel, as a reader sees it in one piece, and so are all thoughts;
 * what a tool is called with is one for each call: JSON text in events, the strings in it in a message.
 */
export function textsOf(document: JsonObject): readonly TextSlot[] {
  const slots: TextSlot[] = [];
  switch (document.type) {
    case 'message':
      takeBlocks(document.content, slots);
      break;
    case 'message_start':
      if (isObject(document.message)) takeBlocks(document.message.content, slots);
      break;
    case 'content_block_start':
      takeBlock(document.content_block, document.index, slots);
      break;
    case 'content_block_delta':
      takeDelta(document.delta, document.index, slots);
      break;
  }
  return slots;
}

function takeBlocks(content: Json | undefined, slots: TextSlot[]): void {
  if (!Array.isArray(content)) return;
  for (const [at, block] of content.entries()) takeBlock(block, at, slots);
}

function takeBlock(block: Json | undefined, at: Json | undefined, slots: TextSlot[]): void {
  if (!isObject(block)) return;
  if (block.type === 'text') take(block, 'text', 'text', slots);
  else if (block.type === 'thinking') take(block, 'thinking', 'thinking', slots);
  else if (block.type === 'tool_use') takeStrings(block, 'input', `tool/${at}`, slots);
}

function takeDelta(delta: Json | undefined, at: Json | undefined, slots: TextSlot[]): void {
  if (!isObject(delta)) return;
  if (delta.type === 'text_delta') take(delta, 'text', 'text', slots);
  else if (delta.type === 'thinking_delta') take(delta, 'thinking', 'thinking', slots);
  else if (delta.type === 'input_json_delta') take(delta, 'partial_json', `tool/${at}`, slots);
}

/** Every string below a member, whatever its depth: without recursion, as the model chose the depth. */
function takeStrings(object: JsonObject, name: string, channel: string, slots: TextSlot[]): void {
  const waiting: [holder: Json[] | JsonObject, name: string][] = [[object, name]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [holder, key] = next;
    const value = memberOf(holder, key);
    if (typeof value === 'object' && value !== null) {
      for (const inner of Object.keys(value).reverse()) waiting.push([value, inner]);
    } else take(holder, key, channel, slots);
  }
}

function memberOf(holder: Json[] | JsonObject, key: string): Json | undefined {
  return Array.isArray(holder) ? holder[Number(key)] : holder[key];
}

function take(holder: Json[] | JsonObject, key: string, channel: string, slots: TextSlot[]): void {
  const text = memberOf(holder, key);
  if (typeof text !== 'string' || text === '') return;
  slots.push({ text, channel, replace: (value) => replace(holder, key, value) });
}

/** Defined, not assigned: a member may be called `__proto__`. */
function replace(holder: Json[] | JsonObject, key: string, value: string): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}
