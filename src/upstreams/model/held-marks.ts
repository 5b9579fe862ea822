import { GatewayError } from '../../errors.ts';
import type { ClientDialectName } from '../../models/dialect.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { parseExact } from '../../wire/parse-exact.ts';
import { withData } from '../../wire/sse-cutter.ts';
import { readEvent } from './event-splitter.ts';
import { itemIdAt, markHeld, type Place } from './held-response.ts';
import type { ModelCallPorts } from './model-calls.ts';
import { ResponseMarks } from './response-marks.ts';

// Containers that an answer was worked out in, and what was said in sound, lie with the provider as responses do. Their ids, too, say
// with which target and prove for whom.

/** An id of one in a request, as an answer from here gave it out. */
export interface HeldMark {
  readonly id: string;
  /** Where it stands. */
  readonly param: string;
}

/** Gives ids in an answer the form that is good for one owner. */
export interface AnswerMarks {
  body(bytes: Buffer): Buffer;
  /** One event, `text` with a character for each byte. */
  event(event: Buffer, text: string): Buffer;
}

/** Of an answer in this dialect; undefined where there is nothing in it to mark. */
export function marksFor(
  dialect: ClientDialectName,
  body: JsonObject,
  { hostedTools, heldIds }: { readonly hostedTools: readonly string[]; readonly heldIds: readonly string[] },
  place: () => Place,
): AnswerMarks | undefined {
  switch (dialect) {
    case 'responses':
      return new ResponseMarks(place(), !heldIds.includes('container'));
    case 'messages':
      // Without tools that the provider runs there is no container.
      return hostedTools.length > 0 && !heldIds.includes('container')
        ? openMarks('"container"', containersIn, place())
        : undefined;
    case 'chat':
      return wantsSound(body) && !heldIds.includes('audio') ? openMarks('"audio"', soundsIn, place()) : undefined;
    default:
      return undefined;
  }
}

function wantsSound({ audio, modalities }: JsonObject): boolean {
  return isObject(audio) || (Array.isArray(modalities) && modalities.includes('audio'));
}

/** Finds what has an id, in a whole answer or an event. */
type Finder = (document: JsonObject) => readonly { readonly prefix: string; readonly holder: Json | undefined }[];

/** Source: Messages API, `container` of the message and of the delta that ends it. */
function containersIn({ container, message, delta }: JsonObject): ReturnType<Finder> {
  const among = [container, isObject(message) ? message.container : undefined, isObject(delta) ? delta.container : undefined];
  return among.map((holder) => ({ prefix: 'container', holder }));
}

/** Source: Chat Completions API, `audio` of a message and of its parts. */
function soundsIn({ choices }: JsonObject): ReturnType<Finder> {
  const messages = Array.isArray(choices)
    ? choices.flatMap((choice) => (isObject(choice) ? [choice.message, choice.delta] : []))
    : [];
  return messages.map((message) => ({ prefix: 'audio', holder: isObject(message) ? message.audio : undefined }));
}

function openMarks(probe: string, find: Finder, place: Place): AnswerMarks {
  function marked(json: string): string | undefined {
    const document = parseExact(json);
    if (!isObject(document)) return undefined;
    let hasMarked = false;
    for (const { prefix, holder } of find(document)) {
      if (!isObject(holder) || typeof holder.id !== 'string') continue;
      // Just parsed, and nobody else's.
      Object.assign(holder, { id: markHeld(prefix, holder.id, place) });
      hasMarked = true;
    }
    return hasMarked ? JSON.stringify(document) : undefined;
  }
  return {
    body(bytes) {
      const text = bytes.includes(probe) ? marked(bytes.toString()) : undefined;
      return text === undefined ? bytes : Buffer.from(text);
    },
    event(event, text) {
      const read = text.includes(probe) ? readEvent(event) : undefined;
      const data = read && marked(read.data);
      return read === undefined || data === undefined ? event : withData({ bytes: event, data: read.data }, data);
    },
  };
}

/** Of the places that a call may go to, those that keep everything it names. Throws GatewayError `invalid_request`. */
export function whereMarked(
  { id: model, targets, routing, responseKey: key }: ModelCallPorts,
  held: readonly HeldMark[],
  dialect: ClientDialectName,
  among: readonly number[] | undefined,
  owner: string,
): readonly number[] {
  const holders = (among ?? routing.reachable()).filter((place) => {
    const target = targets[place];
    if (target?.speaks(dialect) !== true) return false;
    const at = { key, model, target: target.config.name, owner };
    return held.every(({ id }) => itemIdAt(id, at) !== undefined);
  });
  if (holders.length > 0) return holders;
  const [first] = held;
  throw new GatewayError(
    'invalid_request',
    `"${first?.param}" names nothing of yours that a target of ${model} keeps to which this call may go: it is of another model or somebody else's, its target is gone, or several ids are not all with one target. Leave it out.`,
    { data: { param: first?.param ?? null } },
  );
}

/** A request with the ids that things have in this place. */
export function withOwnIds(json: Buffer, held: readonly HeldMark[], place: () => Place): Buffer {
  if (held.length === 0) return json;
  const at = place();
  let text = json.toString();
  // In a text of somebody's, both quotes would be escaped.
  for (const { id } of held) text = text.replaceAll(JSON.stringify(id), () => JSON.stringify(itemIdAt(id, at) ?? id));
  return Buffer.from(text);
}
