import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { TextSlot } from '../dialect.ts';

/** Members of events, parts and items that hold what a model said. */
const members = ['delta', 'text', 'refusal', 'arguments', 'input', 'code'] as const;

/**
 * Texts of a whole response or of one event. Deltas of one part are one channel. What repeats a text as a whole (`*.done`, an item,
 * the response at the end) is a channel of its own for each event: it follows nothing.
 */
export function responsesTexts(document: JsonObject): readonly TextSlot[] {
  const slots: TextSlot[] = [];
  if (Array.isArray(document.output)) pushOutput(slots, document.output, 'response');
  else if (typeof document.type === 'string') pushEvent(slots, document, document.type);
  return slots;
}

function pushEvent(slots: TextSlot[], event: JsonObject, type: string): void {
  if (isObject(event.response)) {
    if (Array.isArray(event.response.output)) pushOutput(slots, event.response.output, type);
    return;
  }
  const place = placeOf(event);
  if (isObject(event.item)) pushItem(slots, event.item, `${type} ${place}`);
  else if (isObject(event.part)) pushHolder(slots, event.part, `${type} ${place}`);
  // Sound comes as deltas too.
  else if (type !== 'response.audio.delta')
    pushHolder(slots, event, type.endsWith('.delta') ? `${kindOf(type)} ${place}` : `${type} ${place}`);
}

/** `output_text` of `response.output_text.delta`. */
function kindOf(type: string): string {
  return type.slice('response.'.length, -'.delta'.length);
}

function placeOf({ output_index, content_index, summary_index }: JsonObject): string {
  return `${numberOf(output_index)}/${numberOf(content_index ?? summary_index)}`;
}

function numberOf(value: Json | undefined): number {
  return typeof value === 'number' ? value : 0;
}

function pushOutput(slots: TextSlot[], output: readonly Json[], prefix: string): void {
  for (const [index, item] of output.entries()) if (isObject(item)) pushItem(slots, item, `${prefix} ${index}`);
}

function pushItem(slots: TextSlot[], item: JsonObject, channel: string): void {
  pushHolder(slots, item, channel);
  for (const list of [item.summary, item.content]) {
    if (!Array.isArray(list)) continue;
    for (const [index, part] of list.entries()) {
      if (isObject(part)) pushHolder(slots, part, `${channel}/${list === item.summary ? 'summary/' : ''}${index}`);
    }
  }
}

/** Log probabilities spell the text out token by token: what is rewritten loses them. */
function pushHolder(slots: TextSlot[], holder: JsonObject, channel: string): void {
  for (const member of members) {
    const text = holder[member];
    if (typeof text !== 'string' || text === '') continue;
    slots.push({
      text,
      channel,
      replace(replacement) {
        holder[member] = replacement;
        if (Array.isArray(holder.logprobs)) holder.logprobs = [];
      },
    });
  }
}
