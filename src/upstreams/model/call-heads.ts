import type { TextSlot } from '../../models/dialect.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';

const members = ['id', 'call_id', 'name'] as const;

/**
 * What calls of tools are known by in the events of a model, in every dialect: ids and names, anywhere but in the event itself. Each is
 * a channel of its own, as servers send names in pieces, and all together are one more.
 */
export function headsIn(document: JsonObject): readonly TextSlot[] {
  const slots: TextSlot[] = [];
  // Without recursion, as the provider chose the depth.
  const waiting: [value: Json | undefined, path: string][] = [];
  const open = (holder: JsonObject | readonly Json[], path: string) => {
    for (const [key, value] of Object.entries(holder).reverse())
      if (typeof value === 'object' && value !== null) waiting.push([value, `${path}/${placeOf(value, key)}`]);
  };
  open(document, 'head');
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [value, path] = next;
    if (isObject(value)) pushHeads(slots, value, path);
    if (isObject(value) || Array.isArray(value)) open(value, path);
  }
  return slots;
}

function placeOf(value: Json, key: string): string {
  return isObject(value) && typeof value.index === 'number' ? String(value.index) : key;
}

function pushHeads(slots: TextSlot[], holder: JsonObject, path: string): void {
  for (const member of members) {
    const text = holder[member];
    if (typeof text !== 'string' || text === '') continue;
    const replace = (by: string) => {
      holder[member] = by;
    };
    slots.push({ text, channel: `${path}/${member}`, replace }, { text, channel: 'heads', replace });
  }
}
