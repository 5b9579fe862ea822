import { GatewayError } from '../../errors.ts';
import type { ClientDialectName } from '../../models/dialect.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { HeldMark } from './held-marks.ts';
import { isItemMark, isReference } from './held-response.ts';

// All consumers of a model share the account of its targets: whoever names what lies there reads it, whoever it was made for. Of
// responses, their items, containers and sounds the gateway sees for whom they were made (held-response.ts); of nothing else.

type HeldKind =
  | 'file'
  | 'container'
  | 'vector_store'
  | 'conversation'
  | 'item'
  | 'response'
  | 'audio'
  | 'skill'
  | 'cached_content'
  | 'tunnel';

/** Members that name something of a kind, wherever they stand; a list names several. */
const namingMembers: ReadonlyMap<string, HeldKind> = new Map([
  ['file_id', 'file'],
  ['file_ids', 'file'],
  ['container_id', 'container'],
  ['vector_store_id', 'vector_store'],
  ['vector_store_ids', 'vector_store'],
  ['collection_ids', 'vector_store'],
  ['skill_id', 'skill'],
  ['cached_content', 'cached_content'],
  ['cachedContent', 'cached_content'],
  ['tunnel_id', 'tunnel'],
  // A thread of Anthropic's is known by its last message.
  ['previous_message_id', 'response'],
  ['previous_response_id', 'response'],
  ['comparison_response_id', 'response'],
]);

/** Of these an id may be one that an answer from here gave out. */
const boundKinds: ReadonlySet<HeldKind> = new Set(['container', 'audio']);
const noMarks: readonly HeldMark[] = Object.freeze([]);

/** What a look at a request goes by, and what it found. */
interface Look {
  readonly allowed: readonly string[];
  readonly model: string;
  marks: HeldMark[] | undefined;
}

/** Members that say where something is. */
const addressMembers: ReadonlySet<string> = new Set(['url', 'image_url', 'file_url', 'video_url', 'audio_url']);

/** What is in these is made up by clients: schemas and arguments of their own tools, labels. Citations say where a text came from. */
export const ownMembers: ReadonlySet<string> = new Set([
  'input_schema',
  'input_examples',
  'parameters',
  'schema',
  'json_schema',
  'arguments',
  'metadata',
  'attributes',
  'annotations',
  'citations',
]);

/** Where a value stands, for the one who has to mend it. */
interface Place {
  readonly value: Json;
  readonly key: string | number;
  readonly holder: Place | undefined;
}

/**
 * Refuses a request that names what lies with a provider, unless the model's entry says that it may: `allowed` holds kinds, or
 * `kind:id`. Returns the ids that answers from here gave out, of which it has to be seen whose they are. Throws GatewayError
 * `invalid_request`.
 */
export function refuseHeld(
  body: JsonObject,
  dialect: ClientDialectName,
  allowed: readonly string[],
  model: string,
): readonly HeldMark[] {
  const look: Look = { allowed, model, marks: undefined };
  // Without recursion, as the client chose the depth.
  const waiting: Place[] = [{ value: body, key: '', holder: undefined }];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    const { value } = place;
    if (Array.isArray(value)) {
      for (let at = 0; at < value.length; at++) open(waiting, value[at], at, place);
      continue;
    }
    if (!isObject(value)) continue;
    const isRoot = place.holder === undefined;
    const isCall = !isRoot && typeof value.type === 'string' && value.type.endsWith('tool_use');
    for (const key in value) {
      const member = value[key];
      if (member === undefined || member === null || ownMembers.has(key) || (isCall && key === 'input')) continue;
      const kind = isRoot ? kindAtRoot(key, dialect) : kindOf(value, key, member, dialect);
      if (kind === undefined) open(waiting, member, key, place);
      else check(kind, member, { value: member, key, holder: place }, look, waiting);
    }
    if (dialect === 'responses' && refersToItem(value, place)) checkOne('item', value.id, place, look);
  }
  return look.marks ?? noMarks;
}

function open(waiting: Place[], value: Json | undefined, key: string | number, holder: Place): void {
  if (typeof value === 'object' && value !== null) waiting.push({ value, key, holder });
}

function kindAtRoot(key: string, dialect: ClientDialectName): HeldKind | undefined {
  if (key === 'conversation') return dialect === 'responses' ? 'conversation' : undefined;
  if (key === 'container') return 'container';
  // Bound to its consumer already.
  if (key === 'previous_response_id' && dialect === 'responses') return undefined;
  return namingMembers.get(key);
}

function kindOf(holder: JsonObject, key: string, member: Json, dialect: ClientDialectName): HeldKind | undefined {
  if (key === 'container') return typeof member === 'string' ? 'container' : undefined;
  // What was said in sound before, and voices that somebody had made.
  if (key === 'audio' || key === 'voice') return isObject(member) && isSaid(member.id) ? 'audio' : undefined;
  // Made by Anthropic, and the same for everybody.
  if (key === 'skill_id' && dialect === 'messages' && holder.type === 'anthropic') return undefined;
  if (addressMembers.has(key)) return typeof member === 'string' && isHeldAddress(member) ? 'file' : undefined;
  return namingMembers.get(key);
}

/** A web page is open to everybody; what else an address may mean to a provider, it opens with the credential of the target. */
function isHeldAddress(address: string): boolean {
  // Blanks and control characters are nothing to whoever reads addresses.
  const start = address
    .slice(0, 200)
    .replace(/[\u0000-\u0020]/g, '')
    .toLowerCase();
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(start)?.[1];
  if (scheme === undefined || scheme === 'data') return false;
  if (scheme !== 'http' && scheme !== 'https') return true;
  // Files of Gemini have addresses like these.
  return /^https?:[/\\]*([^/\\]*@)?generativelanguage\.googleapis\.com/.test(start);
}

/** An item that is kept elsewhere, among those of the request. Of one that was marked in an answer it is known whose it is. */
function refersToItem(value: JsonObject, { holder }: Place): boolean {
  if (holder?.key !== 'input' || holder.holder?.holder !== undefined) return false;
  return isReference(value) && !isItemMark(value.id);
}

/** Something of this kind by its id, by `{ id }`, or several of it. What else stands in an object is looked at as well. */
function check(kind: HeldKind, member: Json, place: Place, look: Look, waiting: Place[]): void {
  if (Array.isArray(member)) for (const id of member) checkOne(kind, id, place, look);
  else if (isObject(member)) {
    if (isSaid(member.id)) checkOne(kind, member.id, place, look);
    open(waiting, member, place.key, place.holder ?? place);
  } else checkOne(kind, member, place, look);
}

function checkOne(kind: HeldKind, id: Json | undefined, place: Place, look: Look): void {
  if (typeof id === 'string' && boundKinds.has(kind) && isItemMark(id)) {
    look.marks ??= [];
    if (look.marks.length < mostMarks) look.marks.push({ id, param: pathOf(place) });
    else throw new GatewayError('invalid_request', `The request names more than ${mostMarks} containers and sounds.`);
  } else if (!mayName(kind, id, look.allowed)) throw refusal(kind, id, pathOf(place), look.model);
}

/** Each of them is proved, and looked for in the whole request. */
const mostMarks = 200;

function mayName(kind: HeldKind, id: Json | undefined, allowed: readonly string[]): boolean {
  return allowed.includes(kind) || (typeof id === 'string' && allowed.includes(`${kind}:${id}`));
}

/**
 * Items of an answer of Responses that a client sends back know their ids, by which the provider looks them up among what it keeps:
 * those of the caller that lie with the target go out with the ids they have there (`ownId`), all others without, and what is nothing
 * but its id (reasoning that is not in it) not at all. Containers that they cite have their ids back in the same way; a citation of
 * another one only says where something came from, and stays as it is. Undefined where nothing changes. References were looked at before.
 */
export function fitItems(
  { input }: JsonObject,
  allowed: readonly string[],
  ownId: (id: Json | undefined) => string | undefined,
): Json[] | undefined {
  if (!Array.isArray(input) || !input.some((item) => isObject(item) && (isSaid(item.id) || Array.isArray(item.content))))
    return undefined;
  return input.flatMap((given): Json[] => {
    const item = isObject(given) ? withOwnCitations(given, ownId) : given;
    if (!isObject(item) || !isSaid(item.id)) return [item];
    const own = ownId(item.id);
    if (own !== undefined) return [{ ...item, id: own }];
    if (mayName('item', item.id, allowed) && !isItemMark(item.id)) return [item];
    const { id: _, ...rest } = item;
    return item.type === 'reasoning' && !isSaid(item.encrypted_content) && !isFilled(item.content) ? [] : [rest];
  });
}

function withOwnCitations(item: JsonObject, ownId: (id: Json | undefined) => string | undefined): JsonObject {
  const { content } = item;
  if (!Array.isArray(content) || !content.some((part) => isObject(part) && Array.isArray(part.annotations))) return item;
  return { ...item, content: content.map((part) => (isObject(part) ? withOwnAnnotations(part, ownId) : part)) };
}

function withOwnAnnotations(part: JsonObject, ownId: (id: Json | undefined) => string | undefined): JsonObject {
  const { annotations } = part;
  if (!Array.isArray(annotations)) return part;
  const own = annotations.map((annotation) => {
    const container = isObject(annotation) ? ownId(annotation.container_id) : undefined;
    return container === undefined || !isObject(annotation) ? annotation : { ...annotation, container_id: container };
  });
  return { ...part, annotations: own };
}

function isSaid(value: Json | undefined): boolean {
  return value !== undefined && value !== null;
}

function isFilled(value: Json | undefined): boolean {
  return Array.isArray(value) && value.length > 0;
}

function pathOf(place: Place): string {
  let path = '';
  for (let at: Place | undefined = place; at?.holder !== undefined; at = at.holder) {
    const { key } = at;
    path = typeof key === 'number' ? `[${key}]${path}` : `.${key.slice(0, 64)}${path}`;
  }
  return path.slice(1, 300);
}

/** What to do without. */
const instead: Readonly<Record<HeldKind, string>> = {
  file: 'Send the file itself',
  container: 'Leave it out',
  vector_store: 'Leave it out',
  conversation: 'Go on with "previous_response_id", or send the whole conversation as input',
  item: 'Send the item itself, or go on with "previous_response_id"',
  response: 'Send the whole conversation',
  audio: 'Send what was said as text',
  skill: 'Leave it out',
  cached_content: 'Send the content itself',
  tunnel: 'Leave it out',
};

function refusal(kind: HeldKind, id: Json | undefined, param: string, model: string): GatewayError {
  const isShort = typeof id === 'string' && /^[\x21-\x7e]{1,100}$/.test(id);
  const one = isShort ? ` or this one as "${kind}:${id}"` : '';
  return new GatewayError(
    'invalid_request',
    `"${param}" names what lies with the model's provider, under the account of this gateway, where nobody can tell whose it is; ${model} does not allow that. ${instead[kind]}, or ask whoever administers the model to name "${kind}"${one} in "heldIds".`,
    { data: { param } },
  );
}
