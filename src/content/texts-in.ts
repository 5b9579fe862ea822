import { isObject, type Json } from '../wire/json.ts';

/** Longest string that is always text: what is longer and looks like base64 is a picture, a sound or a document. */
export const longestPlain = 10_000;
const mediaHead = /^data:[a-z0-9.+-]{1,64}\/[a-z0-9.+-]{1,64}[^,]{0,200};base64,/i;
const base64Only = /^[A-Za-z0-9+/_=-]*$/;

/** Whether a string of a model's request is media and nothing that a model reads as text. */
export function isMedia(text: string): boolean {
  if (text.length <= longestPlain) return false;
  const head = mediaHead.exec(text.slice(0, 400))?.[0].length ?? 0;
  return base64Only.test(head === 0 ? text : text.slice(head));
}

/** Members that hold names, ids and settings rather than text. */
const notRead: ReadonlySet<string> = new Set(
  'model id type role name call_id tool_call_id tool_use_id media_type mime_type detail format encoding_format url signature encrypted_content metadata user stop'.split(
    ' ',
  ),
);

/** The texts of a model's request in any dialect, in order: messages, instructions, input, what tools say; not ids and media. */
export function textsIn(value: Json): readonly string[] {
  const texts: string[] = [];
  collect(value, undefined, 0, texts);
  return texts;
}

const deepest = 64;

function collect(value: Json, name: string | undefined, depth: number, texts: string[]): void {
  if (depth > deepest) return;
  if (typeof value === 'string') {
    if (!(name !== undefined && notRead.has(name)) && !isMedia(value)) texts.push(value);
  } else if (Array.isArray(value)) for (const item of value) collect(item, name, depth + 1, texts);
  else if (isObject(value)) for (const key of Object.keys(value)) collect(value[key] ?? null, key, depth + 1, texts);
}
