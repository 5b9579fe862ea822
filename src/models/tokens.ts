import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import type { ClientDialectName } from './dialect.ts';
import { countTexts, loadTokenizer } from './tokenizer.ts';

export { loadTokenizer } from './tokenizer.ts';

/** What is counted of an image, whatever its size: about what the large providers charge for a big one. */
export const imageTokens = 1_100;
const smallImageTokens = 85;
/** Of a file whose pages nobody has counted, and of a piece of sound. */
export const fileTokens = 4_000;
/** Values that are looked at in one body. */
const mostValues = 8_000;
/** Bytes of a token where nothing was looked at. */
const bytesPerToken = 3.5;

type CountedDialect = ClientDialectName | 'embeddings';

/** Members of a body that the model reads: what is said, and JSON that is put before it. */
const members: Readonly<Record<CountedDialect, { readonly said: readonly string[]; readonly json: readonly string[] }>> = {
  chat: { said: ['messages', 'prediction'], json: ['tools', 'functions', 'response_format'] },
  responses: { said: ['instructions', 'input'], json: ['tools', 'text', 'prompt'] },
  completions: { said: ['prompt', 'suffix'], json: [] },
  messages: { said: ['system', 'messages'], json: ['tools', 'output_config', 'output_format'] },
  embeddings: { said: ['input'], json: [] },
};

/** Tokens around every message. */
const frame: Readonly<Record<CountedDialect, number>> = { chat: 3, responses: 3, completions: 0, messages: 3, embeddings: 0 };

/**
 * About how many tokens a request has at its entry: for limits, which are settled by what the provider counts. Only text is
 * counted; images, files and sound by a fixed figure. Never throws, and takes a few milliseconds at most, whatever the body is:
 * beyond 16 KiB of text it is sampled. Until the vocabulary is loaded (the first call asks for that), text is measured by its
 * length. `bodyBytes`, where it is known, bounds what a body of too many values to look at can hide.
 */
export function estimateTokens(body: JsonObject, dialect: CountedDialect, bodyBytes = 0): number {
  void loadTokenizer();
  const found: Found = { texts: [], chars: 0, tokens: frame[dialect], values: 0, frame: frame[dialect] };
  for (const name of members[dialect].said) collect(body, name, false, found);
  for (const name of members[dialect].json) collect(body, name, true, found);
  const tokens = found.tokens + countTexts(found.texts, found.chars);
  return found.values < mostValues ? tokens : Math.max(tokens, Math.ceil(bodyBytes / bytesPerToken));
}

interface Found {
  readonly texts: string[];
  chars: number;
  /** What is not text. */
  tokens: number;
  values: number;
  readonly frame: number;
}

/** A list or object that is being walked through. */
interface Walk {
  readonly value: Json[] | JsonObject;
  /** Of an object. */
  readonly names: readonly string[] | undefined;
  /** Of JSON the model reads the names as well. */
  readonly isJson: boolean;
  at: number;
}

/** By hand, not by recursion: it can stop in the middle, and no nesting is too deep for it. */
function collect(body: JsonObject, member: string, isJson: boolean, found: Found): void {
  if (!Object.hasOwn(body, member)) return;
  const open: Walk[] = [];
  visit(body[member] ?? null, member, isJson, open, found);
  for (let walk = open.at(-1); walk !== undefined; walk = open.at(-1)) {
    if (found.values >= mostValues) {
      found.tokens += guessRest(open, found);
      return;
    }
    const { value, names } = walk;
    const at = walk.at++;
    if (at >= (names ?? (value as Json[])).length) open.pop();
    else if (names === undefined) visit((value as Json[])[at] ?? null, '', walk.isJson, open, found);
    else visit((value as JsonObject)[names[at]!] ?? null, names[at]!, walk.isJson, open, found);
  }
}

/** What providers read as settings, or keep to themselves: opaque, and no text. */
const unread: ReadonlySet<string> = new Set([
  'type',
  'role',
  'id',
  'tool_call_id',
  'tool_use_id',
  'call_id',
  'status',
  'cache_control',
  'signature',
  'encrypted_content',
  'file_id',
]);

function visit(value: Json, name: string, isJson: boolean, open: Walk[], found: Found): void {
  found.values += 1;
  if (!isJson && unread.has(name)) return;
  if (isJson && name !== '') addText(name, found);
  if (typeof value === 'string') {
    addText(value, found);
    if (isJson) found.tokens += 1;
  } else if (typeof value !== 'object' || value === null) found.tokens += 1;
  else if (Array.isArray(value)) {
    // A list of numbers is a text in tokens.
    if (typeof value[0] === 'number') found.tokens += value.length;
    else open.push({ value, names: undefined, isJson, at: 0 });
  } else visitObject(value, name, isJson, open, found);
}

function visitObject(value: JsonObject, name: string, isJson: boolean, open: Walk[], found: Found): void {
  const media = isJson ? undefined : mediaTokens(value);
  if (media !== undefined) {
    found.tokens += media;
    return;
  }
  if (!isJson && Object.hasOwn(value, 'role')) found.tokens += found.frame;
  if (isJson) found.tokens += 2;
  open.push({ value, names: Object.keys(value), isJson: isJson || name === 'input', at: 0 });
}

function addText(text: string, found: Found): void {
  if (text.length === 0) return;
  found.texts.push(text);
  found.chars += text.length;
}

/** Of a part that is no text; undefined for every other object. */
function mediaTokens(part: JsonObject): number | undefined {
  switch (part.type) {
    case 'image_url':
    case 'input_image':
    case 'image':
      return isSmall(part) ? smallImageTokens : imageTokens;
    case 'input_audio':
    case 'file':
    case 'input_file':
      return fileTokens;
    case 'document':
      return isObject(part.source) && (part.source.type === 'base64' || part.source.type === 'url') ? fileTokens : undefined;
    case 'redacted_thinking':
      return 0;
    default:
      return undefined;
  }
}

function isSmall(part: JsonObject): boolean {
  return part.detail === 'low' || (isObject(part.image_url) && part.image_url.detail === 'low');
}

/** As if what was not looked at were like what was. */
function guessRest(open: readonly Walk[], { values, chars, tokens }: Found): number {
  const left = open.reduce((sum, { value, names, at }) => sum + (names ?? (value as Json[])).length - at, 0);
  return Math.ceil(left * ((tokens + chars / bytesPerToken) / values));
}
